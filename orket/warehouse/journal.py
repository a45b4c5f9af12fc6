"""The hidden journals of a running sweep: nothing finished is lost to a kill.

A Parquet part per row would make thousands of files, a part per sweep would lose a
sweep to a crash. So each run, and each prompt along which a quant was followed, is
appended as one JSON line to the journal of its dataset, which becomes one part at the
end of a block, or of several that are short. A line that was written survives its
process. What a power cut can lose is bounded: a line is synced at once where that was
last done a while ago, as it is when calls take long; else it is synced together with
those that follow.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from orket.admission import admit, fit
from orket.errors import WarehouseError
from orket.records import NO_JSON, FidelityRow, Record, RunRecord, judge
from orket.warehouse import disk
from orket.warehouse.locks import Holder, find_holder, lock_new
from orket.warehouse.parts import (
    make_folder,
    time_ordered_id,
    write_failure,
    write_part,
)
from orket.warehouse.schema import arrow_table

SYNC_AFTER_SECONDS = 0.2
"""A line waits so long for others at most; the sync itself takes milliseconds more."""
FOLD_AFTER_SECONDS = 1.0
"""Rows of short blocks wait so long for those of others: a part costs its reader a
millisecond, and its writer several, however few rows it has."""

JOURNALED: dict[str, type[Record]] = {"runs": RunRecord, "fidelity": FidelityRow}
"""The datasets whose rows are written down one by one while a sweep runs."""


class Journal:
    """Appends rows of one sweep for one writer; `fold` turns them into a part."""

    def __init__(self, folder: Path, dataset: str) -> None:
        self._folder = folder
        self._dataset = dataset
        self._path = folder / f".journal-{time_ordered_id()}.jsonl"
        self._handle: int | None = None
        self._lock = threading.RLock()
        self._timer: threading.Timer | None = None
        self._synced_at = float("-inf")
        self._waits_since: float | None = None
        """When the first row was written that is in no part yet."""
        self._folding: threading.Thread | None = None
        self._fold_failure: Exception | None = None
        self._failure: OSError | None = None

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def append(self, record: Record) -> None:
        """Write one row; a kill does not lose it when this returns.

        Neither does a power cut, a quarter of a second later. What a run cannot hold is
        left out of it and named in `call_notes`. Raises msgspec.ValidationError where a
        key, or anything of another row, is at fault, and WarehouseError when the disk
        cannot take this row, or could not take one before it.
        """
        self.settle()
        kept = fit(record)[1] if isinstance(record, RunRecord) else admit(record)
        line = kept + b"\n"
        with self._lock:
            try:
                self._raise_failure()
                handle = self._open()
                start = os.lseek(handle, 0, os.SEEK_END)
                try:
                    disk.write(handle, line, self._path)
                    self._sync_soon(handle)
                    if self._waits_since is None:
                        self._waits_since = time.monotonic()
                except OSError:
                    # A torn line must not swallow the rows that follow it.
                    disk.truncate(handle, start, self._path)
                    raise
            except OSError as error:
                raise write_failure(self._folder, error) from error

    def fold_if_due(self) -> None:
        """Begin to fold where rows wait for it long enough, and do not wait for it.

        So the next engine starts meanwhile. What goes wrong is raised by `settle`,
        which is to be called before anything is measured.
        """
        since = self._waits_since
        if since is None or time.monotonic() - since < FOLD_AFTER_SECONDS:
            return
        self.settle()
        self._folding = threading.Thread(target=self._fold_beside, daemon=True)
        self._folding.start()

    def settle(self) -> None:
        """Wait until nothing is being folded. Errors as of `fold`."""
        if self._folding is not None:
            self._folding.join()
            self._folding = None
        failure, self._fold_failure = self._fold_failure, None
        if failure is not None:
            raise failure

    def _fold_beside(self) -> None:
        try:
            self._fold()
        except Exception as error:
            self._fold_failure = error  # Raised where it is waited for.

    def fold(self) -> Path | None:
        """Turn this sweep's journals into one part and empty them.

        What a killed writer left behind is folded too; the journal of a writer that
        is still alive is not touched. A row that reaches a part twice, because the
        writer died in between, is dropped by the first view.
        """
        self.settle()
        return self._fold()

    def _fold(self) -> Path | None:
        with self._lock:
            try:
                self._raise_failure()
            except OSError as error:
                raise write_failure(self._folder, error) from error
            self._let_go()  # The part is synced, so its lines need not be.
            self._waits_since = None
        journals = [
            path
            for path in left_journals(self._folder)
            if path == self._path or find_holder(path) is Holder.NONE
        ]
        rows = [row for path in journals for row in read_journal(path, self._dataset)]
        table = arrow_table(self._dataset, rows) if rows else None
        part = write_part(self._folder, table) if table is not None else None
        try:
            for path in journals:
                disk.remove(path)
        except OSError as error:
            raise write_failure(self._folder, error) from error
        return part

    def close(self) -> None:
        """Let go of the file; its rows stay for the next fold, and are durable.

        Raises WarehouseError where they could not be made so.
        """
        try:
            self.settle()
        finally:
            self._close()

    def _close(self) -> None:
        with self._lock:
            try:
                if self._timer is not None and self._handle is not None:
                    self._sync(self._handle)
                self._raise_failure()
            except OSError as error:
                raise write_failure(self._folder, error) from error
            finally:
                self._let_go()

    def _let_go(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _sync_soon(self, handle: int) -> None:
        """Sync now, or together with the lines that are waiting already."""
        if self._timer is not None:
            return
        if time.monotonic() - self._synced_at >= SYNC_AFTER_SECONDS:
            self._sync(handle)
            return
        self._timer = threading.Timer(SYNC_AFTER_SECONDS, self._sync_waiting)
        self._timer.daemon = True
        self._timer.start()

    def _sync_waiting(self) -> None:
        with self._lock:
            if self._timer is threading.current_thread() and self._handle is not None:
                self._timer = None
                try:
                    self._sync(self._handle)
                except OSError as error:
                    self._failure = error  # Said with the next row, or at the end.

    def _sync(self, handle: int) -> None:
        disk.sync(handle, self._path)
        self._synced_at = time.monotonic()

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _open(self) -> int:
        if self._handle is None:
            make_folder(self._folder)
            while True:
                disk.step("create", self._path)
                handle = os.open(
                    self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644
                )
                self._handle = handle
                # Marked as being written for as long as it is open.
                if lock_new(handle, self._path):
                    break
                self._let_go()
            disk.sync_folder(self._folder)
        return self._handle


def left_journals(folder: Path) -> list[Path]:
    """Journals in a sweep's folder, oldest first: rows that are in no part yet."""
    return sorted(folder.glob(".journal-*.jsonl"))


@dataclass(frozen=True, slots=True)
class ReadJournal:
    """What one journal holds."""

    rows: list[Record]
    torn: bytes
    """A last line without an end: the row that was being written."""
    faults: list[tuple[int, str]]
    """Number of each other line that is no such row, and why."""


def parse_journal(path: Path, dataset: str) -> ReadJournal:
    """All that a journal of a dataset holds. Raises OSError when it cannot be read."""
    lines = disk.read_plain(path).split(b"\n")
    torn = lines.pop()
    rows: list[Record] = []
    faults: list[tuple[int, str]] = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(judge(JOURNALED[dataset], line))
        except NO_JSON as error:
            faults.append((number, str(error)))
    return ReadJournal(rows, torn, faults)


def read_journal(path: Path, dataset: str) -> list[Record]:
    """The rows of one journal; a torn last line is put into a file beside it.

    Raises WarehouseError when an earlier line is damaged.
    """
    found = parse_journal(path, dataset)
    for number, reason in found.faults[:1]:
        raise WarehouseError(
            f"{path}, line {number}: not a row of {dataset} ({reason})",
            "save its other lines with: orket verify --quarantine",
        )
    if found.torn:
        path.with_suffix(".torn").write_bytes(found.torn)
    return found.rows
