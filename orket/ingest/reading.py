"""Reads files as they are: stretches of whole lines, or one strict JSON document."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

from orket.errors import UsageError

MAX_LINE_BYTES = 16_000_000
"""Longest line that is taken; DuckDB's JSON reader takes no object above 16 MiB."""

BOM = b"\xef\xbb\xbf"
_MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
    (BOM, "utf-8"),
)
# As CI and `docker logs --timestamps` put one before every line.
_STAMP = re.compile(
    r"\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?\]?"
    r"(?:[ \t]|$)"
)
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
OPENING = re.compile(r'\s*(?:\{\s*(?:"|$)|\[\s*(?:\{|$|\]))')
"""How an object, or a list of objects, begins on a line."""
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


def encoding_of(head: bytes) -> str:
    """The encoding of a file by its first bytes: a mark, or the zeros of UTF-16."""
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    if len(head) >= 4 and head[0] and head[2] and not head[1] and not head[3]:
        return "utf-16-le"
    if len(head) >= 4 and head[1] and head[3] and not head[0] and not head[2]:
        return "utf-16-be"
    return "utf-8"


def decode_head(head: bytes) -> str:
    """The beginning of a file as text, as `read_text` would read it."""
    return _plain(head.decode(encoding_of(head), errors="replace"))


def read_text(path: Path) -> str:
    """The whole file, without a mark, colours of a terminal or carriage returns.

    PowerShell's `>` writes UTF-16. Raises BadDocument where it is no text.
    """
    with open_file(path) as file:
        content = file.read()
    encoding = encoding_of(content[:4])
    try:
        return _plain(content.decode(encoding))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        bad = content[error.start]
        named = "UTF-8" if encoding == "utf-8" else f"{encoding.upper()}, as it begins"
        raise BadDocument(f"not {named} (byte {bad:#04x})", line) from None


def _plain(text: str) -> str:
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    text = _COLOURS.sub("", text) if "\x1b" in text else text
    return _without_stamps(text) if _STAMP.match(text) else text


def _without_stamps(text: str) -> str:
    """The text without the moment before each of its lines, where each has one."""
    lines = text.split("\n")
    stamps = [_STAMP.match(line) for line in lines]
    # The last line of a head may end within its stamp.
    bare = [line for line, stamp in zip(lines, stamps, strict=True) if not stamp]
    if any(line.strip() for line in bare if line is not lines[-1]):
        return text
    return "\n".join(
        line[stamp.end() :] if stamp else line
        for line, stamp in zip(lines, stamps, strict=True)
    )


def read_json(text: str, *, nan_is_none: bool = False) -> Any:
    """A JSON document with exact fractions. Raises BadDocument.

    `nan_is_none` is for tools that write NaN where they have no figure.

    What tools and shells put around one is passed over: log lines, a prompt, the fence
    of a code block. A second document is not.
    """
    try:
        return _load(text, nan_is_none)
    except BadDocument as fault:
        inner = _between_notes(text)
        if inner is None:
            raise
        start, document = inner
        try:
            return _load(document, nan_is_none)
        except BadDocument as error:
            if error.line == 1 and fault.line > 1:
                raise fault from None
            line = error.line + start
            raise BadDocument(error.reason, line, error.field) from None


def _load(text: str, nan_is_none: bool) -> Any:
    try:
        return json.loads(
            text,
            object_pairs_hook=_unique_keys,
            parse_constant=_no_figure if nan_is_none else _refuse_constant,
            parse_float=Decimal,
        )
    except json.JSONDecodeError as error:
        raise BadDocument(f"not JSON ({error.msg})", error.lineno) from None
    except (ValueError, ArithmeticError):
        raise BadDocument("a number with too many digits") from None
    except RecursionError:
        raise BadDocument("nested too deeply") from None


def _between_notes(text: str) -> tuple[int, str] | None:
    """The lines before a document in a text, and the document alone.

    None where the text begins and ends with it, or holds none.
    """
    lines = text.split("\n")
    first = next((n for n, line in enumerate(lines) if OPENING.match(line)), None)
    if first is None:
        return None
    closing = {"{": "}", "[": "]"}[lines[first].lstrip()[0]]
    last = next(
        (n for n in range(len(lines) - 1, first - 1, -1) if closing in lines[n]), None
    )
    if last is None or (first == 0 and last == len(lines) - 1):
        return None
    end = lines[last].rindex(closing) + 1
    return first, "\n".join([*lines[first:last], lines[last][:end]])


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        names = [key for key, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise BadDocument("the key stands twice", field=twice)
    return fields


def _no_figure(name: str) -> None:
    return None


def _refuse_constant(name: str) -> None:
    raise BadDocument(f"{name} is not a number")
