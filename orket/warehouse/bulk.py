"""Turns files of judged JSON lines into parts, at DuckDB's speed.

SQL alone is not strict: DuckDB reads "12" as 12, drops unknown keys and fills torn rows
with NULL. So every line is judged before it comes here, and only the copying is
DuckDB's.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb

from orket.errors import WarehouseError
from orket.records import DATASETS
from orket.warehouse import disk
from orket.warehouse.connection import Connection, file_literal, literal
from orket.warehouse.damage import Damage, damaged_parts, full_disk
from orket.warehouse.parts import (
    ListedParts,
    make_folder,
    partition_name,
    partition_sweep,
    refuse_other_names,
    time_ordered_id,
    write_failure,
)
from orket.warehouse.raw import bind_dataset
from orket.warehouse.schema import duckdb_columns
from orket.warehouse.seal import BLANK, KEY, seal
from orket.warehouse.store import Warehouse

COPY_PREFIX, LOCK_SUFFIX = ".copy-", ".lock"
"""Of a hidden folder of rows; the lock beside it lives as long as their writer."""
_OPEN_FILES = 500
_OF_MANIFESTS = ("sweeps", "runs", "sidecars")
"""The datasets that the manifest of an imported sweep is made of."""


class StagedRows:
    """Rows written to hidden files of a warehouse, not yet to be seen by any reader."""

    def __init__(self, warehouse: Warehouse, dataset: str, by_sweep: bool) -> None:
        self._warehouse = warehouse
        self._dataset = dataset
        self.by_sweep = by_sweep
        self.rows = 0
        """How many were written."""
        home = warehouse.folder("events") if dataset == "events" else warehouse.path
        self._home = home
        disk.make_folder(home)
        self._lock_path = home / f"{COPY_PREFIX}{time_ordered_id()}{LOCK_SUFFIX}"
        self._lock = disk.create(self._lock_path)
        prefix = f"{self._lock_path.stem}-"
        self._folder = tempfile.TemporaryDirectory(prefix=prefix, dir=home)
        name = "by-sweep" if by_sweep else "rows.parquet"
        self.target = Path(self._folder.name) / name

    def publish(self, sweep_ids: Collection[str]) -> list[Path]:
        """Make each file durable and give it its place as a part."""
        try:
            if self.by_sweep:
                # Nothing of it where the rows of two have gone to one folder.
                own = [self.target / partition_name(sweep) for sweep in sweep_ids]
                refuse_other_names(own)
            return [
                _publish(file, self._warehouse.folder(self._dataset, sweep_id))
                for file, sweep_id in self._files(sweep_ids)
            ]
        except OSError as error:
            raise write_failure(self._home, error) from error
        finally:
            self.discard()

    def discard(self) -> None:
        """Forget the rows."""
        self._folder.cleanup()
        self._lock.close()
        self._lock_path.unlink(missing_ok=True)

    def _files(self, sweep_ids: Collection[str]) -> list[tuple[Path, str | None]]:
        if not self.by_sweep:
            return [(self.target, next(iter(sweep_ids), None))]
        return [
            (file, partition_sweep(folder))
            for folder in sorted(self.target.glob("sweep_id=*"))
            for file in sorted(folder.glob("*.parquet"))
        ]


def stage_json_lines(
    warehouse: Warehouse, dataset: str, source: Path, by_sweep: bool
) -> StagedRows:
    """Read `source`, one valid JSON row per line, into hidden files.

    `by_sweep` divides the rows by sweep; without it they must all be of one. Raises
    WarehouseError when they cannot be read or the place cannot be written.
    """
    opened = _connect()
    try:
        query = f"SELECT * FROM {_json_source(dataset, source)}"
        return _stage(opened.duckdb, warehouse, dataset, query, by_sweep)
    finally:
        opened.close()


def copy_json_lines(
    warehouse: Warehouse, dataset: str, source: Path, sweep_ids: Collection[str]
) -> list[Path]:
    """Append the rows of `source`, one valid JSON row per line, to their sweeps.

    `sweep_ids` are those of the rows; none for events. Raises WarehouseError when the
    place cannot be written.
    """
    staged = stage_json_lines(warehouse, dataset, source, len(sweep_ids) > 1)
    return staged.publish(sweep_ids)


def copy_new_json_lines(
    warehouse: Warehouse,
    dataset: str,
    source: Path,
    sweep_ids: Collection[str],
    known: Sequence[Path],
) -> tuple[list[Path], int]:
    """Append the rows of `source` that none of the `known` parts has.

    The parts that came, and how many rows they have. A row that differs anywhere is
    another row. Where the known parts cannot be read, all rows are appended. Raises
    WarehouseError when the place cannot be written.
    """
    opened = _connect()
    by_sweep = len(sweep_ids) > 1
    lines = f"SELECT * FROM {_json_source(dataset, source)}"
    try:
        opened.duckdb.execute("CREATE SCHEMA raw")
        try:
            bind_dataset(opened.duckdb, dataset, known)
            query = f"{lines} EXCEPT SELECT * FROM raw.{dataset}"
            staged = _stage(opened.duckdb, warehouse, dataset, query, by_sweep)
        except (duckdb.Error, WarehouseError):
            staged = _stage(opened.duckdb, warehouse, dataset, lines, by_sweep)
    finally:
        opened.close()
    if not staged.rows:
        staged.discard()
        return [], 0
    return staged.publish(sweep_ids), staged.rows


def over_rows(
    warehouse: Warehouse,
    sweep_ids: Collection[str],
    act: Callable[[BulkSession], None],
) -> list[Damage]:
    """Let `act` work on the rows of some sweeps, or of those that can be read.

    What is damaged of the others comes back. `act` begins anew where parts were folded
    into another while it read them.
    """
    parts = ListedParts(warehouse.parts, sorted(sweep_ids))
    damaged: list[Damage] = []
    while True:
        try:
            with BulkSession(warehouse, parts) as session:
                act(session)
            return damaged
        except duckdb.InterruptException:
            raise
        except duckdb.Error:
            if parts.list_again():
                continue
            own = {name: parts[name] for name in _OF_MANIFESTS}
            found = damaged_parts({name: own.get(name, []) for name in DATASETS})
            if not found:
                raise
            damaged += found
            parts = parts.only(set(sweep_ids) - {part.sweep_id for part in damaged})


class BulkSession:
    """DuckDB over the raw rows of some sweeps, which can also add rows to them."""

    def __init__(
        self, warehouse: Warehouse, parts: Mapping[str, Sequence[Path]]
    ) -> None:
        self._warehouse = warehouse
        self._parts = parts
        self._opened = _connect()
        self._connection = self._opened.duckdb

    def __enter__(self) -> Self:
        try:
            self._connection.execute("CREATE SCHEMA raw")
            for dataset in _OF_MANIFESTS:
                bind_dataset(self._connection, dataset, self._parts[dataset])
        except duckdb.Error:
            self._opened.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._opened.close()

    def run(self, statement: str) -> None:
        """Run one statement."""
        self._connection.execute(statement)

    def rows(self, query: str) -> list[dict[str, Any]]:
        """The rows of a query as dictionaries."""
        cursor = self._connection.execute(query)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def add_table(self, name: str, dataset: str, source: Path) -> None:
        """Make a file of valid JSON rows of a dataset readable as a table."""
        self.run(
            f"CREATE TABLE {name} AS SELECT * FROM {_json_source(dataset, source)}"
        )

    def copy_rows(
        self, dataset: str, query: str, sweep_ids: Collection[str]
    ) -> list[Path]:
        """Append the rows of a query that gives exactly the columns of a dataset."""
        by_sweep = len(sweep_ids) > 1
        staged = _stage(self._connection, self._warehouse, dataset, query, by_sweep)
        return staged.publish(sweep_ids)


def _stage(
    connection: duckdb.DuckDBPyConnection,
    warehouse: Warehouse,
    dataset: str,
    query: str,
    by_sweep: bool,
) -> StagedRows:
    options = [
        "FORMAT parquet",
        "COMPRESSION zstd",
        f"KV_METADATA {{orket_dataset: '{dataset}', orket_schema: '1', "
        f"{KEY}: '{BLANK}'}}",
    ]
    if by_sweep:
        options += ["PARTITION_BY (sweep_id)", "WRITE_PARTITION_COLUMNS true"]
        # One file per sweep, as long as the system lets so many be open.
        connection.execute(f"SET partitioned_write_max_open_files = {_OPEN_FILES}")
    try:
        staged = StagedRows(warehouse, dataset, by_sweep)
    except OSError as error:
        raise write_failure(warehouse.path, error) from error
    try:
        target = literal(str(staged.target))
        disk.step("write", staged.target)
        copied = connection.execute(
            f"COPY ({query}) TO {target} ({', '.join(options)})"
        ).fetchone()
        assert copied is not None
        staged.rows = int(copied[0])
    except OSError as error:
        staged.discard()
        raise write_failure(warehouse.path, error) from error
    except duckdb.Error as error:
        staged.discard()
        if full := full_disk(error):
            raise write_failure(warehouse.path, full) from error
        raise WarehouseError(
            f"cannot write to the warehouse at {warehouse.path}: "
            f"{str(error).splitlines()[0]}"
        ) from error
    return staged


def _publish(file: Path, folder: Path) -> Path:
    make_folder(folder)
    final = folder / f"part-{time_ordered_id()}.parquet"
    with file.open("rb+") as written:
        seal(written)
        disk.sync(written.fileno(), file)
    disk.rename(file, final)
    disk.sync_folder(folder)
    return final


def _connect() -> Connection:
    opened = Connection()
    # No view depends on the order of rows, and keeping it costs a tenth of the time.
    opened.duckdb.execute("SET preserve_insertion_order = false")
    return opened


def _json_source(dataset: str, source: Path) -> str:
    columns = ", ".join(
        f"'{name}': '{kind}'"
        for name, kind in duckdb_columns(DATASETS[dataset]).items()
    )
    return (
        f"read_json({file_literal(source)}, format = 'newline_delimited', "
        f"columns = {{{columns}}})"
    )
