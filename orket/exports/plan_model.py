"""What was planned: machine, controls, policy, servers, matrix and canary gate."""

from __future__ import annotations

from typing import Annotated

from orket.exports.part import Part
from orket.exports.policy_part import PolicyPart, shows
from orket.exports.scale import GIB, MICRO, MILLI, NANO, NumberOrWord, Scaled, Source
from orket.policy import Group


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
    kv_cache: str | None = None
    """Type of the KV cache: q8_0, or q8_0/f16 for keys and values; since 1.1."""
    thinking: bool | None
    """Whether the model may think before it answers."""


class ExperimentalControls(Controls):
    """The controls asked for."""

    profile: Annotated[str | None, Source("control_profile")]
    """Control profile: bounds every latency claim of the sweep."""


class EffectiveControls(Controls):
    """The controls verified; null where one could not be."""


@shows(Group.THRESHOLDS)
class Thresholds(PolicyPart):
    """What makes a quant eligible and a comparison count."""


@shows(Group.RUN_QUALITY)
class RunQualityPolicy(PolicyPart):
    """When a run counts as polluted."""


@shows(Group.CANARY)
class CanaryPolicy(PolicyPart):
    """What the canary gate demands."""


class Provider(Part):
    """The model server."""

    name: str
    """Adapter."""
    version: str | None
    """Server version."""
    endpoint: str | None
    """URL, without user info."""
    streaming: bool | None
    """Streamed answers were asked for."""
    can_stream: bool | None = None
    """The server can stream its answers; null when that was not found out."""
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
    """Share of the reference's adherence that a quant must keep."""
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
    latency_cv_upper: Annotated[
        float | None, Scaled("latency_cv_upper_micro", MICRO)
    ] = None
    """What so few repetitions bound the true one by, 19 times in 20; since 1.1."""
    max_latency_cv: Annotated[float | None, Scaled("max_latency_cv_ppm", MICRO)]
    """The limit it was held against."""
    latency_basis: str | None
    """internal, or wall where the server offers no timings."""
    latency_judged: bool | None = None
    """The time had to be steady; false where answers alone are judged; since 1.1."""
    disturbed_runs: int | None = None
    """Runs of which nothing but the time does not count; since 1.1."""
    mostly_disturbed: bool | None = None
    """That was so of at least every second one: nothing is said of speed; since 1.1."""
    yielded_because: list[str] | None = None
    """Why each step to looser thresholds was gone, in order; since 1.1."""
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
