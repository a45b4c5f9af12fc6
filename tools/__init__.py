"""What the project is made with; the package never imports it."""
