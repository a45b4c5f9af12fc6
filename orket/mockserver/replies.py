"""What a dialect answers with, before it is put on the wire."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orket.mockserver.faults import BAD_BYTES, BAD_MARK

MOMENT = "2026-01-01T00:00:00Z"
"""The only time the mock server knows: its answers must repeat to the byte."""
MOMENT_UNIX = 1_767_225_600


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came in."""

    method: str
    path: str
    body: dict[str, Any]
    headers: Mapping[str, str]
    struck: frozenset[str] = frozenset()
    """Faults that are to strike it."""
    query: Mapping[str, str] = field(default_factory=dict)

    def flag(self, name: str, default: bool) -> bool:
        """A boolean of the body; anything else counts as not given."""
        value = self.body.get(name, default)
        return value if isinstance(value, bool) else default

    def number(self, name: str, default: int) -> int:
        """An integer of the body; anything else counts as not given."""
        value = self.body.get(name, default)
        return value if type(value) is int else default


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole body."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json; charset=utf-8"
    due_ns: int = 0
    """Monotonic moment before which it is not sent."""

    def encode(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        if isinstance(self.body, str):
            return self.body.encode()
        return encode_json(self.body)


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a stream."""

    data: Any
    due_ns: int = 0
    name: str | None = None
    final: bool = False
    """Belongs to what ends a stream: lost when the stream is truncated."""
    shows_text: bool = False


@dataclass(frozen=True, slots=True)
class Stream:
    """A body in events; `framing` is `sse` or `ndjson`."""

    events: Iterable[Event]
    framing: str
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def content_type(self) -> str:
        if self.framing == "ndjson":
            return "application/x-ndjson"
        return "text/event-stream"

    def encode(self, event: Event) -> bytes:
        data = event.data if isinstance(event.data, bytes) else encode_json(event.data)
        if self.framing == "ndjson":
            return data + b"\n"
        name = f"event: {event.name}\n".encode() if event.name else b""
        return name + b"data: " + data + b"\n\n"


def encode_json(value: Any) -> bytes:
    """Compact JSON as servers write it; NaN stays NaN, marked bytes turn bad."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode().replace(BAD_MARK.encode(), BAD_BYTES)
