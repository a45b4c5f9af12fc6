"""The lists of a server that cannot be led: those of its own greedy answer.

Two answers can be compared up to and with the first place where they differ: until
then both models have read the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from orket.providers.contract import Generation
from orket.providers.http.transport import Transport
from orket.providers.reading import figures
from orket.providers.reading.scores import NoScores, Place, read_chat
from orket.providers.reading.scoring import GENERATED, PREFIX, Scoring
from orket.records import ScoreFacts

Answered = Callable[[Mapping[str, Any], int], tuple[list[Place], bool]]
"""Reads a whole reply: its places, and whether the answer ended by itself."""


def score_own_answer(
    transport: Transport,
    path: str,
    payload: Mapping[str, Any],
    request: Generation,
    k: int,
    read: Answered,
) -> ScoreFacts:
    """Ask for an answer that tells its likeliest tokens; a failure is in the facts."""
    asked = Scoring(transport, request, k, PREFIX)
    try:
        places, ended = read(asked.ask(path, payload), k)
    except NoScores as error:
        return asked.fail(error)
    return asked.tell(GENERATED, places, ended)


def with_logprobs(payload: Mapping[str, Any], k: int) -> dict[str, Any]:
    """A chat request that asks for the k likeliest tokens at each place, greedily."""
    return {
        **payload,
        "stream": False,
        "temperature": 0,
        "logprobs": True,
        "top_logprobs": k,
    }


def read_chat_answer(reply: Mapping[str, Any], k: int) -> tuple[list[Place], bool]:
    """The places of an OpenAI-style chat completion."""
    choices = figures.sequence(reply.get("choices"))
    choice = figures.mapping(choices[0] if choices else None)
    return read_chat(choice, k), choice.get("finish_reason") == "stop"
