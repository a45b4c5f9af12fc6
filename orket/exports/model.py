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

from orket.exports.part import Part, describe_parts
from orket.exports.plan_model import (
    Canary,
    CanaryPolicy,
    EffectiveControls,
    ExperimentalControls,
    Hardware,
    Matrix,
    Provider,
    RunQualityPolicy,
    Thresholds,
)
from orket.exports.quant_model import PerQuant
from orket.exports.scale import MICRO, NANO, Scaled

SCHEMA_VERSION = "1.1"


class EfficiencyFrontier(Part):
    """What is worth choosing from."""

    minimum_viable_quant_tag: str | None
    """The smallest quant that still passes."""
    best_value_quant_tag: str | None
    """The eligible quant of highest utility."""
    smallest_supported_quant_tag: str | None = None
    """The smallest quant that is proven to keep the threshold; since 1.1."""
    advised_quant_tag: str | None = None
    """The one to use: the best value where proven and clear, else the smallest that is
    proven; null where nothing is; since 1.1."""
    optimal_quant_tag: str | None
    """An alias of `minimum_viable_quant_tag`; in 1.0 of `best_value_quant_tag`."""
    pareto_quant_tags: list[str]
    """Quants that no other beats on every axis, most precise first."""
    pareto_axes: list[str]
    """Axes compared; memory only where it is known from one source."""
    reason: str | None
    """Why there is no frontier."""


class Rival(Part):
    """An eligible quant that the best value does not clearly beat."""

    quant_tag: str
    """Quant."""
    pairs: int
    """Runs of both with different times, paired by task and repetition."""
    wins: int
    """Pairs in which the best value was faster."""
    blocks: int | None = None
    """Repetitions that have both: the observations of speed; since 1.1."""


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
    smallest_supported_quant: str | None = None
    """The smallest quant that is proven to keep the threshold; since 1.1."""
    advised_quant: str | None = None
    """The one to use: the best value where proven and clear, else the smallest that is
    proven; null where nothing is; since 1.1."""
    tells_speed: bool | None = None
    """Whether times count and are shown to repeat: else no quant is the faster; 1.1."""
    best_value_status: str | None
    """CLEAR, WITHIN_NOISE or NOT_TIMED."""
    rivals: list[Rival]
    """Quants that the best value does not clearly beat."""
    repetitions_needed: int | None = None
    """Repetitions that would make it CLEAR, where only these are missing."""
    confidence: str | None
    """SUPPORTED, NEEDS_MORE_TASKS or PROVISIONAL: of the minimum viable quant."""
    best_value_confidence: str | None = None
    """The same of the best value; since 1.1."""
    tasks: int | None
    """Distinct tasks behind the minimum viable quant."""
    tasks_needed: int | None
    """Tasks that would support it at least, if no further one is lost; null where it is
    supported, or where no practicable number would do."""
    tasks_likely: int | None = None
    """Tasks that would support it in four of five cases, if it goes on losing so."""
    families: int | None = None
    """Families of these tasks; a task without one is its own."""
    families_needed: int | None = None
    """Families that would support it at least, where tasks share families."""
    design_effect: Annotated[float | None, Scaled("design_effect_micro", MICRO)] = None
    """How much more losses scatter between families than by themselves."""
    advisories: list[str] = []
    """BASELINE_QUANT_SHIFTED, REFERENCE_FAILS, REFERENCE_GUESSES."""
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


class Rounds(Part):
    """How far an adaptive sweep got with one model."""

    until: str
    """How far it was to go: proof, clear or point."""
    stop_reason: str | None
    """DECIDED, BANK_EXHAUSTED, REFERENCE_PASSES_NONE, REFERENCE_PASSES_FEW or
    CANNOT_BE_PROVEN; BUDGET_ENDED or MACHINE_BUSY where more could be asked; null where
    it did not come to an end."""
    start_quant_tag: str | None
    """Where the first chain of proofs starts."""
    start_named_by: str | None
    """FIDELITY, USUAL (it is Q4_K_M) or MIDDLE; null where it was not recorded."""
    proven_quant_tag: str | None
    """The smallest that its chain has proven."""
    next_proof_quant_tag: str | None
    """The next of its chain that can be proven."""


class Answers(Part):
    """How answers came, warm-ups and the canary included."""

    streamed: int
    """Token by token."""
    whole: int
    """In one piece."""


class Session(Part):
    """The part of a sweep for one model."""

    model_id: str
    """Model."""
    baseline_quant: str | None
    """The most precise quant that could be judged: the others are held against it."""
    thresholds: Thresholds
    """What makes a quant eligible."""
    run_quality_policy: RunQualityPolicy | None = None
    """When a run of this model counts as polluted."""
    canary_policy: CanaryPolicy | None = None
    """What the canary gate demands of this model."""
    experimental_controls: ExperimentalControls
    """Controls asked for."""
    effective_controls: EffectiveControls
    """Controls verified."""
    provider: Provider
    """The model server."""
    canary: Canary | None
    """The canary gate of this model."""
    answers: Answers | None = None
    """How the answers came."""
    per_quant: list[PerQuant]
    """Quants, most precise first."""
    rounds: Rounds | None = None
    """How far it got; null of a grid; since 1.1."""
    efficiency_frontier: EfficiencyFrontier
    """What is worth choosing from."""
    recommendation_detail: RecommendationDetail
    """The recommendation, for programs."""
    recommendation: str
    """The recommendation, for a person."""
    recommendation_lines: list[str] = []
    """The same, one thought a line; since 1.1."""


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


class Scope(Part):
    """The tasks that a what-if is limited to: this is no summary of the whole sweep."""

    buckets: list[str]
    """Buckets."""
    families: list[str]
    """Families."""
    tasks: int
    """Tasks of these."""
    of_tasks: int
    """Tasks of the whole sweep."""


class MissingParts(Part):
    """Parts of the sweep that are damaged: what no figure has seen."""

    status: str
    """PARTS_MISSING."""
    parts: int
    """Files that cannot be read, and those in quarantine whose place is empty; events
    that may be of this sweep among them."""
    rows_at_least: int | None
    """Rows of those that tell; null: none of them tells. There may be more."""


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
    """COMPLETED, INTERRUPTED, CANARY_FAILED or FAILED; of a sweep without an end
    RUNNING while a process has it, UNKNOWN where another machine ran it last, or
    its end may be among events that cannot be read."""
    status_reason: str | None = None
    """In words, why a FAILED sweep ended: not every planned run was measured; or why a
    COMPLETED one by rounds asked no more: see `stop_reason`."""
    hardware_fingerprint: str | None
    """Stable id of the machine."""
    hardware: Hardware
    """The machine."""
    overrides: dict[str, Any]
    """What the command line or a what-if changed against the preset."""
    scope: Scope | None = None
    """Judged by some buckets or families alone; null: by all tasks; since 1.1."""
    missing_parts: MissingParts | None = None
    """What of it cannot be read or lies in quarantine; null: nothing is known to;
    since 1.1."""
    include_polluted: str | None
    """Whether polluted runs may count: never, fill or always; null where models differ.
    """
    allow_unobserved: bool | None
    """Runs whose environment was not observed may count; null where models differ."""
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
    describe_parts()
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return schema | SweepSummary.model_json_schema(mode="validation")
