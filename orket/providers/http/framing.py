"""Cuts a stream of bytes into events: server-sent events, or one JSON per line.

Bytes are split at \\n only. Splitting decoded text at every Unicode line break, as
many clients do, tears events apart: servers send U+2028 and U+0085 unescaped.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from orket.limits import is_shallow

MAX_LINE_BYTES = 8 * 1024 * 1024
"""Longest line accepted; the longest honest ones hold a whole answer."""


BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""Some servers write it in front of all they say; it is no part of it."""
MAX_DEPTH = 100
"""Deepest JSON accepted; answers of servers nest less than ten times."""


class LineTooLong(Exception):
    """A line went on beyond the limit."""


class RepeatedKey(ValueError):
    """One object says a key twice: neither of the two can be believed."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a stream."""

    data: str
    name: str | None = None
    """The name of a server-sent event, where it has one."""
    arrived_ns: int = 0
    """When its last byte came in, on the transport's monotonic clock."""
    valid_utf8: bool = True
    complete: bool = True
    """False for what was left when the stream ended inside an event."""

    @property
    def done(self) -> bool:
        """The end mark of OpenAI-style streams."""
        return self.data.strip() == "[DONE]"

    def json(self) -> Any:
        """The data as JSON. Raises ValueError."""
        return read_json(self.data)


def read_json(source: str) -> Any:
    """JSON as servers write it: NaN passes (the figure readers refuse it).

    Raises ValueError, also for what is nested too deeply to be walked through, and
    RepeatedKey for an object that says a key twice.
    """
    try:
        document = _DECODER.decode(source)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    is_many = source.count("{") + source.count("[") > MAX_DEPTH
    if is_many and not is_shallow(document, MAX_DEPTH):
        raise ValueError("nested too deeply")
    return document


def _read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        counted = Counter(key for key, _ in pairs)
        repeated = next(key for key, times in counted.items() if times > 1)
        # Whole or not at all: half of a secret would not be found any more.
        named = f"the key {repeated!r}" if len(repeated) <= 80 else "a key"
        raise RepeatedKey(f"{named} stands twice")
    return found


def _read_int(digits: str) -> int | float:
    """Longer integers fit no column, and would be slow to read."""
    return int(digits) if len(digits) <= 40 else math.inf


_DECODER = json.JSONDecoder(parse_int=_read_int, object_pairs_hook=_read_object)


class LineSplitter:
    """Collects bytes and hands out lines without their line break."""

    def __init__(self, limit_bytes: int = MAX_LINE_BYTES) -> None:
        self._limit = limit_bytes
        self._parts: list[bytes] = []
        self._held = 0
        self._begun = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The lines that `chunk` completes. Raises LineTooLong."""
        *whole, rest = chunk.split(b"\n")
        for line in whole:
            self._hold(line)
            yield self.rest()
        self._hold(rest)

    def rest(self) -> bytes:
        """What was held back: at the end of a stream, its unfinished line."""
        line = b"".join(self._parts)
        self._parts, self._held = [], 0
        if not self._begun:
            self._begun, line = True, line.removeprefix(BYTE_ORDER_MARK)
        return line.removesuffix(b"\r")

    def _hold(self, part: bytes) -> None:
        self._held += len(part)
        if self._held > self._limit:
            raise LineTooLong
        if part:
            self._parts.append(part)


class SseFraming:
    """Server-sent events: `data:` and `event:` lines up to an empty one."""

    media_type = "text/event-stream"

    def __init__(self, limit_bytes: int = MAX_LINE_BYTES) -> None:
        self._limit = limit_bytes
        self._data: list[str] = []
        self._chars = 0
        self._name: str | None = None
        self._valid = True

    def line(self, line: bytes, arrived_ns: int) -> Event | None:
        """The event that this line completes, if it does. Raises LineTooLong."""
        if not line:
            return self._dispatch(arrived_ns, complete=True)
        text, valid = decode(line)
        self._valid &= valid
        field, _, value = text.partition(":")
        value = value.removeprefix(" ")
        if field == "error":
            # Earlier llama-servers say an error in a field of its own.
            self._name = field
        if field in ("data", "error"):
            # An empty line of data is joined to the others by a character too.
            self._chars += len(value) + 1
            if self._chars > self._limit:
                raise LineTooLong
            self._data.append(value)
        elif field == "event":
            self._name = value or None
        return None

    def end(self, arrived_ns: int) -> Event | None:
        """What the stream left unfinished: some servers omit the last empty line."""
        return self._dispatch(arrived_ns, complete=False)

    def _dispatch(self, arrived_ns: int, complete: bool) -> Event | None:
        event = None
        if self._data:
            event = Event(
                "\n".join(self._data), self._name, arrived_ns, self._valid, complete
            )
        self._data, self._chars, self._name, self._valid = [], 0, None, True
        return event


class NdjsonFraming:
    """One JSON document per line."""

    media_type = "application/x-ndjson"

    def __init__(self, limit_bytes: int = MAX_LINE_BYTES) -> None:
        del limit_bytes  # the splitter bounds the line already

    def line(self, line: bytes, arrived_ns: int) -> Event | None:
        """The event of this line; None for an empty one."""
        if not line.strip():
            return None
        text, valid = decode(line)
        return Event(text, None, arrived_ns, valid)

    def end(self, arrived_ns: int) -> Event | None:
        """Lines are whole or held by the splitter: nothing is left here."""
        return None


FRAMINGS: dict[str, Callable[[int], SseFraming | NdjsonFraming]] = {
    "sse": SseFraming,
    "ndjson": NdjsonFraming,
}


def decode(line: bytes) -> tuple[str, bool]:
    """The text of a line, invalid bytes replaced, and whether all were valid."""
    try:
        return line.decode("utf-8"), True
    except UnicodeDecodeError:
        return line.decode("utf-8", "replace"), False
