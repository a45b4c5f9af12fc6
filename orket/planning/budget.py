"""How far a sweep goes, and how long it may take: 90s, 20m, 1h30m, or none."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Literal, get_args

from orket.errors import UsageError

Until = Literal["proof", "clear", "point"]
PROOF, CLEAR, POINT = UNTIL = get_args(Until)
"""How far an adaptive sweep goes: what can be proven is settled; the best value is told
from its rivals too; every quant that may pass by its score is asked to the end too."""
NO_LIMIT = "none"
MOST_SECONDS = 366 * 86_400
_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "y": 365 * 86_400}
_PART = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*([a-z]+)\s*")


def read_budget(text: str) -> int | None:
    """A time in whole seconds; None for no limit. Raises UsageError."""
    word = text.strip().lower()
    if word == NO_LIMIT:
        return None
    if word == "0":
        return 0
    parts = _PART.findall(word)
    if _PART.sub("", word) or not parts or any(unit not in _UNITS for _, unit in parts):
        raise UsageError(
            f"{text!r} is no budget of time",
            "write it as 90s, 20m, 1h30m, or none for no limit",
        )
    seconds = int(sum(Fraction(number) * _UNITS[unit] for number, unit in parts))
    if seconds > MOST_SECONDS:
        raise UsageError(
            f"a budget of {text} is longer than a year", "for no limit write: none"
        )
    return seconds
