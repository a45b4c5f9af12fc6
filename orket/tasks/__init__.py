"""Task banks, checkers and sandboxes: one answer becomes check counts."""
