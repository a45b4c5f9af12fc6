"""The hidden folder that damaged parts are moved to; nothing in it is ever deleted.

A part keeps its path below the folder, and beside it stands why it was moved. Who puts
a sound copy back into its place, or takes the file out of quarantine, ends the matter.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from orket.records import NO_JSON
from orket.warehouse import disk
from orket.warehouse.faults import Fault
from orket.warehouse.parts import may_bear_on, partition_sweep, write_failure

_FOLDER = ".quarantine"
NOTE_SUFFIX = ".why.json"


def quarantine_folder(root: Path) -> Path:
    """Where a warehouse keeps what is damaged."""
    return root / _FOLDER


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """Why a file lies in quarantine."""

    dataset: str
    sweep_id: str | None
    what: str
    moved_at: datetime


@dataclass(frozen=True, slots=True)
class Missing:
    """A file in quarantine whose place is empty."""

    path: Path
    place: Path
    """Where it lay."""
    dataset: str
    sweep_id: str | None
    what: str
    """Why it was moved."""

    def may_bear_on(self, sweep_id: str) -> bool:
        """Whether what is lost may be of a sweep."""
        if self.sweep_id is not None:
            return self.sweep_id == sweep_id
        return may_bear_on(self.path, sweep_id)

    def __str__(self) -> str:
        whose = f" of sweep {self.sweep_id}" if self.sweep_id else ""
        return f"{self.dataset}{whose} in {self.path.name} are missing ({self.what})"


def move_to_quarantine(root: Path, fault: Fault) -> Path:
    """Move what is damaged out of every reader's way; where it lies then.

    Of a journal, the rows that can be read become a part first. Raises WarehouseError
    when the place cannot be written.
    """
    target = _free_place(root, fault.path)
    note = Note(
        dataset=fault.dataset,
        sweep_id=fault.sweep_id,
        what=fault.what,
        moved_at=datetime.now(UTC),
    )
    try:
        disk.make_folder(target.parent)
        beside = target.with_name(target.name + NOTE_SUFFIX)
        with disk.create(beside) as file:
            text = msgspec.json.format(msgspec.json.encode(note))
            disk.write(file.fileno(), text, beside)
            disk.sync(file.fileno(), beside)
            disk.sync_folder(target.parent)
            if fault.path.suffix == ".jsonl":
                _save_rows(fault)
            disk.rename(fault.path, target)
        disk.sync_folder(target.parent)
        disk.sync_folder(fault.path.parent)
    except OSError as error:
        raise write_failure(target.parent, error) from error
    return target


def _save_rows(fault: Fault) -> None:
    from orket.warehouse.journal import parse_journal
    from orket.warehouse.parts import write_part
    from orket.warehouse.schema import arrow_table

    rows = parse_journal(fault.path, fault.dataset).rows
    if rows:
        write_part(fault.path.parent, arrow_table(fault.dataset, rows))


def _free_place(root: Path, path: Path) -> Path:
    place = quarantine_folder(root) / path.relative_to(root)
    target, number = place, 1
    while os.path.lexists(target):
        number += 1
        target = place.with_name(f"{place.name}.{number}")
    return target


def missing_parts(root: Path) -> list[Missing]:
    """What lies in quarantine and has not been put back, by its path."""
    folder = quarantine_folder(root)
    if not folder.is_dir():
        return []
    return sorted(_missing(root, folder), key=lambda missing: str(missing.path))


def rows_of(path: Path) -> int | None:
    """How many rows a damaged part says it held; None where it says nothing."""
    import pyarrow
    import pyarrow.parquet

    if ".parquet" not in path.name:
        return None
    try:
        with disk.open_plain(path) as file:
            metadata = pyarrow.parquet.read_metadata(file)
            rows = metadata.num_rows
            if "sweep_id" not in metadata.schema.to_arrow_schema().names:
                return None  # Rows of something else.
    except (OSError, pyarrow.ArrowException):
        return None
    return rows if rows >= 0 else None


def _missing(root: Path, folder: Path) -> Iterator[Missing]:
    for beside in folder.rglob(f"*{NOTE_SUFFIX}"):
        path = beside.with_name(beside.name.removesuffix(NOTE_SUFFIX))
        place = root / path.relative_to(folder)
        if not os.path.lexists(path) or _is_back(place):
            continue
        try:
            note = msgspec.json.decode(disk.read_plain(beside), type=Note)
        except (OSError, *NO_JSON):
            is_of_sweep = place.parent.name.startswith("sweep_id=")
            note = Note(
                dataset=place.relative_to(root).parts[0],
                sweep_id=partition_sweep(place.parent) if is_of_sweep else None,
                what="why is not recorded",
                moved_at=datetime.fromtimestamp(0, UTC),
            )
        yield Missing(path, place, note.dataset, note.sweep_id, note.what)


def _is_back(place: Path) -> bool:
    is_of_file = place.suffix in (".parquet", ".jsonl")
    return place.is_file() if is_of_file else place.is_dir()
