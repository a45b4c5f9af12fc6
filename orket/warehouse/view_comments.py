"""The comments of the views: what a column means is written down once."""

from __future__ import annotations

from collections.abc import Collection

import duckdb

from orket.policy import POLICY_KEYS
from orket.warehouse.connection import literal
from orket.warehouse.human_units import human_comments
from orket.warehouse.view_files import (
    VIEW_VERSION,
    split_comments,
    view_files,
    views_under,
)


def comment_views(
    connection: duckdb.DuckDBPyConnection, names: Collection[str] | None = None
) -> None:
    """Apply every view's own comments, and pass them on where a column is passed on.

    `names` limits it to views that are there, with all that they are made from.

    A column without a comment of its own means what the column of that name means in
    the nearest view that its view is made from.
    """
    files = {
        name: path
        for name, path in view_files().items()
        if names is None or name in names
    }
    for path in files.values():
        connection.execute(split_comments(path)[1])
    if "policy" in files:
        _comment_thresholds(connection)
    meanings = _own_comments(connection)
    for place, (view, path) in enumerate(files.items()):
        made_from = views_under(path)
        nearest = [name for name in reversed(list(files)[:place]) if name in made_from]
        for column, comment in meanings[view].items():
            passed_on = next(
                (
                    meanings[name][column]
                    for name in nearest
                    if meanings[name].get(column)
                ),
                None,
            )
            if comment is None and passed_on:
                meanings[view][column] = passed_on
                _comment(connection, view, column, passed_on)


def comment_human(
    connection: duckdb.DuckDBPyConnection, names: Collection[str] | None = None
) -> None:
    """The same of the views in people's units, once those of version 1 have theirs."""
    views = view_files() if names is None else names
    for statement in human_comments(connection, views):
        connection.execute(statement)


def _comment_thresholds(connection: duckdb.DuckDBPyConnection) -> None:
    """What each threshold means, from its declaration."""
    for entry in POLICY_KEYS.values():
        words = ", ".join(filter(None, (entry.meaning, entry.unit.kept)))
        _comment(connection, "policy", entry.field, words)


def _comment(
    connection: duckdb.DuckDBPyConnection, view: str, column: str, text: str
) -> None:
    connection.execute(
        f"COMMENT ON COLUMN {VIEW_VERSION}.{view}.{column} IS {literal(text)}"
    )


def _own_comments(
    connection: duckdb.DuckDBPyConnection,
) -> dict[str, dict[str, str | None]]:
    """View -> column -> its comment, NULL where its file has none."""
    rows = connection.execute(
        "SELECT table_name, column_name, comment FROM duckdb_columns() "
        "WHERE schema_name = ? ORDER BY table_name, column_index",
        [VIEW_VERSION],
    ).fetchall()
    found: dict[str, dict[str, str | None]] = {}
    for view, column, comment in rows:
        found.setdefault(view, {})[column] = comment
    return found
