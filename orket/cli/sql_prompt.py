"""The prompt of `orket sql`: one query after another, with history and completion."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import click

from orket.cli import messages
from orket.cli.interrupted import is_interrupt
from orket.cli.output import print_rows
from orket.errors import OrketError

FIRST, MORE = "orket> ", "   ..> "
_ORDERS = ".views and .columns VIEW list what there is"
_WELCOME = (
    "A query ends with ; and Tab completes views and columns.",
    f"{_ORDERS}.",
    "Ctrl-C drops a query, Ctrl-D leaves.",
)
"""Each fits a narrow terminal."""
_WHOLE_TOKENS = re.compile(
    r"""--[^\n]*(?:\n|$)|/\*.*?\*/|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$\$.*?\$\$""",
    re.DOTALL,
)
"""Comments and quoted text that end: nothing in them ends a query."""
_OPEN = re.compile(r"""'|"|/\*|\$\$""")
_NAMED_VIEW = re.compile(r"\bv1(h?)\.(\w+)", re.IGNORECASE)
_WORD_ENDS = " \t\n,()=<>+-*/|'\"[]:;"
_WORDS = tuple(
    word
    for line in (
        "SELECT FROM WHERE GROUP ORDER BY LIMIT JOIN USING LEFT INNER ON AS WITH",
        "DISTINCT UNION ALL AND OR NOT IN IS NULL DESC ASC CASE WHEN THEN ELSE END",
        "FILTER OVER PARTITION count sum min max avg round unnest",
    )
    for word in line.split()
)
_LONGEST_HISTORY = 1000
_LEAVE = ("exit", "quit", r"\q", ".exit", ".quit")


def is_whole(text: str) -> bool:
    """Whether a query ends here: with a `;` that is in no text and no comment."""
    bare = _WHOLE_TOKENS.sub(" ", text)
    return bare.rstrip().endswith(";") and not _OPEN.search(bare)


def run_prompt(ask: Callable[[str], None]) -> None:
    """Read queries from the terminal and hand them to `ask`, until Ctrl-D.

    An error is told and the prompt stays; Ctrl-C drops what is typed, or the query that
    runs, and nothing else.
    """
    for line in _WELCOME:
        click.echo(line, err=True)
    text = ""
    with _line_editing(lambda: text):
        while True:
            try:
                line = input(MORE if text.strip() else FIRST)
            except EOFError:
                click.echo()
                return
            except KeyboardInterrupt:
                text = ""
                click.echo()
                continue
            if not text.strip() and _is_order(line):
                if line.strip().rstrip(";").lower() in _LEAVE:
                    return
                _tell(lambda line=line: _obey(line))  # type: ignore[misc]
                continue
            text += line + "\n"
            if is_whole(text):
                query, text = text, ""
                if query.strip(" \t\n;"):
                    _tell(lambda query=query: ask(query))  # type: ignore[misc]


def _is_order(line: str) -> bool:
    """Whether a line is for the prompt itself, and no beginning of a query."""
    plain = line.strip().rstrip(";").lower()
    return plain.startswith(".") or plain in _LEAVE


def _tell(act: Callable[[], None]) -> None:
    """Do it; what goes wrong is one line, and never the end of the prompt."""
    try:
        act()
    except OrketError as error:
        messages.error(error.message, error.hint)
    except BaseException as error:
        if not is_interrupt(error):
            raise
        messages.note("the query was dropped")


def _obey(line: str) -> None:
    from orket.warehouse.catalogue import described_views

    order, _, name = line.strip().rstrip(";").partition(" ")
    if order == ".views":
        rows = [{"view": v, "meaning": m} for v, m in described_views().items()]
        print_rows(rows, ("view", "meaning"), rigid="view")
    elif order == ".columns" and name.strip():
        rows = [
            {"column": column, "type": kind, "meaning": meaning}
            for column, kind, meaning in _columns(name.strip().lower())
        ]
        if not rows:
            messages.error(f"no view {name.strip()!r}", ".views lists them")
            return
        print_rows(rows, ("column", "type", "meaning"), rigid="column")
    else:
        messages.error(f"no order {order!r}", _ORDERS)


@cache
def _columns(name: str) -> tuple[tuple[str, str, str], ...]:
    """The columns of a view by any of its names; none where there is no such view."""
    from orket.warehouse.catalogue import described_columns
    from orket.warehouse.view_files import HUMAN_SCHEMA, VIEW_VERSION, view_files

    schema, _, view = name.rpartition(".")
    if view not in view_files() or schema not in ("", VIEW_VERSION, HUMAN_SCHEMA):
        return ()
    notes = described_columns(view, human=schema == HUMAN_SCHEMA)
    return tuple((note.column, note.type, note.comment) for note in notes)


def completions(typed: str, begun: str) -> list[str]:
    """What may stand for the word that is begun, in a query of which this is typed."""
    from orket.warehouse.view_files import HUMAN_SCHEMA, VIEW_VERSION, view_files

    names = [
        f"{schema}.{view}"
        for schema in (VIEW_VERSION, HUMAN_SCHEMA)
        for view in view_files()
    ]
    if "." not in begun:
        named = {match[0].lower() for match in _NAMED_VIEW.finditer(typed)}
        names += [column for view in sorted(named) for column, _, _ in _columns(view)]
        names += _WORDS
    plain = begun.lower()
    return list(dict.fromkeys(n for n in names if n.lower().startswith(plain)))


@contextmanager
def _line_editing(typed: Callable[[], str]) -> Iterator[None]:
    """History and completion, where Python has readline; else plain lines."""
    try:
        import readline
    except ImportError:
        yield
        return

    found: list[str] = []

    def complete(begun: str, place: int) -> str | None:
        nonlocal found
        if place == 0:
            found = []
            with suppress(Exception):
                found = completions(typed() + readline.get_line_buffer(), begun)
        return found[place] if place < len(found) else None

    before = readline.get_completer(), readline.get_completer_delims()
    readline.set_completer(complete)
    readline.set_completer_delims(_WORD_ENDS)
    # What macOS has in readline's place is told so in its own words.
    is_libedit = "libedit" in (readline.__doc__ or "")
    readline.parse_and_bind("bind ^I rl_complete" if is_libedit else "tab: complete")
    history = _history_file()
    with suppress(OSError):
        readline.read_history_file(history)
    readline.set_history_length(_LONGEST_HISTORY)
    try:
        yield
    finally:
        with suppress(OSError):
            history.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            readline.write_history_file(history)
        readline.set_completer(before[0])
        readline.set_completer_delims(before[1])


def _history_file() -> Path:
    """Where what was typed is kept: below $XDG_STATE_HOME, or its default."""
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "orket" / "sql_history"


def can_prompt() -> bool:
    """Whether a person sits at both ends."""
    return sys.stdin.isatty() and sys.stdout.isatty()
