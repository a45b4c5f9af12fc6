"""The views as tables in memory for anybody's SQL, with every way out closed."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import duckdb

from orket.errors import UsageError
from orket.records import DATASETS
from orket.warehouse.asked import Asked, read_asked
from orket.warehouse.damage import first_line
from orket.warehouse.event_index import Events
from orket.warehouse.parts import ListedParts
from orket.warehouse.query import QueryLimits, out_of_memory
from orket.warehouse.session import Session
from orket.warehouse.tolerance import LeftOut
from orket.warehouse.view_comments import comment_human, comment_views
from orket.warehouse.view_files import VIEW_VERSION
from orket.warehouse.views import Views

if TYPE_CHECKING:
    import pyarrow as pa

Piece = tuple[str, Any]
"""What comes out of a query: the columns, or a piece of its rows."""
_READING_NODES = frozenset(
    ("SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE")
)
"""The kinds of query that only read; any other inside a SELECT changes something."""
_ONLY_AS_TEXT = (
    "INTERVAL",
    "TIME ZONE",
    "UNION(",
    "GEOMETRY",
    "VARIANT",
    "TIMESTAMPTZ",
)
"""Parts of the names of types whose values no Python object holds without loss."""
_NOT_IN_FRAMES = (*_ONLY_AS_TEXT, "UUID", "BIT", "BIGNUM", "TIME_NS")
_NESTED = ("[", "(")
_MOMENTS = ("DATE", "TIMESTAMP")
_BOUNDS = frozenset((date.min, date.max, datetime.min, datetime.max))
_DAYS = tuple((day - date(1970, 1, 1)).days for day in (date.min, date.max))
_SECONDS = tuple(
    (moment - datetime(1970, 1, 1)) // timedelta(seconds=1)
    for moment in (datetime.min, datetime.max)
)
"""The first and last that Python has, as Arrow counts them."""
_UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_BATCH_ROWS = 256
_VALUE_BYTES = 64
"""About what one value of a row takes in Python."""


class LockedSession(Session):
    """One SELECT after another over copies of the views, bounded in DuckDB's memory.

    Its time, and all that DuckDB does not count, is for the process around it to bound.
    """

    def __init__(
        self,
        parts: ListedParts,
        limits: QueryLimits,
        on_clock: Callable[[bool], object],
        left_out: LeftOut | None = None,
        events: Events | None = None,
    ) -> None:
        """`on_clock` is told when a query's own time runs, and when it rests."""
        super().__init__(parts, {}, None, left_out, events)
        self._limits, self._on_clock = limits, on_clock
        self._staged_for: Asked | None = None
        self._ending = threading.Lock()
        self._may_end = False
        """Not once it has ended: what tidies up behind it is never interrupted."""

    def _open(self) -> None:
        """Nothing yet: what is needed is known with the first query."""

    def _prepare(self, asked: Asked) -> None:
        """Have what a query asks for in memory, and every way out of it closed."""
        had = self._staged_for
        if self._views is not None and had is not None and had.covers(asked):
            return
        self.close()
        wanted = asked if had is None else had.together(asked)
        self._restrict(wanted.sweeps)
        self._guarded(
            lambda views: self._lock(views, wanted), wanted.views, human=wanted.human
        )
        self._staged_for = wanted

    def _lock(self, views: Views, asked: Asked) -> None:
        connection = views.connection
        if asked.all_views:
            comment_views(connection)
            comment_human(connection)
        for dataset in DATASETS:
            # The raw views still point at files: an unlocked way to the disk.
            if dataset not in asked.datasets:
                views.forget(dataset)
                continue
            views.bind([dataset])
            connection.execute(
                f"CREATE TABLE staged.raw_{dataset} AS SELECT * FROM raw.{dataset}"
            )
            connection.execute(
                f"CREATE OR REPLACE VIEW raw.{dataset} AS "
                f"SELECT * FROM staged.raw_{dataset}"
            )
        for setting in (
            f"search_path = '{VIEW_VERSION},main'",
            f"memory_limit = '{self._limits.memory_bytes} B'",
            f"max_temp_directory_size = '{4 * self._limits.memory_bytes} B'",
            "arrow_large_buffer_size = true",
            "enable_external_access = false",
            "lock_configuration = true",
        ):
            connection.execute(f"SET {setting}")

    @property
    def _locked(self) -> duckdb.DuckDBPyConnection:
        assert self._views is not None
        return self._views.connection

    def interrupt(self) -> None:
        """Ask the query that runs to end, from another thread."""
        with self._ending, suppress(duckdb.Error):
            if self._may_end and self._views is not None:
                self._views.connection.interrupt()

    def _let_end(self, may_end: bool) -> None:
        with self._ending:
            self._may_end = may_end

    def rows_of(self, text: str) -> Iterator[Piece]:
        """The rows of a single SELECT as Python values: columns, then lists of rows.

        Where columns come again, all begins anew. Raises UsageError for anything else,
        LimitReached where it takes too much.
        """
        with self._reading(text) as statement:
            yield from self._rows(statement, _ONLY_AS_TEXT, may_stop=True)

    def batches_of(self, text: str) -> Iterator[Piece]:
        """The same in Arrow's format: a schema, then streams of batches."""
        with self._reading(text) as statement:
            yield from self._batches(statement, _NOT_IN_FRAMES, may_stop=True)

    def _rows(
        self, statement: str, as_text: tuple[str, ...], may_stop: bool
    ) -> Iterator[Piece]:
        query, columns = self._as_python(statement, as_text)
        yield "columns", columns
        cursor = self._locked.execute(query)
        size = 0
        while batch := cursor.fetchmany(_BATCH_ROWS):
            if may_stop and any(value in _BOUNDS for value in _days(batch)):
                # An infinite moment comes as the last one that Python has.
                yield from self._rows(statement, (*as_text, *_MOMENTS), False)
                return
            size += sum(map(_size, batch))
            self._require_room(size)
            yield "piece", batch

    def _batches(
        self, statement: str, as_text: tuple[str, ...], may_stop: bool
    ) -> Iterator[Piece]:
        import pyarrow as pa

        query, _ = self._as_python(statement, as_text)
        size = 0
        # Closed also when it is given up, or the connection would stay in use.
        with pa.RecordBatchReader.from_stream(self._locked.sql(query)) as reader:
            yield "columns", reader.schema.serialize().to_pybytes()
            for batch in reader:
                if may_stop and not _fits_python(batch):
                    break
                size += batch.nbytes
                self._require_room(size)
                yield "piece", _as_stream(batch)
            else:
                return
        # Moments beyond the year 9999, and infinite ones, can only be text.
        yield from self._batches(statement, (*as_text, *_MOMENTS), False)

    def _as_python(
        self, statement: str, as_text: tuple[str, ...]
    ) -> tuple[str, list[str]]:
        """The query with each column as a type that can be shown, and their names."""
        described = self._locked.execute(f"DESCRIBE (\n{statement}\n)").fetchall()
        names = _different([row[0] for row in described])
        chosen = []
        for place, (name, kind) in enumerate(zip(names, described, strict=True)):
            is_text = any(part in kind[1] for part in as_text) or (
                any(part in kind[1] for part in _MOMENTS)
                and any(mark in kind[1] for mark in _NESTED)
            )
            source = f"CAST(c{place} AS VARCHAR)" if is_text else f"c{place}"
            quoted = name.replace('"', '""')
            chosen.append(f'{source} AS "{quoted}"')
        columns = ", ".join(f"c{place}" for place in range(len(names)))
        return (
            f"SELECT {', '.join(chosen)} FROM (\n{statement}\n) AS asked({columns})",
            names,
        )

    @contextmanager
    def _reading(self, text: str) -> Iterator[str]:
        """The one statement of `text`, proven to read only, while its time runs."""
        self._let_end(True)
        try:
            self._on_clock(True)
            statement, asked = self._only_select(text)
            self._on_clock(False)
            self._prepare(asked)
            self._on_clock(True)
            # Nothing it calls can write either: not even into its own copies.
            self._locked.execute("BEGIN TRANSACTION READ ONLY")
            try:
                yield statement
            finally:
                self._let_end(False)
                self._locked.execute("ROLLBACK")
        except duckdb.InterruptException:
            raise
        except (duckdb.OutOfMemoryException, MemoryError) as error:
            raise out_of_memory(self._limits) from error
        except (duckdb.Error, OSError) as error:
            if "max_expression_depth" in str(error):
                raise _too_deep() from error
            # Arrow passes on what DuckDB says as an OSError of its own.
            raise UsageError(first_line(error)) from error
        finally:
            self._let_end(False)

    def _only_select(self, text: str) -> tuple[str, Asked]:
        """The one statement of `text`, proven to read only, and what it asks for."""
        with duckdb.connect(":memory:") as parser:
            statements = parser.extract_statements(text)
            if len(statements) == 1:
                (found,) = statements
                statement = found.query.strip().rstrip(";")
                if found.type == duckdb.StatementType.SELECT:
                    try:
                        tree = _serialize(parser, statement)
                        if not tree["error"] and _node_kinds(tree) <= _READING_NODES:
                            return statement, read_asked(tree)
                    except RecursionError:
                        raise _too_deep() from None
        raise UsageError(
            "only a single SELECT is run here",
            "the views are read-only; see the columns with: orket views NAME",
        )

    def _require_room(self, size: int) -> None:
        if size > self._limits.memory_bytes:
            raise out_of_memory(self._limits)


def _too_deep() -> UsageError:
    return UsageError(
        "the query is nested too deeply to be read",
        "name its parts: WITH part AS (...) SELECT ...",
    )


def _serialize(parser: duckdb.DuckDBPyConnection, statement: str) -> dict[str, Any]:
    """The tree of a statement, which says where it cannot be told."""
    found = parser.execute("SELECT json_serialize_sql(?)", [statement]).fetchone()
    tree: dict[str, Any] = json.loads(found[0]) if found else {"error": True}
    return tree


def _node_kinds(tree: object) -> set[str]:
    """The kinds of all query nodes in a serialized statement."""
    if isinstance(tree, list):
        return set().union(*map(_node_kinds, tree))
    if not isinstance(tree, dict):
        return set()
    kind = tree.get("type")
    own = {kind} if isinstance(kind, str) and kind.endswith("_NODE") else set()
    return own.union(*map(_node_kinds, tree.values()))


def _different(names: list[str]) -> list[str]:
    """The names, told apart by a number where two are alike: a row is a mapping."""
    taken: set[str] = set()
    different = []
    for name in names:
        number, chosen = 1, name
        while chosen in taken:
            number += 1
            chosen = f"{name}_{number}"
        taken.add(chosen)
        different.append(chosen)
    return different


def _days(rows: Iterable[tuple[Any, ...]]) -> Iterator[date]:
    return (value for row in rows for value in row if isinstance(value, date))


def _size(row: tuple[Any, ...]) -> int:
    return sum(
        _VALUE_BYTES + (len(value) if isinstance(value, str | bytes) else 0)
        for value in row
    )


def _as_stream(batch: pa.RecordBatch) -> bytes:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    found: bytes = sink.getvalue().to_pybytes()
    return found


def _fits_python(batch: pa.RecordBatch) -> bool:
    """Whether every date and moment of a batch is one that Python has."""
    import pyarrow as pa
    import pyarrow.compute as compute

    for column in batch.columns:
        if pa.types.is_date32(column.type):
            numbers, (least, most) = column.view(pa.int32()), _DAYS
        elif pa.types.is_timestamp(column.type):
            times = _UNITS[column.type.unit]
            least, most = (moment * times for moment in _SECONDS)
            numbers, most = column.view(pa.int64()), most + times - 1
        else:
            continue
        found = compute.min_max(numbers).as_py()
        if (
            found["min"] is not None
            and not least <= found["min"] <= found["max"] <= most
        ):
            return False
    return True
