"""Leads a llama.cpp server along given tokens and reads what it would say instead.

The prompt goes out as ids, by the model's own template and tokenizer. An answer is
followed in one request, by a grammar of token ids: it acts on the sampling alone, so
that the lists are the model's own. A build that does not understand such a grammar is
asked once a place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orket.providers.contract import Generation
from orket.providers.http.transport import Transport
from orket.providers.reading import figures
from orket.providers.reading.scores import (
    NO_LOGPROBS,
    TOO_FEW_LOGPROBS,
    NoScores,
    Place,
    Token,
    read_llamacpp,
)
from orket.providers.reading.scoring import (
    GENERATED,
    GRAMMAR,
    ODD_TEXT,
    PATH,
    PATH_BROKEN,
    PREFIX_REQUESTS,
    Scoring,
    as_ids,
    path_of,
    print_of,
)
from orket.records import ScoreFacts

NO_GRAMMAR = "NO_GRAMMAR"
"""The server refuses a grammar of token ids."""


class PathScorer:
    """One server's lists; remembers whether it understands a grammar of ids."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._understands_grammar: bool | None = None

    def score_answer(self, request: Generation, k: int) -> ScoreFacts:
        """The greedy answer to a prompt, with the k likeliest tokens at each place."""
        asked = _Asked(self._transport, request, k, PATH)
        try:
            tokenizer = asked.tokenizer()
            ids = asked.prompt_ids()
            places, reply = asked.complete(ids, request.max_tokens)
        except NoScores as error:
            return asked.fail(error)
        ended = _has_ended(reply)
        return asked.tell(GENERATED, places, ended, tokenizer=tokenizer, prompt_ids=ids)

    def score_along(
        self, request: Generation, k: int, answer: ScoreFacts
    ) -> ScoreFacts:
        """The k likeliest tokens at each place of another model's `answer`."""
        asked = _Asked(self._transport, request, k, PATH)
        try:
            tokenizer = asked.tokenizer()
            ids, path = path_of(answer, tokenizer)
            if self._understands_grammar is None:
                self._understands_grammar = _try_grammar(asked, answer)
            if self._understands_grammar:
                method, places = GRAMMAR, _walk_by_grammar(asked, answer)
            else:
                method, places = PREFIX_REQUESTS, _walk_by_prefix(asked, ids, path)
        except NoScores as error:
            return asked.fail(error)
        # The end may be spelled by another end token than the path's.
        return asked.tell(
            method, places, answer.ended, tokenizer=tokenizer, path_ids=path
        )


class _Asked(Scoring):
    """One row of a llama.cpp server."""

    def tokenizer(self) -> str:
        return print_of(self._tokenize(ODD_TEXT))

    def prompt_ids(self) -> list[int]:
        """The prompt as the model's own template and tokenizer make it."""
        payload: dict[str, Any] = {"messages": self.request.messages}
        thinking = self.request.controls.thinking
        if thinking is not None:
            payload["chat_template_kwargs"] = {"enable_thinking": thinking}
        text = self.ask("/apply-template", payload).get("prompt")
        if not isinstance(text, str):
            raise NoScores(NO_LOGPROBS, "the server applies no template")
        return self._tokenize(text)

    def complete(
        self,
        ids: list[int],
        tokens: int,
        cache: bool = False,
        grammar: str | None = None,
        refusal: str | None = None,
    ) -> tuple[list[Place], Mapping[str, Any]]:
        """One greedy completion of ids with its places, and the whole reply."""
        payload: dict[str, Any] = {
            "prompt": ids,
            "n_predict": tokens,
            "n_probs": self.k,
            "temperature": 0,
            "cache_prompt": cache,
            "post_sampling_probs": False,
            "return_tokens": True,
        }
        if grammar is not None:
            payload["grammar"] = grammar
        reply = self.ask("/completion", payload, refusal)
        settings = figures.mapping(reply.get("generation_settings"))
        if settings.get("speculative.types") not in (None, "none"):
            raise NoScores(
                NO_LOGPROBS, "tokens that a draft model proposed have no probabilities"
            )
        if reply.get("truncated") is True:
            raise NoScores("CONTEXT_EXCEEDED", "prompt and answer exceed the context")
        places = read_llamacpp(reply, self.k)
        generated = figures.count(reply.get("tokens_predicted"))
        if generated is not None and generated != len(places):
            raise NoScores(
                TOO_FEW_LOGPROBS, f"{len(places)} places for {generated} tokens"
            )
        return places, reply

    def _tokenize(self, text: str) -> list[int]:
        payload = {"content": text, "add_special": True, "parse_special": True}
        return as_ids(self.ask("/tokenize", payload).get("tokens"))


def _has_ended(reply: Mapping[str, Any]) -> bool:
    return reply.get("stop_type") == "eos" or reply.get("stopped_eos") is True


def _try_grammar(asked: _Asked, answer: ScoreFacts) -> bool:
    """Whether the server takes the token that a grammar names, not its own.

    A build that cannot refuses the grammar, or ignores it.
    """
    ids, path, tops = answer.prompt_ids or [], answer.path_ids or [], answer.top_ids
    others = [number for number in (tops[0] if tops else []) if number != path[0]]
    if not others:
        return False
    grammar = _grammar(others[:1])
    try:
        places, _ = asked.complete(ids, 1, grammar=grammar, refusal=NO_GRAMMAR)
    except NoScores as error:
        if error.error_class in (NO_GRAMMAR, "HTTP_500"):
            return False
        raise
    return places[0].token.id == others[0]


def _walk_by_grammar(asked: _Asked, answer: ScoreFacts) -> list[Place]:
    """The whole path in one request.

    The end stays out of the grammar: once that is complete, only an end can follow,
    and its place comes by itself.
    """
    ids, path = answer.prompt_ids or [], answer.path_ids or []
    words = path[:-1] if answer.ended else path
    grammar = _grammar(words) if words else None
    places, _ = asked.complete(ids, len(path), grammar=grammar)
    found = [place.token.id for place in places]
    if found[: len(words)] != words or len(found) != len(path):
        raise NoScores(PATH_BROKEN, "the server left the path it was led along")
    return places


def _walk_by_prefix(asked: _Asked, ids: list[int], path: list[int]) -> list[Place]:
    """One request a place; the server's prompt cache keeps what was read before."""
    places = []
    for place, token in enumerate(path):
        (found, *_), _ = asked.complete([*ids, *path[:place]], 1, cache=True)
        known = {listed.id: listed.nnats for listed in found.top}
        # The sampled token is not the path's: its own figure is not of this place.
        places.append(Place(Token(known.get(token), token), found.top))
    return places


def _grammar(ids: list[int]) -> str:
    return "root ::= " + " ".join(f"<[{number}]>" for number in ids)
