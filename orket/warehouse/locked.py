"""The views as tables in memory for anybody's SQL, with every way out closed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import duckdb

from orket.errors import LimitReached, UsageError
from orket.records import DATASETS
from orket.warehouse.asked import Asked, read_asked
from orket.warehouse.damage import Damage, first_line
from orket.warehouse.event_index import Events
from orket.warehouse.parts import ListedParts
from orket.warehouse.session import Session
from orket.warehouse.view_comments import comment_human, comment_views
from orket.warehouse.view_files import VIEW_VERSION
from orket.warehouse.views import Views

if TYPE_CHECKING:
    import polars as pl

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
_BATCH_ROWS = 256
_VALUE_BYTES = 64
"""About what one value of a row takes in Python."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryLimits:
    """What one query may take before it is ended."""

    seconds: float = 300
    memory_bytes: int = 4 << 30
    """In DuckDB, and again for the rows that come out of it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows of a query, under column names that are all different."""

    columns: list[str]
    rows: list[tuple[Any, ...]]


class LockedSession(Session):
    """One SELECT after another over copies of the views, bounded in time and memory."""

    def __init__(
        self,
        parts: ListedParts,
        overrides: Mapping[str, object],
        limits: QueryLimits | None = None,
        left_out: list[Damage] | None = None,
        events: Events | None = None,
    ) -> None:
        super().__init__(parts, overrides, None, left_out, events)
        self._limits = limits or QueryLimits()
        self._staged_for: Asked | None = None

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

    def answer(self, text: str) -> Answer:
        """The rows of a single SELECT as Python values.

        Raises UsageError for anything else, LimitReached where it takes too much.
        """
        with self._reading(text) as statement:
            query, columns = self._as_python(statement, _ONLY_AS_TEXT)
            rows = self._rows(query)
            if any(value in _BOUNDS for row in rows for value in row if _is_day(value)):
                # An infinite moment comes as the last one that Python has.
                query, _ = self._as_python(statement, (*_ONLY_AS_TEXT, *_MOMENTS))
                rows = self._rows(query)
        return Answer(columns, rows)

    def query(self, text: str) -> pl.DataFrame:
        """The rows of a single SELECT as a Polars frame; errors as of `answer`."""
        with self._reading(text) as statement:
            frame = self._frame(statement, _NOT_IN_FRAMES)
            if _fits_python(frame):
                return frame
            # Moments beyond the year 9999, and infinite ones, can only be text.
            return self._frame(statement, (*_NOT_IN_FRAMES, *_MOMENTS))

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        cursor = self._locked.execute(query)
        rows: list[tuple[Any, ...]] = []
        size = 0
        while batch := cursor.fetchmany(_BATCH_ROWS):
            size += sum(map(_size, batch))
            self._require_room(size)
            rows += batch
        return rows

    def _frame(self, statement: str, as_text: tuple[str, ...]) -> pl.DataFrame:
        import polars as pl
        import pyarrow as pa

        query, _ = self._as_python(statement, as_text)
        batches: list[pa.RecordBatch] = []
        size = 0
        # Closed also when it is given up, or the connection would stay in use.
        with pa.RecordBatchReader.from_stream(self._locked.sql(query)) as reader:
            schema = reader.schema
            for batch in reader:
                size += batch.nbytes
                self._require_room(size)
                batches.append(batch)
        frame = pl.from_arrow(pa.Table.from_batches(batches, schema))
        assert isinstance(frame, pl.DataFrame)
        return frame

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
        is_late = threading.Event()

        def end() -> None:
            is_late.set()
            self._locked.interrupt()

        timer = threading.Timer(self._limits.seconds, end)
        timer.daemon = True
        try:
            statement, asked = self._only_select(text)
            self._prepare(asked)
            timer.start()
            # Nothing it calls can write either: not even into its own copies.
            self._locked.execute("BEGIN TRANSACTION READ ONLY")
            try:
                yield statement
            finally:
                timer.cancel()
                self._locked.execute("ROLLBACK")
        except duckdb.InterruptException:
            if not is_late.is_set():
                raise
            raise self._too_late() from None
        except duckdb.OutOfMemoryException as error:
            raise self._out_of_memory() from error
        except (duckdb.Error, OSError) as error:
            # Arrow passes on what DuckDB says as an OSError of its own.
            if is_late.is_set():
                raise self._too_late() from error
            raise UsageError(first_line(error)) from error

    def _only_select(self, text: str) -> tuple[str, Asked]:
        """The one statement of `text`, proven to read only, and what it asks for."""
        with duckdb.connect(":memory:") as parser:
            statements = parser.extract_statements(text)
            if len(statements) == 1:
                (found,) = statements
                statement = found.query.strip().rstrip(";")
                if found.type == duckdb.StatementType.SELECT:
                    tree = _serialize(parser, statement)
                    if not tree["error"] and _node_kinds(tree) <= _READING_NODES:
                        return statement, read_asked(tree)
        raise UsageError(
            "only a single SELECT is run here",
            "the views are read-only; see the columns with: orket views NAME",
        )

    def _require_room(self, size: int) -> None:
        if size > self._limits.memory_bytes:
            raise self._out_of_memory()

    def _too_late(self) -> LimitReached:
        return LimitReached(
            f"the query took more than {self._limits.seconds:g} s",
            "give it more with --timeout, or ask for less",
        )

    def _out_of_memory(self) -> LimitReached:
        return LimitReached(
            f"the query needs more memory than {self._limits.memory_bytes >> 20} MiB",
            "give it more with --memory, or ask for less",
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


def _is_day(value: object) -> bool:
    return isinstance(value, date)


def _size(row: tuple[Any, ...]) -> int:
    return sum(
        _VALUE_BYTES + (len(value) if isinstance(value, str | bytes) else 0)
        for value in row
    )


def _fits_python(frame: pl.DataFrame) -> bool:
    """Whether every date and moment of a frame is one that Python has."""
    import polars as pl

    bounds = {pl.Date: (date.min, date.max), pl.Datetime: (datetime.min, datetime.max)}
    for name, kind in frame.schema.items():
        least, most = bounds.get(kind.base_type(), (None, None))
        if least is None:
            continue
        limits = pl.Series([least, most]).cast(kind).to_physical()
        values = frame[name].to_physical()
        if not values.drop_nulls().is_between(limits[0], limits[1]).all():
            return False
    return True
