"""Leads a vLLM server along given tokens: it scores them as a prompt, in one request.

The answer that is the path is scored the same way as any quant's, never taken from its
own decoding: prompt and decode run other kernels.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any

from orket.providers.contract import Generation
from orket.providers.http.transport import Transport
from orket.providers.reading import figures
from orket.providers.reading.scores import NO_LOGPROBS, NoScores, Place, read_prompt
from orket.providers.reading.scoring import (
    ODD_TEXT,
    PATH,
    PROMPT_LOGPROBS,
    Scoring,
    as_ids,
    path_of,
    print_of,
)
from orket.records import ScoreFacts

_TOKEN_ID = re.compile(r"token_id:(\d{1,12})")


def score_answer(
    transport: Transport, model: str, request: Generation, k: int
) -> ScoreFacts:
    """The greedy answer to a prompt, scored."""
    asked = _Asked(transport, model, request, k)
    try:
        tokenizer = asked.tokenizer()
        ids = asked.prompt_ids()
        path, ended = asked.answer(ids)
        places = asked.score(ids, path)
    except NoScores as error:
        return asked.fail(error)
    return asked.tell(
        PROMPT_LOGPROBS, places, ended, tokenizer=tokenizer, prompt_ids=ids
    )


def score_along(
    transport: Transport, model: str, request: Generation, k: int, answer: ScoreFacts
) -> ScoreFacts:
    """Another model's answer, scored."""
    asked = _Asked(transport, model, request, k)
    try:
        tokenizer = asked.tokenizer()
        places = asked.score(*path_of(answer, tokenizer))
    except NoScores as error:
        return asked.fail(error)
    return asked.tell(PROMPT_LOGPROBS, places, answer.ended, tokenizer=tokenizer)


class _Asked(Scoring):
    """One row of a vLLM server."""

    def __init__(
        self, transport: Transport, model: str, request: Generation, k: int
    ) -> None:
        super().__init__(transport, request, k, PATH)
        self._model = model

    def tokenizer(self) -> str:
        ids = self._tokenize({"prompt": ODD_TEXT, "add_special_tokens": True})
        return print_of(ids)

    def prompt_ids(self) -> list[int]:
        thinking = bool(self.request.controls.thinking)
        return self._tokenize(
            {
                "messages": self.request.messages,
                "add_generation_prompt": True,
                "chat_template_kwargs": {"enable_thinking": thinking},
            }
        )

    def answer(self, ids: list[int]) -> tuple[list[int], bool]:
        """The ids of the greedy answer, its end included, and whether it ended."""
        choice = self._complete(
            ids,
            self.request.max_tokens,
            {
                "logprobs": 1,
                # Older servers spell the ids, newer ones list them.
                "return_tokens_as_token_ids": True,
                "return_token_ids": True,
            },
        )
        found = choice.get("token_ids")
        if found is None:
            said = figures.mapping(choice.get("logprobs")).get("tokens")
            found = [_spelled_id(token) for token in figures.sequence(said)]
        if not found:
            raise NoScores(NO_LOGPROBS, "the server tells no ids of its answer")
        return as_ids(found), choice.get("finish_reason") == "stop"

    def score(self, ids: list[int], path: list[int]) -> list[Place]:
        choice = self._complete([*ids, *path], 1, {"prompt_logprobs": self.k})
        return read_prompt(choice.get("prompt_logprobs"), path, self.k)

    def _tokenize(self, payload: Mapping[str, Any]) -> list[int]:
        reply = self.ask("/tokenize", {"model": self._model, **payload})
        return as_ids(reply.get("tokens"))

    def _complete(
        self, ids: list[int], tokens: int, options: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        payload = {
            "model": self._model,
            "prompt": ids,
            "max_tokens": tokens,
            "temperature": 0,
            # Scores that were kept for a prefix may be stale: each request is new.
            "cache_salt": uuid.uuid4().hex,
            **options,
        }
        choices = figures.sequence(self.ask("/v1/completions", payload).get("choices"))
        return figures.mapping(choices[0] if choices else None)


def _spelled_id(value: object) -> int | None:
    found = _TOKEN_ID.fullmatch(value) if isinstance(value, str) else None
    return int(found[1]) if found else None
