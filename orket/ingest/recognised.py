"""Knows a file of Orket's own rows again, whatever its name, before it is parsed.

A file whose rows are all in the warehouse leaves a note among what was derived: its
size, a hash of its bytes, and the parts that have its rows as they lay there. Where one
of these is gone or changed, or the notes were deleted, the file is read as if it were
new, and rows that are there already are left out. A file of a size of which there is no
note is a new one before its hash is known.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from orket import __version__
from orket.ingest.reading import open_file
from orket.warehouse import Warehouse, disk
from orket.warehouse.derived import (
    Stat,
    derived_folder,
    digest_of,
    open_derived,
    read_kept,
    stat_part,
    write_kept,
)
from orket.warehouse.locks import is_taken, lock_new

_PAUSE_SECONDS = 0.05
_CHUNK = 1 << 20


class Note(msgspec.Struct, frozen=True):
    """What became of a file."""

    rows: int
    sweeps: list[str]
    parts: list[tuple[str, Stat]]
    """The folder below the warehouse, and the part as it lay there."""


def name_content(path: Path) -> str:
    """A name for the bytes of a file. Raises UsageError when it cannot be read."""
    digest = hashlib.sha256()
    size = 0
    with open_file(path) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return _of_size(size) + digest_of([__version__, digest.hexdigest()])[:40]


def may_be_noted(warehouse: Warehouse, size: int) -> bool:
    """Whether there is a note of any file of this size in bytes."""
    return any(derived_folder(warehouse.path).glob(f"file-{_of_size(size)}*"))


def _of_size(size: int) -> str:
    return f"{size}-"


def find_note(warehouse: Warehouse, content: str) -> Note | None:
    """What became of a file of this content, if all its rows are still there."""
    packed = read_kept(_place(warehouse, content))
    if packed is None:
        return None
    try:
        note = msgspec.msgpack.decode(packed, type=Note)
        is_there = all(
            stat_part(warehouse.path / folder / stat.name) == stat
            for folder, stat in note.parts
        )
    except (msgspec.DecodeError, OSError):
        return None
    return note if is_there else None


def write_note(
    warehouse: Warehouse,
    content: str,
    rows: int,
    sweeps: Sequence[str],
    parts: Sequence[Path],
) -> None:
    """Note that all rows of a file are in these parts."""
    try:
        listed = [
            (part.parent.relative_to(warehouse.path).as_posix(), stat_part(part))
            for part in parts
        ]
    except OSError:
        return  # Folded into another meanwhile.
    note = Note(rows, list(sweeps), listed)
    write_kept(_place(warehouse, content), msgspec.msgpack.encode(note))


@contextmanager
def alone_with(warehouse: Warehouse, size: int) -> Iterator[None]:
    """Wait until no other process ingests a file of this size: it may be the same one.

    Where a lock cannot be had at all, nobody waits: rows that are appended twice count
    once.
    """
    place = _place(warehouse, _of_size(size))
    hidden = place.with_name(f".{place.name}.tmp")
    try:
        open_derived(warehouse.path)
        handle = _wait_for(hidden)
    except OSError:
        yield
        return
    try:
        yield
    finally:
        # Removed under the lock, so that nobody takes one that is not there any more.
        if os.name == "nt":
            os.close(handle)
        with suppress(OSError):
            disk.remove(hidden)
        if os.name != "nt":
            os.close(handle)


def _wait_for(hidden: Path) -> int:
    while True:
        handle = os.open(hidden, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if lock_new(handle, hidden):
                return handle
        except OSError as error:
            if not is_taken(error):
                os.close(handle)
                raise
        os.close(handle)
        time.sleep(_PAUSE_SECONDS)


def _place(warehouse: Warehouse, content: str) -> Path:
    return derived_folder(warehouse.path) / f"file-{content}"
