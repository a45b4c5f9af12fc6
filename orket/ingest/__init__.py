"""Foreign files -> raw rows: strict about every row, and never twice."""
