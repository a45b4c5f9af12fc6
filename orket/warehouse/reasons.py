"""The catalogue of reasons for whoever shows one: the rows of `v1.reason`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

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
    rows = _listed("reason", len(fields(Reason)))
    return tuple(Reason(*row) for row in rows)


@dataclass(frozen=True, slots=True)
class StopReason:
    """Why a sweep by rounds asks no more: a row of `v1.stop_reason`."""

    code: str
    is_open: bool
    words: str
    meaning: str


@cache
def known_stops() -> Mapping[str, StopReason]:
    """Every reason to stop, by its code; read like the others."""
    rows = _listed("stop_reason", len(fields(StopReason)))
    return {stop.code: stop for stop in (StopReason(*row) for row in rows)}


def _listed(view: str, width: int) -> Iterator[list[Any]]:
    """The rows of a view that is a list of values."""
    code, _ = split_comments(view_files()[view])
    _, _, rows = code.partition("VALUES")
    rows, _, _ = rows.rpartition(") AS ")
    values = [
        _WORDS[match[2]] if match[2] else match[1].replace("''", "'")
        for match in _VALUE.finditer(rows)
    ]
    for start in range(0, len(values), width):
        yield values[start : start + width]


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
