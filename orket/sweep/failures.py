"""What a failure means for the rest of the sweep: one run lost, a server, or all."""

from __future__ import annotations

import re

from orket.errors import OrketError, UsageError, WarehouseError
from orket.providers.http.failures import advise
from orket.providers.http.problems import Problem, ProviderError
from orket.records import CallFacts

USAGE_ERROR, SERVER_LOST, TIMEOUT = "USAGE_ERROR", "SERVER_LOST", "TIMEOUT"
NOT_INSTALLED = "MODEL_NOT_FOUND"

INCURABLE = frozenset({"HTTP_401", "HTTP_403", "HTTP_404", "IDENTITY_MISMATCH"})
"""Refusals that the next call would only hear again."""
LOST_SERVER = frozenset(
    {"CONNECTION_REFUSED", "CONNECTION_FAILED", "CONNECTION_LOST", "SERVER_DIED"}
)
"""Failures of a call after which the model may be gone from its server."""
GONE_SERVER = frozenset(
    {
        "CONNECTION_REFUSED",
        "CONNECTION_FAILED",
        "CONNECTION_LOST",
        "TIMEOUT",
        "HTTP_502",
        "HTTP_503",
        "HTTP_504",
    }
)
"""Failures to load a model that say nothing of the model: its server is not there."""
MEASURED_FAILURE = frozenset({"CONTEXT_EXCEEDED", "LINE_TOO_LONG", "RESPONSE_TOO_LONG"})
"""Failures that the request itself brings about: another try would find the same."""
_NO_MODEL = re.compile(
    r"\bmodel\b.*\b(not found|does not exist|is not installed)\b|\bno such model\b",
    re.IGNORECASE,
)


class Hangs(ProviderError):
    """A server that is there lets calls hang: more of them would tell nothing."""

    def __init__(self, calls: int, seconds: float) -> None:
        super().__init__(
            f"{calls} calls in a row got no answer within {seconds:g} s each",
            "see why in its log; if it needs longer, raise timeout_seconds",
            "TIMEOUT",
        )


class Doomed(Exception):  # noqa: N818
    """The sweep cannot go on: `cause` is for the user, and its row is written."""

    def __init__(self, cause: OrketError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class ServersGone(Exception):  # noqa: N818
    """Every server of the plan is gone for good: `cause` is for the user."""

    def __init__(self, cause: OrketError) -> None:
        super().__init__(str(cause))
        self.cause = cause


def error_class(error: OrketError) -> str:
    """The class under which a failure to load or to call is recorded."""
    if isinstance(error, UsageError):
        return USAGE_ERROR
    return str(getattr(error, "error_class", SERVER_LOST))


def says_of_model(error: OrketError) -> bool:
    """Whether a failure to load is one of this model: its server is there, and well.

    What was refused for good (no right, other weights than were planned) is for the
    user to settle first.
    """
    if isinstance(error, (UsageError, WarehouseError)):
        return False
    return error_class(error) not in GONE_SERVER | INCURABLE


def is_broken(error: OrketError) -> bool:
    """Whether a model is there and cannot be loaded; one that is missing is fetched."""
    is_missing = error_class(error) == NOT_INSTALLED or _NO_MODEL.search(error.message)
    return says_of_model(error) and not is_missing


def is_measured(outcome: str, failure: str | None) -> bool:
    """Whether a call with this outcome and error class measured its planned run.

    What its server owed is not measured, and is taken up again by a resume.
    """
    return outcome == "OK" or failure in MEASURED_FAILURE


def incurable_cause(facts: CallFacts, place: str) -> OrketError | None:
    """The error of a call whose failure cannot heal; None for any other call."""
    if facts.outcome != "FAILED" or facts.error_class is None:
        return None
    said = facts.error_message or "no message"
    if facts.error_class not in INCURABLE and not _NO_MODEL.search(said):
        return None
    return call_error(facts, place)


def call_error(facts: CallFacts, place: str) -> OrketError:
    """A failed call as an error for a person."""
    said = facts.error_message or "no message"
    failure = facts.error_class or facts.outcome
    problem = Problem(failure, said, facts.http_status)
    return ProviderError(f"{place}: {failure}: {said}", advise(problem), failure)
