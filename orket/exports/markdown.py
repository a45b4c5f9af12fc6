"""Text and tables in Markdown, in which nothing of what is shown is markup."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from orket.text import printable

_MARKUP = "\\`*_{}[]<>#|~!"


def markdown_text(text: str) -> str:
    """A text on one line, in which Markdown and HTML find nothing to do."""
    line = printable(text)
    escaped = "".join(f"\\{c}" if c in _MARKUP else c for c in line)
    plain = escaped.replace("&", "&amp;").replace("\\<", "&lt;").replace("\\>", "&gt;")
    # A name or an address would become a link, and a mention calls somebody.
    return plain.replace("@", "&#64;").replace("://", "&#58;//")


def markdown_table(
    headers: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = ()
) -> Iterator[str]:
    """The lines of a table; `numbers` are the places of columns aligned right."""
    yield _row(headers)
    places = range(len(headers))
    yield f"|{'|'.join('---:' if place in numbers else '---' for place in places)}|"
    yield from map(_row, rows)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(markdown_text, cells))} |"
