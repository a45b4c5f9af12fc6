"""What was planned: machine, controls, policy, servers, matrix and canary gate."""

from __future__ import annotations

from typing import Annotated

from orket.exports.part import Part
from orket.exports.scale import GIB, MICRO, MILLI, NANO, NumberOrWord, Scaled, Source


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
