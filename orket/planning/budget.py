"""How long a sweep may take: 90s, 20m, 1.5h, or 0."""

from __future__ import annotations

import re
from fractions import Fraction

from orket.errors import UsageError

_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "y": 365 * 86_400}
_BUDGET = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*([a-z]+)")


def read_budget(text: str) -> int:
    """A time in whole seconds. Raises UsageError for what is no time."""
    word = text.strip().lower()
    if word == "0":
        return 0
    found = _BUDGET.fullmatch(word)
    if found is None or found[2] not in _UNITS:
        raise UsageError(
            f"{text!r} is no budget of time", "write it as 90s, 20m, 1.5h or 0"
        )
    return int(Fraction(found[1]) * _UNITS[found[2]])
