"""Options that several verbs share, as decorators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

FORMATS = ("table", "json", "csv")

_Command = TypeVar("_Command", bound=Callable[..., Any])


def warehouse_option(command: _Command) -> _Command:
    """`-w/--warehouse`, as `warehouse: str | None` for `Warehouse.open`."""
    return click.option(
        "-w",
        "--warehouse",
        metavar="FOLDER",
        help="Warehouse folder. [default: $ORKET_WAREHOUSE, else ./warehouse]",
    )(command)


def format_option(command: _Command) -> _Command:
    """`--format`, as `output_format: str | None` for `print_rows`."""
    return click.option(
        "--format",
        "output_format",
        type=click.Choice(FORMATS),
        help="[default: table on a terminal, csv in a pipe]",
    )(command)


def output_option(command: _Command) -> _Command:
    """`-o/--output`, as `output: str | None`; `-` is stdout."""
    return click.option(
        "-o",
        "--output",
        metavar="FILE",
        help="Write to this file; - is stdout.",
    )(command)
