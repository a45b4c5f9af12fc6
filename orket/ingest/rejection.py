"""Why one row of a file was not taken: line, field and reason."""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec

_PLACE = re.compile(r"^(?P<reason>.*?)(?: - at `(?P<path>\$[^`]*)`)?$", re.S)
_NAMED = re.compile(r"^Object (?:missing required|contains unknown) field `([^`]+)`")
_KEPT_CHARS = 2000


@dataclass(frozen=True, slots=True)
class Rejection:
    """One row that was not taken. `field` is None where the whole row is at fault."""

    line: int
    field: str | None
    reason: str
    text: str = ""
    """The row as it stands in the file, cut where it is long."""


def shorten(text: bytes | str) -> str:
    """A row as text that can be kept: bytes that are no UTF-8 are spelled out."""
    if isinstance(text, bytes):
        text = text[: 4 * _KEPT_CHARS].decode("utf-8", errors="backslashreplace")
    return text[:_KEPT_CHARS].encode("utf-8", "backslashreplace").decode()


def explain_invalid(
    line: int, text: bytes | str, error: msgspec.DecodeError
) -> Rejection:
    """The rejection that a validation error of msgspec stands for."""
    match = _PLACE.match(str(error))
    assert match is not None
    reason = match["reason"]
    path = (match["path"] or "$").removeprefix("$").removeprefix(".")
    if named := _NAMED.match(reason):
        path = f"{path}.{named[1]}" if path else named[1]
    return Rejection(line, path or None, reason, shorten(text))
