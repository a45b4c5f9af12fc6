"""Figures and codes as a person reads them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any


def words(code: str) -> str:
    """A reason code as words: RUN_FAILURES is `run failures`."""
    return code.replace("_", " ").lower()


def why_out(code: str) -> str:
    """Why a quant is not eligible, in the words of `v1.reason`: `too slow`."""
    from orket.warehouse.reasons import reason_named

    known = reason_named("quant", code)
    return known.short if known and known.short else words(code)


def whys_out(quant: Mapping[str, Any]) -> dict[str, str]:
    """Why a quant of a summary is not eligible: each code with its words."""
    codes = quant["ineligible_reasons"] or []
    told = quant["ineligible_words"] or []
    if len(told) != len(codes):
        # A summary of an earlier version has the codes alone.
        told = list(map(why_out, codes))
    return dict(zip(codes, told, strict=True))


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


def duration(seconds: float) -> str:
    """A span of time as people say it: `45 s`, `35 min`, `2.5 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


ALIKE = 1.5
"""A span whose ends are no further apart than this is told by its middle."""


NEARLY_NOTHING = 0.05
"""Where a span begins below that part of its end, its end alone is told."""


def span_words(low: float, high: float) -> str:
    """A span of time: `about 45 s`, `2 to 5 min`, `90 s to 4 min`.

    Its ends are rounded away from each other: no more is promised than is known.
    """
    if high <= ALIKE * low or high < 1:
        return f"about {duration(math.sqrt(low * high))}"
    first, last = (
        duration(_rounded(low, math.floor)),
        duration(_rounded(high, math.ceil)),
    )
    if first == last:
        return f"about {first}"
    if low < NEARLY_NOTHING * high:
        return f"up to {last}"
    (number, _, unit), (_, _, last_unit) = first.partition(" "), last.partition(" ")
    return f"{number if unit == last_unit else first} to {last}"


def _rounded(seconds: float, towards: Callable[[float], int]) -> float:
    """Seconds in steps as people count them: of 5 s, of a minute, of a tenth hour."""
    step = 1 if seconds < 20 else 5 if seconds < 120 else 60 if seconds < 7200 else 360
    return towards(seconds / step) * step


def time_words(
    usual: tuple[float, float] | None,
    whole: tuple[float, float] | None,
    bound: float | None = None,
    left: str = "",
) -> str:
    """How long it takes, usually and at most: one text, wherever it is told.

    `usual` and `whole` are from and to in seconds, None: not known; `bound` is what a
    budget leaves, which is kept to: all else is an estimate. Empty: nothing is known.
    """
    limit = "" if bound is None else f"at most {duration(bound)}"
    if whole is None:
        return limit and f"{limit}{left}"
    low, high = usual or whole
    if bound is not None and high > bound:
        # What the budget ends first is not told as what it usually takes.
        if low >= bound or low < NEARLY_NOTHING * bound:
            return f"{limit}{left}"
        return f"at least {duration(_rounded(low, math.floor))}{left}, {limit}"
    told = span_words(*whole)
    if usual is None or span_words(*usual) == told:
        return f"{told}{left}"
    is_cut = bound is not None and whole[1] > bound
    most = limit if is_cut else f"for all tasks {told}"
    if usual[1] < 1:
        return f"{most}{left}"
    mostly = span_words(*usual).removeprefix("about ")
    return f"usually {mostly}{left}, {most}"
