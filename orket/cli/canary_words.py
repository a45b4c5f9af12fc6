"""What a failed canary means, with its numbers and what to do about each reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from orket.cli import messages
from orket.errors import GateFailed

if TYPE_CHECKING:
    from orket.warehouse import Warehouse

LATENCY_REASON = "LATENCY_VARIANCE_THRESHOLD_EXCEEDED"
FAILED_REASON = "CANARY_RUN_FAILED"
_FOLLOWING = ("LATENCY_VARIANCE_UNAVAILABLE", "MISSING_TELEMETRY_RATE_EXCEEDED")
"""What a failed call brings about by itself: it has neither times nor counts."""

_ADVICE = {
    "ADHERENCE_VARIANCE_NON_ZERO": "equal requests were answered differently: fix the "
    "seed, set temperature to 0, and see orket determinism",
    FAILED_REASON: "look at the server's log, then run again",
    LATENCY_REASON: "the machine is not steady: close programs (orket doctor shows the "
    "top consumers)",
    "LATENCY_VARIANCE_UNAVAILABLE": "too few timed runs: the server gave no times",
    "MISSING_TELEMETRY_RATE_EXCEEDED": "the server left out counts or timings that it "
    "offers: update it",
    "TOO_FEW_CANARY_RUNS": "the gate was not run in full: run it again",
}


def gate_failure(
    store: Warehouse, sweep_id: str, failed: Sequence[dict[str, Any]]
) -> GateFailed:
    """The error of a failed gate, after a line for each of its reasons."""
    for row in failed:
        for reason in _told_reasons(row):
            advice = _ADVICE.get(reason, "see docs/presets.md")
            numbers = _numbers(reason, row)
            if reason == FAILED_REASON:
                numbers += _last_failure(store, sweep_id, row["model_id"])
            messages.note(f"{row['model_id']}: {reason}: {numbers}{advice}")
    models = ", ".join(row["model_id"] for row in failed)
    return GateFailed(
        f"the canary of {models} failed; its rows are kept in sweep {sweep_id}",
        _way_out(store, sweep_id, failed),
    )


def show_ratio(micro: int | None) -> str:
    """A ratio in millionths as a percentage."""
    return "unknown" if micro is None else f"{micro / 10_000:.2f} %"


def _told_reasons(row: dict[str, Any]) -> list[str]:
    """The reasons to act upon: failed calls first, and without what they entail."""
    reasons = list(row["failed_reasons"] or [])
    if FAILED_REASON not in reasons:
        return reasons
    if row["failed_runs"] == row["runs"]:
        return [FAILED_REASON]
    others = {FAILED_REASON, *_FOLLOWING}
    return [FAILED_REASON, *(reason for reason in reasons if reason not in others)]


def _last_failure(store: Warehouse, sweep_id: str, model_id: str) -> str:
    from orket.sweep.judge import read_canary_failure

    said = read_canary_failure(store, sweep_id, model_id)
    return f"the last failed with {said}; " if said else ""


def _numbers(reason: str, row: dict[str, Any]) -> str:
    if reason == LATENCY_REASON:
        return (
            f"the {row['latency_basis']} time varied by "
            f"{show_ratio(row['latency_cv_micro'])}, the limit is "
            f"{show_ratio(row['latency_cv_limit_ppm'])}; "
        )
    if reason == "MISSING_TELEMETRY_RATE_EXCEEDED":
        return (
            f"{show_ratio(row['missing_telemetry_micro'])} of the runs, the limit is "
            f"{show_ratio(row['missing_telemetry_limit_ppm'])}; "
        )
    if reason == FAILED_REASON:
        return f"{row['failed_runs']} of {row['runs']} runs failed; "
    if reason == "TOO_FEW_CANARY_RUNS":
        return f"{row['runs']} of {row['repetitions_required']} runs; "
    return ""


def _way_out(store: Warehouse, sweep_id: str, failed: Sequence[dict[str, Any]]) -> str:
    from orket.sweep.judge import find_passing_profile

    reasons = {reason for row in failed for reason in row["failed_reasons"] or []}
    if reasons != {LATENCY_REASON}:
        return "see the lines above"
    profile = find_passing_profile(store, sweep_id)
    if profile is None:
        return "no known control profile would have passed: wait until it is quieter"
    return (
        f"the control profile {profile} would have passed: --profile {profile} "
        "bounds every latency claim of the sweep accordingly"
    )
