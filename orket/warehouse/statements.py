"""SQL that is no view: statements that work itself runs, each in a file of its own."""

from __future__ import annotations

from functools import cache

from orket.resources import shipped


@cache
def statement(folder: str, name: str) -> str:
    """The statement in `sql/<folder>/<name>.sql`."""
    path = shipped("sql") / folder / f"{name}.sql"
    return path.read_text(encoding="utf-8")
