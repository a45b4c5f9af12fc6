"""How large a figure, a name or a moment may be: one edge for all that is kept.

Whatever is accepted can be read: below these bounds no view can overflow. They hold for
both ways in, a server's answer and an imported file, and stand far beyond anything a
machine can do; what lies outside is a defect of whoever said it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

MAX_COUNT = 10**12
"""Tokens, checks, places in an order."""
MAX_NS = 10**15
"""Longest duration: eleven and a half days."""
MAX_BYTES = 10**16
"""Largest size; also the largest number of weights."""
MAX_RATE = 10**7
"""Tokens per second: what a server says beyond is a defect of it."""
MAX_READING = 2**63 - 1
"""Largest reading of a clock or a counter that began at an unknown time."""
MAX_PLANNED_RUNS = 10**6
"""Largest plan: it stands in one row, whole."""
MAX_FOLDER_BYTES = 200
"""Longest sweep id, spelled as the name of its folder."""
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2262, 1, 1, tzinfo=UTC)
"""The moments whose distance in nanoseconds fits 64 bits."""

_MOST_DIGITS = 400
"""More than the largest float has, and the smallest: servers print those."""


def is_plain(number: Decimal) -> bool:
    """Whether a number is of a size that figures have.

    One with a billion digits is one word to write, and reckoning with it fails or takes
    all memory.
    """
    return number.is_finite() and abs(number.adjusted()) <= _MOST_DIGITS


class BeyondFigures(ValueError):
    """A number that is not plain; the message is as it was written."""


def exact_number(text: str) -> Decimal:
    """A number as it was written, for the readers of JSON and TOML.

    Raises BeyondFigures.
    """
    number = Decimal(text)
    if number.is_finite() and not is_plain(number):
        raise BeyondFigures(text)
    return number


def is_shallow(document: Any, levels: int) -> bool:
    """Whether lists and mappings of JSON are nested no deeper than so many levels."""
    level = [document]
    for _ in range(levels):
        level = [child for parent in level for child in _containers(parent)]
        if not level:
            return True
    return False


def _containers(parent: Any) -> list[Any]:
    values: Iterable[Any] = ()
    if isinstance(parent, dict):
        values = parent.values()
    elif isinstance(parent, list):
        values = parent
    return [value for value in values if isinstance(value, (dict, list))]
