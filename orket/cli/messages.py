"""Words for a person: everything goes to stderr, one line each, so pipes stay clean."""

from __future__ import annotations

import sys

import click

from orket.cli.folding import columns_of, fold_line
from orket.text import printable
from orket.urls import without_passwords

PROGRAM = "orket"


def note(text: str) -> None:
    """Say what happens or happened."""
    _say(text)


def warn(text: str) -> None:
    """Say what the user should know, though the work goes on."""
    _say(f"warning: {text}")


def error(message: str, hint: str | None = None) -> None:
    """Say what is wrong and what to do: `orket: error: <what>: <what to do>`."""
    _say(f"error: {message}: {hint}" if hint else f"error: {message}")


def _say(text: str) -> None:
    line = " ".join(part for part in text.split("\n") if part.strip())
    line = printable(without_passwords(f"{PROGRAM}: {line}"))
    if not sys.stderr.isatty():
        click.echo(line, err=True)
        return
    for part in fold_line(line, columns_of(sys.stderr)):
        click.echo(part, err=True)
