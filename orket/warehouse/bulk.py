"""Turns files of judged JSON lines into parts, at DuckDB's speed.

SQL alone is not strict: DuckDB reads "12" as 12, drops unknown keys and fills torn rows
with NULL. So every line is judged before it comes here, and only the copying is
DuckDB's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb

from orket.errors import WarehouseError
from orket.records import DATASETS
from orket.warehouse.connection import Connection, file_literal
from orket.warehouse.damage import Damage, damaged_parts, full_disk
from orket.warehouse.parts import ListedParts, write_failure
from orket.warehouse.raw import bind_dataset
from orket.warehouse.schema import duckdb_columns
from orket.warehouse.staged import StagedRows
from orket.warehouse.store import Warehouse

_OF_MANIFESTS = ("sweeps", "runs", "sidecars")
"""The datasets that the manifest of an imported sweep is made of."""
_VECTOR_ROWS = 2048
"""Rows that DuckDB hands over at once: as many as it computes with."""


def stage_json_lines(warehouse: Warehouse, dataset: str, source: Path) -> StagedRows:
    """Read `source`, one valid JSON row per line, into hidden files.

    Raises WarehouseError when they cannot be read or the place cannot be written.
    """
    # One processor is the judge's: with a thread for each, both wait for one another.
    opened = _connect(threads=max(1, (os.cpu_count() or 1) - 1))
    try:
        query = f"SELECT * FROM {_json_source(dataset, source)}"
        return _stage(opened.duckdb, warehouse, dataset, query)
    finally:
        opened.close()


def copy_json_lines(warehouse: Warehouse, dataset: str, source: Path) -> list[Path]:
    """Append the rows of `source`, one valid JSON row per line, to their sweeps.

    Raises WarehouseError when the place cannot be written.
    """
    return stage_json_lines(warehouse, dataset, source).publish()


def copy_new_json_lines(
    warehouse: Warehouse, dataset: str, source: Path, known: Sequence[Path]
) -> tuple[list[Path], int]:
    """Append the rows of `source` that none of the `known` parts has.

    The parts that came, and how many rows they have. A row that differs anywhere is
    another row. Where the known parts cannot be read, all rows are appended. Raises
    WarehouseError when the place cannot be written.
    """
    opened = _connect()
    lines = f"SELECT * FROM {_json_source(dataset, source)}"
    try:
        opened.duckdb.execute("CREATE SCHEMA raw")
        try:
            bind_dataset(opened.duckdb, dataset, known)
            query = f"{lines} EXCEPT SELECT * FROM raw.{dataset}"
            staged = _stage(opened.duckdb, warehouse, dataset, query)
        except (duckdb.Error, WarehouseError):
            staged = _stage(opened.duckdb, warehouse, dataset, lines)
    finally:
        opened.close()
    if not staged.rows:
        staged.discard()
        return [], 0
    return staged.publish(), staged.rows


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

    def copy_rows(self, dataset: str, query: str) -> list[Path]:
        """Append the rows of a query that gives exactly the columns of a dataset."""
        return _stage(self._connection, self._warehouse, dataset, query).publish()


def _stage(
    connection: duckdb.DuckDBPyConnection,
    warehouse: Warehouse,
    dataset: str,
    query: str,
) -> StagedRows:
    """The rows of a query in hidden files."""
    import pyarrow as pa

    try:
        staged = StagedRows(warehouse, dataset)
    except OSError as error:
        raise write_failure(warehouse.path, error) from error
    try:
        for batch in connection.sql(query).to_arrow_reader(_VECTOR_ROWS):
            staged.add(pa.Table.from_batches([batch]))
    except OSError as error:
        staged.discard()
        raise write_failure(warehouse.path, full_disk(error) or error) from error
    except (duckdb.Error, pa.ArrowException) as error:
        staged.discard()
        if full := full_disk(error):
            raise write_failure(warehouse.path, full) from error
        raise WarehouseError(
            f"cannot write to the warehouse at {warehouse.path}: "
            f"{str(error).splitlines()[0]}"
        ) from error
    return staged


def _connect(threads: int | None = None) -> Connection:
    opened = Connection(threads)
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
