"""The events of a warehouse without opening each of their parts again and again.

Every sweep adds a part of events, and every command needs some of them. So their rows
are kept together in one file, and beside it, for each part, which sweeps it may bear
on: an event of governance on all sweeps that start after it, any other on its own.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from orket.warehouse.derived import (
    KeptRows,
    Stat,
    code_digest,
    derived_folder,
    read_kept,
    stat_part,
)
from orket.warehouse.event_parts import Index

if TYPE_CHECKING:
    from orket.warehouse.damage import Damage

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class EventIndex:
    """Which parts of events bear on a sweep."""

    def __init__(self, index: Index) -> None:
        self._governed = index.governed
        self._ends = index.ends

    def watermark(self, sweep_id: str, started_at: datetime) -> str:
        """A hash of all events that may bear on a sweep.

        `started_at` is in UTC, without a zone.
        """
        moment = (started_at.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
        past = bisect_right(self._governed, moment, key=itemgetter(0))
        before = self._governed[past - 1][1] if past else ""
        ends = self._ends.get(sweep_id, ())
        return hashlib.sha256(f"{before} {ends!r}".encode()).hexdigest()


class Events:
    """The parts of events of a warehouse, as they lie there now."""

    def __init__(self, warehouse: Path, parts: Mapping[str, Sequence[Path]]) -> None:
        self._folder = derived_folder(warehouse)
        self._bound = parts
        self._unread: list[Damage] | None = None

    @property
    def _parts(self) -> Sequence[Path]:
        return self._bound["events"]

    def index(self) -> EventIndex | None:
        """What each part bears on that can be read; None where nobody can tell."""
        indexed = self._indexed()
        return None if indexed is None else EventIndex(indexed)

    def unread(self) -> list[Damage]:
        """The parts that cannot be read, as far as an index could be made."""
        if self._unread is None:
            self._indexed()
        return list(self._unread or ())

    def folded(self, spill: Path) -> KeptRows | None:
        """The rows that are kept together, copied to `spill`; None where none are."""
        indexed = self._indexed()
        return None if indexed is None else indexed.copy_rows(self._folder, spill)

    def _indexed(self) -> Index | None:
        self._unread = []
        if not self._parts:
            return Index(code_digest())
        try:
            stats = {part.name: stat_part(part) for part in self._parts}
        except OSError:
            return None
        known = self._read(stats)
        if known.is_complete(self._folder, len(self._parts)):
            return known
        from orket.warehouse.event_fold import take_in

        indexed, self._unread = take_in(self._folder, self._parts, known, stats)
        return indexed

    def _read(self, stats: dict[str, Stat]) -> Index:
        """What is kept and still true, else an empty index."""
        empty = Index(code_digest())
        content = read_kept(self._folder / "events.index")
        if content is None:
            return empty
        try:
            found = msgspec.msgpack.decode(content, type=Index)
        except msgspec.DecodeError:
            return empty
        same = all(stats.get(part.name) == part for part in found.parts)
        return found if same and found.code == code_digest() else empty
