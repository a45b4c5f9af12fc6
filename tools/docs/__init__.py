"""Writes the generated parts of docs/ from the code they describe."""
