"""Values that come out of a sandbox: only text crosses, and only plain data is read."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from orket.tasks.sandbox import STOPPED, VALUE, Outcome

ENCODER = Path(__file__).with_name("encoder.py").read_text(encoding="utf-8")
"""Source of the function that spells a value, run inside the sandbox."""

ENCODE = "_orket_encode"
"""Its name there."""

OPAQUE = ...
"""A value that is no plain data or too large to read: equal to nothing."""

_MAX_DEPTH = 60
_MAX_CHARS = 4_000_000
_CONTAINERS = "ltedc"


def read_value(coded: Any) -> Outcome:
    """What a call gave, from a text that the answer may have forged."""
    try:
        return Outcome(VALUE, decode(coded))
    except ValueError:
        return Outcome(STOPPED, reason="FORGED_RESULT")


def decode(coded: Any) -> Any:
    """The value of a coded text; OPAQUE for one that is no plain data.

    Raises ValueError for a text that the encoder cannot have written.
    """
    if not isinstance(coded, str) or len(coded) > _MAX_CHARS:
        raise ValueError("no coded value")
    value, end = _read_part(coded, 0, 0)
    if end != len(coded):
        raise ValueError("more than one value")
    return value


def _read_part(coded: str, at: int, depth: int) -> tuple[Any, int]:
    """One part and where the next begins."""
    colon = coded.find(":", at, at + 10)
    number = coded[at + 1 : colon]
    if colon < 0 or depth > _MAX_DEPTH or not (number.isascii() and number.isdigit()):
        raise ValueError("no coded part")
    kind, count, at = coded[at], int(number), colon + 1
    if kind not in _CONTAINERS:
        text = coded[at : at + count]
        if len(text) != count:
            raise ValueError("a part is cut short")
        return _read_scalar(kind, text), at + count
    parts = []
    for _ in range(count):
        part, at = _read_part(coded, at, depth + 1)
        parts.append(part)
    return _build(kind, parts), at


def _read_scalar(kind: str, text: str) -> Any:
    if kind == "n" and not text:
        return None
    if kind == "o" and not text:
        return OPAQUE
    if kind == "b" and text in ("0", "1"):
        return text == "1"
    if kind == "i":
        return int(text, 16)
    if kind == "f":
        return float(text)
    if kind == "s":
        return text
    if kind == "y":
        return bytes.fromhex(text)
    raise ValueError(f"no kind of value {kind!r}")


def _build(kind: str, parts: list[Any]) -> Any:
    try:
        if kind == "c":
            return complex(*parts)
        if kind == "d":
            return dict(zip(parts[::2], parts[1::2], strict=True))
        kinds = {"l": list, "t": tuple, "e": frozenset}
        return kinds[kind](parts)
    except (TypeError, OverflowError) as error:
        raise ValueError(f"no such value: {error}") from None


def same_value(found: Any, expected: Any) -> bool:
    """Equality of results: a list is no tuple, True is no 1, floats are near enough.

    Total over what `decode` and `ast.literal_eval` give.
    """
    if isinstance(expected, bool) or isinstance(found, bool):
        return found is expected
    if isinstance(expected, float) or isinstance(found, float):
        is_real = isinstance(found, int | float) and isinstance(expected, int | float)
        return is_real and _near(found, expected)
    for kind in (list, tuple):
        if isinstance(expected, kind):
            return (
                isinstance(found, kind)
                and len(found) == len(expected)
                and all(map(same_value, found, expected))
            )
    if isinstance(expected, dict):
        return (
            isinstance(found, dict)
            and _typed(found) == _typed(expected)
            and all(same_value(found[key], value) for key, value in expected.items())
        )
    if isinstance(expected, set | frozenset):
        return isinstance(found, set | frozenset) and _typed(found) == _typed(expected)
    for plain in (int, str, bytes, complex, type(None)):
        if isinstance(expected, plain):
            return isinstance(found, plain) and bool(found == expected)
    return False


def _typed(keys: Any) -> frozenset[Any]:
    """Keys so that True is no 1; dictionaries and sets alone hold equal ones once."""
    return frozenset(_typed_key(key) for key in keys)


def _typed_key(key: Any) -> Any:
    if isinstance(key, bool):
        return (bool, key)
    if isinstance(key, tuple):
        return tuple(map(_typed_key, key))
    if isinstance(key, frozenset):
        return _typed(key)
    return key


def _near(found: float, expected: float) -> bool:
    try:
        return math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-12)
    except OverflowError:
        return False
