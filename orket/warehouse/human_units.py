"""The views in units that people read: `v1h.<view>` beside every `v1.<view>`.

Generated from one declaration of units: a column whose name ends in a unit of storage
is a decimal in a unit of people, under a name that says it; all others stay as they
are. For looking and drawing: what decides are the integers of version 1.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import duckdb

from orket.warehouse.connection import literal
from orket.warehouse.view_files import HUMAN_SCHEMA, VIEW_VERSION

if TYPE_CHECKING:
    from duckdb.sqltypes import DuckDBPyType


@dataclass(frozen=True, slots=True)
class HumanUnit:
    """How a column of one unit of storage is shown."""

    ending: str
    """What its name ends with; a name may be that alone."""
    shown: str
    """What stands there instead."""
    divisor: int
    kept: str
    """The unit as the comments of version 1 write it."""
    words: str
    """The unit as it is shown; none for a plain number."""
    names: str = ""
    """A pattern that the rest of the name has to match."""


_NUMBERS = (
    r"(?:bits_per_weight|measured_bpw|design_effect|utility|vibe_delta|worth"
    r"|adherence_sum|loss_sum)"
)
"""What is counted in millionths or billionths and is no share of a whole."""
_SHARES_NANO = r".*(?:adherence|adherence_delta|adherence_variance|margin|loss|reached)"

UNITS = (
    HumanUnit("_bytes_per_second", "_mib_per_second", 1 << 20, "bytes/s", "MiB/s"),
    HumanUnit("_bytes", "_mib", 1 << 20, "bytes", "MiB"),
    HumanUnit("_ns2", "_seconds2", 10**18, "ns^2", "s^2"),
    HumanUnit("_ns", "_seconds", 10**9, "ns", "s"),
    HumanUnit("_us", "_seconds", 10**6, "us", "s"),
    HumanUnit("_uj", "_joules", 10**6, "uJ", "J"),
    HumanUnit(
        "_tps_milli",
        "_tokens_per_second",
        1000,
        "1/1000 tokens per second",
        "tokens/s",
    ),
    HumanUnit(
        "_tokens_per_second_milli",
        "_tokens_per_second",
        1000,
        "1/1000 per second",
        "tokens/s",
    ),
    HumanUnit(
        "_milli",
        "_tokens_per_second",
        1000,
        "1/1000 tokens per second",
        "tokens/s",
        "rate_(?:low|middle|high)",
    ),
    HumanUnit("_milli_c", "_celsius", 1000, "1/1000 degrees Celsius", "°C"),
    HumanUnit("_milli", "", 1000, "1/1000", ""),
    HumanUnit("_khz", "_mhz", 1000, "kHz", "MHz"),
    HumanUnit("_nnats", "_nats", 10**9, "1e-9 nats", "nats"),
    HumanUnit("_ppm", "_percent", 10**4, "ppm", "%"),
    HumanUnit("_micro", "", 10**6, "1e-6", "", _NUMBERS),
    HumanUnit("_micro", "_percent", 10**4, "1e-6", "%"),
    HumanUnit("_nano", "", 10**9, "1e-9", "", f".*{_NUMBERS}"),
    HumanUnit("_nano", "_percent", 10**7, "1e-9", "%", _SHARES_NANO),
    HumanUnit("_nano", "", 10**9, "1e-9", ""),
)
"""The first that fits rules."""
_COMMENTS = """
SELECT view_name AS name, NULL, comment FROM duckdb_views()
WHERE schema_name = $1 AND comment IS NOT NULL
UNION ALL
SELECT table_name, NULL, comment FROM duckdb_tables()
WHERE schema_name = $1 AND comment IS NOT NULL
UNION ALL
SELECT table_name, column_name, comment FROM duckdb_columns()
WHERE schema_name = $1 AND comment IS NOT NULL
ORDER BY ALL
"""
"""View, column or NULL, and what is said of it: of views, and of tables like them."""
_NUMERIC = frozenset(("bigint", "hugeint", "integer", "ubigint", "double"))


def human_unit(column: str) -> HumanUnit | None:
    """The unit of a column of numbers by its name; None where it has none."""
    for unit in UNITS:
        is_bare = column == unit.ending.removeprefix("_") and bool(unit.shown)
        if not is_bare and not column.endswith(unit.ending):
            continue
        rest = column.removesuffix(unit.ending)
        if not unit.names or re.fullmatch(unit.names, rest):
            return unit
    return None


def human_name(column: str) -> str:
    """The column's name in people's units."""
    unit = human_unit(column)
    if unit is None:
        return column
    if column == unit.ending.removeprefix("_"):
        return unit.shown.removeprefix("_")
    return column.removesuffix(unit.ending) + unit.shown


def human_view(connection: duckdb.DuckDBPyConnection, view: str) -> str:
    """The statement that makes `v1h.<view>`; the view of version 1 is there."""
    relation = connection.sql(f"SELECT * FROM {VIEW_VERSION}.{view}")
    chosen = []
    for column, kind in zip(relation.columns, relation.types, strict=True):
        name, value = _shown(_quoted(column), column, kind, 0)
        chosen.append(f"    {value} AS {_quoted(name)}")
    columns = ",\n".join(chosen)
    return (
        f"CREATE VIEW {HUMAN_SCHEMA}.{view} AS\nSELECT\n{columns}\n"
        f"FROM {VIEW_VERSION}.{view}"
    )


def human_comments(
    connection: duckdb.DuckDBPyConnection, views: Collection[str]
) -> list[str]:
    """The comments of `v1h.<view>`: those of version 1, with its own units."""
    rows = connection.execute(_COMMENTS, [VIEW_VERSION]).fetchall()
    statements = []
    for view, column, comment in rows:
        if view not in views:
            continue
        target = f"{HUMAN_SCHEMA}.{view}"
        if column is None:
            statements.append(f"COMMENT ON VIEW {target} IS {literal(comment)}")
        else:
            name = _quoted(human_name(column))
            words = literal(human_comment(column, comment))
            statements.append(f"COMMENT ON COLUMN {target}.{name} IS {words}")
    return statements


def human_comment(column: str, comment: str) -> str:
    """What a column means, with the unit it is shown in."""
    unit = human_unit(column)
    if unit is None:
        return comment
    # The unit stands behind a comma, at the end or before what more is said.
    kept = re.escape(unit.kept)
    words = f", {unit.words}" if unit.words else ""
    return re.sub(rf", {kept}(?=;| of |$)", lambda _: words, comment)


def _shown(source: str, name: str, kind: DuckDBPyType, depth: int) -> tuple[str, str]:
    """The name of a value in people's units, and the SQL that gives it."""
    if kind.id == "list":
        ((_, inner),) = _children(kind)
        each = f"each{depth}"
        shown, value = _shown(each, name, inner, depth + 1)
        if value == each:
            return name, source
        return shown, f"list_transform({source}, lambda {each}: {value})"
    if kind.id == "struct":
        fields = [
            (field, *_shown(f"{source}.{_quoted(field)}", field, inner, depth))
            for field, inner in _children(kind)
        ]
        if all(value == f"{source}.{_quoted(field)}" for field, _, value in fields):
            return name, source
        packed = ", ".join(f"{_quoted(shown)} := {value}" for _, shown, value in fields)
        return name, (f"CASE WHEN {source} IS NOT NULL THEN struct_pack({packed}) END")
    unit = human_unit(name)
    if unit is None or kind.id not in _NUMERIC:
        return name, source
    return human_name(name), f"CAST({source} AS DOUBLE) / {unit.divisor}"


def _children(kind: DuckDBPyType) -> list[tuple[str, DuckDBPyType]]:
    """What a list or a struct is made of."""
    return cast("list[tuple[str, DuckDBPyType]]", kind.children)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
