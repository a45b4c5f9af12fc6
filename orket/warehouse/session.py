"""DuckDB with the views of version 1 over a warehouse's parts.

The raw views are the edge: explicit casts to the declared types, so that a part that
was written before a column existed, and an empty warehouse, read like any other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import duckdb

from orket.errors import UsageError, WarehouseError
from orket.records import DATASETS, Policy
from orket.resources import shipped
from orket.warehouse.parts import first_unreadable
from orket.warehouse.schema import duckdb_columns

if TYPE_CHECKING:
    import polars as pl

    from orket.warehouse.store import Warehouse

VIEW_VERSION = "v1"
_VIEW_FILE = re.compile(r"^\d+_(?P<name>\w+)\.sql$")


@dataclass(frozen=True, slots=True)
class ColumnNote:
    """One column of a view with its comment."""

    view: str
    column: str
    type: str
    comment: str


def _macro_file() -> Path:
    return shipped("sql") / VIEW_VERSION / "macros.sql"


@cache
def view_files() -> dict[str, Path]:
    """View name -> SQL file, in dependency order."""
    files = sorted((shipped("sql") / VIEW_VERSION).glob("*.sql"))
    found = {
        match["name"]: path for path in files if (match := _VIEW_FILE.match(path.name))
    }
    if not found:
        raise WarehouseError(
            f"the SQL views are missing from {shipped('sql')}", "install Orket again"
        )
    return found


class Session:
    """A connection whose raw views are bound to the parts of a warehouse."""

    def __init__(
        self,
        warehouse: Warehouse,
        sweep_id: str | None,
        overrides: Mapping[str, object],
        threads: int,
    ) -> None:
        self._warehouse = warehouse
        self._sweep_id = sweep_id
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
        self._comment()
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
            self._bind_raw(dataset)
        self._bind_overrides(overrides)
        self._bind_what_if(overrides)
        run(_macro_file().read_text(encoding="utf-8"))

    def _bind_raw(self, dataset: str) -> None:
        columns = duckdb_columns(DATASETS[dataset])
        parts = self._warehouse.parts(dataset, self._sweep_id)
        if not parts:
            empty = ", ".join(
                f'CAST(NULL AS {kind}) AS "{name}"' for name, kind in columns.items()
            )
            self._connection.execute(
                f"CREATE VIEW raw.{dataset} AS SELECT {empty} WHERE false"
            )
            return
        names = ", ".join(_quoted(str(part)) for part in parts)
        source = (
            f"read_parquet([{names}], union_by_name = true, hive_partitioning = false)"
        )
        present = {
            row[0]
            for row in self._connection.execute(
                f"DESCRIBE SELECT * FROM {source}"
            ).fetchall()
        }
        chosen = ", ".join(
            f'CAST({_column_or_null(name, present)} AS {kind}) AS "{name}"'
            for name, kind in columns.items()
        )
        self._connection.execute(
            f"CREATE VIEW raw.{dataset} AS SELECT {chosen} FROM {source}"
        )

    def _bind_overrides(self, overrides: Mapping[str, object]) -> None:
        """One row of what-if values, and one row of the defaults of the policy."""
        kinds = duckdb_columns(Policy)
        unknown = sorted(set(overrides) - set(kinds) - {"as_of"})
        if unknown:
            raise UsageError(
                f"no policy value {unknown[0]!r}", f"there are: {', '.join(kinds)}"
            )
        defaults = Policy()
        for table, values in (
            ("policy_override", overrides),
            ("policy_default", {name: getattr(defaults, name) for name in kinds}),
        ):
            columns = ", ".join(
                f"CAST({_literal(values.get(name))} AS {kind}) AS {name}"
                for name, kind in kinds.items()
            )
            as_of = _literal(values.get("as_of"))
            self._connection.execute(
                f"CREATE TABLE raw.{table} AS "
                f"SELECT {columns}, CAST({as_of} AS TIMESTAMP) AS as_of"
            )

    def _bind_what_if(self, overrides: Mapping[str, object]) -> None:
        """What the summary tells of a what-if, and room for its answer on pollution."""
        run = self._connection.execute
        run("CREATE TABLE raw.what_if (key VARCHAR, value VARCHAR)")
        for key, value in overrides.items():
            plain = value.isoformat() if isinstance(value, datetime) else value
            run("INSERT INTO raw.what_if VALUES (?, ?)", [key, json.dumps(plain)])
        run(
            "CREATE TABLE raw.recommendation_if_polluted (sweep_id VARCHAR, "
            "model_id VARCHAR, minimum_viable_quant VARCHAR, best_value_quant VARCHAR)"
        )

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
        with Session(self._warehouse, self._sweep_id, what_if, threads=1) as other:
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
        self.stage(_views_named(query))

    def stage(self, names: Iterable[str]) -> None:
        """Create these views and all they stand on, each on kept rows of the others.

        Views nested to the ground would be bound and computed again for every
        reference, which grows exponentially with their depth.
        """
        files = view_files()
        needed = set(names)
        for name in reversed(files):
            if name in needed:
                needed |= _views_named(_split_comments(files[name])[0]) - {name}
        for name, path in files.items():
            if name in needed and name not in self._staged:
                try:
                    self._stage_one(name, path)
                except duckdb.Error as error:
                    raise self._explain(error) from error
                self._staged.add(name)

    def _stage_one(self, name: str, path: Path) -> None:
        if name == "summary":
            self._ask_if_polluted()
        run = self._connection.execute
        view = f"{VIEW_VERSION}.{name}"
        code, _ = _split_comments(path)
        run(code)
        run(f"CREATE TABLE staged.{name} AS SELECT * FROM {view}")
        run(f"CREATE OR REPLACE VIEW {view} AS SELECT * FROM staged.{name}")

    def _comment(self) -> None:
        """Apply the comments of all views; replacing a view drops them."""
        self.stage(self.view_names())
        for path in view_files().values():
            self._connection.execute(_split_comments(path)[1])

    def _explain(self, error: duckdb.Error) -> WarehouseError | UsageError:
        """Name the torn part, if one is the cause; else say what DuckDB says."""
        parts = [
            part
            for dataset in DATASETS
            for part in self._warehouse.parts(dataset, self._sweep_id)
        ]
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
    """Views as tables in memory; nothing else can be reached or changed."""

    def __init__(
        self,
        warehouse: Warehouse,
        sweep_id: str | None,
        overrides: Mapping[str, object],
    ) -> None:
        super().__init__(warehouse, sweep_id, overrides, threads=1)
        self._comment()
        run = self._connection.execute
        for dataset in DATASETS:
            # The raw views still point at files: an unlocked way to the disk.
            run(f"CREATE TABLE staged.raw_{dataset} AS SELECT * FROM raw.{dataset}")
            run(
                f"CREATE OR REPLACE VIEW raw.{dataset} AS "
                f"SELECT * FROM staged.raw_{dataset}"
            )
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


class OpenWarehouse:
    """A warehouse for notebooks: every view as a Polars frame."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def sweeps(self) -> list[str]:
        """All sweeps, oldest first."""
        return self._warehouse.sweep_ids()

    def view(
        self, name: str, sweep: str | None = None, **overrides: object
    ) -> pl.DataFrame:
        """One view, over all sweeps or one (`latest`, an id, a prefix).

        Keyword arguments are a what-if, e.g. `adherence_threshold_ppm=900_000`.
        """
        bound = self._warehouse.resolve(sweep) if sweep else None
        with self._warehouse.session(bound, overrides) as session:
            return session.view(name)

    def sql(self, query: str, sweep: str | None = None) -> pl.DataFrame:
        """The rows of a SELECT over the views, as a Polars frame."""
        bound = self._warehouse.resolve(sweep) if sweep else None
        with self._warehouse.session(bound) as session:
            return session.frame(query)

    def views(self) -> list[str]:
        """The names of the views, in dependency order."""
        return list(view_files())


def open_warehouse(path: str | Path | None = None) -> OpenWarehouse:
    """The warehouse at `path`, else at $ORKET_WAREHOUSE, else ./warehouse."""
    from orket.warehouse.store import Warehouse

    return OpenWarehouse(Warehouse.open(path))


def _split_comments(path: Path) -> tuple[str, str]:
    """The statement that makes a view, and the COMMENT ON statements behind it."""
    code, mark, comments = path.read_text(encoding="utf-8").partition("COMMENT ON VIEW")
    lines = [line for line in code.splitlines() if not line.lstrip().startswith("--")]
    return "\n".join(lines), mark + comments


def _views_named(text: str) -> set[str]:
    """The views of version 1 that a text refers to."""
    named = re.findall(rf'\b{VIEW_VERSION}"?\s*\.\s*"?(\w+)', text, re.IGNORECASE)
    return {name.lower() for name in named} & set(view_files())


def _column_or_null(name: str, present: set[str]) -> str:
    return f'"{name}"' if name in present else "NULL"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _literal(value: object) -> str:
    """A SQL literal of a policy value."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, datetime):
        moment = value.astimezone(UTC) if value.tzinfo else value
        return _quoted(moment.strftime("%Y-%m-%d %H:%M:%S.%f"))
    return _quoted(str(value))
