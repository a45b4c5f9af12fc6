"""Binds the parts of a warehouse as the raw views that everything else stands on.

The raw views are the edge: explicit casts to the declared types, so that a part that
was written before a column existed, and an empty warehouse, read like any other.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import msgspec

from orket.admission import IDENTITIES
from orket.errors import UsageError
from orket.policy import SHOWN_GROUPS, Policy, find_fault, shown_thresholds
from orket.records import DATASETS
from orket.warehouse.connection import file_literal, literal
from orket.warehouse.derived import KeptRows
from orket.warehouse.schema import duckdb_columns, required_columns

_APART = "\x1f"
"""Between the name of a sweep and a bucket: no name has it."""
TASK_SCOPE = {"buckets": "bucket", "families": "family"}
"""What-if of names: only the tasks of these are judged. Key -> what it names."""

EACH_BUCKET = "each_bucket"
"""A sweep and some of its buckets: it is judged once by the tasks of each alone, all of
them in one session, as sweeps of their own (`sweep_of_bucket`)."""
PAIR = "pair"
"""What is laid side by side: two sweeps, and a model of each where they are named; or a
list of such pairs."""


def sweep_of_bucket(sweep_id: str, bucket: str) -> str:
    """What a sweep is called where it is judged by one bucket among others."""
    return f"{sweep_id}{_APART}{bucket}"


def bind_dataset(
    connection: duckdb.DuckDBPyConnection,
    dataset: str,
    parts: Sequence[Path],
    *,
    with_part: bool = False,
    kept: KeptRows | None = None,
    once: bool = False,
) -> None:
    """Create `raw.<dataset>` over these parts, every column as it is declared.

    A row in which a column is NULL that every row has is an error when it is read, and
    no row that is passed over in silence. `with_part` adds the path of the part. A part
    whose rows are `kept` is not opened. With `once` all rows are read now, as those of
    events always are, and no part is opened again.
    """
    columns = duckdb_columns(DATASETS[dataset])
    if not parts:
        connection.execute(dataset_view(dataset, None, with_part=with_part))
        return
    source = _rows_of(connection, columns, parts, kept)
    if once or dataset == "events":
        # Small, and read by many views: once from the disk is enough.
        connection.execute(f"CREATE TABLE raw.kept_{dataset} AS {source}")
        source = f"FROM raw.kept_{dataset}"
    connection.execute(dataset_view(dataset, source, with_part=with_part))


def dataset_view(
    dataset: str, source: str | None, *, with_part: bool = False, where: str = "true"
) -> str:
    """The statement that makes `raw.<dataset>` of rows of `source`; None is none."""
    shown = "*" if with_part else "* EXCLUDE (part)"
    if source is None:
        source = _no_rows(duckdb_columns(DATASETS[dataset]))
        return (
            f"CREATE VIEW raw.{dataset} AS SELECT {shown} FROM ({source}) WHERE {where}"
        )
    identity = IDENTITIES[dataset]
    lacking = " ".join(
        f"WHEN {column} IS NULL THEN error('rows without {column} in ' || part)"
        for column in required_columns(DATASETS[dataset])
    )
    return (
        f"CREATE VIEW raw.{dataset} AS "
        f"SELECT {shown} REPLACE (CASE {lacking} ELSE {identity} END AS {identity}) "
        f"FROM ({source}) WHERE {where}"
    )


def unbind_dataset(connection: duckdb.DuckDBPyConnection, dataset: str) -> None:
    """Take `raw.<dataset>` away, so that it can be bound again."""
    connection.execute(f"DROP VIEW raw.{dataset}")
    connection.execute(f"DROP TABLE IF EXISTS raw.kept_{dataset}")


def _no_rows(columns: Mapping[str, str]) -> str:
    """A query that gives no row of a dataset, and the path of its part."""
    empty = ", ".join(
        f'CAST(NULL AS {kind}) AS "{name}"' for name, kind in columns.items()
    )
    return f"SELECT {empty}, CAST(NULL AS VARCHAR) AS part WHERE false"


def _rows_of(
    connection: duckdb.DuckDBPyConnection,
    columns: Mapping[str, str],
    parts: Sequence[Path],
    kept: KeptRows | None,
) -> str:
    """A query over the rows of parts, as they are declared."""
    sources = []
    loose = [part for part in parts if kept is None or part.name not in kept.parts]
    for part in loose:
        _require_plain(part)
    if loose:
        names = ", ".join(map(file_literal, loose))
        source, _ = parquet_rows(connection, columns, f"[{names}]")
        sources.append(source)
    if kept is not None and len(loose) < len(parts):
        bound = ", ".join(literal(part.name) for part in parts)
        chosen = ", ".join(f'"{name}"' for name in columns)
        sources.append(
            f"SELECT {chosen}, part FROM read_parquet({file_literal(kept.file)}) "
            f"WHERE part IN ({bound})"
        )
    return " UNION ALL ".join(sources)


def _require_plain(part: Path) -> None:
    """Raise duckdb.IOException for a pipe or a device, which DuckDB would wait for."""
    try:
        kind = part.stat().st_mode
    except OSError:
        return  # DuckDB says what it finds.
    if not stat.S_ISREG(kind):
        raise duckdb.IOException(f"IO Error: {part} is no file")


def parquet_rows(
    connection: duckdb.DuckDBPyConnection, columns: Mapping[str, str], files: str
) -> tuple[str, list[str]]:
    """A query over the rows of Parquet files, and the columns that none of them has.

    `files` is SQL: a list of names, or a pattern.
    """
    source = (
        f"read_parquet({files}, union_by_name = true, "
        "hive_partitioning = false, filename = 'part')"
    )
    described = connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
    present = {row[0] for row in described}
    chosen = ", ".join(
        f'CAST({_column_or_null(name, present)} AS {kind}) AS "{name}"'
        for name, kind in columns.items()
    )
    lacking = [name for name in columns if name not in present]
    return f"SELECT {chosen}, part FROM {source}", lacking


def bind_policy(
    connection: duckdb.DuckDBPyConnection, overrides: Mapping[str, object]
) -> None:
    """One row of what-if values, and one row of the defaults of the policy."""
    kinds = duckdb_columns(Policy)
    others = {"as_of", PAIR, EACH_BUCKET, *TASK_SCOPE}
    unknown = sorted(set(overrides) - set(kinds) - others)
    if unknown:
        raise UsageError(
            f"no policy value {unknown[0]!r}", f"there are: {', '.join(kinds)}"
        )
    _require_possible({name: overrides.get(name) for name in kinds})
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
        connection.execute(
            f"CREATE TABLE raw.{table} AS "
            f"SELECT {columns}, CAST({as_of} AS TIMESTAMP) AS as_of"
        )


def _require_possible(asked: Mapping[str, object]) -> None:
    given = {name: value for name, value in asked.items() if value is not None}
    try:
        fault = find_fault(msgspec.convert(given, Policy))
    except msgspec.ValidationError as error:
        raise UsageError(
            f"not a policy: {error}", "values are as in v1.policy"
        ) from None
    if fault is not None:
        raise UsageError(
            f"{fault[0]} cannot be {given[fault[0]]!r}: {fault[1]}",
            "values are as in v1.policy",
        )


def bind_task_scope(
    connection: duckdb.DuckDBPyConnection, overrides: Mapping[str, object]
) -> None:
    """A row for each bucket and family that a what-if is limited to; else none.

    Without a sweep it is of all.
    """
    run = connection.execute
    run("CREATE TABLE raw.task_scope (kind VARCHAR, name VARCHAR, sweep_id VARCHAR)")
    for key, kind in TASK_SCOPE.items():
        names = overrides.get(key) or ()
        assert isinstance(names, Sequence) and not isinstance(names, str)
        for name in sorted(set(names)):
            run("INSERT INTO raw.task_scope VALUES (?, ?, NULL)", [kind, name])
    each = overrides.get(EACH_BUCKET)
    if isinstance(each, Mapping):
        run("CREATE TABLE raw.part_of_sweep (name VARCHAR)")
        for name in each["buckets"]:
            sweep = sweep_of_bucket(each["sweep_id"], name)
            run("INSERT INTO raw.part_of_sweep VALUES (?)", [name])
            run("INSERT INTO raw.task_scope VALUES ('bucket', ?, ?)", [name, sweep])


def repeat_dataset(connection: duckdb.DuckDBPyConnection, dataset: str) -> None:
    """Make of the rows of each sweep those of a sweep for each of its parts."""
    identity = IDENTITIES[dataset]
    apart = f"chr({ord(_APART)}) || part_of_sweep.name"
    connection.execute(f"ALTER VIEW raw.{dataset} RENAME TO whole_{dataset}")
    connection.execute(
        f"CREATE VIEW raw.{dataset} AS SELECT whole.* REPLACE ("
        f"whole.sweep_id || {apart} AS sweep_id, "
        f"whole.{identity} || {apart} AS {identity}) "
        f"FROM raw.whole_{dataset} AS whole CROSS JOIN raw.part_of_sweep"
    )


def bind_pair(
    connection: duckdb.DuckDBPyConnection, overrides: Mapping[str, object]
) -> None:
    """The sweeps that are compared, two by two; else none."""
    run = connection.execute
    columns = ("before_sweep", "after_sweep", "before_model", "after_model")
    run(f"CREATE TABLE raw.pair ({', '.join(f'{name} VARCHAR' for name in columns)})")
    given = overrides.get(PAIR)
    for pair in given if isinstance(given, list) else [given]:
        if isinstance(pair, Mapping):
            run("INSERT INTO raw.pair VALUES (?, ?, ?, ?)", [pair[n] for n in columns])


def bind_policy_groups(connection: duckdb.DuckDBPyConnection) -> None:
    """A macro for each group that the summary shows: of a policy, its thresholds."""
    for group in SHOWN_GROUPS:
        fields = ", ".join(
            f"'{entry.field}': policy.{entry.field}"
            for entry in shown_thresholds(group)
        )
        connection.execute(f"CREATE MACRO raw.{group.key}(policy) AS {{{fields}}}")


def bind_what_if(
    connection: duckdb.DuckDBPyConnection, overrides: Mapping[str, object]
) -> None:
    """What the summary tells of a what-if, and room for its answer on pollution."""
    run = connection.execute
    run("CREATE TABLE raw.what_if (key VARCHAR, value VARCHAR)")
    for key, value in overrides.items():
        plain = value.isoformat() if isinstance(value, datetime) else value
        run("INSERT INTO raw.what_if VALUES (?, ?)", [key, json.dumps(plain)])
    run(
        "CREATE TABLE raw.recommendation_if_polluted (sweep_id VARCHAR, "
        "model_id VARCHAR, minimum_viable_quant VARCHAR, best_value_quant VARCHAR)"
    )


def _column_or_null(name: str, present: set[str]) -> str:
    return f'"{name}"' if name in present else "NULL"


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
        return literal(moment.strftime("%Y-%m-%d %H:%M:%S.%f"))
    return literal(str(value))
