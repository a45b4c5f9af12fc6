"""What a query asks for: the views and raw rows it names, and of which sweeps.

Read from DuckDB's own tree of the statement. What is not understood asks for all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orket.records import DATASETS
from orket.warehouse.view_files import HUMAN_SCHEMA, VIEW_VERSION, view_files

Node = Mapping[str, Any]

_PLAIN_FUNCTIONS = frozenset(
    ("generate_series", "json_each", "json_tree", "range", "repeat", "unnest")
)
"""Table functions that read no catalogue and no table that a text names."""
_ALWAYS_THERE = frozenset(
    ("policy_default", "policy_override", "task_scope", "what_if")
)
"""Raw tables that are filled whatever is computed."""
_CATALOGUES = ("information_schema", "pg_catalog")
_CATALOGUE_TABLES = ("duckdb_", "pg_", "pragma_", "sqlite_")
_OVER_ALL_SWEEPS = frozenset(
    ("baseline_health", "baseline_record", "kpi_history", "matrix", "version_change")
)
"""Views of which a row of one sweep also hangs on other sweeps."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What has to be there for a query."""

    views: frozenset[str]
    datasets: frozenset[str]
    sweeps: frozenset[str] | None
    """Rows of these sweeps are enough; None is all of them."""
    human: frozenset[str] = frozenset()
    """Views of which the form in people's units is asked for."""
    all_views: bool = False
    """It looks at the catalogue, where everything shows."""

    def covers(self, other: Asked) -> bool:
        """Whether all that the other needs is here."""
        return self.together(other) == self

    def together(self, other: Asked) -> Asked:
        """What both need."""
        sweeps = None
        if self.sweeps is not None and other.sweeps is not None:
            sweeps = self.sweeps | other.sweeps
        return Asked(
            self.views | other.views,
            self.datasets | other.datasets,
            sweeps,
            self.human | other.human,
            self.all_views or other.all_views,
        )


EVERYTHING = Asked(
    frozenset(view_files()),
    frozenset(DATASETS),
    None,
    frozenset(view_files()),
    all_views=True,
)


def read_asked(tree: Node) -> Asked:
    """What a statement serialized by `json_serialize_sql` asks for."""
    views: set[str] = set()
    datasets: set[str] = set()
    human: set[str] = set()
    for node in _nodes(tree):
        kind = node.get("type")
        if kind == "SHOW_REF" and node.get("table_name"):
            return EVERYTHING
        if kind == "TABLE_FUNCTION" and _function(node) not in _PLAIN_FUNCTIONS:
            return EVERYTHING
        if kind != "BASE_TABLE":
            continue
        schema, table = node["schema_name"].lower(), node["table_name"].lower()
        if schema in _CATALOGUES or table.startswith(_CATALOGUE_TABLES):
            return EVERYTHING
        if schema == "raw":
            if table in DATASETS:
                datasets.add(table)
            elif table not in _ALWAYS_THERE:
                return EVERYTHING
        elif schema in ("", "main", "staged", VIEW_VERSION) and table in view_files():
            views.add(table)
        elif schema == HUMAN_SCHEMA and table in view_files():
            views.add(table)
            human.add(table)
    sweeps = None if views & _OVER_ALL_SWEEPS else _sweeps_of(tree)
    return Asked(frozenset(views), frozenset(datasets), sweeps, frozenset(human))


def _sweeps_of(tree: Node) -> frozenset[str] | None:
    """The sweeps that one plain SELECT is limited to by its WHERE."""
    (statement,) = tree["statements"]
    node = statement["node"]
    if node.get("type") != "SELECT_NODE":
        return None
    kinds = [found.get("type") for found in _nodes(node)]
    if kinds.count("SELECT_NODE") > 1 or "SUBQUERY" in kinds:
        return None
    if not _share_sweeps(node["from_table"]):
        return None
    for condition in _conditions(node["where_clause"]):
        sweeps = _named_sweeps(condition)
        if sweeps is not None:
            return sweeps
    return None


def _share_sweeps(source: Node) -> bool:
    """Whether all that is read is one table, or tables joined sweep by sweep."""
    if source.get("type") == "BASE_TABLE":
        return True
    return (
        source.get("type") == "JOIN"
        and source.get("join_type") == "INNER"
        and "sweep_id" in [name.lower() for name in source.get("using_columns", ())]
        and _share_sweeps(source["left"])
        and _share_sweeps(source["right"])
    )


def _conditions(where: Node | None) -> Iterator[Node]:
    if where is None:
        return
    if where.get("type") == "CONJUNCTION_AND":
        for child in where["children"]:
            yield from _conditions(child)
    else:
        yield where


def _named_sweeps(condition: Node) -> frozenset[str] | None:
    """The sweeps of `sweep_id = 'a'` or `sweep_id IN ('a', 'b')`."""
    if condition.get("type") == "COMPARE_EQUAL":
        sides = [condition["left"], condition["right"]]
    elif condition.get("type") == "COMPARE_IN":
        sides = condition["children"]
    else:
        return None
    columns = [side for side in sides if side.get("type") == "COLUMN_REF"]
    texts = [text for side in sides if (text := _text(side)) is not None]
    if len(columns) != 1 or len(texts) != len(sides) - 1:
        return None
    if columns[0]["column_names"][-1].lower() != "sweep_id":
        return None
    return frozenset(texts)


def _text(node: Node) -> str | None:
    """The text of a constant; None of anything else."""
    if node.get("type") != "VALUE_CONSTANT":
        return None
    if "literal" in node:
        literal = node["literal"]
        return str(literal["text"]) if literal.get("kind") == "STRING" else None
    value = node["value"]  # So before DuckDB 2.0.
    if value.get("is_null") or value["type"]["id"] != "VARCHAR":
        return None
    return str(value["value"])


def _function(node: Node) -> str:
    return str(node["function"].get("function_name", "")).lower()


def _nodes(tree: object) -> Iterator[Node]:
    if isinstance(tree, list):
        for item in tree:
            yield from _nodes(item)
    elif isinstance(tree, dict):
        yield tree
        for item in tree.values():
            yield from _nodes(item)
