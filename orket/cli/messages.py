"""Words for a person: everything goes to stderr, one line each, so pipes stay clean."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap

import click

from orket.text import printable
from orket.urls import without_passwords

PROGRAM = "orket"
_LEAST_WIDTH = 20
_COMMAND = re.compile(r"(?::|\bsee)( )orket (?!:)")
"""Where a command begins that a person may want to copy."""


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
    for part in fold_message(line, shutil.get_terminal_size().columns):
        click.echo(part, err=True)


def fold_message(line: str, width: int, indent: str = "  ") -> list[str]:
    """The line broken between words; a command that ends it stays in one piece.

    Whoever copies a command must not get a line break with it.
    """
    if len(line) <= width:
        return [line]
    command = _COMMAND.search(line)
    head = line[: command.start(1)] if command else line
    parts = textwrap.wrap(
        head,
        max(width, _LEAST_WIDTH),
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    if command is None:
        return parts
    tail = line[command.end(1) :]
    if len(parts) == 1 and parts[0] == f"{PROGRAM}:":
        return [f"{PROGRAM}: {tail}"]
    return [*parts, f"{indent}{tail}"]
