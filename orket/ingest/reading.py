"""Reads files as they are: stretches of whole lines, or one strict JSON document."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

from orket.errors import UsageError

MAX_LINE_BYTES = 16_000_000
"""Longest line that is taken; DuckDB's JSON reader takes no object above 16 MiB."""

BOM = b"\xef\xbb\xbf"
_BLOCK_BYTES = 128 * 1024
"""Lines judged at once: small enough to stay in the processor's cache."""


class BadDocument(Exception):
    """A document, or a part of it, that cannot be read; the message says why."""

    def __init__(self, reason: str, line: int = 1, field: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line
        self.field = field


def open_file(path: Path) -> IO[bytes]:
    """The file, open for reading bytes. Raises UsageError when it cannot be read."""
    try:
        return path.open("rb")
    except OSError as error:
        raise UsageError(f"cannot read {path} ({error.strerror})") from error


def split_file(path: Path, start: int, size: int) -> Iterator[tuple[int, int]]:
    """Stretches of whole lines from byte `start` on, each of about `size` bytes."""
    with open_file(path) as file:
        end = file.seek(0, 2)
        while start < end:
            file.seek(start + size)
            _skip_line(file)
            stop = min(file.tell(), end)
            yield start, stop
            start = stop


def read_blocks(path: Path, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Blocks of whole lines with their offsets. A line too long to take comes cut."""
    with open_file(path) as file:
        file.seek(start)
        while (offset := file.tell()) < end:
            block = file.read(min(_BLOCK_BYTES, end - offset))
            if not block.endswith(b"\n"):
                block += file.readline(MAX_LINE_BYTES + 2)
                if not block.endswith(b"\n"):
                    _skip_line(file)
            yield offset, block


def _skip_line(file: IO[bytes]) -> None:
    while (piece := file.readline(1 << 20)) and not piece.endswith(b"\n"):
        pass


def read_text(path: Path) -> str:
    """The whole file. Raises BadDocument where it is no UTF-8."""
    with open_file(path) as file:
        content = file.read()
    try:
        return content.removeprefix(BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        bad = content[error.start]
        raise BadDocument(f"not UTF-8 (byte {bad:#04x})", line) from None


def read_json(text: str) -> Any:
    """A JSON document with exact fractions. Raises BadDocument."""
    try:
        return json.loads(
            text,
            object_pairs_hook=_unique_keys,
            parse_constant=_refuse_constant,
            parse_float=Decimal,
        )
    except json.JSONDecodeError as error:
        raise BadDocument(f"not JSON ({error.msg})", error.lineno) from None
    except ValueError:
        raise BadDocument("a number with too many digits") from None
    except RecursionError:
        raise BadDocument("nested too deeply") from None


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        names = [key for key, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise BadDocument("the key stands twice", field=twice)
    return fields


def _refuse_constant(name: str) -> None:
    raise BadDocument(f"{name} is not a number")
