"""What a server is told, and what it can tell and be told."""

from __future__ import annotations

from typing import Annotated

from orket.row_types import Count, Name, Record, Signed, about


class Controls(Record, frozen=True, kw_only=True):
    """Experimental controls, as requested or as found effective.

    As requested, None means that no value was given; the words `none` and `server`
    are values. As effective, None means that it could not be verified.
    """

    seed: Annotated[Signed | None, about("Sampling seed")] = None
    temperature_milli: Annotated[Count | None, about("Temperature", "1/1000")] = None
    threads: Annotated[
        Name | None, about("Server threads: a number, or `server` (its own choice)")
    ] = None
    affinity: Annotated[
        Name | None,
        about("CPU affinity: none, compact, spread, server, or a list like 0,2-3"),
    ] = None
    warmup: Annotated[
        Name | None, about("Warm-up calls per block: a number, `none` or `server`")
    ] = None
    context_tokens: Annotated[Count | None, about("Context length", "tokens")] = None
    batch_tokens: Annotated[Count | None, about("Batch size", "tokens")] = None
    kv_cache: Annotated[
        Name | None,
        about("Type of the KV cache: q8_0, or q8_0/f16 for keys and values"),
    ] = None
    thinking: Annotated[
        bool | None, about("Whether the model may think before it answers")
    ] = None


class Capabilities(Record, frozen=True, kw_only=True):
    """What a server can tell and be told. None means that it was not found out."""

    streaming: Annotated[bool | None, about("Streams its answers")] = None
    token_counts: Annotated[bool | None, about("Reports token counts")] = None
    cached_counts: Annotated[bool | None, about("Reports cached prompt tokens")] = None
    internal_timings: Annotated[
        bool | None, about("Reports prefill and decode time")
    ] = None
    seed: Annotated[bool | None, about("Takes a seed")] = None
    context_control: Annotated[bool | None, about("Context can be set")] = None
    thread_control: Annotated[bool | None, about("Threads can be set")] = None
    batch_control: Annotated[bool | None, about("Batch size can be set")] = None
    quant_identity: Annotated[bool | None, about("Says which quant it loaded")] = None
    memory_report: Annotated[bool | None, about("Reports the model's memory")] = None
    cache_control: Annotated[bool | None, about("Prompt cache can be switched off")] = (
        None
    )
