"""Reads the figures of OpenAI-style responses, whichever server wrote them.

A server is recognised by the shape of what it said, not by its name: the same fields
come through proxies and from relatives. Each reader is one named formula; the raw
figures are kept beside it, so that a row can be read again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from orket.providers.reading import figures
from orket.providers.reading.facts import Figures

FIGURE_KEYS = ("usage", "timings", "metrics", "stats")
"""Where OpenAI-style responses and stream events keep their figures."""

TOTAL_DIFFERS = "USAGE_TOTAL_DIFFERS"
"""usage.total_tokens is not the sum of the two counts; they are kept as said."""

TIMINGS_DIFFER = "TIMINGS_DIFFER_FROM_USAGE"
"""A server says its counts twice, and not the same; those of the timings are kept."""

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Usage:
    """The counts of a `usage` object; all zeros is a default, not a count."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    note: str | None = None


def read_figures(document: Document) -> Figures:
    """The figures of a response, or of the last word of a stream on each key."""
    said = {key: document.get(key) for key in FIGURE_KEYS}
    raw = figures.raw_json(said)
    usage = read_usage(said["usage"])
    for recognised, read in DIALECTS:
        if recognised(said):
            return replace(read(said, usage), raw_figures=raw)
    formula = "openai.usage.v1" if figures.mapping(said["usage"]) else None
    return replace(_counts(usage), formula_id=formula, raw_figures=raw)


def read_usage(value: object) -> Usage:
    """The counts of a `usage` object, None where it does not say."""
    usage = figures.mapping(value)
    prompt = figures.count(usage.get("prompt_tokens"))
    completion = figures.count(usage.get("completion_tokens"))
    if not prompt and not completion:
        return Usage()
    total = figures.count(usage.get("total_tokens"))
    known = None not in (prompt, completion, total)
    prompt_details = figures.mapping(usage.get("prompt_tokens_details"))
    details = figures.mapping(usage.get("completion_tokens_details"))
    return Usage(
        prompt,
        completion,
        figures.count(prompt_details.get("cached_tokens")),
        figures.count(details.get("reasoning_tokens")),
        TOTAL_DIFFERS if known and total != (prompt or 0) + (completion or 0) else None,
    )


def read_llamacpp_timings(said: Document, usage: Usage) -> Figures:
    """llama.cpp's `timings`: milliseconds, prompt_n without the cached tokens.

    The decode clock starts when the prompt is done: the first token is free.
    """
    timings = figures.mapping(said["timings"])
    cached = figures.count(timings.get("cache_n"))
    new = figures.count(timings.get("prompt_n"))
    whole = None
    if new is not None and cached is not None:
        # Two counts that can be kept may have a sum that cannot.
        whole = figures.count(new + cached)
    completion = figures.count(timings.get("predicted_n"))
    prefill_ns = figures.nanoseconds_from_ms(timings.get("prompt_ms"))
    pairs = (
        (whole, usage.prompt_tokens),
        (cached, usage.cached_tokens),
        (completion, usage.completion_tokens),
    )
    differ = any(one != other for one, other in pairs if None not in (one, other))
    return replace(
        _counts(usage),
        formula_id="llamacpp.timings.v1",
        count_note=TIMINGS_DIFFER if differ else usage.note,
        prompt_tokens=usage.prompt_tokens if whole is None else whole,
        cached_prompt_tokens=usage.cached_tokens if cached is None else cached,
        completion_tokens=usage.completion_tokens if completion is None else completion,
        prefill_ns=prefill_ns,
        prefill_kind=None if prefill_ns is None else "internal",
        decode_ns=figures.nanoseconds_from_ms(timings.get("predicted_ms")),
        decode_clock="first_token",
    )


def read_vllm_metrics(said: Document, usage: Usage) -> Figures:
    """vLLM's per-request `metrics`: milliseconds, queueing left out.

    Time to first token counts from scheduling, so it is the prefill; its rate spans
    the prefill too and is not used.
    """
    metrics = figures.mapping(said["metrics"])
    prefill_ns = figures.nanoseconds_from_ms(metrics.get("time_to_first_token_ms"))
    return replace(
        _counts(usage),
        formula_id="vllm.metrics.v1",
        prefill_ns=prefill_ns,
        prefill_kind=None if prefill_ns is None else "internal",
        decode_ns=figures.nanoseconds_from_ms(metrics.get("generation_time_ms")),
        decode_clock="first_token",
    )


def read_nim_stats(said: Document, usage: Usage) -> Figures:
    """NVIDIA NIM's `stats`: counts only; what its times span is not documented."""
    stats = figures.mapping(said["stats"])
    prompt = figures.count(stats.get("llm_input_token_length"))
    completion = figures.count(stats.get("llm_output_token_length"))
    return replace(
        _counts(usage),
        formula_id="nim.stats.v1",
        prompt_tokens=prompt or usage.prompt_tokens,
        completion_tokens=usage.completion_tokens if completion is None else completion,
    )


def read_lmstudio_stats(said: Document, usage: Usage) -> Figures:
    """LM Studio's v0 `stats`: seconds; the prefill is the time to the first token."""
    stats = figures.mapping(said["stats"])
    prefill_ns = figures.nanoseconds_from_seconds(stats.get("time_to_first_token"))
    return replace(
        _counts(usage),
        formula_id="lmstudio.v0_stats.v1",
        prefill_ns=prefill_ns,
        prefill_kind=None if prefill_ns is None else "ttft_proxy",
        decode_ns=figures.nanoseconds_from_seconds(stats.get("generation_time")),
        decode_clock="first_token",
    )


def read_groq_usage(said: Document, usage: Usage) -> Figures:
    """Groq's times inside `usage`: seconds, queueing apart."""
    times = figures.mapping(said["usage"])
    prefill_ns = figures.nanoseconds_from_seconds(times.get("prompt_time"))
    return replace(
        _counts(usage),
        formula_id="groq.usage.v1",
        prefill_ns=prefill_ns,
        prefill_kind=None if prefill_ns is None else "internal",
        decode_ns=figures.nanoseconds_from_seconds(times.get("completion_time")),
        decode_clock="prefill_end",
        server_total_ns=figures.nanoseconds_from_seconds(times.get("total_time")),
    )


def read_sambanova_usage(said: Document, usage: Usage) -> Figures:
    """SambaNova's times inside `usage`: a time to first token and a total."""
    times = figures.mapping(said["usage"])
    prefill_ns = figures.nanoseconds_from_seconds(times.get("time_to_first_token"))
    return replace(
        _counts(usage),
        formula_id="sambanova.usage.v1",
        prefill_ns=prefill_ns,
        prefill_kind=None if prefill_ns is None else "ttft_proxy",
        server_total_ns=figures.nanoseconds_from_seconds(times.get("total_latency")),
    )


def _counts(usage: Usage) -> Figures:
    return Figures(
        prompt_tokens=usage.prompt_tokens,
        cached_prompt_tokens=usage.cached_tokens,
        completion_tokens=usage.completion_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        count_note=usage.note,
    )


def _has(key: str, *fields: str) -> Callable[[Document], bool]:
    def recognised(said: Document) -> bool:
        return any(field in figures.mapping(said[key]) for field in fields)

    return recognised


def _is_nim(said: Document) -> bool:
    kind = figures.mapping(said["stats"]).get("type")
    return isinstance(kind, str) and kind.startswith("NIM")


DIALECTS: tuple[
    tuple[Callable[[Document], bool], Callable[[Document, Usage], Figures]], ...
] = (
    (
        _has("timings", "prompt_n", "prompt_ms", "predicted_n", "predicted_ms"),
        read_llamacpp_timings,
    ),
    (
        _has("metrics", "time_to_first_token_ms", "generation_time_ms"),
        read_vllm_metrics,
    ),
    (_is_nim, read_nim_stats),
    (
        _has("stats", "time_to_first_token", "generation_time", "tokens_per_second"),
        read_lmstudio_stats,
    ),
    (_has("usage", "prompt_time", "completion_time"), read_groq_usage),
    (_has("usage", "time_to_first_token"), read_sambanova_usage),
)
"""Which shape is whose, the most telling first."""
