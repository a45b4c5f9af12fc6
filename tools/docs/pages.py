"""A page with generated blocks between prose that people write."""

from __future__ import annotations

import re


def fill_block(page: str, name: str, content: str) -> str:
    """`page` with the block `name` replaced; the prose around it stays.

    A block stands between `<!-- generated: NAME -->` and `<!-- end -->`.
    """
    pattern = re.compile(
        rf"(<!-- generated: {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL
    )
    if not pattern.search(page):
        raise ValueError(f"the page has no block {name!r}")
    return pattern.sub(lambda found: f"{found[1]}{content}\n{found[2]}", page)


def markdown_table(headers: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; a bar inside a cell is escaped."""
    lines = ["| " + " | ".join(headers) + " |", "|" + "---|" * len(headers)]
    for row in rows:
        cells = [cell.replace("|", "\\|").replace("\n", " ") for cell in row]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
