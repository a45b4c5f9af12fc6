"""The views over a warehouse as SQL alone, for DuckDB without Python or Orket.

What `Views` does with a connection is written down instead: the raw rows by a pattern
of files, the policy tables, the tables of evidence, and every view as a table, each
computed on those below it. Rows that come later are read too; where they need more than
stands in the text, it stops at an error that says so, and gives no answer.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import duckdb

from orket.errors import UsageError
from orket.records import DATASETS
from orket.warehouse.connection import literal, without_marks
from orket.warehouse.evidence_tables import COLUMNS, FILLERS, NUMBERS
from orket.warehouse.human_units import human_comments, human_view
from orket.warehouse.raw import (
    bind_pair,
    bind_policy,
    bind_policy_groups,
    bind_task_scope,
    bind_what_if,
    dataset_view,
    parquet_rows,
)
from orket.warehouse.schema import duckdb_columns
from orket.warehouse.statements import statement
from orket.warehouse.view_files import (
    HUMAN_SCHEMA,
    VIEW_VERSION,
    as_table,
    macro_file,
    view_files,
    views_below,
)

if TYPE_CHECKING:
    from orket.warehouse.store import Warehouse

_HEAD = """\
-- The views of Orket over one warehouse: run this in DuckDB, then ask v1.<view>, or
-- v1h.<view> in units that people read. Written by `orket views --sql`.
"""
_NOT_COVERED = (
    "the warehouse holds more than this text was written for: write it again with "
    "orket views --sql"
)
_BELOW_POLLUTED = "recommendation"


def plain_sql(warehouse: Warehouse) -> str:
    """The statements that make all views over all that the warehouse holds.

    Raises UsageError where DuckDB has no pattern for its path.
    """
    return _HEAD + "".join(f"\n{text};\n" for text in _statements(warehouse))


def _statements(warehouse: Warehouse) -> Iterator[str]:
    warehouse.fetch()
    folder = _pattern(warehouse.path)
    yield "SET TimeZone = 'UTC'"
    for schema in ("raw", "staged", VIEW_VERSION, HUMAN_SCHEMA):
        yield f"CREATE SCHEMA {schema}"
    with warehouse.session() as session:
        yield from session.look(
            lambda connection: [
                *_raw_rows(connection, folder, warehouse),
                *_prepared(),
                *_evidence(connection),
            ],
            FILLERS,
            DATASETS,
        )
    yield from _as_if_polluted_counted()
    yield from _policy({})
    for name in view_files():
        yield from as_table(name)
        if name == _BELOW_POLLUTED:
            yield statement("warehouse", "if_polluted")
    yield from _in_words()
    yield f"SET search_path = '{VIEW_VERSION},main'"


def _pattern(path: Path) -> str:
    """The warehouse's folder as the start of a pattern of files."""
    folder = path.absolute().as_posix()
    if "\\" in folder:
        raise UsageError(
            f"{path} has a backslash in its name, which no pattern of DuckDB can say",
            "rename it, or copy the warehouse",
        )
    try:
        folder.encode()
    except UnicodeEncodeError:
        raise UsageError(
            f"{path!r} is no text", "rename it, or copy the warehouse"
        ) from None
    return without_marks(folder)


def _raw_rows(
    connection: duckdb.DuckDBPyConnection, folder: str, warehouse: Warehouse
) -> Iterator[str]:
    """The raw rows, by patterns of files, so that later parts are read too."""
    for dataset, row_type in DATASETS.items():
        columns = duckdb_columns(row_type)
        inside = "" if dataset == "events" else "sweep_id=*/"
        files = literal(f"{folder}/{dataset}/{inside}part-*.parquet")
        source, more = None, f"EXISTS (SELECT * FROM glob({files}))"
        if warehouse.parts(dataset):
            source, lacking = parquet_rows(connection, columns, files)
            names = ", ".join(map(literal, lacking))
            # A column that no part had yet was written down as one without values.
            found = f"SELECT * FROM parquet_schema({files}) WHERE name IN ({names})"
            more = f"EXISTS ({found})" if lacking else "false"
        yield _covers(dataset, more)
        if source is not None and dataset == "events":
            yield f"CREATE TABLE raw.kept_events AS {source}"
            source = "FROM raw.kept_events"
        yield dataset_view(
            dataset, source, where=f"(SELECT is_covered FROM raw.covers_{dataset})"
        )


def _prepared() -> Iterator[str]:
    """What stands beside the raw rows where nothing is asked otherwise."""
    written = _Written()
    for bind in (bind_task_scope, bind_pair, bind_what_if):
        bind(written.connection, {})
    bind_policy_groups(written.connection)
    yield from written.statements
    yield macro_file().read_text(encoding="utf-8").rstrip().removesuffix(";")


def _policy(overrides: Mapping[str, object]) -> Iterator[str]:
    written = _Written()
    bind_policy(written.connection, overrides)
    for text in written.statements:
        yield text.replace("CREATE TABLE", "CREATE OR REPLACE TABLE", 1)


def _evidence(connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
    """The tables of evidence, each above the views that say what has to be in it."""
    yield from _policy({})
    needed = [name for name in view_files() if name in views_below(FILLERS)]
    for name in needed:
        if name in FILLERS:
            table = name.removesuffix("_table")
            heard = _Heard(connection)
            FILLERS[name](heard.connection)
            more = " OR ".join(_needs_more(*asked) for asked in heard.asked.items())
            yield _covers(table, more or "false")
            yield _evidence_table(table, heard.inserted)
        yield from as_table(name)
    for name in reversed(needed):
        yield from _dropped(name)


def _needs_more(query: str, rows: Sequence[tuple[object, ...]]) -> str:
    """Whether a question about the sweeps has another answer than it had."""
    if query in NUMBERS:
        ((most,),) = rows
        return f"({query}) > {max(int(cast(int, most)), NUMBERS[query])}"
    if not rows:
        return f"EXISTS ({query})"
    values = ", ".join(f"({', '.join(map(str, row))})" for row in rows)
    return f"EXISTS (SELECT * FROM ({query}) EXCEPT VALUES {values})"


def _evidence_table(table: str, lists: Sequence[Sequence[object]]) -> str:
    covered = f"(SELECT is_covered FROM raw.covers_{table})"
    columns = COLUMNS[table]
    if not lists:
        empty = ", ".join(f"CAST(NULL AS BIGINT) AS {name}" for name in columns)
        return f"CREATE TABLE raw.{table} AS SELECT {empty} WHERE NOT {covered}"
    values = ",\n".join(
        f"unnest(CAST([{', '.join(map(_number, column))}] AS BIGINT[])) AS {name}"
        for name, column in zip(columns, lists, strict=True)
    )
    return f"CREATE TABLE raw.{table} AS SELECT\n{values}\nWHERE {covered}"


def _covers(table: str, more: str) -> str:
    """What a table is made behind: without it, nothing above can be made either."""
    return (
        f"CREATE TABLE raw.covers_{table} AS SELECT CASE WHEN {more} "
        f"THEN error({literal(_NOT_COVERED)}) ELSE true END AS is_covered"
    )


def _as_if_polluted_counted() -> Iterator[str]:
    """What would be advised if polluted runs counted where there are no others."""
    below = views_below([_BELOW_POLLUTED])
    yield from _policy({"include_polluted": "fill"})
    for name in view_files():
        if name in below:
            yield from as_table(name)
    yield statement("warehouse", "advised_if_polluted")
    for name in reversed(view_files()):
        if name in below:
            yield from _dropped(name)


def _dropped(name: str) -> Iterator[str]:
    yield f"DROP VIEW IF EXISTS {VIEW_VERSION}.{name}"
    yield f"DROP TABLE IF EXISTS staged.{name}"


def _in_words() -> Iterator[str]:
    """The comments of all views, and the views in people's units."""
    from orket.warehouse.store import Warehouse

    with (
        tempfile.TemporaryDirectory() as empty,
        Warehouse.open(empty).session() as session,
    ):
        session.show_human()
        yield from session.look(_words_of_views)


def _words_of_views(connection: duckdb.DuckDBPyConnection) -> list[str]:
    rows = connection.execute(
        "SELECT 'VIEW', view_name, comment FROM duckdb_views() "
        "WHERE schema_name = $1 AND comment IS NOT NULL UNION ALL "
        """SELECT 'COLUMN', table_name || '."' || column_name || '"', comment """
        "FROM duckdb_columns() WHERE schema_name = $1 AND comment IS NOT NULL",
        [VIEW_VERSION],
    ).fetchall()
    found = [
        f"COMMENT ON {kind} {VIEW_VERSION}.{name} IS {literal(comment)}"
        for kind, name, comment in sorted(rows)
    ]
    found += [human_view(connection, view) for view in view_files()]
    return found + human_comments(connection, view_files())


class _Written:
    """In place of a connection: keeps the statements, and runs none."""

    def __init__(self) -> None:
        self.statements: list[str] = []

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """Itself, for what takes a connection."""
        return cast(duckdb.DuckDBPyConnection, self)

    def execute(self, query: str) -> None:
        """Keep a statement."""
        self.statements.append(query)


class _Heard:
    """In place of a connection: passes questions on, and keeps what is inserted."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self.asked: dict[str, list[tuple[Any, ...]]] = {}
        """Question -> its answer."""
        self.inserted: Sequence[Sequence[object]] = ()
        self._answer: list[tuple[Any, ...]] = []

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """Itself, for what takes a connection."""
        return cast(duckdb.DuckDBPyConnection, self)

    def execute(self, query: str, lists: Sequence[Sequence[object]] = ()) -> _Heard:
        """Ask, or keep the columns of an INSERT."""
        if lists:
            self.inserted = lists
        else:
            self._answer = self._connection.execute(query).fetchall()
            self.asked[query] = self._answer
        return self

    def fetchall(self) -> list[tuple[Any, ...]]:
        """The rows of the last question."""
        return self._answer

    def fetchone(self) -> tuple[Any, ...] | None:
        """Its first row."""
        return self._answer[0] if self._answer else None


def _number(value: object) -> str:
    return "NULL" if value is None else str(value)
