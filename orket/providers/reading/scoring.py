"""The requests that one row of scores takes: their time together, their failures.

Every way to score ends in `ScoreFacts`: with lists, or with why there are none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from orket.providers.contract import Generation
from orket.providers.http.problems import one_line
from orket.providers.http.transport import Transport
from orket.providers.reading import figures
from orket.providers.reading.scores import (
    BAD_LOGPROBS,
    NO_LOGPROBS,
    OLD_LOGPROBS,
    NoScores,
    Place,
    score_columns,
)
from orket.records import ScoreFacts

PATH, PREFIX, DIVERGENCE = "PATH", "PREFIX", "DIVERGENCE"
GRAMMAR, PREFIX_REQUESTS = "GRAMMAR", "PREFIX_REQUESTS"
PROMPT_LOGPROBS, GENERATED = "PROMPT_LOGPROBS", "GENERATED"
TOKENIZER_DIFFERS, PATH_BROKEN, NO_PATH = "TOKENIZER_DIFFERS", "PATH_BROKEN", "NO_PATH"
NO_LISTS = frozenset({NO_LOGPROBS, OLD_LOGPROBS})
"""The server has none to give: its answers alone can be compared."""
REFUSED = frozenset({"HTTP_400", "HTTP_404", "HTTP_422", "HTTP_501"})
"""How servers say that they do not know a route or an option."""
ODD_TEXT = "Ünï 2+2=4 🙂\n\tdef f(x): return {'a': [1]}"
"""Accents, an emoji, digits, code: where two tokenizers differ, they differ here."""


class Scoring:
    """One row under way at one server."""

    def __init__(
        self, transport: Transport, request: Generation, k: int, level: str
    ) -> None:
        self.request = request
        self.k = k
        self._level = level
        self._transport = transport
        self._wall_ns = 0
        self._outcome = "FAILED"

    def ask(
        self, path: str, payload: Mapping[str, Any], refusal: str | None = NO_LOGPROBS
    ) -> Mapping[str, Any]:
        """The whole reply to a post. Raises NoScores, as `refusal` where refused."""
        reply = self._transport.post(path, payload, self.request.timeout_seconds)
        self._wall_ns += reply.timing.wall_ns or 0
        problem = reply.problem
        if problem is None and not isinstance(reply.json, dict):
            raise NoScores("PROTOCOL_ERROR", "the answer is not a JSON object")
        if problem is None:
            return figures.mapping(reply.json)
        self._outcome = problem.outcome
        error_class = problem.error_class
        if refusal is not None and error_class in REFUSED:
            error_class = refusal
        message = one_line(self._transport.endpoint.redact(problem.message))
        raise NoScores(error_class, message)

    def tell(
        self,
        method: str,
        places: Sequence[Place],
        ended: bool | None,
        **columns: Any,
    ) -> ScoreFacts:
        """The facts of a row that has lists; `columns` go over those of the places."""
        return self._row(
            level=self._level,
            method=method,
            outcome="OK",
            ended=ended,
            **{**score_columns(places), **columns},
        )

    def fail(self, error: NoScores) -> ScoreFacts:
        """The facts of a row without usable lists."""
        level, outcome = self._level, self._outcome
        if error.error_class in NO_LISTS:
            level, outcome = DIVERGENCE, "UNSUPPORTED"
        elif error.error_class == TOKENIZER_DIFFERS:
            outcome = "UNSUPPORTED"
        return self._row(
            level=level,
            outcome=outcome,
            error_class=error.error_class,
            error_message=error.message,
        )

    def _row(self, **columns: Any) -> ScoreFacts:
        return ScoreFacts(
            k=self.k,
            max_tokens=self.request.max_tokens,
            wall_ns=self._wall_ns,
            **columns,
        )


def as_ids(value: Any) -> list[int]:
    """A list of token ids. Raises NoScores for anything else."""
    if not isinstance(value, list) or any(figures.count(v) is None for v in value):
        raise NoScores(BAD_LOGPROBS, "the server tells no ids of a text")
    return value


def print_of(ids: Sequence[int]) -> str:
    """What tells a tokenizer from others: a hash of its ids of the odd text."""
    return "sha256:" + hashlib.sha256(repr(list(ids)).encode()).hexdigest()


def path_of(answer: ScoreFacts, tokenizer: str) -> tuple[list[int], list[int]]:
    """Prompt and path of another model's answer, as ids.

    Raises NoScores where there is none, or where this tokenizer has other ids.
    """
    if not answer.path_ids or answer.prompt_ids is None:
        raise NoScores(NO_PATH, "there is no answer of ids to follow")
    if answer.tokenizer != tokenizer:
        raise NoScores(
            TOKENIZER_DIFFERS, "it makes other tokens of a text than the reference"
        )
    return answer.prompt_ids, answer.path_ids
