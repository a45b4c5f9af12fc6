"""One answer of LM Studio's REST v1: its events, its statistics."""

from __future__ import annotations

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
    nanoseconds_from_seconds,
    rate,
    raw_json,
    sequence,
    text,
)

MAX_RATE = 1e7
"""Tokens per second above this are a defect of the server, not a figure."""


@dataclass
class V1Call:
    """One v1 answer as it comes in."""

    answer: Answer = field(default_factory=Answer)
    stats: Mapping[str, Any] = field(default_factory=dict)
    timing: Timing = Timing()
    problem: Problem | None = None
    http_status: int | None = None
    streamed: bool = True
    notes: list[str] = field(default_factory=list)
    said_tokens: bool = False

    def read(self, stream: Stream) -> None:
        """Read named events up to chat.end; what is wrong is told to the stream."""
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
            if not stream.streamed:
                self.take_result(body)
                if self.problem is not None:
                    stream.set_problem(self.problem)
                return
            kind = text(body.get("type")) or event.name or ""
            if self._take_delta(kind, body):
                stream.mark_token(event)
            if kind == "chat.end":
                self._finish(mapping(body.get("result")))
                return
        if stream.problem is None:
            stream.fail("STREAM_INCOMPLETE", "the stream ended without chat.end")

    def take_result(self, body: Any) -> None:
        """Take a whole answer."""
        failure = stream_problem(body, self.http_status)
        if failure is not None:
            self.problem = failure
            return
        if not isinstance(mapping(body).get("output"), list):
            self.problem = Problem(
                "PROTOCOL_ERROR", "the response has no answer in it", self.http_status
            )
            return
        for item in sequence(body["output"]):
            kind = {"message": "message.delta", "reasoning": "reasoning.delta"}.get(
                text(mapping(item).get("type")) or "", ""
            )
            self._take_delta(kind, mapping(item))
        self._finish(body)

    def _take_delta(self, kind: str, body: Mapping[str, Any]) -> bool:
        """Keep what an event says; whether it carried a token."""
        parts = {
            "message.delta": self.answer.parts,
            "reasoning.delta": self.answer.reasoning,
        }.get(kind)
        piece = body.get("content")
        if parts is None or not isinstance(piece, str) or not piece:
            return False
        parts.append(piece)
        self.said_tokens = True
        return True

    def _finish(self, result: Mapping[str, Any]) -> None:
        self.answer.model = text(result.get("model_instance_id"))
        self.stats = mapping(result.get("stats"))


def read_v1_stats(stats: Mapping[str, Any], empty_answer: bool) -> Figures:
    """The figures of REST v1: seconds and a rate.

    Prefill is the time to the first token. The decode time is worked out from the
    rate, (n - 1) / rate: the server tells no time of its own for it.
    """
    prompt, completion = drop_default_zeros(
        count(stats.get("input_tokens")),
        count(stats.get("total_output_tokens")),
        empty_answer,
    )
    speed = rate(stats.get("tokens_per_second"))
    decode_ns = None
    if speed is not None and speed > MAX_RATE:
        speed = None
    if speed is not None and completion is not None and completion > 1:
        decode_ns = nanoseconds_from_seconds((completion - 1) / speed)
    prefill_ns = nanoseconds_from_seconds(stats.get("time_to_first_token_seconds"))
    return Figures(
        formula_id="lmstudio.v1_stats.v1" if stats else None,
        raw_figures=raw_json(stats),
        prompt_tokens=prompt,
        completion_tokens=completion,
        reasoning_tokens=count(stats.get("reasoning_output_tokens")),
        prefill_ns=prefill_ns,
        decode_ns=decode_ns,
        load_ns=nanoseconds_from_seconds(stats.get("model_load_time_seconds")),
        decode_clock="first_token",
        prefill_kind=None if prefill_ns is None else "ttft_proxy",
    )
