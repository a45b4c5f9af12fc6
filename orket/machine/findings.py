"""One thing the doctor found, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

OK = "ok"
WARN = "warn"
"""Measurements are possible, and less steady or less complete than they could be."""
UNFIT = "unfit"
"""Runs would be polluted, or could not be made."""
UNKNOWN = "unknown"
"""This machine does not tell."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict on one part of the machine."""

    id: str
    status: str
    """ok, warn, unfit or unknown."""
    title: str
    detail: str
    """What was found, with its numbers."""
    fix: str | None = None
    """What to do; None where nothing is to be done."""
