"""The SQL files of the views: where they are, what each stands on, what they say."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

from orket.errors import WarehouseError
from orket.records import DATASETS
from orket.resources import shipped

VIEW_VERSION = "v1"
HUMAN_SCHEMA = f"{VIEW_VERSION}h"
"""The same views in units that people read."""
ROWS = "staged"
"""The schema of their rows where they are computed: a table for each view."""
_RAW = re.compile(r"""\braw"?\s*\.\s*"?(\w+)""", re.IGNORECASE)
_TEXT_OR_VIEW = re.compile(rf"'(?:[^']|'')*'|\b{VIEW_VERSION}\.(?P<view>\w+)")
_VIEW_FILE = re.compile(r"^\d+_(?P<name>\w+)\.sql$")


def macro_file() -> Path:
    """The macros that every view may use."""
    return shipped("sql") / VIEW_VERSION / "macros.sql"


@cache
def view_files() -> dict[str, Path]:
    """View name -> SQL file, in dependency order."""
    files = sorted((shipped("sql") / VIEW_VERSION).glob("*.sql"))
    found = {
        match["name"]: path for path in files if (match := _VIEW_FILE.match(path.name))
    }
    if not found:
        raise WarehouseError(
            f"the SQL views are missing from {shipped('sql')}", "install Orket again"
        )
    return found


@cache
def split_comments(path: Path) -> tuple[str, str]:
    """The statement that makes a view, and the COMMENT ON statements behind it."""
    code, mark, comments = path.read_text(encoding="utf-8").partition("COMMENT ON VIEW")
    lines = [line for line in code.splitlines() if not line.lstrip().startswith("--")]
    return "\n".join(lines), mark + comments


@cache
def as_table(name: str) -> tuple[str, str]:
    """The two statements that compute a view once: its rows, and it over them.

    The rows are made from those of the views below it themselves: DuckDB takes a
    millisecond to see through each view that a statement names.
    """
    view = f"{VIEW_VERSION}.{name}"
    code, _ = split_comments(view_files()[name])
    made = code.replace(f"CREATE VIEW {view} AS", f"CREATE TABLE {view} AS", 1)
    shown = f"CREATE VIEW {view} AS SELECT * FROM {ROWS}.{name}"
    return over_rows(made.strip().removesuffix(";")), shown


def over_rows(text: str) -> str:
    """A statement with the rows of each view in its place.

    Texts and macros stay as they are.
    """
    return _TEXT_OR_VIEW.sub(
        lambda found: (
            f"{ROWS}.{found['view']}" if found["view"] in view_files() else found[0]
        ),
        text,
    )


def views_below(names: Iterable[str]) -> set[str]:
    """These views and all that they are made from."""
    needed = set(names)
    for name in reversed(view_files()):
        if name in needed:
            needed |= views_under(view_files()[name])
    return needed


@cache
def views_under(path: Path) -> frozenset[str]:
    """The views that a view's file is made from: none that a mere text names."""
    return frozenset(
        views_named(_without_texts(path)) - {_VIEW_FILE.sub(r"\g<name>", path.name)}
    )


@cache
def datasets_under(path: Path) -> frozenset[str]:
    """The datasets whose raw rows a view's file reads itself."""
    return frozenset(datasets_named(_without_texts(path)))


def _without_texts(path: Path) -> str:
    code, _ = split_comments(path)
    return re.sub(r"'(?:[^']|'')*'", "''", code)


@cache
def views_over(dataset: str) -> frozenset[str]:
    """The views that are made from the raw rows of a dataset, however far below."""
    raw = re.compile(rf"\braw\s*\.\s*{dataset}\b", re.IGNORECASE)
    return _all_over(raw.search)


@cache
def views_over_events(kind: str) -> frozenset[str]:
    """The views that events of this kind may change, however far below.

    A view reads only events of the kinds that it names, but for the moment of the
    newest of all.
    """
    moment = "max(recorded_at) FROM raw.events"
    return _all_over(lambda code: f"'{kind}'" in code or moment in code)


def _all_over(is_over: Callable[[str], object]) -> frozenset[str]:
    """The views of whose statements that is true, and all that stand on one."""
    over: set[str] = set()
    for name, path in view_files().items():
        code, _ = split_comments(path)
        if is_over(code) or views_under(path) & over:
            over.add(name)
    return frozenset(over)


def views_named(text: str) -> set[str]:
    """The views of version 1 that a text refers to."""
    named = re.findall(rf'\b{VIEW_VERSION}"?\s*\.\s*"?(\w+)', text, re.IGNORECASE)
    return {name.lower() for name in named} & set(view_files())


def human_views_named(text: str) -> set[str]:
    """The views that a text refers to in people's units."""
    named = re.findall(rf'\b{HUMAN_SCHEMA}"?\s*\.\s*"?(\w+)', text, re.IGNORECASE)
    return {name.lower() for name in named} & set(view_files())


def datasets_named(text: str) -> set[str]:
    """The datasets whose raw rows a text refers to."""
    return {name.lower() for name in _RAW.findall(text)} & set(DATASETS)
