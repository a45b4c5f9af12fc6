"""One row of `sidecars/`: what a tool beside a sweep measured."""

from __future__ import annotations

from typing import Annotated

from orket.row_types import Count, Duration, Moment, Name, Record, Signed, about


class SidecarRow(Record, frozen=True, kw_only=True):
    """One sidecar measurement of one model and quant. Diagnostic, never a gate."""

    sweep_id: Annotated[Name, about("Sweep")]
    sidecar_id: Annotated[Name, about("This row")]
    recorded_at: Annotated[Moment, about("When this row was written", "UTC")]
    model_id: Annotated[Name, about("Model")]
    quant_tag: Annotated[Name, about("Quant")]
    tool: Annotated[Name, about("Tool, e.g. llama-bench")]
    tool_version: Annotated[str | None, about("Build", source="tool")] = None
    profile: Annotated[str | None, about("Sidecar profile, e.g. cpu")] = None
    status: Annotated[Name, about("OK, MISSING_BINARY, TIMEOUT, FAILED or UNPARSEABLE")]
    error_message: Annotated[str | None, about("One line")] = None
    test: Annotated[
        str | None,
        about("pp (prefill), tg (decode) or kl (divergence)", source="tool"),
    ] = None
    prompt_tokens: Annotated[
        Count | None, about("Prompt tokens of the test", "tokens", "tool")
    ] = None
    generated_tokens: Annotated[
        Count | None, about("Generated tokens of the test", "tokens", "tool")
    ] = None
    batch_tokens: Annotated[Count | None, about("Batch", "tokens", "tool")] = None
    threads: Annotated[Count | None, about("Threads", "count", "tool")] = None
    depth_tokens: Annotated[
        Count | None, about("Tokens in the cache before the test", "tokens", "tool")
    ] = None
    samples_ns: Annotated[
        list[Duration] | None, about("Raw samples, one per repetition", "ns", "tool")
    ] = None
    mean_ns: Annotated[
        Duration | None, about("Mean of the samples by the tool's word", "ns", "tool")
    ] = None
    rate_milli: Annotated[
        Count | None,
        about("Tokens per second by the tool's word, where it says no time", "1/1000"),
    ] = None
    kld_nnats: Annotated[
        Signed | None,
        about("Mean KL divergence by the tool's word", "1e-9 nats", "llama-perplexity"),
    ] = None
    kld_error_nnats: Annotated[
        Count | None,
        about("Its error by the tool's word", "1e-9 nats", "llama-perplexity"),
    ] = None
    same_top_ppm: Annotated[
        Count | None,
        about("Places with the same likeliest token", "ppm", "llama-perplexity"),
    ] = None
    same_top_error_ppm: Annotated[
        Count | None,
        about("Its error by the tool's word", "ppm", "llama-perplexity"),
    ] = None
    telemetry: Annotated[
        str | None,
        about("GPU tool output before and after, as JSON", source="nvidia-smi etc."),
    ] = None
    raw: Annotated[str | None, about("The tool's record, unread", source="tool")] = None
