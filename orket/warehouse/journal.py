"""The hidden journal of a running sweep: every finished run is durable at once.

A Parquet part per run would make thousands of files, a part per sweep would lose a
sweep to a crash. So each run is appended here as one JSON line with fsync (about a
millisecond), and the journal becomes one part at the end of a block.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import msgspec

from orket.admission import fit
from orket.errors import WarehouseError
from orket.records import RunRecord, judge
from orket.warehouse.locks import Holder, find_holder, lock_new
from orket.warehouse.parts import (
    sync_folder,
    time_ordered_id,
    write_failure,
    write_part,
)
from orket.warehouse.schema import arrow_table


class Journal:
    """Appends runs of one sweep for one writer; `fold` turns them into a part."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / f".journal-{time_ordered_id()}.jsonl"
        self._handle: int | None = None

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def append(self, record: RunRecord) -> None:
        """Write one run; it is on the disk when this returns.

        What a row cannot hold is left out of it and named in `call_notes`. Raises
        msgspec.ValidationError where a key is at fault, and WarehouseError when the
        disk cannot take it.
        """
        line = fit(record)[1] + b"\n"
        try:
            handle = self._open()
            start = os.lseek(handle, 0, os.SEEK_END)
            try:
                _write_all(handle, line)
                os.fsync(handle)
            except OSError:
                # A torn line must not swallow the rows that follow it.
                os.ftruncate(handle, start)
                raise
        except OSError as error:
            raise write_failure(self._folder, error) from error

    def fold(self) -> Path | None:
        """Turn this sweep's journals into one part and empty them.

        What a killed writer left behind is folded too; the journal of a writer that
        is still alive is not touched. A row that reaches a part twice, because the
        writer died in between, is dropped by the first view.
        """
        self.close()
        journals = [
            path
            for path in left_journals(self._folder)
            if path == self._path or find_holder(path) is Holder.NONE
        ]
        rows = [row for path in journals for row in read_journal(path)]
        part = write_part(self._folder, arrow_table("runs", rows)) if rows else None
        for path in journals:
            path.unlink(missing_ok=True)
        return part

    def close(self) -> None:
        """Let go of the file; its rows stay for the next fold."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _open(self) -> int:
        if self._handle is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            while True:
                handle = os.open(
                    self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644
                )
                self._handle = handle
                # Marked as being written for as long as it is open.
                if lock_new(handle, self._path):
                    break
                self.close()
            sync_folder(self._folder)
        return self._handle


def left_journals(folder: Path) -> list[Path]:
    """Journals in a sweep's folder, oldest first: rows that are in no part yet."""
    return sorted(folder.glob(".journal-*.jsonl"))


@dataclass(frozen=True, slots=True)
class ReadJournal:
    """What one journal holds."""

    rows: list[RunRecord]
    torn: bytes
    """A last line without an end: the run that was in flight."""
    faults: list[tuple[int, str]]
    """Number of each other line that is no run, and why."""


def parse_journal(path: Path) -> ReadJournal:
    """All that one journal holds. Raises OSError when it cannot be read."""
    lines = path.read_bytes().split(b"\n")
    torn = lines.pop()
    rows: list[RunRecord] = []
    faults: list[tuple[int, str]] = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(judge(RunRecord, line))
        except msgspec.DecodeError as error:
            faults.append((number, str(error)))
    return ReadJournal(rows, torn, faults)


def read_journal(path: Path) -> list[RunRecord]:
    """The rows of one journal; a torn last line is put into a file beside it.

    Raises WarehouseError when an earlier line is damaged.
    """
    found = parse_journal(path)
    for number, reason in found.faults[:1]:
        raise WarehouseError(
            f"{path}, line {number}: not a run ({reason})",
            "save its other lines with: orket verify --quarantine",
        )
    if found.torn:
        path.with_suffix(".torn").write_bytes(found.torn)
    return found.rows


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]
