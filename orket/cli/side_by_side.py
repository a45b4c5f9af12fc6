"""Two answers, one above the other, with a mark under the first difference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orket.text import printable

_CUT = "..."
_MOST_BEFORE = 24
"""Characters that are shown of what the two have in common, where room is scarce."""


def side_by_side(
    texts: Sequence[tuple[str, str | None]], difference: int | None, width: int
) -> Iterator[str]:
    """Lines of at most `width` characters for (name, text) pairs.

    `difference` is the first character, from 1, in which the texts differ. What stands
    long before it is left out, the same of each.
    """
    margin = max(len(name) for name, _ in texts) + 4
    room = max(width - margin, _MOST_BEFORE)
    start = (difference or 1) - 1
    shared = next((text for _, text in texts if text is not None), "")[:start]
    before = printable(shared)
    longest = max(len(printable(text or "")) for _, text in texts)
    if longest > room and len(before) > _MOST_BEFORE:
        before = _CUT + before[-_MOST_BEFORE:]
    for name, text in texts:
        if text is None:
            yield f"  {name:<{margin - 4}}  (no answer)"
            continue
        line = before + printable(text[start:])
        if len(line) > room:
            line = line[: room - len(_CUT)] + _CUT
        yield f"  {name:<{margin - 4}}  {line or '(empty)'}"
    if difference is not None:
        place, label = margin + len(before), f"character {difference}"
        if place + len(label) + 2 <= width:
            yield " " * place + f"^ {label}"
        else:
            yield f"{label:>{place - 1}} ^"
