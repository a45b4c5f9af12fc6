"""One call's facts, put together the same way by every adapter."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from orket.providers.contract import Generation
from orket.providers.http.problems import Problem
from orket.providers.http.transport import Timing
from orket.providers.reading.counts import drop_default_zeros
from orket.records import CallFacts
from orket.text import storable

INVALID_UTF8 = "INVALID_UTF8"
"""Bytes that are no UTF-8 were replaced."""
NOT_STREAMED = "NOT_STREAMED"
"""A stream was asked for, and one whole document came."""
USAGE_NOT_OFFERED = "USAGE_NOT_OFFERED"
"""The server rejects `stream_options.include_usage`; asked without."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a response said in numbers, normalised; None is what it did not say."""

    formula_id: str | None = None
    """The formula that read them, e.g. `llamacpp.timings.v1`."""
    raw_figures: str | None = None
    """The server's figures, unread, as JSON."""
    prompt_tokens: int | None = None
    """Cached ones included."""
    cached_prompt_tokens: int | None = None
    completion_tokens: int | None = None
    """Reasoning included."""
    reasoning_tokens: int | None = None
    count_note: str | None = None
    prefill_ns: int | None = None
    decode_ns: int | None = None
    load_ns: int | None = None
    server_total_ns: int | None = None
    decode_clock: str | None = None
    """`first_token` or `prefill_end`."""
    prefill_kind: str | None = None
    """`internal` or `ttft_proxy`."""
    engine: str | None = None


@dataclass(slots=True)
class Answer:
    """What a model said, as it comes in."""

    parts: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    stop_reason: str | None = None
    model: str | None = None

    def text(self) -> str:
        return storable("".join(self.parts))

    def reasoning_text(self) -> str | None:
        return storable("".join(self.reasoning)) if self.reasoning else None


def build_facts(
    request: Generation,
    answer: Answer,
    figures: Figures,
    timing: Timing,
    problem: Problem | None = None,
    http_status: int | None = None,
    streamed: bool = True,
    prompt_cache: str | None = None,
    notes: Iterable[str] = (),
) -> CallFacts:
    """The facts of one call. A failed one keeps what came in before it failed."""
    text, reasoning = answer.text(), answer.reasoning_text()
    prompt_tokens, completion_tokens = drop_default_zeros(
        figures.prompt_tokens, figures.completion_tokens, not text and not reasoning
    )
    return CallFacts(
        outcome=problem.outcome if problem else "OK",
        error_class=problem.error_class if problem else None,
        error_message=problem.message if problem else None,
        http_status=problem.http_status if problem else http_status,
        retry_after_ns=problem.retry_after_ns if problem else None,
        call_notes=sorted(set(notes)),
        answer_text=text if text or problem is None else None,
        reasoning_text=reasoning,
        stop_reason=answer.stop_reason,
        reported_model=answer.model,
        prompt_tokens=prompt_tokens,
        cached_prompt_tokens=figures.cached_prompt_tokens,
        completion_tokens=completion_tokens,
        reasoning_tokens=figures.reasoning_tokens,
        count_note=figures.count_note,
        prefill_ns=figures.prefill_ns,
        decode_ns=figures.decode_ns,
        load_ns=figures.load_ns,
        server_total_ns=figures.server_total_ns,
        decode_clock=figures.decode_clock,
        prefill_kind=figures.prefill_kind,
        formula_id=figures.formula_id,
        engine=figures.engine,
        raw_figures=figures.raw_figures,
        prompt_cache=prompt_cache or request.prompt_cache,
        streamed=streamed,
        wall_ns=timing.wall_ns,
        realtime_ns=timing.realtime_ns,
        ttft_ns=timing.ttft_ns,
        last_token_ns=timing.last_token_ns,
    )
