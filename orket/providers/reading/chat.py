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
from orket.providers.reading.facts import Figures
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
        if choice is not None and text(choice.get("finish_reason")):
            # Figures so far were those of a part of the answer.
            self.said.clear()
        for key in FIGURE_KEYS:
            if body.get(key) is not None:
                self.said[key] = body[key]
        self.answer.model = text(body.get("model")) or self.answer.model
        if choice is not None:
            self._read_choice(choice, part)

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
