"""Rows on stdout: a table for a person, JSON and CSV for programs."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from orket.cli.messages import escape_text
from orket.exports.json_text import moment_text, render_json

if TYPE_CHECKING:
    from rich.table import Table

Row = Mapping[str, Any]
Column = str | tuple[str, str]
"""A key of the rows, or the key and the header that the table shows for it."""

_PIPE_WIDTH = 100_000
"""Characters; a table in a pipe is never folded or cut."""


def print_rows(
    rows: Iterable[Row],
    columns: Sequence[Column],
    output_format: str | None = None,
    title: str | None = None,
) -> None:
    """Print `rows` as `table`, `json` or `csv`.

    None is a table on a terminal and CSV in a pipe. A missing key is an empty cell.
    """
    named = [(c, c) if isinstance(c, str) else c for c in columns]
    chosen = output_format or ("table" if is_terminal() else "csv")
    if chosen == "json":
        keys = [key for key, _ in named]
        click.echo(render_json([{key: row.get(key) for key in keys} for row in rows]))
    elif chosen == "csv":
        click.echo(_csv_text(rows, named), nl=False)
    else:
        print_table(_build_table(list(rows), named, title))


def print_table(table: Table) -> None:
    """Print a rich table: coloured on a terminal, plain and uncut in a pipe."""
    from rich.console import Console

    if is_terminal():
        Console(markup=False, emoji=False, highlight=False).print(table)
        return
    buffer = io.StringIO()
    console = Console(
        file=buffer, width=_PIPE_WIDTH, markup=False, emoji=False, no_color=True
    )
    console.print(table)
    for line in buffer.getvalue().splitlines():
        click.echo(line.rstrip())


def print_line(text: str = "") -> None:
    """Print one line of result, escaped."""
    click.echo(escape_text(text))


def is_terminal() -> bool:
    """Whether stdout is a terminal."""
    return sys.stdout.isatty()


def show_value(value: object, empty: str = "") -> str:
    """A value as one line of plain, escaped text."""
    if value is None:
        return empty
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return _show_moment(value)
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, (dict, list, tuple)):
        return escape_text(render_json(value, indent=None))
    if isinstance(value, bytes):
        return value.hex()
    return escape_text(str(value))


def _show_moment(value: datetime) -> str:
    if value.tzinfo is not None:
        value = value.astimezone(UTC).replace(tzinfo=None)
    return value.isoformat(sep=" ", timespec="seconds") + "Z"


def _csv_text(rows: Iterable[Row], named: Sequence[tuple[str, str]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([key for key, _ in named])
    for row in rows:
        writer.writerow([_csv_cell(row.get(key)) for key, _ in named])
    return buffer.getvalue()


def _csv_cell(value: object) -> str:
    if isinstance(value, str):
        # Quoting keeps line breaks; the rest a terminal could act upon is spelled out.
        return "\n".join(escape_text(line) for line in value.split("\n"))
    return moment_text(value) if isinstance(value, datetime) else show_value(value)


def _is_number(value: object) -> bool:
    numeric = isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)
    return value is None or numeric


def _build_table(
    rows: Sequence[Row], named: Sequence[tuple[str, str]], title: str | None
) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(title) if title else None, title_justify="left", box=box.SIMPLE_HEAD
    )
    for key, header in named:
        values = [row.get(key) for row in rows]
        numeric = any(v is not None for v in values) and all(map(_is_number, values))
        table.add_column(
            Text(header), justify="right" if numeric else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*(Text(show_value(row.get(key), "-")) for key, _ in named))
    return table
