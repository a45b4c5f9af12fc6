"""Finds the data that ships with Orket: `sql/` and `presets/`.

In a wheel they lie inside the package; in a checkout (also an editable install)
they stand at its top level, where people look for them.
"""

from __future__ import annotations

from pathlib import Path


def shipped(name: str) -> Path:
    """The folder `name` ("sql" or "presets") of this installation."""
    package = Path(__file__).resolve().parent
    inside = package / name
    return inside if inside.is_dir() else package.parent / name
