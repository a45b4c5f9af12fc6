"""`orket canary`: is this machine and server steady enough to measure on?"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from orket.cli import messages
from orket.cli.chosen_preset import load_chosen_preset
from orket.cli.options import format_option, running_store_option
from orket.cli.output import choose_format, print_rows
from orket.cli.running import explain_interrupt, failure_of, new_id, run_plan
from orket.cli.sweep_options import SweepOptions, sweep_options
from orket.cli.writable import check_warehouse
from orket.exports.scale import MICRO, NANO

if TYPE_CHECKING:
    from orket.warehouse import Warehouse

_COLUMNS = (
    ("model_id", "model"),
    ("quant_tag", "quant"),
    ("test_id", "task"),
    "verdict",
    "runs",
    ("latency_cv", "variation"),
    ("latency_cv_limit", "limit"),
    ("latency_basis", "of time"),
    ("adherence_variance", "adherence variance"),
    ("missing_telemetry", "missing telemetry"),
    ("failed_reasons", "failed reasons"),
)
_ALONE = "(answers alone)"


@click.command()
@click.argument("preset", metavar="MODEL|FOLDER|URL|PRESET")
@sweep_options
@click.option(
    "--save-profile",
    metavar="NAME",
    help="Keep the controls under this name when the gate passes.",
)
@format_option
@running_store_option
@click.pass_context
def canary(
    ctx: click.Context,
    preset: str,
    chosen: SweepOptions,
    save_profile: str | None,
    output_format: str | None,
    store: Warehouse,
) -> None:
    """Run the canary gate of PRESET alone: one cell, again and again.

    Exits with 3 when the gate fails. A saved profile lies in $ORKET_HOME/controls
    (else ~/.orket/controls) and is used with --profile NAME.
    """
    from orket.cli.canary_words import gate_failure
    from orket.planning.plan import CANARY_ONLY, build_plan
    from orket.planning.profiles import check_profile_name
    from orket.planning.served import fill_served
    from orket.sweep.judge import read_gate

    check_warehouse(store)
    if save_profile:
        check_profile_name(save_profile)
    resolved = fill_served(load_chosen_preset(preset, chosen))
    plan = build_plan(resolved, new_id(resolved.name), purpose=CANARY_ONLY)
    outcome = run_plan(plan, store)
    if outcome.status == "INTERRUPTED":
        ctx.exit(explain_interrupt(plan.sweep_id, store, outcome.calls, None))
    rows = read_gate(store, plan.sweep_id).rows
    show = _shown if choose_format(output_format) == "table" else _measured
    print_rows(list(map(show, rows)), _COLUMNS, output_format, layout="fit")
    if outcome.failed_canaries:
        raise gate_failure(store, plan.sweep_id, outcome.failed_canaries)
    if failure := failure_of(outcome, None):
        raise failure
    if save_profile:
        from orket.machine.fingerprint import read_fingerprint
        from orket.planning.profiles import save_profile as save

        path = save(save_profile, plan, rows[0], read_fingerprint().id)
        messages.note(f"saved {path}; use it with --profile {save_profile}")


def _measured(row: dict[str, Any]) -> dict[str, Any]:
    """The figures of the gate as plain numbers, for programs."""
    return {
        **row,
        "latency_cv": _ratio(row["latency_cv_micro"], MICRO),
        "latency_cv_limit": _ratio(row["latency_cv_limit_ppm"], MICRO),
        "missing_telemetry": _ratio(row["missing_telemetry_micro"], MICRO),
        "adherence_variance": _ratio(row["adherence_variance_nano"], NANO),
        "failed_reasons": row["failed_reasons"] or [],
    }


def _ratio(value: int | None, divisor: int) -> Decimal | None:
    return None if value is None else (Decimal(value) / divisor).normalize()


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """The same, for a person."""
    from orket.cli.canary_words import NOT_JUDGED, show_limit, show_ratio

    is_judged = row["is_latency_judged"]
    return {
        **_measured(row),
        # What was not measured is no pass.
        "verdict": row["verdict"] if is_judged else f"{row['verdict']} {_ALONE}",
        "latency_cv": show_ratio(row["latency_cv_micro"]),
        "latency_cv_limit": show_limit(row["latency_cv_limit_ppm"])
        if is_judged
        else NOT_JUDGED,
        "missing_telemetry": show_ratio(row["missing_telemetry_micro"]),
        "failed_reasons": ", ".join(row["failed_reasons"] or []),
    }
