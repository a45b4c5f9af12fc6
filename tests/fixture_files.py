"""Payloads of real servers' documented contracts, as files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parent / "fixtures" / "providers"
MEDIA = {
    ".json": "application/json",
    ".ndjson": "application/x-ndjson",
    ".sse": "text/event-stream",
    ".txt": "text/plain; version=0.0.4",
}


@dataclass(frozen=True)
class Payload:
    """One response."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


def payload(provider: str, name: str, **headers: str) -> Payload:
    """The payload in `fixtures/providers/<provider>/<name>`."""
    path = FOLDER / provider / name
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return Payload(path.read_bytes(), 200, MEDIA[path.suffix], named)
