"""Looks at every byte and every row of a warehouse, and names what is damaged.

Each part is looked at alone: its checksum where one was recorded, its columns, every
row as its dataset declares it, and whether it lies in the folder of the sweep whose
rows it has. Then each sweep: whether its manifests are whole. Nothing is written.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import duckdb

from orket.errors import UsageError, WarehouseError
from orket.records import DATASETS
from orket.warehouse.connection import Connection, file_literal, without_marks
from orket.warehouse.damage import damaged_parts, first_line
from orket.warehouse.faults import Fault
from orket.warehouse.journal import JOURNALED, left_journals, parse_journal
from orket.warehouse.parts import (
    ListedParts,
    is_partition,
    list_partitions,
    list_parts,
    nameless,
    partition_name,
    partition_sweep,
)
from orket.warehouse.quarantine import missing_parts
from orket.warehouse.raw import bind_dataset
from orket.warehouse.schema import duckdb_columns, required_columns
from orket.warehouse.seal import check_seal
from orket.warehouse.statements import statement

if TYPE_CHECKING:
    from orket.warehouse.store import Warehouse

_NO_RIGHT = (errno.EACCES, errno.EPERM)
_NO_PARTS: Mapping[str, Sequence[Path]] = dict.fromkeys(DATASETS, ())
_BY_SWEEP = tuple(dataset for dataset in DATASETS if dataset != "events")


@dataclass(slots=True)
class Count:
    """What was looked at in one dataset."""

    dataset: str
    parts: int = 0
    rows: int = 0
    """Of sound parts."""
    as_written: int = 0
    """Sound parts that have the bytes they were written with."""
    not_recorded: int = 0
    """Sound parts that were written without a checksum: nobody knows."""
    damaged: int = 0


@dataclass(slots=True)
class Verdict:
    """What a look at a warehouse found."""

    counts: dict[str, Count] = field(
        default_factory=lambda: {name: Count(name) for name in DATASETS}
    )
    faults: list[Fault] = field(default_factory=list)
    copies: list[Path] = field(default_factory=list)
    """Parts that are, byte for byte, one beside them: each row counts once."""


def verify(warehouse: Warehouse, sweep_id: str | None = None) -> Verdict:
    """Look at a whole warehouse, or at one sweep and all events.

    Raises UsageError where there is nothing of the sweep.
    """
    warehouse.fetch(sweep_id)
    if sweep_id is not None and not _has_folder(warehouse, sweep_id):
        raise UsageError(f"there is nothing of sweep {sweep_id} in {warehouse.place}")
    verdict = Verdict()
    with _Reader() as reader:
        for dataset in DATASETS:
            for folder in _folders(warehouse, dataset, sweep_id, verdict):
                _look_at_folder(dataset, folder, reader, verdict)
        kinds = reader.first_kinds()
    _look_for_manifests(warehouse, sweep_id, kinds, verdict)
    return verdict


def look_at_parts(dataset: str, parts: Sequence[Path]) -> list[Fault]:
    """What is damaged among some parts, each looked at alone and whole."""
    verdict = Verdict()
    with _Reader() as reader:
        for part in parts:
            _look_at_part(dataset, part, reader, verdict)
    return verdict.faults


def named_sweep(warehouse: Warehouse, name: str) -> str:
    """The sweep that `name` means, also one that has lost its manifest.

    Raises UsageError as `Warehouse.resolve` does.
    """
    warehouse.fetch(name)
    return name if _has_folder(warehouse, name) else warehouse.find_sweep(name)


def parts_of_events(warehouse: Warehouse, sweep_id: str) -> list[Path]:
    """The parts of events that bear on a sweep. Raises WarehouseError."""
    lost: set[Path | None] = set()
    while True:
        parts = ListedParts(warehouse.parts)
        sound = [part for part in parts["events"] if part not in lost]
        try:
            return _parts_of_events(warehouse, sound, sweep_id)
        except WarehouseError:
            if parts.list_again():
                continue
            found = damaged_parts({**_NO_PARTS, "events": sound})
            if not found:
                raise
            warehouse.left_out.require(found, [sweep_id])
            lost |= {damage.part for damage in found}


def _parts_of_events(
    warehouse: Warehouse, parts: Sequence[Path], sweep_id: str
) -> list[Path]:
    opened = Connection(threads=1)
    try:
        opened.duckdb.execute("CREATE SCHEMA raw")
        bind_dataset(opened.duckdb, "events", parts, with_part=True)
        query = statement("verify", "parts_of_events")
        rows = opened.duckdb.execute(query, {"sweep_id": sweep_id}).fetchall()
    except duckdb.Error as error:
        raise WarehouseError(
            f"the events of {warehouse.path} cannot be read ({first_line(error)})",
            "see what is damaged with: orket verify",
        ) from error
    finally:
        opened.close()
    return [Path(row[0]) for row in rows]


def _has_folder(warehouse: Warehouse, sweep_id: str) -> bool:
    folders = [warehouse.folder(dataset, sweep_id) for dataset in _BY_SWEEP]
    try:
        return any(os.path.lexists(folder) for folder in folders)
    except OSError:  # No folder can have this name.
        return False


def _folders(
    warehouse: Warehouse, dataset: str, sweep_id: str | None, verdict: Verdict
) -> Iterator[Path]:
    if dataset == "events":
        yield warehouse.folder(dataset)
        return
    if sweep_id is not None:
        yield warehouse.folder(dataset, sweep_id)
        return
    try:
        yield from list_partitions(warehouse.path / dataset)
        verdict.faults += _nameless(dataset, warehouse.path / dataset)
    except WarehouseError as error:
        verdict.faults.append(_of_folder(dataset, warehouse.path / dataset, error))


def _of_folder(dataset: str, folder: Path, error: WarehouseError) -> Fault:
    is_of_sweep = folder.name.startswith("sweep_id=")
    return Fault(
        dataset=dataset,
        sweep_id=partition_sweep(folder) if is_of_sweep else None,
        path=folder,
        what=error.message.removeprefix(f"{folder} "),
        remedy=error.hint or "",
        is_movable=os.path.lexists(folder) and not folder.is_dir(),
    )


def _look_at_folder(
    dataset: str, folder: Path, reader: _Reader, verdict: Verdict
) -> None:
    try:
        parts = list_parts(folder)
    except WarehouseError as error:
        verdict.faults.append(_of_folder(dataset, folder, error))
        return
    count, sound = verdict.counts[dataset], []
    verdict.faults += _nameless(dataset, folder)
    for part in parts:
        faults = len(verdict.faults)
        if _look_at_part(dataset, part, reader, verdict):
            sound.append(part)
        count.damaged += len(verdict.faults) - faults
    count.parts += len(parts)
    verdict.copies += _copies(sound)
    if dataset in JOURNALED:
        verdict.faults += _damaged_journals(dataset, folder)


def _nameless(dataset: str, folder: Path) -> Iterator[Fault]:
    """Files and folders that no reader can open by their names."""
    for path in nameless(folder):
        yield Fault(
            dataset=dataset,
            sweep_id=partition_sweep(folder) if is_partition(folder.name) else None,
            path=path,
            what="its name is no text (UTF-8) or of no sweep: nothing looks for it",
            remedy="give it a name, or move it away with --quarantine",
        )


def _look_at_part(dataset: str, part: Path, reader: _Reader, verdict: Verdict) -> bool:
    """Count a part, or say what is wrong with it; says whether it is sound."""
    sweep_id = None if dataset == "events" else partition_sweep(part.parent)
    lost = "put back a copy of it" if dataset == "sweeps" else "put back a copy"
    try:
        _require_file(part)
        is_as_written = check_seal(part)
        if is_as_written is False:
            raise _Damaged("it has other bytes than were written (checksum)")
        rows = reader.read(dataset, part, sweep_id)
    except _Damaged as damage:
        remedy = damage.remedy or f"{lost}, or move it away with --quarantine"
        verdict.faults.append(
            Fault(
                dataset=dataset,
                sweep_id=sweep_id,
                path=part,
                what=str(damage),
                remedy=remedy,
            )
        )
        return False
    except OSError as error:
        if not os.path.lexists(part):
            return False  # Taken away meanwhile, by compaction or quarantine.
        has_right = error.errno not in _NO_RIGHT
        verdict.faults.append(
            Fault(
                dataset=dataset,
                sweep_id=sweep_id,
                path=part,
                what=f"it cannot be read ({error.strerror or error})",
                remedy=f"{lost}, or move it away with --quarantine"
                if has_right
                else "give Orket the right to read it",
                is_movable=has_right,
            )
        )
        return False
    count = verdict.counts[dataset]
    count.rows += rows
    count.as_written += is_as_written is True
    count.not_recorded += is_as_written is None
    return True


class _Damaged(Exception):
    """What is wrong with a part, and what to do where that is special."""

    def __init__(self, what: str, remedy: str | None = None) -> None:
        super().__init__(what)
        self.remedy = remedy


def _require_file(part: Path) -> None:
    if part.is_symlink() and not part.exists():
        raise _Damaged("it is a link to nothing")
    kind = part.stat().st_mode
    if stat.S_ISDIR(kind):
        raise _Damaged("it is a folder, not a file")
    if not stat.S_ISREG(kind):
        raise _Damaged("it is no file")
    if part.stat().st_size == 0:
        raise _Damaged("it is empty")


class _Reader:
    """Reads one part after another, each alone and whole."""

    def __init__(self) -> None:
        self._opened: Connection | None = None
        self._first: dict[str, tuple[Any, ...]] = {}

    def first_kinds(self) -> dict[str, str]:
        """The kind of the sound manifest of each sweep that rules it."""
        return {sweep_id: str(first[-1]) for sweep_id, first in self._first.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def read(self, dataset: str, part: Path, sweep_id: str | None) -> int:
        """The rows of a part. Raises _Damaged."""
        try:
            return self._read(dataset, part, sweep_id)
        except duckdb.InterruptException:
            raise
        except duckdb.Error as error:
            # After some errors a connection is of no use any more.
            self._close()
            if not os.path.lexists(part):
                raise FileNotFoundError(errno.ENOENT, "gone", str(part)) from error
            reason = first_line(error).replace(str(part), "the part")
            raise _Damaged(f"it cannot be read ({reason})") from error

    def _read(self, dataset: str, part: Path, sweep_id: str | None) -> int:
        run = self._connection().execute
        footer = self._row("file", {"part": without_marks(str(part))})
        if footer["dataset"] not in (None, dataset):
            raise _Damaged(f"it holds {footer['dataset']}, in the folder of {dataset}")
        source = f"read_parquet({file_literal(part)}, hive_partitioning = false)"
        described = run(f"DESCRIBE SELECT * FROM {source}")
        _require_columns(dataset, {row[0] for row in described.fetchall()})
        run("DROP SCHEMA IF EXISTS raw CASCADE")
        run("CREATE SCHEMA raw")
        bind_dataset(self._connection(), dataset, [part])
        run(f"CREATE OR REPLACE TABLE whole AS SELECT * FROM raw.{dataset}")
        found = self._row("part", {"sweep_id": sweep_id})
        rows = int(found["row_count"])
        if rows != footer["row_count"]:
            raise _Damaged(f"it says {footer['row_count']} rows and has {rows}")
        _require_place(part, sweep_id, found)
        if dataset == "sweeps":
            faults = run(statement("verify", "manifest")).fetchall()
            if faults:
                raise _Damaged(f"manifest {faults[0][0]} has {faults[0][1]}")
            query = (
                "SELECT sweep_id, kind = 'INGEST', started_at, manifest_id, kind "
                "FROM whole"
            )
            for owner, *manifest in run(query).fetchall():
                first = self._first.setdefault(owner, tuple(manifest))
                self._first[owner] = min(first, tuple(manifest))
        return rows

    def _row(self, name: str, parameters: dict[str, object]) -> dict[str, Any]:
        cursor = self._connection().execute(statement("verify", name), parameters)
        names = [column[0] for column in cursor.description or ()]
        row = cursor.fetchone()
        assert row is not None
        return dict(zip(names, row, strict=True))

    def _connection(self) -> duckdb.DuckDBPyConnection:
        if self._opened is None:
            self._opened = Connection(threads=1)
        return self._opened.duckdb

    def _close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None


def _require_columns(dataset: str, present: set[str]) -> None:
    own = set(duckdb_columns(DATASETS[dataset]))
    if not present & own:
        raise _Damaged(f"it is a Parquet file of something else, without {dataset}")
    for column in required_columns(DATASETS[dataset]):
        if column.partition(".")[0] not in present:
            raise _Damaged(f"it has no column {column}, which every row has")


def _require_place(part: Path, sweep_id: str | None, found: dict[str, Any]) -> None:
    if sweep_id is None:
        return
    if found["strangers"]:
        whole = "all" if found["strangers"] == found["row_count"] else "some"
        raise _Damaged(
            f"{whole} of its rows are of sweep {found['stranger']}, not of the folder "
            "it lies in",
            "put it back into the folder of its sweep, or give the folder its name "
            "back; or move it away with --quarantine",
        )
    if part.parent.name != partition_name(sweep_id):
        raise _Damaged(
            "its folder has a name that nothing looks for",
            f"name the folder {partition_name(sweep_id)}",
        )


def _copies(parts: Sequence[Path]) -> list[Path]:
    """Parts with the very bytes of one that stands before them in the list."""
    by_size: dict[int, list[Path]] = defaultdict(list)
    copies = []
    for part in parts:
        try:
            by_size[part.stat().st_size].append(part)
        except OSError:
            continue
    for alike in by_size.values():
        known: set[bytes] = set()
        for part in alike if len(alike) > 1 else ():
            try:
                with part.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").digest()
            except OSError:
                continue
            if digest in known:
                copies.append(part)
            known.add(digest)
    return copies


def _damaged_journals(dataset: str, folder: Path) -> Iterator[Fault]:
    for path in left_journals(folder):
        try:
            faults = parse_journal(path, dataset).faults
        except OSError:
            continue
        if faults:
            yield Fault(
                dataset=dataset,
                sweep_id=partition_sweep(folder),
                path=path,
                what=f"line {faults[0][0]} is not a row of {dataset} ({faults[0][1]})",
                remedy="save its other lines and move it away with --quarantine",
            )


def _look_for_manifests(
    warehouse: Warehouse,
    sweep_id: str | None,
    kinds: Mapping[str, str],
    verdict: Verdict,
) -> None:
    """Sweeps with rows and without a manifest, or without the one that rules."""
    told = {fault.sweep_id for fault in verdict.faults if fault.dataset == "sweeps"}
    told |= {
        part.sweep_id
        for part in missing_parts(warehouse.path)
        if part.dataset == "sweeps"
    }
    for dataset in _BY_SWEEP:
        wanted = None if sweep_id is None else partition_name(sweep_id)
        for folder in _quietly(list_partitions, warehouse.path / dataset):
            owner = partition_sweep(folder)
            if owner in told or wanted not in (None, folder.name):
                continue
            kind = kinds.get(owner)
            fault = _without_manifest(warehouse, dataset, folder, owner, kind)
            if fault is not None:
                told.add(owner)
                verdict.faults.append(fault)


def _without_manifest(
    warehouse: Warehouse, dataset: str, folder: Path, sweep_id: str, kind: str | None
) -> Fault | None:
    """What a sweep lacks; `kind` is that of its first manifest, where it has one."""
    home = warehouse.folder("sweeps", sweep_id)
    manifests = _quietly(list_parts, home)
    if not manifests and _quietly(list_parts, folder):
        what, remedy = (
            f"sweep {sweep_id} has {dataset} and no manifest",
            "put back a copy of it, or ingest the file that its rows came from again",
        )
    elif kind == "RESUME":
        what, remedy = (
            f"the manifest that sweep {sweep_id} began with is gone",
            "put back a copy of it",
        )
    else:
        return None
    return Fault(
        dataset="sweeps",
        sweep_id=sweep_id,
        path=home,
        what=what,
        remedy=remedy,
        is_movable=False,
    )


def _quietly(look: Callable[[Path], list[Path]], folder: Path) -> list[Path]:
    """What `look` lists; nothing where it cannot, which was said before."""
    try:
        return look(folder)
    except WarehouseError:
        return []
