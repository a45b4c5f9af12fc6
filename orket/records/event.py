"""One row of `events/`: an act of governance, or what became of a sweep."""

from __future__ import annotations

from typing import Annotated

from orket.records.controls import Controls
from orket.row_types import Count, Duration, Moment, Name, Record, Size, about


class EventRow(Record, frozen=True, kw_only=True):
    """One act of governance, or the end of a sweep. Events are never edited."""

    event_id: Annotated[Name, about("This row, time-ordered")]
    recorded_at: Annotated[Moment, about("When it happened", "UTC")]
    event: Annotated[
        Name,
        about(
            "SWEEP_FINISHED, SWEEP_ABORTED, START_FIXED, ROUND_JUDGED, "
            "POLICY_YIELDED, FIDELITY_NARROWED, FIDELITY_LEFT_OUT, BASELINE_APPEND, "
            "BASELINE_PIN, BASELINE_UNPIN, BASELINE_PRUNE or BASELINE_PRUNE_UNDONE"
        ),
    ]
    sweep_id: Annotated[str | None, about("Sweep it speaks of")] = None
    target_event_id: Annotated[
        str | None, about("The append or prune it refers to")
    ] = None
    target_event_ids: Annotated[
        list[str] | None, about("The appends that a prune takes out")
    ] = None
    reason: Annotated[str | None, about("Why, in the words of who did it")] = None
    test_id: Annotated[str | None, about("bank/task of a stored baseline")] = None
    test_ids: Annotated[
        list[str] | None,
        about("bank/task of each prompt that quants are still compared on"),
    ] = None
    model_id: Annotated[str | None, about("Its model")] = None
    model_digest: Annotated[str | None, about("Its weights")] = None
    quant_tag: Annotated[str | None, about("Its quant")] = None
    task_revision: Annotated[str | None, about("Its task revision")] = None
    hardware_fingerprint: Annotated[str | None, about("Its machine")] = None
    fingerprint_version: Annotated[str | None, about("Recipe of that")] = None
    control_profile: Annotated[str | None, about("Its control profile")] = None
    controls: Annotated[Controls | None, about("Its controls")] = None
    run_quality_status: Annotated[str | None, about("CLEAN or POLLUTED")] = None
    measured_at: Annotated[
        Moment | None, about("When the baseline was measured", "UTC")
    ] = None
    source_run_ids: Annotated[list[str] | None, about("Runs it is made of")] = None
    runs: Annotated[Count | None, about("Number of them", "count")] = None
    checks_passed: Annotated[Count | None, about("Sum over them", "count")] = None
    checks_total: Annotated[Count | None, about("Sum over them", "count")] = None
    latency_median_ns: Annotated[Duration | None, about("Median wall time", "ns")] = (
        None
    )
    latency_mad_ns: Annotated[
        Duration | None, about("Median absolute deviation of it", "ns")
    ] = None
    memory_bytes: Annotated[Size | None, about("Peak memory", "bytes")] = None
    imported_from: Annotated[
        str | None, about("File an imported baseline came from")
    ] = None


GOVERNANCE = "BASELINE"
"""How the kind of an event begins that bears on all later sweeps."""
BASELINE_IDENTITY = (
    "test_id",
    "model_id",
    "model_digest",
    "quant_tag",
    "task_revision",
    "hardware_fingerprint",
    "fingerprint_version",
    "control_profile",
)
"""The columns that say what a stored baseline is of."""
