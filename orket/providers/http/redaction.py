"""Takes secrets out of what a server said went wrong."""

from __future__ import annotations

from dataclasses import replace

from orket.providers.http.endpoint import Endpoint
from orket.providers.http.problems import Problem


def redact_problem(endpoint: Endpoint, problem: Problem | None) -> Problem | None:
    """The problem without the endpoint's secrets, which a server may echo."""
    if problem is None:
        return None
    return replace(problem, message=endpoint.redact(problem.message))
