"""Finds the line of a key in a TOML file.

The parser of the standard library tells no lines, and an error in a file of a
thousand lines is of no use without one.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orket.errors import UsageError

KeyPath = tuple[str | int, ...]

_HEADER = re.compile(r"^\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"""^\s*("[^"]*"|'[^']*'|[A-Za-z0-9_-]+)(?:\s*\.[^=]*)?\s*=""")
_TOKEN = re.compile(
    r'"""|\'\'\'|"(?:\\.|[^"\\])*"|\'[^\']*\'|#.*|[\[{]|[\]}]', re.DOTALL
)


@dataclass(frozen=True)
class TomlSource:
    """A TOML file: its data, and the line on which each key stands."""

    path: Path
    data: dict[str, Any]
    lines: dict[KeyPath, int]

    def line_of(self, *key_path: str | int) -> int:
        """Line of the key, or of the nearest table that holds it."""
        for end in range(len(key_path), 0, -1):
            line = self.lines.get(key_path[:end])
            if line is not None:
                return line
        return 1

    def error(
        self, message: str, *key_path: str | int, hint: str | None = None
    ) -> UsageError:
        """A usage error that names the file and the line of the key."""
        return UsageError(f"{self.path}:{self.line_of(*key_path)}: {message}", hint)


def read_toml(path: Path) -> TomlSource:
    """Read and parse a TOML file. Raises UsageError naming the file and the line."""
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 at byte {error.start}") from None
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"line (\d+)", str(error))
        line = found[1] if found else str(text.count("\n") + 1)
        reason = re.sub(r" \(at .*\)$", "", str(error))
        raise UsageError(f"{path}:{line}: not TOML: {reason}") from None
    except RecursionError:
        raise UsageError(f"{path}: not TOML: nested too deeply") from None
    return TomlSource(path=path, data=data, lines=find_lines(text))


def find_lines(text: str) -> dict[KeyPath, int]:
    """Map the path of every table and of every key that opens a line to its line."""
    lines: dict[KeyPath, int] = {}
    counts: dict[KeyPath, int] = {}
    table: KeyPath = ()
    quote, depth = "", 0
    for number, line in enumerate(text.split("\n"), start=1):
        outside = not quote and depth == 0
        if outside and (header := _HEADER.match(line)):
            table = _open_table(header[2], header[1] == "[[", counts)
            lines.setdefault(table, number)
            continue
        if outside and (key := _KEY.match(line)):
            lines.setdefault((*table, key[1].strip("\"'")), number)
        quote, depth = _scan(line, quote, depth)
    return lines


def _open_table(name: str, is_array: bool, counts: dict[KeyPath, int]) -> KeyPath:
    """Path of a table header, with the index of every array of tables on the way."""
    path: KeyPath = ()
    parts = [part.strip().strip("\"'") for part in name.split(".")]
    for part in parts[:-1]:
        path = (*path, part)
        if path in counts:
            path = (*path, counts[path])
    path = (*path, parts[-1])
    if is_array:
        counts[path] = counts.get(path, -1) + 1
        path = (*path, counts[path])
    return path


def _scan(line: str, quote: str, depth: int) -> tuple[str, int]:
    """Whether a multi-line text or an open bracket goes on after this line."""
    at = 0
    while True:
        if quote:
            end = line.find(quote, at)
            if end < 0:
                return quote, depth
            at, quote = end + 3, ""
        token = _TOKEN.search(line, at)
        if token is None:
            return quote, max(depth, 0)
        at = token.end()
        if token[0] in ('"""', "'''"):
            quote = token[0]
        elif token[0] in "[{":
            depth += 1
        elif token[0] in "]}":
            depth -= 1
