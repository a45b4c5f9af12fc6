"""`orket canary`: is this machine and server steady enough to measure on?"""

from __future__ import annotations

from typing import Any

import click

from orket.cli import messages
from orket.cli.options import format_option, warehouse_option
from orket.cli.output import print_rows
from orket.cli.sweep_options import SweepOptions, load_chosen_preset, sweep_options

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


@click.command()
@click.argument("preset")
@sweep_options
@click.option(
    "--save-profile",
    metavar="NAME",
    help="Keep the controls under this name when the gate passes.",
)
@format_option
@warehouse_option
@click.pass_context
def canary(
    ctx: click.Context,
    preset: str,
    chosen: SweepOptions,
    save_profile: str | None,
    output_format: str | None,
    warehouse: str | None,
) -> None:
    """Run the canary gate of PRESET alone: one cell, again and again.

    Exits with 3 when the gate fails. A saved profile lies in $ORKET_HOME/controls
    (else ~/.orket/controls) and is used with --profile NAME.
    """
    from orket.cli.canary_words import gate_failure
    from orket.cli.run import explain_interrupt, run_plan
    from orket.sweep.judge import read_canary
    from orket.sweep.plan import CANARY_ONLY, build_plan
    from orket.sweep.profiles import check_profile_name
    from orket.sweep.served import fill_served
    from orket.warehouse import Warehouse

    if save_profile:
        check_profile_name(save_profile)
    resolved = fill_served(load_chosen_preset(preset, chosen))
    store = Warehouse.open(warehouse)
    plan = build_plan(resolved, new_id(resolved.name), purpose=CANARY_ONLY)
    outcome = run_plan(plan, store)
    if outcome.status == "INTERRUPTED":
        ctx.exit(explain_interrupt(plan.sweep_id, store, outcome.calls, None))
    rows = read_canary(store, plan.sweep_id)
    print_rows([_shown(row) for row in rows], _COLUMNS, output_format)
    if outcome.failed_canaries:
        raise gate_failure(store, plan.sweep_id, outcome.failed_canaries)
    if save_profile:
        from orket.machine.fingerprint import read_fingerprint
        from orket.sweep.profiles import save_profile as save

        path = save(save_profile, plan, rows[0], read_fingerprint().id)
        messages.note(f"saved {path}; use it with --profile {save_profile}")


def new_id(preset: str) -> str:
    """A fresh sweep id."""
    from datetime import UTC, datetime

    from orket.sweep.identity import new_sweep_id

    return new_sweep_id(preset, datetime.now(UTC))


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    from orket.cli.canary_words import show_ratio

    variance = row["adherence_variance_nano"]
    return {
        **row,
        "latency_cv": show_ratio(row["latency_cv_micro"]),
        "latency_cv_limit": show_ratio(row["latency_cv_limit_ppm"]),
        "missing_telemetry": show_ratio(row["missing_telemetry_micro"]),
        "adherence_variance": None if variance is None else variance / 10**9,
        "failed_reasons": ", ".join(row["failed_reasons"] or []),
    }
