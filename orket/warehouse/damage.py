"""Finds what cannot be read: the part that is damaged, or the row that breaks a view.

Nothing here runs while all is well. When DuckDB gives up on a query over many parts it
seldom says which one is at fault; so each is read alone, and of sound parts the rows
are halved until one is left.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from orket.errors import WarehouseError
from orket.records import DATASETS
from orket.warehouse.connection import Connection
from orket.warehouse.parts import may_bear_on, partition_sweep
from orket.warehouse.raw import bind_dataset

Parts = Mapping[str, Sequence[Path]]
"""Dataset -> the Parquet parts that it is read from."""

_MOST_HALVED = 100_000
"""Rows among which a single one is looked for."""


@dataclass(frozen=True, slots=True)
class Damage:
    """One thing that keeps views from being read."""

    what: str
    """Sweep, part and row, as far as they are known, and the reason."""
    remedy: str
    sweep_id: str | None = None
    """The sweep that cannot be read; None where a part of the events is at fault."""
    part: Path | None = None
    dataset: str | None = None
    """What the part has rows of; None where a whole sweep cannot be judged."""

    def __str__(self) -> str:
        return self.what

    @property
    def takes_sweep(self) -> bool:
        """Whether nothing of the sweep can be read without it."""
        return self.dataset in (None, "sweeps")

    def may_bear_on(self, sweep_id: str) -> bool:
        """Whether what is lost may be of a sweep."""
        if self.dataset != "events" or self.part is None:
            return self.sweep_id == sweep_id
        return may_bear_on(self.part, sweep_id)


def damaged_parts(parts: Parts) -> list[Damage]:
    """Every part that cannot be read, by reading each of them alone and whole."""
    return [
        damage_of(dataset, part, reason)
        for dataset in DATASETS
        for part in parts[dataset]
        if (reason := unreadable(dataset, part)) is not None
    ]


def unreadable(dataset: str, part: Path) -> str | None:
    """Why a part cannot be read, by reading it alone and whole; None where it can."""
    connection = Connection(threads=1)
    try:
        connection.duckdb.execute("CREATE SCHEMA raw")
        bind_dataset(connection.duckdb, dataset, [part])
        connection.duckdb.execute(f"CREATE TABLE whole AS SELECT * FROM raw.{dataset}")
    except duckdb.Error as error:
        return first_line(error)
    finally:
        connection.close()
    return None


def damage_of(dataset: str, part: Path, reason: str) -> Damage:
    """What is said of a part that cannot be read: what it is first, its path last."""
    sweep_id = None if dataset == "events" else partition_sweep(part.parent)
    named = {"sweeps": "the manifest", "events": "a part of the events"}.get(
        dataset, f"a part of the {dataset}"
    )
    whose = f" of sweep {sweep_id}" if sweep_id else ""
    lost = {
        "sweeps": "without it the sweep is unknown",
        "events": "what it says of baselines and of ends of sweeps is lost with it",
    }.get(dataset, "its rows are lost with it, the other parts are whole")
    return Damage(
        f"{named}{whose} cannot be read ({_without_path(reason, part)})",
        "put back a copy, or move it away with orket verify --quarantine "
        f"({lost}): {part}",
        sweep_id,
        part,
        dataset,
    )


def _without_path(reason: str, part: Path) -> str:
    """What DuckDB says of a part, without its path: that stands at the end."""
    for written, short in (
        (f"File '{part}'", "the file is"),
        (f"file '{part}'", "the file"),
        (str(part), "the part"),
    ):
        reason = reason.replace(written, short)
    return reason


def explain(found: Sequence[Damage]) -> WarehouseError:
    """The error that names what cannot be read."""
    others = len(found) - 1
    more = f"; {others} more cannot be read either" if others else ""
    return WarehouseError(f"{found[0]}{more}", found[0].remedy)


def breaking_sweeps(
    parts: Parts, compute: Callable[[Parts, Sequence[str] | None], object]
) -> list[Damage]:
    """Every sweep over whose sound parts `compute` fails, with the row where it can.

    `compute` is handed parts, and the attempts to look at or None for all of them.
    """
    found = []
    for sweep_id in _sweeps_of(parts):
        own = parts_of_sweep(parts, sweep_id)
        reason = _failure(compute, own, None)
        if reason is not None:
            found.append(_of_sweep(sweep_id, own, compute, reason))
    return found


def _sweeps_of(parts: Parts) -> list[str]:
    return sorted(
        {
            partition_sweep(part.parent)
            for dataset in DATASETS
            if dataset != "events"
            for part in parts[dataset]
        }
    )


def parts_of_sweep(parts: Parts, sweep_id: str) -> dict[str, list[Path]]:
    """The parts of one sweep, and all events."""
    return {
        dataset: [
            part
            for part in parts[dataset]
            if dataset == "events" or partition_sweep(part.parent) == sweep_id
        ]
        for dataset in DATASETS
    }


def _of_sweep(
    sweep_id: str,
    parts: Parts,
    compute: Callable[[Parts, Sequence[str] | None], object],
    reason: str,
) -> Damage:
    places = _attempts(parts)
    attempt = _halve(sorted(places), lambda some: _failure(compute, parts, some))
    where = f"sweep {sweep_id}"
    if attempt is not None:
        where += f", {places[attempt]}, row {attempt}"
    return Damage(
        f"{where} cannot be judged ({reason})",
        "this is a fault in Orket, not in your request: please report it; "
        "other sweeps can be read by their ids",
        sweep_id,
        Path(places[attempt]) if attempt else None,
    )


def _attempts(parts: Parts) -> dict[str, str]:
    """The part of every attempt."""
    connection = Connection(threads=1)
    try:
        connection.duckdb.execute("CREATE SCHEMA raw")
        bind_dataset(connection.duckdb, "runs", parts["runs"], with_part=True)
        query = f"SELECT attempt_id, part FROM raw.runs LIMIT {_MOST_HALVED + 1}"
        rows = connection.duckdb.execute(query).fetchall()
    finally:
        connection.close()
    return dict(rows) if len(rows) <= _MOST_HALVED else {}


def _halve(
    attempts: list[str], fails: Callable[[Sequence[str]], str | None]
) -> str | None:
    """The one attempt that fails alone, if there is one."""
    while len(attempts) > 1:
        middle = len(attempts) // 2
        for half in (attempts[:middle], attempts[middle:]):
            if fails(half) is not None:
                attempts = half
                break
        else:
            return None
    return attempts[0] if attempts and fails(attempts) is not None else None


def _failure(
    compute: Callable[[Parts, Sequence[str] | None], object],
    parts: Parts,
    attempts: Sequence[str] | None,
) -> str | None:
    try:
        compute(parts, attempts)
    except duckdb.Error as error:
        return first_line(error)
    return None


def full_disk(error: Exception) -> OSError | None:
    """What the system said where DuckDB or Arrow found no room to write; else None."""
    said = str(error)
    for code in (errno.ENOSPC, errno.EDQUOT):
        if os.strerror(code) in said:
            return OSError(code, os.strerror(code))
    return None


def first_line(error: Exception) -> str:
    """What DuckDB says, without the kind of error in front."""
    line = str(error).splitlines()[0] if str(error) else type(error).__name__
    kind, colon, rest = line.partition(" Error: ")
    return rest if colon and kind.replace(" ", "").isalpha() else line
