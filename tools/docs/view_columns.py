"""The catalogue of views, from their `COMMENT ON`."""

from __future__ import annotations

import tempfile

from orket.warehouse import Warehouse
from orket.warehouse.view_files import datasets_under, view_files, views_under
from tools.docs.pages import markdown_table

_LONGEST_TYPE = 40
"""Characters; a longer type is a struct, and its comment says what is in it."""


def view_columns() -> str:
    """A section for each view: its header comment and its columns."""
    with (
        tempfile.TemporaryDirectory() as empty,
        Warehouse.open(empty).session() as session,
    ):
        notes = session.notes()
    sections = []
    for name, path in view_files().items():
        headers = ["column", "type", "meaning"]
        rows = [
            [f"`{note.column}`", _short_type(note.type), note.comment]
            for note in notes
            if note.view == name
        ]
        rules = _header_comment(path.read_text(encoding="utf-8"))
        sections.append(f"## {name}\n\n{rules}\n\n{markdown_table(headers, rows)}")
    return "\n\n".join(sections)


def view_map() -> str:
    """Every view on a line: what one row of it is, and what it is made from."""
    files = view_files()
    rows = []
    for name, path in files.items():
        below = [f"[{each}](#{each})" for each in files if each in views_under(path)]
        raw = [f"raw.{each}" for each in sorted(datasets_under(path))]
        grain = _grain(path.read_text(encoding="utf-8"))
        rows.append([f"[{name}](#{name})", grain, ", ".join([*below, *raw])])
    return markdown_table(["view", "one row is", "made from"], rows)


def _grain(text: str) -> str:
    first = _header_comment(text).split("\n\n", 1)[0]
    return first.removeprefix("**Grain:** ").rstrip(".")


def _header_comment(text: str) -> str:
    """The comment that opens a view's file, one paragraph per entry."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("--"):
            break
        lines.append(line.removeprefix("--").strip())
    entries: list[str] = []
    for line in lines:
        head = line.partition(":")[0]
        if head in ("Grain", "Inputs", "Rules") or not entries:
            entries.append(line)
        else:
            entries[-1] += f" {line}"
    return "\n\n".join(
        f"**{head}:** {rest.strip()}" for head, _, rest in map(_split, entries)
    )


def _split(entry: str) -> tuple[str, str, str]:
    return entry.partition(":")


def _short_type(text: str) -> str:
    if len(text) <= _LONGEST_TYPE:
        return text
    return "STRUCT[]" if text.endswith("[]") else text.partition("(")[0]
