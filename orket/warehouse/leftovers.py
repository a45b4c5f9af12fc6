"""What killed writers left behind: found by hidden names, and dead by their locks.

A living writer holds a lock on its hidden file, or on one beside its hidden folder.
What has none is cleared: half-written files go, and the rows of a journal become a
part. Where a file system has no locks, nobody knows, and nothing is touched.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orket.errors import OrketError
from orket.records import DATASETS
from orket.warehouse.derived import derived_folder
from orket.warehouse.folds import PREFIX, SUFFIX, is_note, is_whole, read_note
from orket.warehouse.journal import JOURNALED, left_journals, parse_journal
from orket.warehouse.locks import Holder, find_holder, unlink_unheld
from orket.warehouse.mirror import GONE
from orket.warehouse.parts import list_partitions, partition_sweep
from orket.warehouse.quarantine import NOTE_SUFFIX, quarantine_folder
from orket.warehouse.staged import COPY_PREFIX, LOCK_SUFFIX

if TYPE_CHECKING:
    from orket.warehouse.store import Warehouse

TEMPORARY, COPY, JOURNAL, TORN, TWIN, FOLDED, DERIVED, MOVED, PUT_ASIDE = (
    "half-written part",
    "rows being copied",
    "journal",
    "torn line",
    "copy of a part",
    "parts that were folded into another",
    "half-written file of what was derived",
    "note of a move that was not made",
    "copies of parts that the store has no more",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOver:
    """A hidden file or folder of a writer that is alive, dead or unknown."""

    kind: str
    path: Path
    sweep_id: str | None
    holder: Holder
    dataset: str | None = None
    """Of a journal: what it holds rows of."""
    rows: int | None = None
    """Of a journal: rows that are in no part yet."""


def find_leftovers(warehouse: Warehouse, sweep_id: str | None = None) -> list[LeftOver]:
    """All there is, of living writers too; of one sweep where it is given."""
    found = [
        leftover
        for dataset in DATASETS
        for folder in _folders(warehouse, dataset, sweep_id)
        for leftover in _in_folder(dataset, folder)
    ]
    if sweep_id is None:
        for home in (warehouse.path, warehouse.folder("events")):
            found += _copies(home)
        found += _derived(warehouse)
        found += _moves(warehouse)
        found += _put_aside(warehouse)
    return found


def clear(warehouse: Warehouse, leftover: LeftOver) -> str | None:
    """Clear what a dead writer left; what was done, or None where it was let be.

    Raises WarehouseError when the rows of a journal cannot be read or kept.
    """
    if leftover.holder is not Holder.NONE:
        return None
    if leftover.kind == JOURNAL:
        return _fold(warehouse, leftover)
    if leftover.kind == FOLDED:
        if warehouse.is_mirrored:
            return None  # Its store has to be told: orket compact ends it.
        return _end_fold(leftover.path)
    if leftover.path.is_dir() and not leftover.path.is_symlink():
        shutil.rmtree(leftover.path, ignore_errors=True)
        return None if leftover.path.exists() else "removed"
    return "removed" if unlink_unheld(leftover.path) else None


def _fold(warehouse: Warehouse, leftover: LeftOver) -> str | None:
    assert leftover.sweep_id is not None and leftover.dataset is not None
    try:
        with warehouse.claim(leftover.sweep_id) as claim:
            if not claim.is_held:
                return None
            part = warehouse.journal(leftover.sweep_id, leftover.dataset).fold()
    except OrketError:
        if not leftover.path.exists():
            return "kept as a part"  # Somebody else did it meanwhile.
        return None
    return f"kept as {part.name}" if part is not None else "removed"


def _is_done(path: Path) -> bool:
    """Whether a note is of a fold that has its new part."""
    try:
        note = read_note(path) if is_note(path.name) else None
    except FileNotFoundError:
        return False
    return note is not None and (path.parent / note.into).exists()


def _end_fold(path: Path) -> str | None:
    """Remove old parts whose rows another has; without it they count, and stay."""
    try:
        note = read_note(path)
    except FileNotFoundError:
        return "removed"
    if note is None or not (path.parent / note.into).exists():
        return "removed" if unlink_unheld(path) else None
    from orket.warehouse.compact import remove_folded

    if not is_whole(path.parent, note):
        return None
    remove_folded(path.parent, note)
    return "removed"


def _folders(
    warehouse: Warehouse, dataset: str, sweep_id: str | None
) -> Iterator[Path]:
    if dataset == "events":
        yield warehouse.folder(dataset)
    elif sweep_id is not None:
        yield warehouse.folder(dataset, sweep_id)
    else:
        try:
            yield from list_partitions(warehouse.path / dataset)
        except OrketError:
            return  # Said to be damaged.


def _in_folder(dataset: str, folder: Path) -> Iterator[LeftOver]:
    sweep_id = None if dataset == "events" else partition_sweep(folder)
    if not folder.is_dir():
        return
    for path in sorted(folder.glob(".part-*.parquet.tmp")):
        holder = find_holder(path)
        yield LeftOver(kind=TEMPORARY, path=path, sweep_id=sweep_id, holder=holder)
    for path in sorted(folder.glob(f"{PREFIX}*{SUFFIX}*")):
        holder = find_holder(path)
        kind = FOLDED if _is_done(path) else TEMPORARY
        yield LeftOver(kind=kind, path=path, sweep_id=sweep_id, holder=holder)
    if dataset not in JOURNALED:
        return
    for path in left_journals(folder):
        try:
            rows = len(parse_journal(path, dataset).rows)
        except OSError:
            continue
        yield LeftOver(
            kind=JOURNAL,
            path=path,
            sweep_id=sweep_id,
            holder=find_holder(path),
            dataset=dataset,
            rows=rows,
        )
    for path in sorted(folder.glob(".journal-*.torn")):
        yield LeftOver(kind=TORN, path=path, sweep_id=sweep_id, holder=Holder.NONE)


def _derived(warehouse: Warehouse) -> Iterator[LeftOver]:
    """Files that were to be kept and never got their names."""
    for path in sorted(derived_folder(warehouse.path).glob(".*.tmp")):
        yield LeftOver(kind=DERIVED, path=path, sweep_id=None, holder=find_holder(path))


def _moves(warehouse: Warehouse) -> Iterator[LeftOver]:
    """Notes in quarantine beside which nothing lies."""
    for note in sorted(quarantine_folder(warehouse.path).rglob(f"*{NOTE_SUFFIX}")):
        moved = note.with_name(note.name.removesuffix(NOTE_SUFFIX))
        if not os.path.lexists(moved):
            yield LeftOver(
                kind=MOVED, path=note, sweep_id=None, holder=find_holder(note)
            )


def _put_aside(warehouse: Warehouse) -> Iterator[LeftOver]:
    """The folder of what counts no more, where this one stands for a store."""
    place = warehouse.path / GONE
    if place.is_dir():
        yield LeftOver(kind=PUT_ASIDE, path=place, sweep_id=None, holder=Holder.NONE)


def _copies(home: Path) -> Iterator[LeftOver]:
    """Hidden folders of rows, and the locks of those that are not there any more.

    A writer makes the lock before the folder and takes it away after it: so a folder
    that is there, and has no lock a moment later, is nobody's.
    """
    for folder in sorted(home.glob(f"{COPY_PREFIX}*")):
        if folder.is_dir():
            beside = folder.with_name(folder.name.rpartition("-")[0] + LOCK_SUFFIX)
            holder = find_holder(beside) if beside.exists() else Holder.NONE
            yield LeftOver(kind=COPY, path=folder, sweep_id=None, holder=holder)
    for path in sorted(home.glob(f"{COPY_PREFIX}*{LOCK_SUFFIX}")):
        holder = find_holder(path)
        yield LeftOver(kind=COPY, path=path, sweep_id=None, holder=holder)
