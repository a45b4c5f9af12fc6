"""Rows on stdout: a table for a person, JSON and CSV for programs."""

from __future__ import annotations

import csv
import io
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

import click

from orket.cli.folding import columns_of, fold_command, fold_line, fold_words
from orket.exports.json_text import moment_text, render_json
from orket.text import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

Layout = Literal["table", "fit", "blocks"]
"""A table; a table where it fits and else blocks; blocks: a line for each value."""

Row = Mapping[str, Any]
Column = str | tuple[str, str]
"""A key of the rows, or the key and the header that the table shows for it."""

_ANY_HEIGHT = 25
_LEAST_VALUE = 20
"""Characters of a value beside its label: fewer and it stands below."""
_RULE = "\u2500"
"""What rich draws below the headers: cp1252 has none."""
_PIPE_WIDTH = 100_000
"""Characters; a table in a pipe is never folded or cut."""


def print_rows(
    rows: Iterable[Row],
    columns: Sequence[Column],
    output_format: str | None = None,
    title: str | None = None,
    *,
    layout: Layout = "table",
    rigid: str | None = None,
    droppable: Sequence[str] = (),
    names: Sequence[str] = (),
) -> list[str]:
    """Print `rows` as `table`, `json` or `csv`.

    None is a table on a terminal and CSV in a pipe. A missing key is an empty cell.
    Where the terminal is too narrow, the columns of `droppable` are left out, the first
    one first; then cells are broken between words, never in the column `rigid`; where
    that is not enough either, each row is told in a line and what is known below it.
    `names` are the columns that say which row it is, `rigid` or else the first one:
    that line is made of them, and none that alone tells two rows apart is left out.
    Returns the keys that were printed.
    """
    named = [(c, c) if isinstance(c, str) else c for c in columns]
    chosen = choose_format(output_format)
    if chosen == "json":
        keys = [key for key, _ in named]
        click.echo(render_json([{key: row.get(key) for key in keys} for row in rows]))
    elif chosen == "csv":
        click.echo(_csv_text(rows, named), nl=False)
    else:
        told = names or ([rigid] if rigid else [key for key, _ in named[:1]])
        return _print_for_person(
            list(rows), named, title, layout, rigid, droppable, told
        )
    return [key for key, _ in named]


def choose_format(output_format: str | None) -> str:
    """The format given, else a table on a terminal and CSV in a pipe."""
    return output_format or ("table" if is_terminal() else "csv")


def print_table(table: Table, least_width: int = 0) -> None:
    """Print a rich table: coloured on a terminal, plain and uncut in a pipe.

    It is at least `least_width` characters wide, though the terminal be narrower.
    """
    if is_terminal():
        width = max(screen_width(), least_width)
        _open_console(width).print(table, crop=False)
        return
    buffer = io.StringIO()
    _open_console(_PIPE_WIDTH, buffer).print(table)
    for line in buffer.getvalue().splitlines():
        click.echo(with_plain_rules(line.rstrip(), sys.stdout.encoding))


def with_plain_rules(line: str, encoding: str | None) -> str:
    """The line, its rules of hyphens where the output cannot show a drawn one."""
    try:
        _RULE.encode(encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return line.replace(_RULE, "-")
    return line


def screen_width() -> int:
    """Characters in a line of the terminal; a pipe has no end."""
    if not is_terminal():
        return _PIPE_WIDTH
    # Not what rich finds: it takes any terminal called dumb for one of 80.
    return columns_of(sys.stdout)


def table_width(table: Table) -> int:
    """Characters that `table` takes where nothing is broken."""
    return _open_console(_PIPE_WIDTH).measure(table).maximum


def least_width(table: Table) -> int:
    """Characters that `table` needs when its cells are broken between words."""
    return _open_console(_PIPE_WIDTH).measure(table).minimum


def _open_console(width: int | None = None, file: io.StringIO | None = None) -> Console:
    from rich.console import Console

    # NO_COLOR asks for no colour; bold and dim would remain, so no style at all.
    is_plain = file is not None or bool(os.environ.get("NO_COLOR"))
    return Console(
        file=file,
        width=screen_width() if width is None else width,
        # Without a height rich takes a terminal called dumb for one of 80 columns.
        height=_ANY_HEIGHT,
        markup=False,
        emoji=False,
        highlight=False,
        color_system=None if is_plain else "auto",
    )


def print_line(text: str = "") -> None:
    """Print one line of result, escaped."""
    click.echo(printable(text))


def print_prose(text: str = "") -> None:
    """Print a sentence, escaped; a terminal breaks it between words, a pipe never.

    Lines that follow stand under the first, two further in; a command that ends it
    stays in one piece.
    """
    line = printable(text).rstrip()
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    for part in fold_line(line, screen_width(), indent) or [""]:
        click.echo(part)


def print_command(line: str, shell: str, indent: str = "  ") -> None:
    """Print a line for `shell`, escaped; a terminal breaks it as that shell goes on."""
    for part in fold_command(printable(line), screen_width(), indent, shell):
        click.echo(part)


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
        return printable(render_json(value, indent=None))
    if isinstance(value, bytes):
        return value.hex()
    return printable(str(value))


def _show_moment(value: datetime) -> str:
    if value.tzinfo is not None:
        value = value.astimezone(UTC).replace(tzinfo=None)
    return value.isoformat(sep=" ", timespec="seconds") + "Z"


def csv_text(rows: Iterable[Row], columns: Sequence[str]) -> str:
    """The rows as comma-separated values: these keys of each."""
    return _csv_text(rows, [(column, column) for column in columns])


def _csv_text(rows: Iterable[Row], named: Sequence[tuple[str, str]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([_csv_cell(key) for key, _ in named])
    for row in rows:
        writer.writerow([_csv_cell(row.get(key)) for key, _ in named])
    return buffer.getvalue()


def _csv_cell(value: object) -> str:
    if isinstance(value, str):
        # Quoting keeps line breaks; the rest a terminal could act upon is spelled out.
        return "\n".join(printable(line) for line in value.split("\n"))
    return moment_text(value) if isinstance(value, datetime) else show_value(value)


def _is_number(value: object) -> bool:
    numeric = isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)
    return value is None or numeric


def _print_for_person(
    rows: Sequence[Row],
    named: Sequence[tuple[str, str]],
    title: str | None,
    layout: Layout,
    rigid: str | None,
    droppable: Sequence[str],
    names: Sequence[str],
) -> list[str]:
    table, every = _build_table(rows, named, title, rigid), named
    left = list(names)
    for dropped in droppable:
        if table_width(table) <= screen_width():
            break
        fewer = [name for name in left if name != dropped]
        if _tell_apart(rows, fewer) < _tell_apart(rows, left):
            continue
        left = fewer
        named = [(key, header) for key, header in named if key != dropped]
        table = _build_table(rows, named, title, rigid)
    is_too_wide = table_width(table) > screen_width()
    if rows and (layout == "blocks" or (layout == "fit" and is_too_wide)):
        _print_blocks(rows, named)
    elif not is_too_wide:
        print_table(table)
    elif not rows:
        print_prose(f"no rows of {', '.join(header for _, header in named)}")
    elif widths := _fold_columns(rows, named, rigid):
        print_table(_build_table(rows, named, title, rigid, widths))
    else:
        _print_stack(rows, every, names)
        return [key for key, _ in every]
    return [key for key, _ in named]


def _tell_apart(rows: Sequence[Row], names: Sequence[str]) -> int:
    """How many rows are told apart by these columns."""
    return len({tuple(show_value(row.get(name)) for name in names) for row in rows})


def _fold_columns(
    rows: Sequence[Row], named: Sequence[tuple[str, str]], rigid: str | None
) -> list[int] | None:
    """Widths in which every cell is broken between words; None where they are too many.

    Room that is left goes to the columns that would need the least of it first.
    """
    cells = [
        [header, *(show_value(row.get(key), "-") for row in rows)]
        for key, header in named
    ]
    whole = [max(map(len, column)) for column in cells]
    widths = [
        most
        if key == rigid
        else max(len(word) for cell in column for word in cell.split() or [""])
        for (key, _), column, most in zip(named, cells, whole, strict=True)
    ]
    narrow = table_width(_build_table(rows, named, None, rigid, whole))
    left = screen_width() - sum(widths) - (narrow - sum(whole))
    if left < 0:
        return None
    order = sorted(range(len(widths)), key=lambda place: whole[place] - widths[place])
    for rest, place in enumerate(order):
        more = min(whole[place] - widths[place], left // (len(order) - rest))
        widths[place] += more
        left -= more
    return widths


def _print_stack(
    rows: Sequence[Row], named: Sequence[tuple[str, str]], names: Sequence[str]
) -> None:
    """Of each row one line that says which it is, and below it what else is known."""
    for row in rows:
        first = show_value(row.get(names[0]), "-")
        more = [said for name in names[1:] if (said := show_value(row.get(name)))]
        print_prose(f"{first}: {', '.join(more)}" if more else first)
        told = [
            f"{header} {value}"
            for key, header in named
            if key not in names and (value := show_value(row.get(key)))
        ]
        if told:
            print_prose(f"  {', '.join(told)}")


def _print_blocks(rows: Sequence[Row], named: Sequence[tuple[str, str]]) -> None:
    labels = [f"{printable(header)}:" for _, header in named]
    width = max(map(len, labels), default=0)
    for place, row in enumerate(rows):
        if place:
            click.echo()
        for (key, _), label in zip(named, labels, strict=True):
            line = f"{label:<{width}} {show_value(row.get(key), '-')}"
            hangs = screen_width() - width - 1 >= _LEAST_VALUE
            indent = " " * (width + 1) if hangs else "  "
            for part in fold_words(line, screen_width(), indent):
                click.echo(part)


def _build_table(
    rows: Sequence[Row],
    named: Sequence[tuple[str, str]],
    title: str | None,
    rigid: str | None = None,
    widths: Sequence[int] | None = None,
) -> Table:
    """A rich table; with `widths` one whose columns are folded to them."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(printable(title)) if title else None,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1) if widths is None else (0, 1, 0, 0),
        pad_edge=widths is None,
        show_edge=widths is None,
        collapse_padding=widths is not None,
    )
    for place, (key, header) in enumerate(named):
        values = [row.get(key) for row in rows]
        numeric = any(v is not None for v in values) and all(map(_is_number, values))
        table.add_column(
            Text(printable(header)),
            justify="right" if numeric else "left",
            overflow="ignore" if key == rigid else "fold",
            no_wrap=key == rigid,
            width=widths[place] if widths else None,
        )
    for row in rows:
        table.add_row(*(Text(show_value(row.get(key), "-")) for key, _ in named))
    return table
