"""Folds many small parts into few, while others write and read.

Of each folder: a note names the parts that are folded, a new part is written hidden and
compared with them row by row, then it gets its name; from that moment on whoever lists
the folder passes over the old ones, which are removed after a moment, the note last. A
process that dies at any step leaves a folder that gives the same rows. In an object
store the same is done to its objects (`stored_folds`), by who has the lease.

Only what is whole is folded: a sound checksum must not be put over damage. Parts of
different columns, or with and without a checksum, stay apart.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import duckdb
import msgspec

from orket.errors import OrketError
from orket.records import DATASETS
from orket.warehouse import disk
from orket.warehouse.connection import Connection, file_literal, literal
from orket.warehouse.damage import first_line, full_disk
from orket.warehouse.derived import Stat, stat_part
from orket.warehouse.folds import Fold, is_note, is_whole, note_path, read_note
from orket.warehouse.kept import carry_over
from orket.warehouse.parts import (
    list_partitions,
    list_parts,
    partition_sweep,
    time_ordered_id,
    write_failure,
)
from orket.warehouse.seal import BLANK, KEY, check_seal, seal
from orket.warehouse.verify import look_at_parts

if TYPE_CHECKING:
    from orket.warehouse.store import Warehouse
    from orket.warehouse.stored_folds import StoredFolds

_LARGE = 64 << 20
"""Bytes from which a part stays as it is; about so large a new one becomes."""
_MOST_AT_ONCE = 200
"""Folders whose old parts are removed together."""
_BY_SWEEP = tuple(dataset for dataset in DATASETS if dataset != "events")


@dataclass(slots=True)
class Folded:
    """What was, or would be, folded in one folder."""

    dataset: str
    sweep_id: str | None
    """None for events."""
    rows: int | None = 0
    """None where nobody looked: nothing was folded yet."""
    parts_before: int = 0
    """Of those that are folded."""
    parts_after: int = 0
    bytes_before: int = 0
    bytes_after: int | None = 0


@dataclass(slots=True)
class Compaction:
    """What a compaction did."""

    folded: list[Folded] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    """Why a sweep, or the events, was left alone for now."""
    damaged: list[str] = field(default_factory=list)
    """Why one was left alone until it is mended."""


@dataclass(slots=True)
class _Open:
    """A note that is held until the parts that it names are gone."""

    folder: Path
    note: Fold
    handle: BinaryIO


def compact(
    warehouse: Warehouse,
    sweep_id: str | None = None,
    *,
    is_trial: bool = False,
    pause: float = 1.0,
    take_over: bool = False,
) -> Compaction:
    """Fold the parts of one sweep, or of all sweeps and the events.

    A trial only tells what would be done. `pause` is how long, in seconds, a reader
    that is listing a folder has before old parts are removed. `take_over`: of an object
    store, though another machine that folded or ran a sweep did not end. Raises
    WarehouseError when a folder or a store cannot be read or written.
    """
    done = Compaction()
    sweeps = [sweep_id] if sweep_id is not None else _crowded_sweeps(warehouse)
    owners: list[str | None] = [*sweeps]
    if sweep_id is None:
        owners.append(None)
    for start in range(0, len(owners), _MOST_AT_ONCE):
        with ExitStack() as held:
            notes: list[_Open] = []
            for owner in owners[start : start + _MOST_AT_ONCE]:
                warehouse.fetch_folders(owner)
                if is_trial:
                    done.folded += _foresee(warehouse, owner)
                else:
                    notes += _compact_one(warehouse, owner, done, held, take_over)
            if notes:
                time.sleep(pause)
            for opened in notes:
                remove_folded(opened.folder, opened.note)
    return done


def remove_folded(folder: Path, note: Fold) -> None:
    """Remove the parts that were folded, then the note. Raises WarehouseError."""
    try:
        for name in note.parts:
            disk.remove(folder / name)
        disk.sync_folder(folder)
        disk.remove(note_path(folder, note.into))
    except OSError as error:
        raise write_failure(folder, error) from error


def _crowded_sweeps(warehouse: Warehouse) -> list[str]:
    """Sweeps with a folder of more than one part, or of notes that were left."""
    here = {
        partition_sweep(folder)
        for dataset in _BY_SWEEP
        for folder in list_partitions(warehouse.path / dataset)
        if len(list_parts(folder)) > 1 or any(_notes(folder))
    }
    there = {
        partition_sweep(Path(name))
        for dataset in _BY_SWEEP
        for name in warehouse.crowded(dataset)
    }
    return sorted(here | there)


def _folders(warehouse: Warehouse, owner: str | None) -> list[tuple[str, Path]]:
    datasets = ("events",) if owner is None else _BY_SWEEP
    return [(dataset, warehouse.folder(dataset, owner)) for dataset in datasets]


def _foresee(warehouse: Warehouse, owner: str | None) -> Iterator[Folded]:
    for dataset, folder in _folders(warehouse, owner):
        found = Folded(dataset, owner, rows=None, bytes_after=None)
        with _Folder(dataset, folder, list_parts(folder)) as opened:
            for group in opened.groups():
                found.parts_before += len(group.parts)
                found.parts_after += 1
                found.bytes_before += group.size
        if found.parts_before:
            yield found


def _compact_one(
    warehouse: Warehouse,
    owner: str | None,
    done: Compaction,
    held: ExitStack,
    take_over: bool,
) -> list[_Open]:
    """Fold the folders of one sweep, or the events; the notes of what was folded."""
    is_crowded = any(
        len(list_parts(folder)) > 1 or any(_notes(folder))
        for _, folder in _folders(warehouse, owner)
    )
    stored = warehouse.stored_folds()
    if stored is None:
        is_due = is_crowded
    else:
        is_begun = stored.has_notes(owner)
        is_due = is_begun or (is_crowded and _is_due(warehouse, owner))
    if not is_due:
        return []
    lease = warehouse.folding_lease(owner, take_over=take_over)
    claim = (
        warehouse.claim_events()
        if owner is None
        else warehouse.claim(owner, "compacted")
    )
    notes: list[_Open] = []
    try:
        with claim, lease or nullcontext():
            if not claim.is_held:
                done.held.append(
                    f"{_named(owner)}: this file system has no locks, so nobody knows "
                    "who is writing"
                )
                return []
            if stored is not None:
                # As they are now that nobody else folds them.
                warehouse.fetch_folders(owner, anew=True)
            listed = {
                dataset: _stats(list_parts(folder))
                for dataset, folder in _folders(warehouse, owner)
            }
            for dataset, folder in _folders(warehouse, owner):
                notes += _compact_folder(warehouse, dataset, folder, owner, done, held)
            if notes and owner is not None and stored is None:
                gone = {name for opened in notes for name in opened.note.parts}
                made = {opened.note.into for opened in notes}
                carry_over(warehouse, owner, listed, gone, made)
    except _Refused as refused:
        done.damaged.append(str(refused))
    except OrketError as error:
        if claim.is_refused or (lease is not None and lease.is_refused):
            hint = f" ({error.hint})" if lease is not None and error.hint else ""
            done.held.append(f"{error.message}{hint}")
            return []
        raise
    return notes


def _is_due(warehouse: Warehouse, owner: str | None) -> bool:
    """Whether there is anything to fold or to end, so that a lease is worth taking."""
    return any(any(_notes(folder)) for _, folder in _folders(warehouse, owner)) or any(
        _foresee(warehouse, owner)
    )


def _stats(parts: Sequence[Path]) -> list[Stat]:
    found = []
    for part in parts:
        with suppress(OSError):
            found.append(stat_part(part))
    return found


def _named(owner: str | None) -> str:
    return "events" if owner is None else f"sweep {owner}"


class _Refused(Exception):
    """What is damaged, and so not folded."""


def _compact_folder(
    warehouse: Warehouse,
    dataset: str,
    folder: Path,
    owner: str | None,
    done: Compaction,
    held: ExitStack,
) -> list[_Open]:
    stored = warehouse.stored_folds()
    for path in _notes(folder):
        _finish(folder, path, stored)
    if stored is not None:
        ended = stored.settle(folder)
        for name in ended or ():
            raise _Refused(f"{_named(owner)}: {folder / name} is damaged")
        if ended is not None:
            warehouse.fetch_folders(owner, anew=True)
    parts = warehouse.settled_parts(folder)
    if len(parts) < 2:
        return []
    notes = []
    with _Folder(dataset, folder, parts) as opened:
        groups = opened.groups()
        for fault in look_at_parts(dataset, [p for g in groups for p in g.parts]):
            raise _Refused(f"{_named(owner)}: {fault.path} is damaged: {fault.what}")
        found = Folded(dataset, owner)
        for group in groups:
            note, size = opened.fold(group, held)
            if stored is not None:
                stored.put(folder, note.note)
            notes.append(note)
            found.rows = (found.rows or 0) + note.note.rows
            found.parts_before += len(group.parts)
            found.parts_after += 1
            found.bytes_before += group.size
            found.bytes_after = (found.bytes_after or 0) + size
    if notes:
        done.folded.append(found)
    return notes


def _notes(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from sorted(path for path in folder.iterdir() if is_note(path.name))


def _finish(folder: Path, path: Path, stored: StoredFolds | None) -> None:
    """End what a process that died had begun, under the claim that it held."""
    with suppress(FileNotFoundError):
        note = read_note(path)
        if note is None or not (folder / note.into).exists():
            disk.remove(path)
        elif not is_whole(folder, note):
            raise _Refused(f"{folder / note.into} is damaged: see orket verify")
        elif stored is not None and not stored.resume(folder, note):
            disk.remove(path)
        else:
            remove_folded(folder, note)


@dataclass(slots=True)
class _Group:
    """Parts that may become one."""

    parts: list[Path]
    is_sealed: bool
    size: int


class _Folder:
    """The parts of one folder, and DuckDB to fold them."""

    def __init__(self, dataset: str, folder: Path, parts: Sequence[Path]) -> None:
        self._dataset = dataset
        self._folder = folder
        self._parts = parts if len(parts) > 1 else []
        self._opened: Connection | None = None

    def __enter__(self) -> _Folder:
        return self

    def __exit__(self, *_: object) -> None:
        if self._opened is not None:
            self._opened.close()

    def groups(self) -> list[_Group]:
        """What belongs together, each group of at least two parts."""
        growing: dict[tuple[object, bool], _Group] = {}
        found = []
        for part in self._parts:
            size = part.stat().st_size
            if size >= _LARGE:
                continue
            is_sealed = check_seal(part) is not None
            kind = self._columns(part), is_sealed
            group = growing.get(kind)
            if group is None or group.size >= _LARGE:
                group = growing[kind] = _Group([], is_sealed, 0)
                found.append(group)
            group.parts.append(part)
            group.size += size
        return [group for group in found if len(group.parts) > 1]

    def fold(self, group: _Group, held: ExitStack) -> tuple[_Open, int]:
        """Put the rows of a group into one part; its note, held, and its bytes."""
        run = self._duckdb.execute
        old = _source(group.parts)
        rows = _count(self._duckdb, old)
        into = _folded_name(group.parts[0])
        note = Fold(into=into, rows=rows[0], parts=[part.name for part in group.parts])
        hidden = self._folder / f".{into}.tmp"
        seal_option = f", {KEY}: '{BLANK}'" if group.is_sealed else ""
        try:
            handle = held.enter_context(self._write_note(note))
            with disk.create(hidden) as file:
                disk.step("write", hidden)
                run(
                    f"COPY (SELECT * FROM {old}) TO {literal(str(hidden))} "
                    "(FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false, "
                    f"KV_METADATA {{orket_dataset: '{self._dataset}', "
                    f"orket_schema: '1'{seal_option}}})"
                )
                seal(file)
                if _count(self._duckdb, _source([hidden])) != rows:
                    raise OrketError(
                        f"{self._folder}: the folded part has other rows than the old",
                        "this is a fault in Orket: please report it; nothing changed",
                    )
                disk.sync(file.fileno(), hidden)
                size = hidden.stat().st_size
                disk.rename_locked(file, hidden, self._folder / into)
            disk.sync_folder(self._folder)
        except OSError as error:
            self._take_back(hidden, note)
            raise write_failure(self._folder, error) from error
        except duckdb.Error as error:
            self._take_back(hidden, note)
            if full := full_disk(error):
                raise write_failure(self._folder, full) from error
            raise OrketError(
                f"cannot fold the parts in {self._folder} ({first_line(error)})",
                "free some space, or see what is damaged with: orket verify",
            ) from error
        return _Open(self._folder, note, handle), size

    def _write_note(self, note: Fold) -> BinaryIO:
        """The note in its place, durable, and held for as long as it is open."""
        place = note_path(self._folder, note.into)
        hidden = place.with_name(place.name + ".tmp")
        handle = disk.create(hidden)
        try:
            disk.write(handle.fileno(), msgspec.json.encode(note), hidden)
            disk.sync(handle.fileno(), hidden)
            disk.rename_locked(handle, hidden, place)
            disk.sync_folder(self._folder)
        except OSError:
            handle.close()
            hidden.unlink(missing_ok=True)
            raise
        return handle

    def _take_back(self, hidden: Path, note: Fold) -> None:
        """Forget a fold that failed, unless the new part has its name already."""
        with suppress(OSError):
            hidden.unlink(missing_ok=True)
            if not (self._folder / note.into).exists():
                note_path(self._folder, note.into).unlink(missing_ok=True)

    @property
    def _duckdb(self) -> duckdb.DuckDBPyConnection:
        if self._opened is None:
            self._opened = Connection(threads=1)
        return self._opened.duckdb

    def _columns(self, part: Path) -> object:
        """Names and types of a part; a thing of its own where they cannot be read."""
        try:
            described = self._duckdb.execute(
                f"DESCRIBE SELECT * FROM {_source([part])}"
            )
            return tuple((row[0], row[1]) for row in described.fetchall())
        except duckdb.Error:
            # Alone in its group, so that it is not folded; orket verify tells of it.
            return part


def _source(parts: Sequence[Path]) -> str:
    names = ", ".join(map(file_literal, parts))
    return f"read_parquet([{names}], hive_partitioning = false)"


def _count(connection: duckdb.DuckDBPyConnection, source: str) -> tuple[int, ...]:
    """Rows, and two sums over all that stands in them, whatever their order."""
    found = connection.execute(
        "SELECT count(*), coalesce(sum(hash(whole)), 0), "
        f"coalesce(bit_xor(hash(whole)), 0) FROM {source} AS whole"
    ).fetchone()
    assert found is not None
    return tuple(int(value) for value in found)


def _folded_name(first: Path) -> str:
    """A new name that stands where the first part stood: order tells of age."""
    stem = first.name.removeprefix("part-").removesuffix(".parquet").partition(".")[0]
    return f"part-{stem}.{time_ordered_id()}.parquet"
