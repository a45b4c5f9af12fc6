"""Finds the line of a key in a TOML text: the standard reader does not keep it."""

from __future__ import annotations

import re
from collections.abc import Sequence

_HEADER = re.compile(r"^\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"^\s*((?:[\w-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*[\w\"'-]+)*)\s*=")


def find_line(text: str, path: Sequence[str | int]) -> int | None:
    """Line of the key at `path`, counted from 1, or of its nearest table.

    `path` is made of table and key names, and of indices into arrays of tables.
    """
    wanted = tuple(path)
    best: tuple[int, int] | None = None
    for place, line in _places(text):
        depth = _shared(place, wanted)
        if depth and (best is None or depth > best[0]):
            best = depth, line
    return best[1] if best else None


def _places(text: str) -> list[tuple[tuple[str | int, ...], int]]:
    """Every table header and key of a text with its full path and line."""
    found: list[tuple[tuple[str | int, ...], int]] = []
    counts: dict[tuple[str | int, ...], int] = {}
    table: tuple[str | int, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            table = _place_table(_split(header[2]), counts, is_array=header[1] == "[[")
            found.append((table, number))
        elif key := _KEY.match(line):
            found.append(((*table, *_split(key[1])), number))
    return found


def _place_table(
    names: list[str], counts: dict[tuple[str | int, ...], int], is_array: bool
) -> tuple[str | int, ...]:
    """The path of a header, with the index of each array of tables on its way."""
    path: tuple[str | int, ...] = ()
    for depth, name in enumerate(names):
        path = (*path, name)
        last = depth == len(names) - 1
        if last and is_array:
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path


def _split(dotted: str) -> list[str]:
    return [part.strip().strip("\"'") for part in dotted.split(".")]


def _shared(place: Sequence[object], wanted: Sequence[object]) -> int:
    """Length of `place` when it leads to `wanted`, else 0."""
    depth = len(place)
    return depth if tuple(wanted[:depth]) == tuple(place) else 0
