"""How long the tests look that draw their cases: seconds, or hours on demand."""

from __future__ import annotations

import os

FACTOR = int(os.environ.get("ORKET_FUZZ", "1"))
"""So many times the examples of an ordinary run."""


def examples(ordinary: int) -> int:
    """How many to draw where an ordinary run draws so many."""
    return ordinary * FACTOR
