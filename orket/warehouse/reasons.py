"""The catalogue of reasons for whoever shows one: the rows of `v1.reason`."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from functools import cache

from orket.warehouse.view_files import split_comments, view_files

_VALUE = re.compile(r"'((?:[^']|'')*)'|\b(NULL|true|false)\b")
"""A value of the rows of `v1.reason`: a text, or a word."""
_WORDS = {"NULL": None, "true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason or advisory, as the views know it."""

    scope: str
    signal: str
    code: str
    kind: str
    is_curable: bool | None
    is_admissible: bool | None
    is_timing: bool | None
    fault: str | None
    short: str | None
    meaning: str
    remedy: str


@cache
def known_reasons() -> tuple[Reason, ...]:
    """Every reason, in the order of the catalogue.

    Read from the SQL as it stands, a list of values: to open DuckDB for it takes longer
    than all else of showing a sweep that is kept.
    """
    code, _ = split_comments(view_files()["reason"])
    _, _, rows = code.partition("VALUES")
    rows, _, _ = rows.rpartition(") AS reasons")
    values = [
        _WORDS[match[2]] if match[2] else match[1].replace("''", "'")
        for match in _VALUE.finditer(rows)
    ]
    width = len(fields(Reason))
    return tuple(
        Reason(*values[start : start + width])  # type: ignore[arg-type]
        for start in range(0, len(values), width)
    )


def reason_named(scope: str, code: str) -> Reason | None:
    """What is known of a code; None for one of another version."""
    found = (
        reason
        for reason in known_reasons()
        if (reason.scope, reason.code) == (scope, code)
    )
    return next(found, None)


def code_of(scope: str, signal: str) -> str:
    """How a signal is spelled. Raises KeyError where the catalogue has none."""
    for reason in known_reasons():
        if (reason.scope, reason.signal) == (scope, signal):
            return reason.code
    raise KeyError(f"no reason of scope {scope} stands for {signal}")
