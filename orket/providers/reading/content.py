"""What a model said, in any of the shapes that servers give it.

Text, or a list of parts each of which says what it is: text or thought. Any other
shape is refused: an answer that could not be read is no empty answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from orket.providers.reading.figures import mapping, text

TEXT_PARTS = frozenset({"text", "output_text"})
THOUGHT_PARTS = frozenset({"thinking", "reasoning"})
_THOUGHT_KEYS = ("thinking", "reasoning", "text", "content")

TEXT, THOUGHT = "text", "thought"


_OPENS, _ENDS = "<think>", "</think>"
# A model's own mark, and not one that is spoken of: it begins or ends its line.
_LONE_END = re.compile(r"^[ \t]*+</think>|</think>(?=[ \t]*+$)", re.MULTILINE)


class UnreadableContent(Exception):
    """Content of a shape that no contract names; the message says which."""


def read_content(value: object) -> Iterator[tuple[str, str]]:
    """The pieces of a content in order, each with its kind: TEXT or THOUGHT.

    None and what is empty give no piece. Raises UnreadableContent.
    """
    if value is None:
        return
    if isinstance(value, str):
        yield from _piece(TEXT, value)
    elif isinstance(value, list):
        for part in value:
            yield from _read_part(part)
    else:
        raise UnreadableContent(f"content that is {_shape(value)}")


def read_thought(value: object) -> Iterator[tuple[str, str]]:
    """The pieces of a field that holds thought alone. Raises UnreadableContent."""
    for _, piece in read_content(value):
        yield THOUGHT, piece


def split_thought(said: str) -> tuple[str, str] | None:
    """A text parted at a lone `</think>` into thought and answer; None without one.

    Some templates open the thought in the prompt: then the text has its end alone. A
    text that opens one itself is left whole: both its marks are there to be read.
    """
    found = _LONE_END.search(said) if _ENDS in said else None
    if found is None or _OPENS in said[: found.start()]:
        return None
    return said[: found.start()], said[found.end() :]


def _read_part(part: object) -> Iterator[tuple[str, str]]:
    if not isinstance(part, dict):
        raise UnreadableContent(f"a part of the content that is {_shape(part)}")
    kind = text(part.get("type"))
    if kind in TEXT_PARTS and isinstance(part.get("text"), str):
        yield from _piece(TEXT, part["text"])
    elif kind in THOUGHT_PARTS:
        said = next((part[key] for key in _THOUGHT_KEYS if key in part), None)
        if not isinstance(said, (str, list)):
            raise UnreadableContent(f"a {kind} part of the content without its text")
        yield from read_thought(said)
    else:
        raise UnreadableContent(f"a part of the content of the kind {kind!r}")


def _piece(kind: str, piece: str) -> Iterator[tuple[str, str]]:
    if piece:
        yield kind, piece


def _shape(value: object) -> str:
    if mapping(value):
        return "an object"
    return {
        bool: "a truth value",
        int: "a number",
        float: "a number",
        str: "a text",
    }.get(type(value), "neither text nor a list of parts")
