"""The report of one sweep: a page that needs nothing else, or Markdown."""
