"""`orket views`: what there is to ask, and the SQL that makes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orket.cli.options import format_option, store_option
from orket.cli.output import choose_format, print_prose, print_rows
from orket.errors import UsageError
from orket.text import nearest

if TYPE_CHECKING:
    from orket.warehouse import Warehouse

_LONGEST_TYPE = 24
"""Characters in a table."""


@click.command()
@click.argument("view", required=False)
@click.option(
    "--sql",
    "as_sql",
    is_flag=True,
    help="Write the SQL that makes all views over the warehouse, for plain DuckDB.",
)
@store_option
@format_option
def views(
    view: str | None, as_sql: bool, store: Warehouse, output_format: str | None
) -> None:
    """List the views, or the columns of VIEW.

    VIEW is v1.NAME or NAME; v1h.NAME is the same in units that people read. With --sql
    nothing is listed: run what is written in DuckDB, with no Python or Orket, and ask
    the same views there.
    """
    if as_sql:
        _write_sql(view, store)
    elif view is None:
        _list_views(output_format)
    else:
        _list_columns(view, output_format)


def _write_sql(view: str | None, store: Warehouse) -> None:
    from orket.warehouse.plain_sql import plain_sql

    if view is not None:
        raise UsageError(
            "--sql writes all views, for they stand on each other",
            "leave the name of the view away",
        )
    if not store.path.is_dir():
        raise UsageError(
            f"there is no warehouse {store.path}", "name its folder with -w"
        )
    click.echo(plain_sql(store), nl=False)


def _short_type(text: str) -> str:
    """A type for a table: what is in a group is told by its words, or as JSON."""
    if len(text) <= _LONGEST_TYPE:
        return text
    return text.partition("(")[0] + text[len(text.rstrip("[]")) :]


def _list_views(output_format: str | None) -> None:
    from orket.warehouse.catalogue import described_views

    rows = [
        {"view": name, "meaning": meaning}
        for name, meaning in described_views().items()
    ]
    print_rows(rows, ("view", "meaning"), output_format, rigid="view")


def _list_columns(view: str, output_format: str | None) -> None:
    from orket.warehouse.catalogue import described_columns, described_views
    from orket.warehouse.view_files import HUMAN_SCHEMA, VIEW_VERSION

    schema, _, name = view.lower().rpartition(".")
    known = described_views()
    if name not in known or schema not in ("", VIEW_VERSION, HUMAN_SCHEMA):
        raise UsageError(
            f"no view {view!r}", nearest(name, sorted(known)) or "see: orket views"
        )
    rows = [
        {"column": note.column, "type": note.type, "meaning": note.comment}
        for note in described_columns(name, human=schema == HUMAN_SCHEMA)
    ]
    if choose_format(output_format) == "table":
        print_prose(known[name])
        rows = [{**row, "type": _short_type(row["type"])} for row in rows]
    print_rows(rows, ("column", "type", "meaning"), output_format, rigid="column")
