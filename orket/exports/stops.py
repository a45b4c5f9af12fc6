"""Why a sweep by rounds asked no more, in the same words wherever it is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orket.warehouse.reasons import known_stops


def stop_words(code: str | None) -> str | None:
    """A reason to stop in words; None where there is none, or none that is known."""
    known = known_stops().get(code or "")
    return known.words if known else None


def is_open(code: str | None) -> bool:
    """Whether a sweep stopped before it was decided."""
    known = known_stops().get(code or "")
    return known is not None and known.is_open


def stop_of(session: Mapping[str, Any]) -> str | None:
    """The code of why the rounds of a session of a summary stopped."""
    rounds = session.get("rounds")
    return rounds["stop_reason"] if rounds else None


def status_words(summary: Mapping[str, Any]) -> str:
    """How a sweep ended: `COMPLETED: undecided when the budget ended`."""
    reason, status = summary["status_reason"], str(summary["status"])
    return f"{status}: {reason}" if reason else status
