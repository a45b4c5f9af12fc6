"""`SweepSummary`: the typed model of `sweep_summary.json`, and its sources.

The exporter walks these classes: the order of the fields is the order of the keys, and
the annotation of a field names its source in the struct that the view `v1.summary`
returns. A field without an annotation has a source of its own name and is written as it
is. Numbers in the view are integers whose suffix tells the scale:

    suffix of the source   unit of the source     written as
    _ns                    nanosecond             seconds, 6 digits
    _us                    microsecond            seconds, 6 digits
    _micro, _ppm           one millionth          ratio, 6 digits
    _milli                 one thousandth         rate or bits, 3 digits
    _ns2                   square nanosecond      square seconds, 12 digits
    _bytes                 byte                   bytes; `ram_gib` in GiB, 2 digits

Maps are DuckDB MAPs or lists of two-field structs; lists keep the order of the view. A
group that reads policy or controls takes the whole struct and picks its fields from it.

Fields are only ever added within a major `schema_version`, with a default; codes are
plain strings, so that a new one does not break old readers.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict

from orket.exports.scale import GIB, MICRO, MILLI, NANO, NumberOrWord, Scaled, Source

SCHEMA_VERSION = "1.0"


class Part(BaseModel):
    """Base of every object in the summary: unknown keys are kept, not refused."""

    model_config = ConfigDict(
        extra="allow",
        frozen=True,
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )


class Hardware(Part):
    """The machine, as far as it could be read."""

    os: str | None
    """Operating system."""
    architecture: str | None
    """Machine type."""
    cpu: str | None
    """CPU model."""
    physical_cores: int | None
    """Physical cores."""
    logical_cpus: int | None
    """Logical CPUs."""
    ram_gib: Annotated[float | None, Scaled("ram_bytes", GIB, 2)]
    """Memory, GiB."""
    gpus: list[str] | None
    """GPUs with their memory; null when they could not be asked for."""


class Controls(Part):
    """Experimental controls."""

    seed: int | None
    """Sampling seed."""
    threads: Annotated[int | str | None, NumberOrWord("threads")]
    """Server threads: a number, or `server` (its own choice)."""
    affinity_policy: Annotated[str | None, Source("affinity")]
    """CPU affinity: none, compact, spread, server, or a list of CPUs."""
    warmup_steps: Annotated[int | str | None, NumberOrWord("warmup")]
    """Warm-up calls per block: a number, `none` or `server`."""
    temperature: Annotated[float | None, Scaled("temperature_milli", MILLI, 3)]
    """Sampling temperature."""
    context: Annotated[int | None, Source("context_tokens")]
    """Context length, tokens."""
    batch: Annotated[int | None, Source("batch_tokens")]
    """Batch size, tokens."""
    thinking: bool | None
    """Whether the model may think before it answers."""


class ExperimentalControls(Controls):
    """The controls asked for."""

    profile: Annotated[str | None, Source("control_profile")]
    """Control profile: bounds every latency claim of the sweep."""


class EffectiveControls(Controls):
    """The controls verified; null where one could not be."""


class Thresholds(Part):
    """What makes a quant eligible and a comparison count. Source: the policy."""

    adherence_threshold: Annotated[float, Scaled("adherence_threshold_ppm", MICRO)]
    """Share of the baseline quant's adherence that a quant must keep."""
    latency_ceiling: Annotated[float, Scaled("latency_ceiling_ns", NANO)]
    """Highest mean wall time of a run, seconds."""
    min_valid_runs: int
    """Valid runs that every task needs."""
    utility_formula: str
    """Formula of `utility`."""
    baseline_max_age_seconds: Annotated[float, Scaled("baseline_max_age_us", MICRO)]
    """Age at which a stored baseline is stale, seconds."""
    compare_rel_floor: Annotated[float, Scaled("compare_rel_floor_ppm", MICRO)]
    """Smallest relative change that counts."""
    compare_abs_floor_seconds: Annotated[float, Scaled("compare_abs_floor_ns", NANO)]
    """Smallest absolute change of latency that counts, seconds."""
    compare_noise: Annotated[float, Scaled("compare_noise_milli", MILLI, 3)]
    """Smallest change that counts, in joint scaled MADs."""
    compare_min_runs: int
    """Runs that a comparison needs on each side."""


class RunQualityPolicy(Part):
    """When a run counts as polluted. Source: the policy."""

    include_polluted: str
    """Whether polluted runs may count: never, fill or always."""
    allow_unobserved: bool
    """An unobserved environment is only an advisory."""
    max_load_seconds: Annotated[float, Scaled("max_load_ns", NANO)]
    """Model load allowed inside a timed run, seconds."""
    max_foreign_cpu_share: Annotated[float, Scaled("max_foreign_cpu_ppm", MICRO)]
    """Share of the machine that other processes may use."""
    foreign_cpu_excess_seconds: Annotated[float, Scaled("foreign_cpu_excess_ns", NANO)]
    """Excess CPU time that a short window needs as well, seconds."""
    counter_window_seconds: Annotated[float, Scaled("counter_window_ns", NANO)]
    """Shortest window over which CPU clocks are read, seconds."""
    max_steal_share: Annotated[float, Scaled("max_steal_ppm", MICRO)]
    """Share of CPU time a hypervisor may take."""
    max_load_per_cpu: Annotated[float, Scaled("max_load_per_cpu_milli", MILLI, 3)]
    """Load average per logical CPU before the first call."""
    max_quota_throttle_share: Annotated[float, Scaled("max_quota_throttle_ppm", MICRO)]
    """Share of the window a CPU quota may hold the server back."""
    max_thermal_throttle_share: Annotated[
        float, Scaled("max_thermal_throttle_ppm", MICRO)
    ]
    """Share of the window throttled for heat."""
    max_swap_bytes_per_second: int
    """Swap traffic."""
    max_overhead_ratio: Annotated[float, Scaled("max_overhead_ppm", MICRO)]
    """Unexplained share of the wall time."""
    overhead_floor_seconds: Annotated[float, Scaled("overhead_floor_ns", NANO)]
    """Unexplained time that is always allowed, seconds."""
    clock_slack_seconds: Annotated[float, Scaled("clock_slack_ns", NANO)]
    """Internal time may exceed the wall time by this, seconds."""
    clock_slack_share: Annotated[float, Scaled("clock_slack_ppm", MICRO)]
    """... or by this share of the wall time."""
    max_clock_jump_seconds: Annotated[float, Scaled("max_clock_jump_ns", NANO)]
    """Wall clock against monotonic clock, seconds."""
    max_cached_tokens: int
    """Prompt tokens a template always finds cached."""
    max_cached_share: Annotated[float, Scaled("max_cached_ppm", MICRO)]
    """... or this share of the prompt."""
    stalled_share: Annotated[float, Scaled("stalled_ppm", MICRO)]
    """CPU share of the server below which it stood still."""
    stalled_advisory_share: Annotated[float, Scaled("stalled_advisory_ppm", MICRO)]
    """CPU share of the server below which it is worth a note."""
    max_memory_pressure_share: Annotated[
        float, Scaled("max_memory_pressure_ppm", MICRO)
    ]
    """Share of the window stalled on memory."""
    max_major_faults_per_second: int
    """Major page faults of the server."""
    max_gpu_foreign_bytes: int
    """GPU memory of other processes."""


class CanaryPolicy(Part):
    """What the canary gate demands. Source: the policy."""

    repetitions: Annotated[int, Source("canary_repetitions")]
    """Canary runs."""
    drop_first: Annotated[bool, Source("canary_drop_first")]
    """The first one is left out of the variation."""
    max_latency_cv: Annotated[float, Scaled("canary_max_latency_cv_ppm", MICRO)]
    """Variation of their time."""
    max_missing_rate: Annotated[float, Scaled("canary_max_missing_ppm", MICRO)]
    """Share of them without telemetry."""
    anchor_max_drift: Annotated[float, Scaled("anchor_max_drift_ppm", MICRO)]
    """Time of an anchor run against the canary's."""


class Provider(Part):
    """The model server."""

    name: str
    """Adapter."""
    version: str | None
    """Server version."""
    endpoint: str | None
    """URL, without user info."""
    streaming: bool | None
    """Answers were streamed."""
    locality: str | None
    """child (started by Orket), loopback or remote."""
    tls_verified: bool | None
    """The TLS certificate was verified; null without TLS."""


class Matrix(Part):
    """What was planned. A group that differs between the models is null here."""

    models: list[str]
    """Models."""
    quants: dict[str, list[str]]
    """Quants of each model, most precise first."""
    task_bank: str | None
    """Task bank; several are joined by `+`."""
    buckets: list[str]
    """Task buckets."""
    tasks: int
    """Distinct tasks."""
    runs_per_quant: int
    """Repetitions of every task."""
    sandbox: str | None
    """Sandbox that ran code answers; null without such checks."""
    adherence_threshold: Annotated[
        float | None, Scaled("adherence_threshold_ppm", MICRO)
    ]
    """Share of the baseline quant's adherence that a quant must keep."""
    latency_ceiling: Annotated[float | None, Scaled("latency_ceiling_ns", NANO)]
    """Highest mean wall time of a run, seconds."""
    experimental_controls: ExperimentalControls | None
    """Controls asked for."""
    effective_controls: EffectiveControls | None
    """Controls verified."""
    run_quality_policy: RunQualityPolicy | None
    """When a run counts as polluted."""
    canary_policy: CanaryPolicy | None
    """What the canary gate demands."""
    runtime_target: str
    """Where it ran."""
    execution_mode: str
    """How it ran."""
    venue: Annotated[str, Source("runtime_target")]
    """Alias of `runtime_target`."""
    flow: Annotated[str, Source("execution_mode")]
    """Alias of `execution_mode`."""
    provider: Provider | None
    """The model server."""


class Canary(Part):
    """The canary gate."""

    verdict: str
    """PASSED, FAILED or NOT_RUN."""
    runs: int
    """Canary runs."""
    quant_tag: str | None
    """Quant of the canary cell."""
    test_id: str | None
    """Task of the canary cell."""
    adherence_variance: Annotated[
        float | None, Scaled("adherence_variance_micro", MICRO)
    ]
    """Highest minus lowest adherence."""
    internal_latency_cv: Annotated[
        float | None, Scaled("internal_latency_cv_micro", MICRO)
    ]
    """Standard deviation / mean of the time."""
    max_latency_cv: Annotated[float | None, Scaled("max_latency_cv_ppm", MICRO)]
    """The limit it was held against."""
    latency_basis: str | None
    """internal, or wall where the server offers no timings."""
    control_profile: str | None
    """Control profile in force."""
    passing_profile: str | None
    """The strictest shipped profile whose limit this variation keeps."""
    missing_telemetry_rate: Annotated[
        float | None, Scaled("missing_telemetry_rate_micro", MICRO)
    ]
    """Share of canary runs without telemetry."""
    failed_reasons: list[str]
    """Why it failed, sorted."""


class RunCounts(Part):
    """Runs of one quant."""

    planned: int
    """Planned runs."""
    attempts: int
    """Attempts at them."""
    valid: int
    """Runs that count."""
    polluted: int
    """Planned runs without a clean attempt, though one answered."""
    polluted_used: int
    """Polluted runs among the valid ones."""
    failed: int
    """Planned runs without any answer."""


class TaskCounts(Part):
    """Tasks of one quant."""

    planned: int
    """Planned tasks."""
    covered: int
    """Tasks with enough valid runs."""
    left_out: int
    """Tasks that failed everywhere and count for no quant."""


class Pairs(Part):
    """This quant against the baseline quant, task by task."""

    n: int
    """Tasks both have."""
    flips_lost: int
    """The baseline quant passes, this one does not."""
    flips_gained: int
    """This one passes, the baseline quant does not."""
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
    """Adherence lost per GiB of memory saved against the baseline quant."""
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
    """OK, NOT_RUN, MISSING_BINARY, TIMEOUT, FAILED or UNPARSEABLE."""
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
    decode_tps: Annotated[float | None, Scaled("decode_tps_milli", MILLI, 3)]
    """Generation, tokens per second."""
    decode_samples: int | None
    """Samples behind it."""
    error_message: str | None
    """One line, when it did not work."""


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
    """Against the baseline quant."""
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
    """CLEAN when every planned run has a clean attempt, else POLLUTED."""
    run_quality_reasons: list[str]
    """Reasons that pollute, sorted; NOT_RUN for planned runs that were never made."""
    run_quality_reason_counts: dict[str, int]
    """Planned runs with each reason."""
    determinism_rate: Annotated[float | None, Scaled("determinism_rate_micro", MICRO)]
    """Share of repeated prompts with one distinct answer."""
    vibe: Vibe
    """Optimization signals."""
    baseline_comparison: BaselineComparison
    """Against the stored baselines."""
    eligible: bool
    """May be recommended."""
    ineligible_reasons: list[str]
    """Why not, sorted."""
    pareto_optimal: bool | None
    """No other covered quant is better on every axis."""
    utility: Annotated[float | None, Scaled("utility_micro", MICRO)]
    """By the utility formula."""
    hardware_sidecar: HardwareSidecar | None
    """Throughput by another tool."""


class EfficiencyFrontier(Part):
    """What is worth choosing from."""

    minimum_viable_quant_tag: str | None
    """The smallest quant that still passes."""
    best_value_quant_tag: str | None
    """The eligible quant of highest utility."""
    optimal_quant_tag: str | None
    """The quant to use: the best value."""
    pareto_quant_tags: list[str]
    """Quants that no other beats on every axis, most precise first."""
    pareto_axes: list[str]
    """Axes compared; memory only where it is known from one source."""
    reason: str | None
    """Why there is no frontier."""


class Rival(Part):
    """An eligible quant that the best value does not clearly beat on speed."""

    quant_tag: str
    """Quant."""
    pairs: int
    """Runs of both, paired by task and repetition."""
    wins: int
    """Pairs in which the best value was faster."""


class IfPollutedIncluded(Part):
    """What the answer would be if polluted runs counted."""

    minimum_viable_quant: str | None
    """The smallest quant that would pass."""
    best_value_quant: str | None
    """The quant of highest utility."""


class RecommendationDetail(Part):
    """The recommendation, for programs."""

    minimum_viable_quant: str | None
    """The smallest quant that still passes."""
    best_value_quant: str | None
    """The eligible quant of highest utility."""
    best_value_status: str | None
    """CLEAR or WITHIN_NOISE."""
    rivals: list[Rival]
    """Quants whose speed cannot be told from the best value's."""
    confidence: str | None
    """SUPPORTED, NEEDS_MORE_TASKS or PROVISIONAL."""
    tasks: int | None
    """Distinct tasks behind it."""
    tasks_needed: int | None
    """Tasks that would support it; null when the observed loss is too great."""
    ineligible_reason_counts: dict[str, int]
    """Quants with each reason."""
    adherence_threshold_to_pass: Annotated[
        float | None, Scaled("adherence_threshold_to_pass_ppm", MICRO)
    ]
    """The threshold at which a quant would pass, where none does."""
    latency_ceiling_to_pass: Annotated[
        float | None, Scaled("latency_ceiling_to_pass_ns", NANO)
    ]
    """The ceiling at which a quant would pass, seconds, where none does."""
    if_polluted_included: IfPollutedIncluded | None
    """What the answer would be, where pollution alone keeps a quant out."""


class Session(Part):
    """The part of a sweep for one model."""

    model_id: str
    """Model."""
    baseline_quant: str | None
    """The most precise covered quant: the others are held against it."""
    thresholds: Thresholds
    """What makes a quant eligible."""
    experimental_controls: ExperimentalControls
    """Controls asked for."""
    effective_controls: EffectiveControls
    """Controls verified."""
    provider: Provider
    """The model server."""
    canary: Canary | None
    """The canary gate of this model."""
    per_quant: list[PerQuant]
    """Quants, most precise first."""
    efficiency_frontier: EfficiencyFrontier
    """What is worth choosing from."""
    recommendation_detail: RecommendationDetail
    """The recommendation, for programs."""
    recommendation: str
    """The recommendation, for a person."""


class Slo(Part):
    """One service level objective."""

    name: str
    """KPI."""
    value: Annotated[float | None, Scaled("value_micro", MICRO)]
    """Measured; null when nothing was."""
    target: Annotated[float, Scaled("target_ppm", MICRO)]
    """Target."""
    comparison: str
    """How the value must stand to the target: `<` or `>=`."""
    met: bool | None
    """Null when not measured; that never counts as met."""


class StabilityKpis(Part):
    """How far this sweep can be trusted, over canary and matrix attempts."""

    attempts: int
    """Attempts."""
    determinism_rate: Annotated[float | None, Scaled("determinism_rate_micro", MICRO)]
    """Deterministic groups / groups with at least two attempts."""
    determinism_groups: int
    """Groups with at least two attempts."""
    deterministic_groups: int
    """Groups with one distinct answer."""
    missing_telemetry_rate: Annotated[
        float | None, Scaled("missing_telemetry_rate_micro", MICRO)
    ]
    """Share of attempts without full telemetry."""
    missing_telemetry_runs: int
    """Such attempts."""
    polluted_run_rate: Annotated[float | None, Scaled("polluted_run_rate_micro", MICRO)]
    """Share of polluted attempts."""
    polluted_runs: int
    """Such attempts."""
    failed_run_rate: Annotated[float | None, Scaled("failed_run_rate_micro", MICRO)]
    """Share of failed attempts."""
    failed_runs: int
    """Such attempts."""
    frontier_success_rate: Annotated[
        float | None, Scaled("frontier_success_rate_micro", MICRO)
    ]
    """Sessions with a recommendation / sessions."""
    sessions: int
    """Sessions."""
    recommended_sessions: int
    """Sessions with a recommendation."""
    slo: list[Slo]
    """Objectives, sorted by name."""


class SweepSummary(Part):
    """One sweep: what was run, how far it can be trusted, and which quant to use."""

    schema_version: str
    """Version of this document's shape."""
    view_version: str
    """Version of the views it was derived by."""
    sweep_id: str
    """Sweep."""
    generated_at: datetime
    """Newest moment in the rows: the same rows give the same bytes."""
    commit_sha: str | None
    """Commit of the checkout it was started from."""
    orket_version: str
    """Version of Orket that ran it."""
    preset: str
    """Preset."""
    plan_hash: str
    """Hash of all that can change a result."""
    labels: dict[str, str]
    """Free-form."""
    status: str
    """COMPLETED, INTERRUPTED or CANARY_FAILED."""
    hardware_fingerprint: str | None
    """Stable id of the machine."""
    hardware: Hardware
    """The machine."""
    overrides: dict[str, Any]
    """What the command line or a what-if changed against the preset."""
    include_polluted: str
    """Whether polluted runs may count: never, fill or always."""
    allow_unobserved: bool
    """Runs whose environment was not observed may count."""
    matrix: Matrix
    """What was planned."""
    canary: Canary
    """The canary gate; with several models, the worst."""
    sessions: list[Session]
    """One per model."""
    stability_kpis: StabilityKpis
    """How far this sweep can be trusted."""


def json_schema() -> dict[str, Any]:
    """The published JSON Schema of `sweep_summary.json`."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return schema | SweepSummary.model_json_schema(mode="validation")
