"""What one check found in one answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

PASSED = "passed"
FAILED = "failed"
UNSUPPORTED = "unsupported"


@dataclass(frozen=True)
class Finding:
    """The status of a check; one that did not pass has a reason code."""

    status: str
    reason: str | None = None
    detail: dict[str, Any] | None = None


def verdict(passed: bool, reason: str) -> Finding:
    """Passed, or failed for this reason."""
    return Finding(PASSED) if passed else Finding(FAILED, reason)
