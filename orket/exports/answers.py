"""What was answered, and what its checks said, as a person reads them."""

from __future__ import annotations

from collections.abc import Iterator

from orket.exports.figures import words
from orket.exports.json_text import read_json
from orket.text import printable


def failed_checks(details: str | None) -> Iterator[str]:
    """What each check that did not pass says, in words: `exact: different text`.

    Details that an import wrote in another shape say nothing.
    """
    entries = read_json(details or "[]")
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, dict) or entry.get("status") in (None, "passed"):
            continue
        reason = entry.get("reason") or entry["status"]
        yield printable(f"{entry.get('kind', 'check')}: {words(str(reason))}")


def visible(text: str) -> str:
    """A text of several lines in which nothing acts: it may be anybody's."""
    return "\n".join(printable(line) for line in text.split("\n"))
