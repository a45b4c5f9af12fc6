"""Strict readers of a server's figures: a number that can be used, or None.

Nothing is coerced: a text, a truth value, NaN, a negative or an absurdly large
number is not a figure, and None is not 0.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from orket.limits import MAX_BYTES, MAX_COUNT, MAX_NS, MAX_RATE, MAX_READING
from orket.text import storable

MAX_RAW_CHARS = 65_536
"""Longest `raw_figures` kept; figures are small, so more is not figures."""


def count(value: object) -> int | None:
    """A number of things: a JSON integer from 0 to MAX_COUNT."""
    return _bounded(value, MAX_COUNT)


def reading(value: object) -> int | None:
    """A counter that has run since an unknown time."""
    return _bounded(value, MAX_READING)


def size_bytes(value: object) -> int | None:
    """A size in bytes."""
    return _bounded(value, MAX_BYTES)


def nanoseconds(value: object) -> int | None:
    """A duration given in whole nanoseconds."""
    return _bounded(value, MAX_NS)


def nanoseconds_from_ms(value: object) -> int | None:
    """A duration given in milliseconds, whole or not."""
    return _scaled(value, 1_000_000)


def nanoseconds_from_seconds(value: object) -> int | None:
    """A duration given in seconds, whole or not."""
    return _scaled(value, 1_000_000_000)


def rate(value: object) -> float | None:
    """A positive rate per second, for deriving a duration; 0 says nothing."""
    number = _finite(value)
    return number if number is not None and 0 < number <= MAX_RATE else None


def text(value: object) -> str | None:
    """A non-empty text fit to be stored; see `storable`."""
    return storable(value) if isinstance(value, str) and value else None


def mapping(value: object) -> Mapping[str, Any]:
    """A JSON object, or an empty one where there is none."""
    return value if isinstance(value, dict) else {}


def sequence(value: object) -> list[Any]:
    """A JSON array, or an empty one where there is none."""
    return value if isinstance(value, list) else []


def raw_json(figures: Mapping[str, object]) -> str | None:
    """The figures as the server said them, as valid JSON; None when there are none.

    NaN and infinities, which JSON has not, are kept as texts.
    """
    present = {key: value for key, value in figures.items() if value is not None}
    if not present:
        return None
    line = json.dumps(_speakable(present), ensure_ascii=False, separators=(",", ":"))
    if len(line) > MAX_RAW_CHARS:
        line = json.dumps({"too_long_chars": len(line)})
    return line


def _bounded(value: object, limit: int) -> int | None:
    if type(value) is not int or not 0 <= value <= limit:
        return None
    return value


def _scaled(value: object, factor: int) -> int | None:
    if type(value) is int:
        scaled = value * factor
    else:
        number = _finite(value)
        if number is None or number > MAX_NS:
            return None
        scaled = round(number * factor)
    return scaled if 0 <= scaled <= MAX_NS else None


def _finite(value: object) -> float | None:
    if type(value) is int and 0 <= value <= MAX_NS:
        return float(value)
    if type(value) is float and math.isfinite(value) and value >= 0:
        return value
    return None


def _speakable(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {storable(str(key)): _speakable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_speakable(item) for item in value]
    return value
