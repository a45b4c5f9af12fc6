"""What was measured of one quant."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from orket.exports.part import Part
from orket.exports.scale import MICRO, MILLI, NANO, Scaled, Source


class RunCounts(Part):
    """Runs of one quant."""

    planned: int
    """Planned runs."""
    attempts: int
    """Attempts at them."""
    valid: int
    """Runs that count."""
    polluted: int
    """Planned runs that were answered, whose attempt that counts is polluted."""
    polluted_used: int
    """Polluted runs among the valid ones."""
    failed: int
    """Planned runs without any answer."""
    answered: int = 0
    """Planned runs with an answer."""
    truncated: int = 0
    """Answers that were cut at their budget."""
    slow: int | None = None
    """Took much longer than the median of their cell; since 1.1."""


class Failure(Part):
    """Planned runs that failed alike."""

    error_class: str
    """What kind of failure it was; see docs/telemetry.md."""
    error_message: str | None
    """What the server or the network said."""
    runs: int
    """Planned runs."""


class TaskCounts(Part):
    """Tasks of one quant."""

    planned: int
    """Planned tasks."""
    covered: int
    """Tasks with enough valid runs."""
    left_out: int
    """Tasks that failed everywhere and count for no quant."""
    unsupported: int = 0
    """Tasks in no adherence: a check could not be run on some quant's answer."""


class Pairs(Part):
    """This quant against the reference, task by task."""

    n: int
    """Tasks both have."""
    baseline_passes: int | None = None
    """Of these, passed by the reference; since 1.1."""
    flips_lost: int
    """The reference passes, this one does not."""
    flips_gained: int
    """This one passes, the reference does not."""
    response_agreement: Annotated[
        float | None, Scaled("response_agreement_micro", MICRO)
    ]
    """Share of pairs with the same answer, to the character."""


class TokenMetrics(Part):
    """Token counts and rates of one quant, over its valid runs."""

    status: str | None
    """The worst token status of them."""
    prompt_tokens_per_second: Annotated[
        float | None, Scaled("prompt_tokens_per_second_milli", MILLI, 3)
    ]
    """New prompt tokens / prefill time."""
    generation_tokens_per_second: Annotated[
        float | None, Scaled("generation_tokens_per_second_milli", MILLI, 3)
    ]
    """Generated tokens / decode time."""
    prompt_rate_reason: str | None = None
    """Why there is no prompt rate; MIXED where the runs have different reasons."""
    generation_rate_reason: str | None = None
    """Why there is no generation rate."""
    prompt_rate_runs: int
    """Runs behind the prompt rate."""
    generation_rate_runs: int
    """Runs behind the generation rate."""
    prompt_tokens: int | None
    """Sum; null when a run did not say."""
    completion_tokens: int | None
    """Sum; null when a run did not say."""
    status_counts: dict[str, int]
    """Runs with each token status."""


class Vibe(Part):
    """Optimization signals; none of them gates."""

    vibe_delta: Annotated[float | None, Scaled("vibe_delta_micro", MICRO)]
    """Adherence lost per GiB of memory saved against the reference."""
    vibe_delta_status: str
    """OK, or why there is no number."""
    latency_variance: Annotated[
        float | None, Scaled("latency_variance_ns2", NANO * NANO, 12)
    ]
    """Variance of the wall time, square seconds."""
    code_density: Annotated[float | None, Scaled("code_density_micro", MICRO)]
    """Characters in code fences / characters of the answers."""
    gen_retries: int | None
    """Further generations inside one attempt."""


class NearestBaseline(Part):
    """The stored baseline that came nearest, and what kept it from matching."""

    event_id: str
    """The append event."""
    test_id: str
    """bank/task."""
    measured_at: datetime | None
    """When it was measured."""
    differing_fields: list[str]
    """Fields that differ."""


class BaselineComparison(Part):
    """This quant against the stored baselines."""

    status: str
    """MATCHED, PARTIAL or MISSING_BASELINE."""
    reason: str | None
    """Why not, where one reason holds for every unmatched test."""
    reason_counts: dict[str, int]
    """Tests with each reason."""
    verdict: str
    """IMPROVED, REGRESSED, STABLE, INSUFFICIENT, NOT_COMPARABLE or MISSING_BASELINE."""
    verdict_counts: dict[str, int] | None = None
    """Tests with each of these verdicts; since 1.1."""
    matched_tests: int
    """Tests with a matching baseline."""
    total_tests: int
    """Tests."""
    baseline_runs: list[str]
    """Runs the matched baselines are made of."""
    adherence_delta: Annotated[float | None, Scaled("adherence_delta_micro", MICRO)]
    """This minus baseline."""
    latency_delta: Annotated[float | None, Scaled("latency_delta_ns", NANO)]
    """This minus baseline, seconds."""
    latency_status: str | None
    """Whether latency may be compared."""
    nearest: NearestBaseline | None
    """The nearest candidate, where none matched."""


class HardwareSidecar(Part):
    """Throughput by another tool. Diagnostic: it never gates."""

    status: str
    """OK, NOT_RUN, MISSING_BINARY, TIMEOUT, FAILED, UNPARSEABLE or SEVERAL_SETTINGS."""
    gates: bool
    """Always false."""
    tool: str | None
    """Tool."""
    tool_version: str | None
    """Its build."""
    profile: str | None
    """Sidecar profile."""
    prefill_tps: Annotated[float | None, Scaled("prefill_tps_milli", MILLI, 3)]
    """Prompt processing, tokens per second."""
    prefill_samples: int | None
    """Samples behind it."""
    prefill_spread: Annotated[float | None, Scaled("prefill_spread_micro", MICRO)] = (
        None
    )
    """Standard deviation / mean of the samples."""
    decode_tps: Annotated[float | None, Scaled("decode_tps_milli", MILLI, 3)]
    """Generation, tokens per second."""
    decode_samples: int | None
    """Samples behind it."""
    decode_spread: Annotated[float | None, Scaled("decode_spread_micro", MICRO)] = None
    """Standard deviation / mean of the samples."""
    error_message: str | None
    """One line, when it did not work."""


class Fidelity(Part):
    """Whether it does what the reference does. It never gates and never chooses."""

    status: str
    """NOT_RUN, UNSUPPORTED, DETERMINISM_LOST, PARTIAL, REFERENCE or OK."""
    reason: str | None
    """Why it is none of the last two."""
    level: str | None
    """PATH: led along the reference's answers; PREFIX: up to the first difference;
    DIVERGENCE: recorded answers alone. Levels are not compared."""
    method: str | None
    """How the lists of likeliest tokens came."""
    k: int | None
    """Tokens in a list. Figures of different k are not compared."""
    reference_quant_tag: str | None
    """Quant that is held for right."""
    prompts: int | None
    """Prompts that are compared."""
    broken_prompts: int | None
    """Prompts asked for that are not."""
    cut_prompts: int | None
    """Prompts whose answer was not followed to its end."""
    positions: int | None
    """Places of the answers that are compared."""
    same_top_positions: int | None
    """Of these, with the same likeliest token."""
    same_top: Annotated[float | None, Scaled("same_top_ppm", MICRO)]
    """Their share, cut, never rounded up."""
    same_top_half_width: Annotated[
        float | None, Scaled("same_top_half_width_ppm", MICRO)
    ]
    """Half-width of its 95 % interval, by prompts."""
    kept_prompts: int | None
    """Prompts whose answer is kept word for word, as far as it was followed."""
    kept_interval: Annotated[list[float] | None, Scaled("kept_interval_micro", MICRO)]
    """95 % Wilson interval of their share."""
    kl_divergence: Annotated[float | None, Scaled("kld_nnats", NANO)]
    """KL(reference, quant), nats: the least that the lists allow."""
    kl_divergence_half_width: Annotated[
        float | None, Scaled("kld_half_width_nnats", NANO)
    ]
    """Half-width of its 95 % interval, by prompts."""
    kl_divergence_floor: Annotated[float | None, Scaled("floor_nnats", NANO)]
    """The reference against itself, nats."""
    is_within_floor: bool | None
    """So near the floor that it is the reference's own noise."""
    surprise: Annotated[float | None, Scaled("dnll_nnats", NANO)]
    """Log-probability of the reference's tokens: its own minus the quant's, nats."""
    surprise_unknown: Annotated[int | None, Source("dnll_unknown")]
    """Places where the quant's list lacks that token."""
    formula_id: str | None
    """Formula of the KL divergence."""
    earliest_difference: int | None = None
    """Where the first of the other answers parts from the reference's; since 1.1."""
    median_difference: int | None = None
    """The median of these places over the answers that part; since 1.1."""
    difference_unit: str | None = None
    """TOKEN of the path, or CHARACTER of a recorded answer; since 1.1."""
    narrowed_from: int | None = None
    """Prompts that the reference answered, where time let all be compared on fewer;
    since 1.1."""
    disagreement: str | None = None
    """FAITHFUL_BUT_FAILS: more tasks are lost than answers can have changed.
    DIFFERS_BUT_PASSES: most answers change, and no task is lost. Since 1.1."""


class Proof(Part):
    """What the rounds of an adaptive sweep have shown of one quant, by counts alone."""

    state: str
    """BASELINE, PROVEN, SHOWN_NOT_VIABLE, CANNOT_BE_PROVEN, OPEN, NOT_ASKED or
    NOT_ANSWERING."""
    planned_tasks: int
    """Tasks that could be asked."""
    asked_tasks: int
    """Tasks that were."""
    baseline_passes: int
    """Of these, passed by the reference."""
    losses: int
    """Of these, not known to be passed by this one."""
    gains: int
    """Tasks that only this one passes."""
    disturbed_tasks: int
    """Tasks without a verdict, only for what disturbed their run."""
    passes_needed: int | None
    """Passes of the reference that prove it with these losses, disturbed tasks
    left out, by what tasks of these families are worth; null where no number does, and
    of the reference."""


class Cost(Part):
    """What a passed task costs: a run that counts and passes all its checks."""

    passed_runs: int
    """Runs that count and pass."""
    time_status: str
    """OK, or why there is no time: a reason of docs/runbook.md."""
    seconds_per_passed_task: Annotated[float | None, Scaled("wall_per_pass_ns", NANO)]
    """Wall time of all runs that count / runs that pass."""
    seconds_low: Annotated[float | None, Scaled("wall_per_pass_low_ns", NANO)]
    """The same at the upper bound of the share that passes."""
    seconds_high: Annotated[float | None, Scaled("wall_per_pass_high_ns", NANO)]
    """The same at the lower bound; null where that is 0."""
    cpu_energy_status: str
    """OK, or why there is no energy of the CPU packages."""
    cpu_joules_per_passed_task: Annotated[
        float | None, Scaled("cpu_energy_per_pass_uj", MICRO)
    ]
    """Energy of all CPU packages / runs that pass."""
    gpu_energy_status: str
    """OK, or why there is no energy of the GPUs."""
    gpu_joules_per_passed_task: Annotated[
        float | None, Scaled("gpu_energy_per_pass_uj", MICRO)
    ]
    """Energy of all GPUs / runs that pass."""
    context_status: str
    """OK, or why it is not known what context is left."""
    trained_context_tokens: int | None = None
    """Context that the model was trained for; null where it was not told; since 1.1."""
    context_left_limit: str | None = None
    """MEMORY, TRAINING, or MEMORY_ALONE where the training is unknown; since 1.1."""
    context_left_tokens: int | None
    """Tokens of context more: what memory holds, at most what it was trained for."""


class PerQuant(Part):
    """One quant of a session. The list has the most precise quant first."""

    quant_tag: str
    """Quant, as the preset names it."""
    quant_rank: int | None
    """Place by precision among the quants of the session, 1 = least precise."""
    bits_per_weight: Annotated[float | None, Scaled("bits_per_weight_milli", MILLI, 3)]
    """Bits per weight."""
    bits_per_weight_source: str | None
    """measured or nominal."""
    model_bytes: int | None
    """Size of the weights."""
    kv_cache: str | None = None
    """Type of the KV cache that was asked for; since 1.1."""
    context_tokens: int | None = None
    """Context that was asked for, tokens; since 1.1."""
    kv_cache_bytes: int | None = None
    """KV cache at its context, by the file's metadata; since 1.1."""
    serve_command: str | None = None
    """What Orket started its server by, without secrets; since 1.1."""
    model_digest: str | None = None
    """Identity of the weights: other weights under the same tag are another quant."""
    tensor_types: dict[str, int] | None = None
    """Tensors by the type they are stored in, as ggml names it."""
    publisher: str | None = None
    """Who made these weights."""
    reported_quant: str | None = None
    """The quant by the server's word."""
    peak_memory_bytes: int | None
    """Peak memory of the serving process, else what the server reports."""
    memory_source: str | None
    """Which of these it is."""
    runs: RunCounts
    """Runs."""
    tasks: TaskCounts
    """Tasks."""
    advisories: list[str]
    """Worth a note; none of them pollutes."""
    unobserved_reasons: list[str]
    """Reasons that could not be judged for want of a reading."""
    pairs: Pairs | None
    """Against the reference."""
    proven: bool | None = None
    """Proven to keep the threshold of the reference's tasks; since 1.1."""
    separable: bool | None = None
    """Its tasks tell it from the reference beyond chance; since 1.1."""
    adherence_score: Annotated[float | None, Scaled("adherence_score_micro", MICRO)]
    """Mean over tasks of checks passed / checks tried."""
    adherence_interval: Annotated[
        list[float] | None, Scaled("adherence_interval_micro", MICRO)
    ]
    """95 % Wilson interval of it over distinct tasks."""
    checks_unsupported: int
    """Checks the sandbox could not run: counted apart, never as failed."""
    total_latency: Annotated[float | None, Scaled("total_latency_ns", NANO)]
    """Mean wall time of a run, seconds."""
    latency_p50: Annotated[float | None, Scaled("latency_p50_ns", NANO)]
    """Median, seconds."""
    latency_p95: Annotated[float | None, Scaled("latency_p95_ns", NANO)]
    """95th percentile, seconds; null with few runs."""
    latency_cv: Annotated[float | None, Scaled("latency_cv_micro", MICRO)]
    """Variation of the wall time within a cell."""
    internal_model_seconds: Annotated[float | None, Scaled("internal_model_ns", NANO)]
    """Mean of prefill plus decode, seconds."""
    ttft_seconds: Annotated[float | None, Scaled("ttft_ns", NANO)]
    """Mean time to the first token, seconds; streamed runs only."""
    orchestration_overhead_ratio: Annotated[
        float | None, Scaled("orchestration_overhead_ratio_micro", MICRO)
    ]
    """(Wall - internal) / wall."""
    token_metrics: TokenMetrics
    """Tokens."""
    run_quality_status: str
    """CLEAN when every planned run has a clean attempt; NOT_RUN when none was made,
    UNFINISHED when all that is lacking was not run or was broken off, else POLLUTED."""
    run_quality_reasons: list[str]
    """Reasons that pollute, sorted; NOT_RUN for planned runs that were never made."""
    run_quality_reason_counts: dict[str, int]
    """Planned runs with each reason."""
    failures: list[Failure] = []
    """Why planned runs have no answer, most frequent first."""
    determinism_rate: Annotated[float | None, Scaled("determinism_rate_micro", MICRO)]
    """Share of repeated prompts with one distinct answer."""
    vibe: Vibe
    """Optimization signals."""
    baseline_comparison: BaselineComparison
    """Against the stored baselines."""
    fidelity: Fidelity | None = None
    """Against the reference's own answers; since 1.1."""
    proof: Proof | None = None
    """What rounds have shown of it; null of a grid; since 1.1."""
    cost: Cost | None = None
    """What a passed task costs, and what context is left; since 1.1."""
    eligible: bool
    """May be recommended."""
    ineligible_reasons: list[str]
    """Why not, sorted."""
    ineligible_words: list[str] | None = None
    """The same, each in a few words; since 1.1."""
    pareto_optimal: bool | None
    """No other covered quant is better on every axis."""
    utility: Annotated[float | None, Scaled("utility_micro", MICRO)]
    """By the utility formula."""
    hardware_sidecar: HardwareSidecar | None
    """Throughput by another tool."""
