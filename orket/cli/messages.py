"""Words for a person: everything goes to stderr, one line each, so pipes stay clean."""

from __future__ import annotations

import click

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
    click.echo(printable(without_passwords(f"{PROGRAM}: {line}")), err=True)
