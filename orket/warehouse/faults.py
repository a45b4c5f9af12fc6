"""What is damaged in a warehouse, one thing at a time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is damaged."""

    dataset: str
    sweep_id: str | None
    """None for events, which lie together."""
    path: Path
    what: str
    remedy: str
    is_movable: bool = True
    """Whether quarantine helps: not where Orket has no right to look, or it is gone."""
