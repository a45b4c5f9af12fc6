"""The catalogue of reasons for whoever shows one: the rows of `v1.reason`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import duckdb

from orket.warehouse.view_files import VIEW_VERSION, split_comments, view_files


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
    """Every reason, in the order of the catalogue."""
    code, _ = split_comments(view_files()["reason"])
    with duckdb.connect(":memory:") as connection:
        connection.execute(f"CREATE SCHEMA {VIEW_VERSION}")
        connection.execute(code)
        rows = connection.execute(f"SELECT * FROM {VIEW_VERSION}.reason").fetchall()
    return tuple(Reason(*row) for row in rows)


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
