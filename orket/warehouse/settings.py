"""How much of the machine the views may use: two variables of the environment."""

from __future__ import annotations

import os

from orket.errors import UsageError
from orket.text import whole_number

MEMORY_VARIABLE = "ORKET_MEMORY_MIB"
THREADS_VARIABLE = "ORKET_THREADS"
_MEMORY_MIB = 2048
_LEAST_MEMORY_MIB = 64


def memory_mib() -> int:
    """What the views may hold in memory, MiB; the rest goes to a private folder.

    Raises UsageError where the variable is no such number.
    """
    return _number(MEMORY_VARIABLE, _LEAST_MEMORY_MIB) or _MEMORY_MIB


def most_threads() -> int | None:
    """How many threads may compute views; None is as many as there are processors."""
    return _number(THREADS_VARIABLE, 1)


def _number(variable: str, least: int) -> int | None:
    text = os.environ.get(variable, "")
    if not text:
        return None
    number = whole_number(text)
    if number is None or number < least:
        raise UsageError(
            f"{variable} is {text!r}", f"give a whole number from {least} on"
        )
    return number
