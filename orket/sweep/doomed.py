"""Failures that no other call of the same sweep could escape."""

from __future__ import annotations

import re

from orket.errors import OrketError, UsageError
from orket.providers.http.failures import advise
from orket.providers.http.problems import Problem, ProviderError
from orket.records import CallFacts

USAGE_ERROR, SERVER_LOST = "USAGE_ERROR", "SERVER_LOST"

INCURABLE = frozenset({"HTTP_401", "HTTP_403", "HTTP_404", "IDENTITY_MISMATCH"})
"""Refusals that the next call would only hear again."""
_NO_MODEL = re.compile(
    r"\bmodel\b.*\b(not found|does not exist|is not installed)\b|\bno such model\b",
    re.IGNORECASE,
)


class Doomed(Exception):  # noqa: N818
    """The sweep cannot go on: `cause` is for the user, and its row is written."""

    def __init__(self, cause: OrketError) -> None:
        super().__init__(str(cause))
        self.cause = cause


def error_class(error: OrketError) -> str:
    """The class under which a failure to load or to call is recorded."""
    if isinstance(error, UsageError):
        return USAGE_ERROR
    return str(getattr(error, "error_class", SERVER_LOST))


def incurable_cause(facts: CallFacts, place: str) -> OrketError | None:
    """The error of a call whose failure cannot heal; None for any other call."""
    if facts.outcome != "FAILED" or facts.error_class is None:
        return None
    said = facts.error_message or "no message"
    if facts.error_class not in INCURABLE and not _NO_MODEL.search(said):
        return None
    problem = Problem(facts.error_class, said, facts.http_status)
    return ProviderError(
        f"{place}: {facts.error_class}: {said}", advise(problem), facts.error_class
    )
