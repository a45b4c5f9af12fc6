"""Reads TOML files, and tells the line on which each key stands.

The parser of the standard library tells no lines, and neither does any library that is
kept well; an error in a file of a thousand lines is of no use without one.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from orket.errors import UsageError
from orket.limits import BeyondFigures

KeyPath = tuple[str | int, ...]

_KEY = re.compile(r'"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|[A-Za-z0-9_-]+')
_BLANK = re.compile(r"(?:[ \t\r\n,]|#[^\n]*)+")
_TEXT = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}(?!")|\'\'\'.*?\'{3,5}(?!\')'
    r'|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'',
    re.DOTALL,
)
_PLAIN = re.compile(r"[^,\]}#\n]*")


@dataclass(frozen=True)
class TomlSource:
    """A TOML file: its data, and the line on which each key stands."""

    path: Path
    data: dict[str, Any]
    text: str = field(repr=False)

    @cached_property
    def lines(self) -> dict[KeyPath, int]:
        """Path of every key -> its line: found only when asked, for it takes long."""
        return find_lines(self.text)

    def line_of(self, *key_path: str | int) -> int:
        """Line of the key, or of the nearest table that holds it; 1 without one."""
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


def read_toml(path: Path, parse_float: Callable[[str], Any] = float) -> TomlSource:
    """Read and parse a TOML file. Raises UsageError naming the file and the line.

    `parse_float` makes the value of a number with a point: `limits.exact_number` keeps
    it as it was written.
    """
    text = _read_text(path)
    try:
        data = tomllib.loads(text, parse_float=parse_float)
        return TomlSource(path=path, data=data, text=text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"line (\d+)", str(error))
        line = found[1] if found else str(text.count("\n") + 1)
        reason = re.sub(r" \(at .*\)$", "", str(error))
        raise UsageError(f"{path}:{line}: not TOML: {reason}") from None
    except ValueError as error:
        # Else Python does not read a whole number of thousands of digits.
        is_exact = isinstance(error, BeyondFigures)
        found = re.search(re.escape(str(error)) if is_exact else r"[\d_]{999,}", text)
        line = text.count("\n", 0, found.start() if found else 0) + 1
        raise UsageError(
            f"{path}:{line}: a number beyond any figure", "write a smaller one"
        ) from None
    except RecursionError:
        raise UsageError(f"{path}: not TOML: nested too deeply") from None


def _read_text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be read: {error.strerror}", "check the path"
        ) from None
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UsageError(f"{path}: is UTF-16", "save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UsageError(
            f"{path}:{line}: not UTF-8 at byte {error.start}", "save it as UTF-8"
        ) from None


def find_lines(text: str) -> dict[KeyPath, int]:
    """Map the path of every table, key and item to its line, counted from 1.

    `text` is valid TOML. Of a dotted key each part is a key on that line.
    """
    return _Walker(text).walk()


class _Walker:
    """Goes over valid TOML from key to key; strings are passed over whole."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        # A line ends with \n alone: U+2028 or U+0085 in a text is a character.
        self._ends = [found.start() for found in re.finditer("\n", text)]
        self._lines: dict[KeyPath, int] = {}
        self._last: dict[KeyPath, int] = {}
        """Arrays of tables so far, with the index of their last table."""

    def walk(self) -> dict[KeyPath, int]:
        table: KeyPath = ()
        while self._pass_blank():
            if self._text[self._at] == "[":
                table = self._open_table()
            else:
                self._read_pair(table)
        return self._lines

    def _pass_blank(self) -> bool:
        """Pass over blanks, commas and comments; whether anything is left."""
        if blank := _BLANK.match(self._text, self._at):
            self._at = blank.end()
        return self._at < len(self._text)

    def _open_table(self) -> KeyPath:
        """The path of a header, with the index of every array of tables in it."""
        line = self._line()
        is_array = self._text.startswith("[[", self._at)
        self._at += 2 if is_array else 1
        *above, name = self._read_key()
        self._at += 2 if is_array else 1
        path: KeyPath = ()
        for part in above:
            path = self._in_last((*path, part))
            self._lines.setdefault(path, line)
        path = (*path, name)
        if is_array:
            self._lines.setdefault(path, line)
            self._last[path] = self._last.get(path, -1) + 1
            path = (*path, self._last[path])
        self._lines.setdefault(path, line)
        return path

    def _in_last(self, path: KeyPath) -> KeyPath:
        return (*path, self._last[path]) if path in self._last else path

    def _read_pair(self, table: KeyPath) -> None:
        line = self._line()
        path = table
        for part in self._read_key():
            path = (*path, part)
            self._lines.setdefault(path, line)
        self._at += 1  # The equals sign.
        self._read_value(path)

    def _read_key(self) -> list[str]:
        """The parts of a dotted key; stands behind it and its blanks afterwards."""
        parts = []
        while True:
            self._pass_spaces()
            key = _KEY.match(self._text, self._at)
            assert key is not None, "the text is valid TOML"
            parts.append(_plain_key(key[0]))
            self._at = key.end()
            self._pass_spaces()
            if not self._text.startswith(".", self._at):
                return parts
            self._at += 1

    def _pass_spaces(self) -> None:
        while self._text.startswith((" ", "\t"), self._at):
            self._at += 1

    def _read_value(self, path: KeyPath) -> None:
        self._pass_spaces()
        opening = self._text[self._at]
        if opening == "[":
            self._read_array(path)
        elif opening == "{":
            self._read_inline_table(path)
        else:
            value = (_TEXT if opening in "\"'" else _PLAIN).match(self._text, self._at)
            assert value is not None, "the text is valid TOML"
            self._at = value.end()

    def _read_array(self, path: KeyPath) -> None:
        self._at += 1
        index = 0
        while self._pass_blank() and self._text[self._at] != "]":
            item = (*path, index)
            self._lines.setdefault(item, self._line())
            self._read_value(item)
            index += 1
        self._at += 1

    def _read_inline_table(self, path: KeyPath) -> None:
        self._at += 1
        while self._pass_blank() and self._text[self._at] != "}":
            self._read_pair(path)
        self._at += 1

    def _line(self) -> int:
        return bisect_left(self._ends, self._at) + 1


def _plain_key(written: str) -> str:
    """A key without its quotes and escapes."""
    if written[0] == '"':
        (key,) = tomllib.loads(f"{written} = 0")
        return key
    return written.strip("'")
