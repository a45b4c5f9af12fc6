"""Servers that Orket starts by a command, and ends with all that they started."""
