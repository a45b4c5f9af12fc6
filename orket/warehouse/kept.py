"""What the views say of a whole sweep, kept so that looking again costs a small file.

The cut is where everything has been decided: the row of `v1.summary`, that of
`v1.stability_kpi`, those of `v1.recommendation` and of `v1.fleet_entry`. They hang on
the sweep's own parts, on the events that bear on it, and on the code that judges; a
kept file names all three, and counts only while they are the same. A what-if is kept
apart; one that moves the moment of events is not kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from orket.errors import WarehouseError
from orket.records import DATASETS
from orket.warehouse.derived import (
    Stat,
    code_digest,
    derived_folder,
    digest_of,
    read_kept,
    write_kept,
)
from orket.warehouse.packed import pack, unpack
from orket.warehouse.settings import memory_mib

if TYPE_CHECKING:
    from orket.warehouse.event_index import EventIndex
    from orket.warehouse.store import Warehouse

_SWEEPS_PER_GIB = 300
_BYTES_PER_GIB = 20 << 20
"""How much is derived at once, for each GiB that the views may hold: sweeps, and bytes
of their parts. A session costs as much as judging some tens of thousands of runs."""
_CARRIED = (40, 4 << 20)
"""The same of a portion for another machine: enough of them that none has to wait."""
_EPOCH = datetime(1970, 1, 1)
_FIELDS = ("started_at", "kpi", "answers", "summary", "fleet")
"""Of `SweepRows`, after its id."""


Carrier = Callable[[Sequence[list[str]]], Iterable[bytes]]
"""Derives portions of sweeps elsewhere: the packed rows of each sweep."""


class SweepRows(msgspec.Struct, frozen=True):
    """What is kept of one sweep."""

    sweep_id: str
    started_at: datetime
    """By its ruling manifest, UTC without a zone."""
    kpi: dict[str, Any]
    """Its row of `v1.stability_kpi`."""
    answers: list[dict[str, Any]]
    """Its rows of `v1.recommendation`, by model."""
    summary: dict[str, Any]
    """The struct that `v1.summary` has for it."""
    fleet: list[dict[str, Any]]
    """Its rows of `v1.fleet_entry`, by model."""


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    key: str
    watermark: str
    started_us: int
    kpi: msgspec.Raw
    answers: msgspec.Raw
    summary: msgspec.Raw
    fleet: msgspec.Raw


def read_sweeps(
    warehouse: Warehouse,
    sweep_ids: Sequence[str],
    overrides: Mapping[str, object] | None = None,
    carrier: Carrier | None = None,
) -> Iterator[SweepRows]:
    """The rows of these sweeps, kept or derived now; none of one without a manifest.

    `overrides` are a what-if. A sweep is derived beside others, and comes when its turn
    comes: in no particular order. A `carrier` derives them elsewhere, by what was
    recorded. Raises WarehouseError as a session does.
    """
    shelf = _Shelf(warehouse, overrides or {}, sweep_ids)
    missing: dict[str, int] = {}
    if len(sweep_ids) > 1:
        warehouse.list_ahead()
    for sweep_id in sweep_ids:
        found, size = shelf.take(sweep_id)
        if found is not None:
            yield found
        else:
            missing[sweep_id] = size
    failure, is_any_read = None, len(missing) < len(sweep_ids)
    if carrier is not None and missing:
        for packed in carrier(list(portions(missing, *_CARRIED))):
            rows = unpack_rows(packed)
            shelf.put(rows)
            yield rows
        return
    for batch in portions(missing, *_room()):
        try:
            yield from _derive(warehouse, shelf, batch, overrides)
            is_any_read = True
        except WarehouseError as error:
            # A tolerant warehouse goes on while there is anything that can be read.
            if not warehouse.is_tolerant:
                raise
            failure = error
    if failure is not None and not is_any_read:
        raise failure


def read_buckets(
    warehouse: Warehouse,
    sweep_id: str,
    buckets: Sequence[str],
    overrides: Mapping[str, object],
) -> dict[str, list[dict[str, Any]]]:
    """Of each bucket the rows of `v1.recommendation`, judged by its tasks alone.

    Kept, or derived now, all of them at once. Raises WarehouseError as a session does.
    """
    from orket.warehouse.raw import EACH_BUCKET, sweep_of_bucket

    each = {"sweep_id": sweep_id, "buckets": sorted(buckets)}
    asked = {**overrides, EACH_BUCKET: each}
    shelf = _Shelf(warehouse, asked, [sweep_id])
    found, _ = shelf.take(sweep_id)
    if found is None:
        with warehouse.session_over([sweep_id], asked) as session:
            answers = session.rows("SELECT * FROM v1.recommendation ORDER BY model_id")
            starts = session.rows(
                "SELECT min(started_at) AS started_at FROM v1.manifest"
            )
        started_at = starts[0]["started_at"]
        if started_at is None:
            return {}
        found = SweepRows(sweep_id, started_at, {}, answers, {}, [])
        shelf.put(found)
    return {
        bucket: [
            {**row, "sweep_id": sweep_id}
            for row in found.answers
            if row["sweep_id"] == sweep_of_bucket(sweep_id, bucket)
        ]
        for bucket in buckets
    }


class _Shelf:
    """The kept files of a warehouse, under one what-if."""

    def __init__(
        self,
        warehouse: Warehouse,
        overrides: Mapping[str, object],
        sweep_ids: Collection[str] | None,
    ) -> None:
        """`sweep_ids` are those that are asked for; None: none is taken or put."""
        self._warehouse = warehouse
        self._folder = derived_folder(warehouse.path)
        self._keys: dict[str, str] = {}
        self._code = digest_of(
            [code_digest(), json.dumps(dict(overrides), sort_keys=True, default=str)]
        )
        self._name = digest_of([self._code])[:8] if overrides else "own"
        self._events: EventIndex | None = None
        if sweep_ids is not None and "as_of" not in overrides:
            self._events = warehouse.index_events(sweep_ids)

    def take(self, sweep_id: str) -> tuple[SweepRows | None, int]:
        """What is kept and still true, and the bytes of the sweep's parts."""
        if self._events is None:
            return None, 0
        key, size = self._key(sweep_id)
        self._keys[sweep_id] = key
        content = read_kept(self._place(sweep_id))
        if content is None:
            return None, size
        try:
            kept = msgspec.msgpack.decode(content, type=_Kept)
            started_at = _EPOCH + timedelta(microseconds=kept.started_us)
            if (kept.key, kept.watermark) != (
                key,
                self._events.watermark(sweep_id, started_at),
            ):
                return None, size
            rows = SweepRows(
                sweep_id,
                started_at,
                unpack(kept.kpi),
                unpack(kept.answers),
                unpack(kept.summary),
                unpack(kept.fleet),
            )
        except (msgspec.DecodeError, OverflowError, ValueError):
            return None, size
        return rows, size

    def put(self, rows: SweepRows) -> None:
        """Keep what was derived, where it can be kept whole."""
        if self._events is None or rows.sweep_id not in self._keys:
            return
        if rows.sweep_id in self._warehouse.left_out.sweeps():
            return  # Of what could be read alone.
        if self._keys[rows.sweep_id] != self._key(rows.sweep_id)[0]:
            return  # Appended to meanwhile: of which rows this is nobody knows.
        try:
            kept = _Kept(
                self._keys[rows.sweep_id],
                self._events.watermark(rows.sweep_id, rows.started_at),
                (rows.started_at - _EPOCH) // timedelta(microseconds=1),
                pack(rows.kpi),
                pack(rows.answers),
                pack(rows.summary),
                pack(rows.fleet),
            )
        except TypeError:
            return
        write_kept(self._place(rows.sweep_id), msgspec.msgpack.encode(kept))

    def carry(self, sweep_id: str, before: Mapping[str, Sequence[Stat]]) -> None:
        """Count what was made of the same rows in other parts as made of these."""
        content = read_kept(self._place(sweep_id))
        if content is None:
            return
        with suppress(msgspec.DecodeError):
            kept = msgspec.msgpack.decode(content, type=_Kept)
            lines = [self._code, sweep_id]
            for dataset in DATASETS:
                lines += [f"{dataset} {stat!r}" for stat in before.get(dataset, ())]
            if kept.key == digest_of(lines):
                moved = msgspec.structs.replace(kept, key=self._key(sweep_id)[0])
                write_kept(self._place(sweep_id), msgspec.msgpack.encode(moved))

    def _place(self, sweep_id: str) -> Path:
        return self._folder / f"sweep-{digest_of([sweep_id])[:32]}-{self._name}"

    def _key(self, sweep_id: str) -> tuple[str, int]:
        return parts_key(self._warehouse, self._code, sweep_id)


def parts_key(warehouse: Warehouse, code: str, sweep_id: str) -> tuple[str, int]:
    """A hash of the code and of the parts of a sweep, and the bytes of these."""
    lines, size = [code, sweep_id], 0
    for dataset in DATASETS:
        if dataset == "events":
            continue
        for stat in warehouse.part_stats(dataset, sweep_id):
            lines.append(f"{dataset} {stat!r}")
            size += stat.size
    return digest_of(lines), size


def carry_over(
    warehouse: Warehouse,
    sweep_id: str,
    before: Mapping[str, Sequence[Stat]],
    folded: Collection[str],
    made: Collection[str],
) -> None:
    """Let what is kept of a sweep count on after its parts were folded.

    `before` are its parts as they lay there, by dataset; the parts called `made` have
    the rows of those called `folded`. Where others came meanwhile, nothing is carried.
    """
    shelf = _Shelf(warehouse, {}, None)
    expected = {stat.name for stats in before.values() for stat in stats}
    expected = expected - set(folded) | set(made)
    now = {
        part.name for dataset in before for part in warehouse.parts(dataset, sweep_id)
    }
    if now == expected:
        shelf.carry(sweep_id, before)


def _room() -> tuple[int, int]:
    """The most sweeps, and the most bytes of their parts, that are derived at once."""
    memory = memory_mib()
    return (
        max(_SWEEPS_PER_GIB * memory // 1024, 1),
        _BYTES_PER_GIB * memory // 1024,
    )


def portions(
    sizes: Mapping[str, int], most_sweeps: int, most_bytes: int
) -> Iterator[list[str]]:
    """Sweeps, with the bytes of their parts, in portions that fit into memory."""
    batch: list[str] = []
    total = 0
    for sweep_id, size in sizes.items():
        if batch and (len(batch) == most_sweeps or total + size > most_bytes):
            yield batch
            batch, total = [], 0
        batch.append(sweep_id)
        total += size
    if batch:
        yield batch


def _derive(
    warehouse: Warehouse,
    shelf: _Shelf,
    sweep_ids: Sequence[str],
    overrides: Mapping[str, object] | None,
) -> Iterator[SweepRows]:
    for rows in derive(warehouse, sweep_ids, overrides):
        shelf.put(rows)
        yield rows


def derive(
    warehouse: Warehouse,
    sweep_ids: Sequence[str],
    overrides: Mapping[str, object] | None = None,
) -> list[SweepRows]:
    """The rows of these sweeps, derived anew in one session; nothing is kept.

    Raises WarehouseError as a session does.
    """
    with warehouse.session_over(sweep_ids, overrides) as session:
        summaries = session.rows("SELECT sweep_id, summary FROM v1.summary")
        kpis = session.rows("SELECT * FROM v1.stability_kpi")
        answers = session.rows("SELECT * FROM v1.recommendation ORDER BY model_id")
        fleet = session.rows("SELECT * FROM v1.fleet_entry ORDER BY model_id")
        starts = session.rows("SELECT sweep_id, started_at FROM v1.manifest")
    kpi_of = {row["sweep_id"]: row for row in kpis}
    start_of = {row["sweep_id"]: row["started_at"] for row in starts}
    return [
        SweepRows(
            row["sweep_id"],
            start_of[row["sweep_id"]],
            kpi_of[row["sweep_id"]],
            [answer for answer in answers if answer["sweep_id"] == row["sweep_id"]],
            row["summary"],
            [entry for entry in fleet if entry["sweep_id"] == row["sweep_id"]],
        )
        for row in summaries
    ]


def pack_rows(rows: SweepRows) -> bytes:
    """The rows of a sweep for another process; `unpack_rows` gives the same.

    Raises TypeError for a value that would not come back the same.
    """
    return msgspec.msgpack.encode(
        [rows.sweep_id, *(pack(getattr(rows, name)) for name in _FIELDS)]
    )


def unpack_rows(content: bytes) -> SweepRows:
    """What `pack_rows` packed."""
    sweep_id, *parts = unpack(content)
    return SweepRows(sweep_id, *parts)
