"""DuckDB with the views of version 1 over a warehouse's parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import duckdb

from orket.errors import UsageError, WarehouseError
from orket.records import DATASETS
from orket.warehouse.parts import first_unreadable
from orket.warehouse.raw import (
    bind_dataset,
    bind_policy,
    bind_policy_groups,
    bind_what_if,
)
from orket.warehouse.view_comments import comment_views
from orket.warehouse.view_files import (
    VIEW_VERSION,
    macro_file,
    split_comments,
    view_files,
    views_named,
    views_under,
)

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class ColumnNote:
    """One column of a view with its comment."""

    view: str
    column: str
    type: str
    comment: str


Parts = Mapping[str, Sequence[Path]]
"""Dataset -> the Parquet parts that it is read from."""


class Session:
    """A connection whose raw views are bound to the parts of a warehouse."""

    def __init__(
        self,
        parts: Parts,
        overrides: Mapping[str, object],
        threads: int,
    ) -> None:
        self._parts = parts
        self._overrides = dict(overrides)
        self._staged: set[str] = set()
        self._connection = duckdb.connect(":memory:", config={"threads": threads})
        try:
            self._prepare(overrides)
        except duckdb.Error as error:
            self.close()
            raise self._explain(error) from error
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def rows(
        self, query: str, parameters: Sequence[object] = ()
    ) -> list[dict[str, Any]]:
        """The rows of a query as dictionaries, drained at once."""
        self._stage_for(query)
        try:
            cursor = self._connection.execute(query, list(parameters))
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        except duckdb.Error as error:
            raise self._explain(error) from error

    def frame(self, query: str, parameters: Sequence[object] = ()) -> pl.DataFrame:
        """The rows of a query as a Polars frame."""
        import polars as pl

        self._stage_for(query)
        try:
            relation = self._connection.sql(query, params=list(parameters))
            table = relation.to_arrow_table()
        except duckdb.Error as error:
            raise self._explain(error) from error
        frame = pl.from_arrow(table)
        assert isinstance(frame, pl.DataFrame)
        return frame

    def view(self, name: str) -> pl.DataFrame:
        """One view of version 1 as a Polars frame, in the view's own row order."""
        known = self.view_names()
        if name not in known:
            raise UsageError(f"no view {name!r}", f"there are: {', '.join(known)}")
        return self.frame(f"SELECT * FROM {VIEW_VERSION}.{name}")

    def view_names(self) -> list[str]:
        """The views, in dependency order."""
        return list(view_files())

    def notes(self) -> list[ColumnNote]:
        """Every column of every view with its comment, in order."""
        self.comment()
        rows = self.rows(
            "SELECT table_name, column_name, data_type, comment FROM duckdb_columns() "
            "WHERE schema_name = ? ORDER BY table_name, column_index",
            [VIEW_VERSION],
        )
        order = {name: place for place, name in enumerate(self.view_names())}
        rows.sort(key=lambda row: order[row["table_name"]])
        return [
            ColumnNote(
                row["table_name"],
                row["column_name"],
                row["data_type"],
                row["comment"] or "",
            )
            for row in rows
        ]

    def _prepare(self, overrides: Mapping[str, object]) -> None:
        run = self._connection.execute
        run("SET TimeZone = 'UTC'")
        run("SET autoinstall_known_extensions = false")
        run("SET autoload_known_extensions = false")
        run("SET python_enable_replacements = false")
        run("CREATE SCHEMA raw")
        run(f"CREATE SCHEMA {VIEW_VERSION}")
        run("CREATE SCHEMA staged")
        for dataset in DATASETS:
            bind_dataset(self._connection, dataset, self._parts[dataset])
        bind_policy(self._connection, overrides)
        bind_policy_groups(self._connection)
        bind_what_if(self._connection, overrides)
        run(macro_file().read_text(encoding="utf-8"))

    def _ask_if_polluted(self) -> None:
        """Where pollution alone keeps a quant out, judge once more with it included."""
        run = self._connection.execute
        asked = run(
            f"SELECT 1 FROM {VIEW_VERSION}.recommendation "
            "WHERE quants_out_by_pollution > 0 LIMIT 1"
        ).fetchone()
        if not asked:
            return
        what_if = {**self._overrides, "include_polluted": "fill"}
        with Session(self._parts, what_if, threads=1) as other:
            answers = other.rows(
                "SELECT sweep_id, model_id, minimum_viable_quant, best_value_quant "
                f"FROM {VIEW_VERSION}.recommendation"
            )
        for answer in answers:
            run(
                "INSERT INTO raw.recommendation_if_polluted VALUES (?, ?, ?, ?)",
                list(answer.values()),
            )

    def _stage_for(self, query: str) -> None:
        """Compute the views a query names, and those they stand on."""
        self.stage(views_named(query))

    def stage(self, names: Iterable[str]) -> None:
        """Create these views and all they stand on, each on kept rows of the others.

        Views nested to the ground would be bound and computed again for every
        reference, which grows exponentially with their depth.
        """
        files = view_files()
        needed = set(names)
        for name in reversed(files):
            if name in needed:
                needed |= views_under(files[name])
        for name, path in files.items():
            if name in needed and name not in self._staged:
                try:
                    self._stage_one(name, path)
                except duckdb.Error as error:
                    raise self._explain(error) from error
                self._staged.add(name)

    def _stage_one(self, name: str, path: Path) -> None:
        run = self._connection.execute
        view = f"{VIEW_VERSION}.{name}"
        code, _ = split_comments(path)
        if "raw.recommendation_if_polluted" in code:
            self._ask_if_polluted()
        run(code.replace(f"CREATE VIEW {view} AS", f"CREATE TABLE staged.{name} AS", 1))
        run(f"CREATE VIEW {view} AS SELECT * FROM staged.{name}")

    def comment(self) -> None:
        """Compute all views and apply their comments."""
        self.stage(self.view_names())
        comment_views(self._connection)

    def _explain(self, error: duckdb.Error) -> WarehouseError | UsageError:
        """Name the torn part, if one is the cause; else say what DuckDB says."""
        parts = [part for dataset in DATASETS for part in self._parts[dataset]]
        torn = (
            first_unreadable(parts)
            if isinstance(error, duckdb.IOException | duckdb.InvalidInputException)
            else None
        )
        if torn:
            part, reason = torn
            return WarehouseError(
                f"{part} cannot be read as Parquet ({reason})",
                "move this file away and run the command again; other parts are whole",
            )
        return UsageError(str(error).splitlines()[0])


class LockedSession(Session):
    """Views as tables in memory for anybody's SQL; every way out of it is closed."""

    def __init__(self, parts: Parts, overrides: Mapping[str, object]) -> None:
        super().__init__(parts, overrides, threads=1)
        self.comment()
        run = self._connection.execute
        for dataset in DATASETS:
            # The raw views still point at files: an unlocked way to the disk.
            run(f"CREATE TABLE staged.raw_{dataset} AS SELECT * FROM raw.{dataset}")
            run(
                f"CREATE OR REPLACE VIEW raw.{dataset} AS "
                f"SELECT * FROM staged.raw_{dataset}"
            )
        run(f"SET search_path = '{VIEW_VERSION},main'")
        run("SET enable_external_access = false")
        run("SET lock_configuration = true")

    def query(self, text: str) -> pl.DataFrame:
        """The rows of a single SELECT. Raises UsageError for anything else."""
        try:
            statements = self._connection.extract_statements(text)
        except duckdb.Error as error:
            raise UsageError(str(error).splitlines()[0]) from error
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise UsageError(
                "only a single SELECT is run here",
                "the views are read-only; see the columns with: orket sql",
            )
        return self.frame(text)
