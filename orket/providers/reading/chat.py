"""The OpenAI chat protocol, streamed or whole, as most servers speak it.

One call gives an answer, the figures that came with it and the reason why not. What
the figures mean is for `dialects` to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orket.providers.contract import Generation
from orket.providers.http.problems import said_error
from orket.providers.http.transport import Transport
from orket.providers.reading import dialects
from orket.providers.reading.call import Call, Record
from orket.providers.reading.dialects import FIGURE_KEYS
from orket.providers.reading.facts import PARTIAL_FIGURES, Figures
from orket.providers.reading.figures import mapping, sequence, text

CHAT_PATH = "/v1/chat/completions"
OTHER_PARTS = ("delta", "message", "text", "content")
"""Where a choice has its words in other protocols and modes."""


class ChatCall(Call):
    """One answer of an OpenAI-style chat route."""

    def __init__(self, request: Generation, transport: Transport) -> None:
        super().__init__(request, transport)
        self.said: dict[str, Any] = {}
        """usage, timings, metrics, stats: the last word on each."""
        self._partial: set[str] = set()
        """Those of them that were said while the answer was not whole."""
        self._has_ended = False
        """Whether the record that says why the answer ends came, and no words since."""
        self.document: Record = {}
        """The whole response, or the first record of a stream."""

    def read_record(self, record: Record, name: str | None) -> None:
        self._read(record, "delta")

    def read_document(self, document: Record) -> None:
        self._read(document, "message")

    def read_end(self) -> None:
        self.final = True

    def has_ended(self) -> bool:
        """Some servers leave the end mark out: their last word on figures will do."""
        return self.final or (self.answer.stop_reason is not None and bool(self.said))

    def read_figures(self) -> Figures:
        if self._partial - self.said.keys():
            self.notes.add(PARTIAL_FIGURES)
        return dialects.read_figures(self.said)

    def _read(self, body: Record, part: str) -> None:
        self.document = self.document or body
        choice = next(
            (
                choice
                for choice in map(mapping, sequence(body.get("choices")))
                if choice.get("index") in (None, 0)
            ),
            None,
        )
        self.answer.model = text(body.get("model")) or self.answer.model
        seen = self.answer.tokens_seen
        if choice is not None:
            self._read_choice(choice, part)
        said = {key: body[key] for key in FIGURE_KEYS if body.get(key) is not None}
        if part == "delta":
            ends = choice is not None and bool(text(choice.get("finish_reason")))
            speaks = self.answer.tokens_seen > seen
            is_bare = not body.get("choices")
            said = self._of_the_whole(said, speaks=speaks, ends=ends, is_bare=is_bare)
        self.said |= said

    def _of_the_whole(
        self, said: dict[str, Any], *, speaks: bool, ends: bool, is_bare: bool
    ) -> dict[str, Any]:
        """What a record says of the whole answer, as far as it is known to.

        What comes before the end of the answer is of a part, and so is what words
        follow. Where figures ran along with the words, neither a record that speaks and
        ends nor one without an end before it says whether it has the last of them.
        """
        if speaks or ends:
            self._partial |= self.said.keys()
            self.said.clear()
            self._has_ended = ends
        if not speaks and (ends or (is_bare and self._has_ended)):
            return said
        may_be_last = ends or (not speaks and (is_bare or self._has_ended))
        last = {
            key: said[key] for key in said if may_be_last and key not in self._partial
        }
        self._partial |= said.keys() - last.keys()
        return last

    def _read_choice(self, choice: Record, part: str) -> None:
        reason = text(choice.get("finish_reason"))
        self.answer.stop_reason = reason or self.answer.stop_reason
        said = choice.get(part)
        if isinstance(said, dict):
            self._read_message(said, streamed=part == "delta")
        elif said is not None or any(choice.get(key) for key in OTHER_PARTS):
            # Words in a place where this protocol has none: no empty answer.
            self.fail("PROTOCOL_ERROR", f"the answer has a choice without its {part}")
        if reason == "error" or choice.get("error"):
            told = said_error(choice) or "the server says that the answer failed"
            self.fail("STREAM_ERROR", told)

    def _read_message(self, said: Record, streamed: bool) -> None:
        answer = self.answer
        answer.called_tools |= bool(sequence(said.get("tool_calls")))
        # A message has a place for its text; a part of one need not touch it.
        answer.readable |= streamed or answer.called_tools
        for key in ("reasoning_content", "reasoning", "thinking"):
            if said.get(key):
                self.think(said[key])
                break
        if "content" in said:
            self.say(said["content"])


def chat_payload(request: Generation, stream: bool) -> dict[str, Any]:
    """The request body that every OpenAI-style server understands."""
    payload: dict[str, Any] = {
        "model": request.model.name,
        "messages": request.messages,
        "max_tokens": request.max_tokens,
        "stream": stream,
    }
    if request.controls.temperature_milli is not None:
        payload["temperature"] = request.controls.temperature_milli / 1000
    if request.controls.seed is not None:
        payload["seed"] = request.controls.seed
    return payload


def with_usage(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The payload of a stream that asks for a last event with the token counts."""
    return {**payload, "stream_options": {"include_usage": True}}


def ask_chat(
    transport: Transport,
    request: Generation,
    payload: Mapping[str, Any],
    path: str = CHAT_PATH,
) -> ChatCall:
    """Make one chat call, streamed when the payload says so."""
    call = ChatCall(request, transport)
    (call.stream if payload.get("stream") else call.post)(path, dict(payload))
    return call
