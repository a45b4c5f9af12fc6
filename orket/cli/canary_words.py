"""What a failed canary means, with its numbers and what to do about each reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orket.cli import messages
from orket.errors import GateFailed

if TYPE_CHECKING:
    from orket.warehouse import Warehouse
    from orket.warehouse.reasons import Reason

NOT_JUDGED = "not judged"
"""Of a steadiness that nobody asked for: answers alone are judged."""
_FOLLOWING = ("latency_unknown", "telemetry_missing")
"""What a failed call brings about by itself: it has neither times nor counts."""


def gate_failure(
    store: Warehouse, sweep_id: str, failed: Sequence[dict[str, Any]]
) -> GateFailed:
    """The error of a failed gate, after a line for each of its reasons."""
    for row in failed:
        for reason in _told_reasons(row):
            numbers = _numbers(reason.signal, row)
            if reason.signal == "run_failed":
                numbers += _last_failure(store, sweep_id, row["model_id"])
            advice = f"{reason.meaning}: {reason.remedy}"
            messages.note(f"{row['model_id']}: {reason.code}: {numbers}{advice}")
    models = ", ".join(row["model_id"] for row in failed)
    return GateFailed(
        f"the canary of {models} failed; its rows are kept in sweep {sweep_id}",
        _way_out(failed),
    )


def show_ratio(micro: int | None) -> str:
    """A ratio in millionths as a percentage."""
    return "unknown" if micro is None else f"{micro / 10_000:.2f} %"


def show_limit(ppm: int) -> str:
    """A limit in millionths as a percentage, to its last digit."""
    hundredths, rest = divmod(ppm, 100)
    return f"{ppm / 10_000:.4f} %" if rest else f"{hundredths / 100:.2f} %"


def profile_that_passes(canary: Mapping[str, Any]) -> str | None:
    """The control profile that would have let this gate pass; None where none would.

    A profile bounds how much times may vary, so it cures nothing else: a gate that
    failed by a wrong answer or a lost call fails under each of them. `canary` is a row
    of v1.canary or the canary of a summary.
    """
    from orket.warehouse.reasons import code_of

    unsteady_alone = [code_of("canary", "latency_varies")]
    if canary["failed_reasons"] != unsteady_alone:
        return None
    passing: str | None = canary["passing_profile"]
    return passing


def _told_reasons(row: dict[str, Any]) -> list[Reason]:
    """The reasons to act upon: failed calls first, and without what they entail."""
    from orket.warehouse.reasons import reason_named

    codes = row["failed_reasons"] or []
    reasons = [reason for code in codes if (reason := reason_named("canary", code))]
    failed = [reason for reason in reasons if reason.signal == "run_failed"]
    if not failed:
        return reasons
    if row["failed_runs"] == row["runs"]:
        return failed
    told = ("run_failed", *_FOLLOWING)
    return failed + [reason for reason in reasons if reason.signal not in told]


def _last_failure(store: Warehouse, sweep_id: str, model_id: str) -> str:
    from orket.sweep.judge import read_canary_failure

    said = read_canary_failure(store, sweep_id, model_id)
    return f"the last failed with {said}; " if said else ""


def _numbers(signal: str, row: dict[str, Any]) -> str:
    if signal == "latency_varies":
        return (
            f"the {row['latency_basis']} time varied by "
            f"{show_ratio(row['latency_cv_micro'])}, the limit is "
            f"{show_limit(row['latency_cv_limit_ppm'])}; "
        )
    if signal == "telemetry_missing":
        return (
            f"{show_ratio(row['missing_telemetry_micro'])} of the runs, the limit is "
            f"{show_limit(row['missing_telemetry_limit_ppm'])}; "
        )
    if signal == "run_failed":
        return f"{row['failed_runs']} of {row['runs']} runs failed; "
    if signal == "too_few_runs":
        return f"{row['runs']} of {row['repetitions_required']} runs; "
    return ""


def _way_out(failed: Sequence[dict[str, Any]]) -> str:
    from orket.warehouse.reasons import code_of

    reasons = {reason for row in failed for reason in row["failed_reasons"] or []}
    if reasons != {code_of("canary", "latency_varies")}:
        return "see the lines above"
    # What lets the least steady model pass lets every other pass too.
    profile = profile_that_passes(max(failed, key=_spread))
    go = "or go on for answers alone: --quality-only"
    if profile is None:
        return f"wait until it is quieter (no control profile would have passed), {go}"
    return (
        f"--profile {profile} would have passed, and bounds every claim of speed; {go}"
    )


def _spread(row: Mapping[str, Any]) -> int:
    return int(row["latency_cv_micro"] or 0)
