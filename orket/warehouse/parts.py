"""Immutable Parquet parts, appended so that no reader ever sees a torn one."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from orket.errors import WarehouseError
from orket.warehouse import disk
from orket.warehouse.folds import PART, folded_away, is_note
from orket.warehouse.seal import BLANK, KEY, seal

if TYPE_CHECKING:
    import pyarrow as pa

_PARTITION = "sweep_id="
_FULL = (errno.ENOSPC, errno.EDQUOT)
_TAG = re.compile(r"\.of-([0-9a-f]{16})\.parquet")


def time_ordered_id() -> str:
    """A UUIDv7: unique without coordination, and sorted by time of birth."""
    milliseconds = time.time_ns() // 1_000_000
    tail = secrets.randbits(74)
    number = (milliseconds & (2**48 - 1)) << 80
    number |= 0x7 << 76 | (tail >> 62) << 64 | 0b10 << 62 | tail & (2**62 - 1)
    digits = f"{number:032x}"
    return "-".join(
        (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
    )


def partition_name(sweep_id: str) -> str:
    """Folder name of a sweep; any id is safe as a path."""
    return _PARTITION + quote(sweep_id, safe="")


def partition_sweep(folder: Path) -> str:
    """The sweep a partition folder holds."""
    return unquote(folder.name.removeprefix(_PARTITION))


def sweep_tag(sweep_id: str) -> str:
    """What the name of a part of events has that bears on one sweep alone."""
    digest = hashlib.sha256(sweep_id.encode("utf-8", "surrogatepass"))
    return f"of-{digest.hexdigest()[:16]}"


def has_tag(part: Path) -> bool:
    """Whether the name of a part of events says on which one sweep it bears.

    It can be read though the part is damaged, and then no other sweep is in doubt.
    """
    return _TAG.search(part.name) is not None


def may_bear_on(part: Path, sweep_id: str) -> bool:
    """Whether a part of events may bear on a sweep, by its name alone."""
    return not has_tag(part) or f".{sweep_tag(sweep_id)}." in part.name


def is_partition(name: str) -> bool:
    """Whether a folder of this name holds the parts of a sweep."""
    return name.startswith(_PARTITION) and name != _PARTITION and is_text(name)


def is_text(name: str) -> bool:
    """Whether a file's name is UTF-8: no other can be told to DuckDB, or written down.

    Nothing of Orket's is named otherwise; `nameless` finds what is.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def nameless(folder: Path) -> list[Path]:
    """What would be parts, or folders of them, by a name that is no text or no sweep's.

    Raises WarehouseError as `list_parts` does.
    """
    return [
        folder / name
        for name in _names(folder)
        if (name.startswith(_PARTITION) and not is_partition(name))
        or (PART.fullmatch(name) and not is_text(name))
    ]


class ListedParts(dict[str, list[Path]]):
    """Dataset -> its parts, each dataset listed when it is first asked for."""

    def __init__(
        self,
        list_dataset: Callable[[str, str | None], list[Path]],
        sweeps: Iterable[str] | None = None,
    ) -> None:
        """`sweeps` limits all but the events to these; None is all of them."""
        super().__init__()
        self._list = list_dataset
        self._sweeps = None if sweeps is None else list(sweeps)

    def __missing__(self, dataset: str) -> list[Path]:
        if self._sweeps is None or dataset == "events":
            self[dataset] = self._list(dataset, None)
        else:
            self[dataset] = [
                part for sweep in self._sweeps for part in self._list(dataset, sweep)
            ]
        return self[dataset]

    @property
    def sweeps(self) -> list[str] | None:
        """The sweeps whose parts these are; None is all there are."""
        return self._sweeps

    def list_again(self) -> bool:
        """Forget what was listed where some of it is gone; says whether that was so."""
        is_any_gone = any(
            not os.path.lexists(part) for parts in self.values() for part in parts
        )
        if is_any_gone:
            self.clear()
        return is_any_gone

    def only(self, sweeps: Collection[str]) -> ListedParts:
        """The same of those among these sweeps."""
        own = self._sweeps
        kept = sorted(set(sweeps) - {""}) if own is None else set(own) & set(sweeps)
        return ListedParts(self._list, sorted(kept))


def list_parts(folder: Path) -> list[Path]:
    """The visible parts of one folder, sorted by name; none if it is not there.

    Without those that were folded into another. Raises WarehouseError when the folder
    cannot be read: it may hold rows.
    """
    while True:
        names = _names(folder)
        parts = [name for name in names if PART.fullmatch(name) and is_text(name)]
        if any(map(is_note, names)):
            try:
                away = folded_away(folder, set(names))
            except FileNotFoundError:
                continue  # They are gone by now.
            parts = [name for name in parts if name not in away]
        return [folder / name for name in parts]


def list_partitions(dataset_folder: Path) -> list[Path]:
    """The folders of the sweeps in a dataset, sorted; errors as of `list_parts`."""
    return [dataset_folder / name for name in partition_names(dataset_folder)]


def partition_names(dataset_folder: Path) -> list[str]:
    """The names of these folders."""
    return list(filter(is_partition, _names(dataset_folder)))


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError as error:
        if not os.path.lexists(folder):
            return []
        reason = error.strerror
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return []  # No folder can have this name.
        reason = error.strerror
    raise WarehouseError(
        f"{folder} cannot be read as a folder ({reason})",
        "give Orket the right to read it, or put back a copy of it: it may hold rows",
    )


def write_part(folder: Path, table: pa.Table, tag: str = "") -> Path:
    """Append one part: hidden file, seal, fsync, rename, fsync of the folder.

    `tag` becomes a part of its name. Raises WarehouseError when the disk is full or the
    folder cannot be written.
    """
    import pyarrow.parquet as pq

    tagged = f".{tag}" if tag else ""
    final = folder / f"part-{time_ordered_id()}{tagged}.parquet"
    hidden = folder / f".{final.name}.tmp"
    create_folder(folder)
    try:
        with disk.create(hidden) as sink:
            disk.step("write", hidden)
            with pq.ParquetWriter(sink, table.schema, compression="zstd") as writer:
                writer.write_table(table)
                writer.add_key_value_metadata({KEY: BLANK})
            seal(sink)
            sink.flush()
            disk.sync(sink.fileno(), hidden)
            disk.rename_locked(sink, hidden, final)
        disk.sync_folder(folder)
    except OSError as error:
        hidden.unlink(missing_ok=True)
        raise write_failure(folder, error) from error
    return final


def make_folder(folder: Path) -> None:
    """Make a folder of the warehouse, of no other sweep. Raises OSError."""
    disk.make_folder(folder)
    if is_partition(folder.name) and folder not in _own_folders:
        refuse_other_names([folder])
        _own_folders.add(folder)


_own_folders: set[Path] = set()
"""Those that were seen to lie there by their own name: each is listed for once."""


def refuse_other_names(folders: Sequence[Path]) -> None:
    """Raise OSError where the file system takes a folder for one of another name.

    On macOS and Windows upper and lower case are one name, on Windows also a name with
    and without dots at its end: the rows of two sweeps would mix. All of them lie in
    one folder; one that is not there is nobody's.
    """
    listed = set(os.listdir(folders[0].parent)) if folders else set()
    for folder in folders:
        if folder.name not in listed and folder.exists():
            raise FileExistsError(
                errno.EEXIST,
                f"this file system takes {folder.name} for the folder of another sweep",
            )


def create_folder(folder: Path) -> None:
    """Make a folder of the warehouse. Raises WarehouseError."""
    try:
        make_folder(folder)
    except OSError as error:
        raise write_failure(folder, error) from error


def write_failure(place: Path, error: OSError) -> WarehouseError:
    """The line a person reads when the warehouse cannot be written."""
    another = "choose another place with -w or ORKET_WAREHOUSE"
    return WarehouseError(
        f"cannot write to the warehouse at {place} ({error.strerror or error})",
        f"free some space or {another}" if error.errno in _FULL else another,
    )
