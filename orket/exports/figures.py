"""Figures and codes as a person reads them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any


def words(code: str) -> str:
    """A reason code as words: RUN_FAILURES is `run failures`."""
    return code.replace("_", " ").lower()


def run_quality(quant: Mapping[str, Any]) -> str:
    """The run quality of a quant of a summary: CLEAN, POLLUTED, NOT_RUN, UNFINISHED."""
    return str(quant["run_quality_status"])


def count_runs(count: int) -> str:
    """`1 run`, `2 runs`."""
    return "1 run" if count == 1 else f"{count} runs"


def percent(ratio: Decimal | None, digits: int = 1) -> str:
    """A ratio as percent."""
    return f"{decimals(ratio * 100, digits)} %" if ratio is not None else "-"


def exact_percent(ratio: Decimal) -> str:
    """A limit as percent, to its last digit: a rounded one is another limit."""
    return f"{(ratio * 100).normalize():f} %"


def exact_seconds(value: Decimal) -> str:
    """A limit in the unit that reads best, to its last digit."""
    if value < 1:
        return f"{(value * 1000).normalize():f} ms"
    return f"{value.normalize():f} s"


def limit_percent(ratio: Decimal) -> str:
    """A limit as percent with one decimal, or with as many as it has."""
    rounded = round(ratio * 100, 1)
    return percent(ratio) if rounded == ratio * 100 else exact_percent(ratio)


def limit_seconds(value: Decimal) -> str:
    """A limit as a duration of few decimals, or with as many as it has."""
    shown = round(value * 1000, 1) / 1000 if value < 1 else round(value, 2)
    return seconds(value) if shown == value else exact_seconds(value)


def decimals(value: Decimal | None, digits: int) -> str:
    """A number with a fixed count of decimals, rounded half up as the views do it."""
    if value is None:
        return "-"
    return f"{_half_up(value, digits):f}"


def _half_up(value: Decimal, digits: int) -> Decimal:
    rounded = value.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    # What rounds to nothing has no sign.
    return rounded if rounded else abs(rounded)


def seconds(value: Decimal | None) -> str:
    """A duration in the unit that reads best."""
    if value is None:
        return "-"
    if value < 1:
        return f"{decimals(value * 1000, 1)} ms"
    return f"{decimals(value, 2)} s"


def size(value: int | None) -> str:
    """Bytes in MiB or GiB."""
    if value is None:
        return "-"
    mebibytes = value / 2**20
    return f"{mebibytes:.1f} MiB" if mebibytes < 1024 else f"{mebibytes / 1024:.2f} GiB"


def bound_word(has_budget: bool) -> str:
    """What stands before the longest time that a sweep may take.

    A budget is kept to; what all tasks take on a busy machine nobody knows.
    """
    return "at most" if has_budget else "for all tasks about"


def duration(seconds: float) -> str:
    """A span of time as people say it: `45 s`, `35 min`, `2.5 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
