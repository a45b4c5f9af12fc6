"""What TGI tells of an answer that is given to it: the tokens' own log-probabilities.

It lists no others, so that neither the likeliest token nor a divergence is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orket.providers.contract import Generation
from orket.providers.http.transport import Transport
from orket.providers.reading import figures
from orket.providers.reading.scores import NO_LOGPROBS, NoScores, Place, read_prefill
from orket.providers.reading.scoring import NO_PATH, PATH, PROMPT_LOGPROBS, Scoring
from orket.records import ScoreFacts


def score_answer(
    transport: Transport, inputs: str, request: Generation, k: int
) -> ScoreFacts:
    """The greedy answer to a prompt, scored as part of a prompt."""
    asked = _Asked(transport, request, k, PATH)
    try:
        path, texts, ended = asked.answer(inputs)
        places = asked.score(inputs, path, texts)
    except NoScores as error:
        return asked.fail(error)
    return asked.tell(PROMPT_LOGPROBS, places, ended, path_texts=texts)


def score_along(
    transport: Transport, inputs: str, request: Generation, k: int, answer: ScoreFacts
) -> ScoreFacts:
    """Another model's answer, given as text behind the prompt."""
    asked = _Asked(transport, request, k, PATH)
    try:
        if not answer.path_ids or answer.path_texts is None:
            raise NoScores(NO_PATH, "there is no answer to follow")
        places = asked.score(inputs, answer.path_ids, answer.path_texts)
    except NoScores as error:
        return asked.fail(error)
    return asked.tell(
        PROMPT_LOGPROBS, places, answer.ended, path_texts=answer.path_texts
    )


class _Asked(Scoring):
    """One row of a TGI server."""

    def answer(self, inputs: str) -> tuple[list[int], list[str], bool]:
        """Ids and texts of the greedy answer, and whether it ended by itself.

        An end token has no text that could be given back: it is no place.
        """
        details = self._generate(inputs, self.request.max_tokens)
        path, texts = [], []
        for token in map(figures.mapping, figures.sequence(details.get("tokens"))):
            if token.get("special") is True:
                continue
            number, text = figures.count(token.get("id")), token.get("text")
            if number is None or not isinstance(text, str):
                raise NoScores(NO_LOGPROBS, "the server tells no ids of its answer")
            path.append(number)
            texts.append(text)
        if not path:
            raise NoScores(NO_LOGPROBS, "the server tells no ids of its answer")
        return path, texts, details.get("finish_reason") == "eos_token"

    def score(self, inputs: str, path: list[int], texts: list[str]) -> list[Place]:
        details = self._generate(inputs + "".join(texts), 1)
        return read_prefill(details.get("prefill"), path)

    def _generate(self, inputs: str, tokens: int) -> Mapping[str, Any]:
        parameters = {
            "max_new_tokens": tokens,
            "details": True,
            "decoder_input_details": True,
            "return_full_text": False,
            "do_sample": False,
        }
        payload = {"inputs": inputs, "parameters": parameters}
        return figures.mapping(self.ask("/generate", payload).get("details"))
