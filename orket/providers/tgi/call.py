"""One answer of TGI: its tokens, its details, its headers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orket.providers.http.problems import Problem, stream_problem
from orket.providers.http.transport import Stream, Timing
from orket.providers.reading.calls import (
    Answer,
    Figures,
)
from orket.providers.reading.counts import drop_default_zeros
from orket.providers.reading.figures import (
    count,
    mapping,
    nanoseconds_from_ms,
    raw_json,
    text,
)

STOP_REASONS = {"eos_token": "stop", "stop_sequence": "stop"}
FIGURE_HEADERS = (
    "x-prompt-tokens",
    "x-generated-tokens",
    "x-total-time",
    "x-validation-time",
    "x-queue-time",
    "x-inference-time",
    "x-time-per-token",
)


@dataclass
class TgiCall:
    """One answer as it comes in."""

    answer: Answer = field(default_factory=Answer)
    details: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    timing: Timing = Timing()
    problem: Problem | None = None
    http_status: int | None = None
    streamed: bool = True
    notes: list[str] = field(default_factory=list)

    def read(self, stream: Stream) -> None:
        """Read tokens up to the one with the whole text; faults go to the stream."""
        for event in stream:
            try:
                body = event.json()
            except ValueError:
                body = None
            if not isinstance(body, dict):
                kind = "PROTOCOL_ERROR" if event.complete else "STREAM_INCOMPLETE"
                stream.fail(kind, "a stream event is not a JSON object")
                return
            failure = stream_problem(body, stream.status)
            if failure is not None:
                stream.set_problem(failure)
                return
            token = mapping(body.get("token"))
            piece = token.get("text")
            if isinstance(piece, str) and token.get("special") is not True:
                self.answer.parts.append(piece)
                stream.mark_token(event)
            if isinstance(body.get("generated_text"), str):
                self._finish(body)
                return
        if stream.problem is None:
            stream.fail("STREAM_INCOMPLETE", "the stream ended without its whole text")

    def take(self, body: Any, headers: Mapping[str, str]) -> None:
        """Take a whole answer."""
        if isinstance(body, list) and len(body) == 1:
            body = body[0]
        failure = stream_problem(body, self.http_status)
        if failure is not None:
            self.problem = failure
        elif not isinstance(mapping(body).get("generated_text"), str):
            self.problem = Problem(
                "PROTOCOL_ERROR", "the response has no answer in it", self.http_status
            )
        else:
            self.headers = headers
            self._finish(body)

    def figures(self) -> Figures:
        """Counts from the details, else from the headers of a whole answer."""
        prompt = count(self.details.get("input_length"))
        if prompt is None:
            prompt = _header_count(self.headers.get("x-prompt-tokens"))
        generated = count(self.details.get("generated_tokens"))
        if generated is None:
            generated = _header_count(self.headers.get("x-generated-tokens"))
        prompt, generated = drop_default_zeros(
            prompt, generated, not "".join(self.answer.parts)
        )
        told = {
            key: value for key in FIGURE_HEADERS if (value := self.headers.get(key))
        }
        counts = {
            key: self.details.get(key) for key in ("input_length", "generated_tokens")
        }
        total_ms = _header_count(self.headers.get("x-total-time"))
        return Figures(
            formula_id="tgi.details.v1" if self.details or told else None,
            raw_figures=raw_json({**counts, **told}),
            prompt_tokens=prompt,
            completion_tokens=generated,
            server_total_ns=nanoseconds_from_ms(total_ms),
            decode_clock="first_token",
            engine="tgi",
        )

    def _finish(self, body: Mapping[str, Any]) -> None:
        # Single tokens may hold half a character; the whole text has it whole.
        self.answer.parts = [str(body["generated_text"])]
        self.details = mapping(body.get("details"))
        reason = text(self.details.get("finish_reason"))
        self.answer.stop_reason = STOP_REASONS.get(reason or "", reason)


def _header_count(value: str | None) -> int | None:
    if value is None or not re.fullmatch(r"\d{1,12}", value):
        return None
    return int(value)
