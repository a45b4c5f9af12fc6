"""Rows as lines of JSON: encoded, decoded strictly, proven valid."""

from __future__ import annotations

from typing import Any

import msgspec

from orket.row_types import Record
from orket.text import storable

NO_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises of bytes that may be anybody's, nested as deep as a well too."""
STRAY_SURROGATE = "half a surrogate pair, which is no character"


def to_json(row: Record) -> bytes:
    """One JSON object, on one line."""
    return msgspec.json.encode(row)


def judge(row_type: type[Record], line: bytes | str) -> Any:
    """Decode one JSON line strictly.

    Raises msgspec.ValidationError naming the field, or msgspec.DecodeError.
    """
    return msgspec.json.decode(line, type=row_type, strict=True)


def checked(row: Record) -> bytes:
    """Encode a row and prove that it is valid; constructors do not validate.

    Raises msgspec.ValidationError naming the field.
    """
    try:
        line = to_json(row)
    except UnicodeEncodeError:
        path = stray_surrogate(msgspec.to_builtins(row))
        raise msgspec.ValidationError(f"{STRAY_SURROGATE} - at `${path}`") from None
    judge(type(row), line)
    return line


def stray_surrogate(value: object) -> str | None:
    """The path, as `.field[0]`, of the first text that cannot be encoded as UTF-8."""
    if isinstance(value, str):
        return "" if storable(value) != value else None
    if isinstance(value, dict):
        places = [(f".{name}", item) for name, item in value.items()]
    elif isinstance(value, list):
        places = [(f"[{place}]", item) for place, item in enumerate(value)]
    else:
        return None
    found = ((place, stray_surrogate(item)) for place, item in places)
    return next((place + path for place, path in found if path is not None), None)
