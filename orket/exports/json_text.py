"""JSON text with stable bytes: exact decimals, no exponents, keys in given order."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from orket.limits import exact_number, is_shallow
from orket.text import is_active

_DEEPEST = 64


def render_json(value: Any, indent: int | None = 2) -> str:
    """JSON text of `value`, without a final newline.

    `json` knows no Decimal and writes small floats with an exponent; here every number
    is a plain decimal, so that the same rows give the same bytes anywhere.
    """
    return _render(value, indent, 0)


def read_json(text: str) -> Any:
    """What a text stands for that ought to be JSON; where it is none, the text itself.

    It may be anybody's: one that could not be written again, for a number of a million
    digits or as deep as a well, stays a text too.
    """
    try:
        found = json.loads(text, parse_float=exact_number, parse_constant=_refuse)
        return found if is_shallow(found, _DEEPEST) else text
    except (ValueError, RecursionError):
        return text


def _refuse(constant: str) -> None:
    raise ValueError(f"JSON has no {constant}")


def plain_decimal(value: Decimal) -> str:
    """`value` without an exponent and without trailing zeros; zero has no sign."""
    text = f"{value:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def moment_text(value: datetime) -> str:
    """A moment in UTC as `2026-01-31T12:00:00.000000Z`; without a zone it is UTC."""
    if value.tzinfo is not None:
        value = value.astimezone(UTC)
    return value.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _render(value: Any, indent: int | None, depth: int) -> str:
    if isinstance(value, Mapping):
        items = [
            f"{_string(str(key))}: {_render(item, indent, depth + 1)}"
            for key, item in value.items()
        ]
        return _bracket("{", items, "}", indent, depth)
    if isinstance(value, (list, tuple)):
        items = [_render(item, indent, depth + 1) for item in value]
        return _bracket("[", items, "]", indent, depth)
    return _scalar(value)


def _bracket(
    opening: str, items: list[str], closing: str, indent: int | None, depth: int
) -> str:
    if not items:
        return opening + closing
    if indent is None:
        return opening + ", ".join(items) + closing
    inner = "\n" + " " * (indent * (depth + 1))
    outer = "\n" + " " * (indent * depth)
    return opening + inner + ("," + inner).join(items) + outer + closing


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal):
        return plain_decimal(value) if value.is_finite() else "null"
    if isinstance(value, float):
        # JSON has no NaN; repr gives the shortest digits that read back the same.
        return plain_decimal(Decimal(repr(value))) if math.isfinite(value) else "null"
    if isinstance(value, datetime):
        return _string(moment_text(value))
    if isinstance(value, date):
        return _string(value.isoformat())
    if isinstance(value, bytes):
        return _string(value.hex())
    return _string(str(value))


def _string(text: str) -> str:
    written = json.dumps(text, ensure_ascii=False)
    if written.isascii() and written.isprintable():
        return written
    # What a terminal acts upon, and a surrogate that has no UTF-8, is escaped: the
    # reader of JSON gets the same text.
    return "".join(_escape(c) if is_active(c) else c for c in written)


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else json.dumps(character)[1:-1]
