"""One call's facts, put together the same way by every adapter."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from orket.text import storable

INVALID_UTF8 = "INVALID_UTF8"
"""Bytes that are no UTF-8 were replaced."""
NOT_STREAMED = "NOT_STREAMED"
"""A stream was asked for, and one whole document came."""
PARTIAL_FIGURES = "PARTIAL_FIGURES"
"""Figures were said of a part of the answer, not of all of it: they are left out."""
SECRET_REMOVED = "SECRET_REMOVED"
"""The server said the key or password it was asked with: it was taken out."""
THOUGHT_IN_ANSWER = "THOUGHT_IN_ANSWER"
"""The answer ended a thought that the prompt had begun: it was taken apart there."""
USAGE_NOT_OFFERED = "USAGE_NOT_OFFERED"
"""The server rejects `stream_options.include_usage`; asked without."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a response said in numbers, normalised; None is what it did not say.

    Each goes into the row under its own name (`orket.records.CallFacts`).
    """

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
    called_tools: bool = False
    readable: bool = False
    """Whether the server gave a place for the answer at all, be it empty."""
    stop_reason: str | None = None
    model: str | None = None

    def text(self) -> str:
        return storable("".join(self.parts))

    def reasoning_text(self) -> str | None:
        return storable("".join(self.reasoning)) if self.reasoning else None

    @property
    def tokens_seen(self) -> int:
        """How many pieces bore tokens: grows with each that does."""
        return len(self.parts) + len(self.reasoning) + self.called_tools


def drop_default_zeros(figures: Figures, answer: Answer) -> Figures:
    """The figures without counts that a server filled in by default.

    No prompt has 0 tokens, and no answer with text has: a server that says so did not
    count. Where it did not count the prompt, its other zeros say nothing either.
    """
    if figures.prompt_tokens == 0:
        return replace(
            figures,
            prompt_tokens=None,
            cached_prompt_tokens=figures.cached_prompt_tokens or None,
            completion_tokens=figures.completion_tokens or None,
            reasoning_tokens=figures.reasoning_tokens or None,
        )
    if figures.completion_tokens == 0 and answer.tokens_seen:
        return replace(figures, completion_tokens=None)
    return figures
