"""`orket run`: a whole sweep, from the preset to the recommendation."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orket.cli import messages
from orket.cli.options import output_option, warehouse_option
from orket.cli.sweep_options import SweepOptions, load_chosen_preset, sweep_options
from orket.errors import CheckFailed, OrketError, ServerError, WarehouseError

if TYPE_CHECKING:
    from orket.planning.plan import Plan
    from orket.planning.preset import Preset
    from orket.sweep.execute import Outcome
    from orket.warehouse import Warehouse

EXIT_INTERRUPTED = 130


@click.command()
@click.argument("preset")
@sweep_options
@click.option("--no-canary", is_flag=True, help="Skip the gate; the summary says so.")
@click.option(
    "--sidecar",
    metavar="TOOL",
    help="Run this diagnostic tool after the matrix, e.g. llama-bench.",
)
@click.option("--resume", metavar="SWEEP", help="Go on with a sweep that stopped.")
@click.option("--dry-run", is_flag=True, help="Show the plan and run nothing.")
@click.option(
    "--save-baseline", is_flag=True, help="Keep the clean results as baselines."
)
@click.option(
    "--require-recommendation",
    is_flag=True,
    help="Exit with 4 when no quant can be recommended.",
)
@warehouse_option
@output_option
@click.pass_context
def run(
    ctx: click.Context,
    preset: str,
    chosen: SweepOptions,
    no_canary: bool,
    sidecar: str | None,
    resume: str | None,
    dry_run: bool,
    save_baseline: bool,
    require_recommendation: bool,
    warehouse: str | None,
    output: str | None,
) -> None:
    """Run the sweep of PRESET and say which quant to use.

    PRESET is a name (see orket presets) or the path of a TOML file. Options win over
    the preset, and the summary records them. Writes sweep_summary.json, or -o FILE.
    """
    from orket.cli.sweep_table import print_sweep
    from orket.exports.load import load_summary
    from orket.planning.served import fill_served
    from orket.sweep.sidecar import has_sidecar_rows, measure_sidecar, note_absent
    from orket.warehouse import Warehouse

    resolved = _with_sidecar(load_chosen_preset(preset, chosen), sidecar)
    store = Warehouse.open(warehouse)
    if not dry_run:
        resolved = fill_served(resolved)
    plan = _build(resolved, store, resume, no_canary)
    if not dry_run:
        check_output(output or "sweep_summary.json")
        note_absent(plan, messages.note)
    if dry_run:
        from orket.cli.plan_table import print_plan

        print_plan(plan, store, output or "sweep_summary.json")
        return
    outcome = run_plan(plan, store, resume is not None)
    if outcome.status == "INTERRUPTED":
        line = _resume_line(plan.sweep_id)
        ctx.exit(explain_interrupt(plan.sweep_id, store, outcome.calls, line))
    if outcome.status == "CANARY_FAILED":
        from orket.cli.canary_words import gate_failure

        _write(store, plan.sweep_id, output)
        raise gate_failure(store, plan.sweep_id, outcome.failed_canaries)
    if not outcome.was_complete or not has_sidecar_rows(store, plan.sweep_id):
        measure_sidecar(plan, store, messages.note)
    if save_baseline:
        _save_baselines(store, plan.sweep_id)
    summary = _write(store, plan.sweep_id, output)
    fill = {"include_polluted": "fill"}
    if output != "-":
        print_sweep(summary, lambda: load_summary(store, plan.sweep_id, fill))
    if outcome.last_failure is not None:
        raise ServerError(f"no call was answered: {outcome.last_failure}")
    if require_recommendation:
        _require_recommendation(summary)


def run_plan(plan: Plan, store: Warehouse, resume: bool = False) -> Outcome:
    """Execute a plan under the live display; an early Ctrl-C records nothing.

    Raises what stopped a sweep of which no call could have been answered.
    """
    from orket.cli.sweep_progress import SweepProgress
    from orket.sweep.execute import INTERRUPTED, Outcome, run_sweep
    from orket.sweep.interrupts import Interrupted

    with SweepProgress() as progress:
        try:
            outcome = run_sweep(plan, store, progress, resume=resume)
        except Interrupted:
            return Outcome(plan.sweep_id, INTERRUPTED, 0)
        except WarehouseError:
            if plan.sweep_id in store.sweep_ids():
                messages.note(
                    "every call recorded so far is kept; when there is room again: "
                    + _resume_line(plan.sweep_id)
                )
            raise
    if outcome.cause is not None:
        raise outcome.cause
    if outcome.was_complete:
        messages.note(f"sweep {plan.sweep_id} is already complete: nothing was run")
    return outcome


def check_output(output: str | None) -> None:
    """Raise OrketError now where a file could not be written after the calls."""
    if output is None or output == "-":
        return
    if problem := _output_problem(Path(output)):
        raise OrketError(
            f"cannot write {output}: {problem}", "name another file with -o"
        )


def _output_problem(path: Path) -> str | None:
    from orket.exports.load import is_special

    if path.is_dir():
        return "it is a folder"
    if path.exists() and is_special(path):
        return None if os.access(path, os.W_OK) else "it is not to be written"
    try:
        with tempfile.TemporaryFile(dir=path.resolve().parent):
            return None
    except OSError as failure:
        return f"{path.parent}: {failure.strerror or failure}"


def explain_interrupt(
    sweep_id: str, store: Warehouse, calls: int, resume_line: str | None
) -> int:
    """Say what was kept and how to go on, where one can; the exit code."""
    if sweep_id not in store.sweep_ids():
        messages.note("interrupted before the first call; nothing was recorded")
        return EXIT_INTERRUPTED
    messages.note(f"interrupted; {calls} calls of sweep {sweep_id} are kept")
    if resume_line:
        messages.note(f"go on with: {resume_line}")
    return EXIT_INTERRUPTED


def _resume_line(sweep_id: str) -> str:
    given = sys.argv[1:]
    kept = [
        part
        for place, part in enumerate(given)
        if not part.startswith("--resume") and given[place - 1 : place] != ["--resume"]
    ]
    return f"orket {shlex.join([*kept, '--resume', sweep_id])}"


def _save_baselines(store: Warehouse, sweep_id: str) -> None:
    from orket.baselines import append_from_sweep

    appended = append_from_sweep(store, sweep_id)
    blocked = f", {len(appended.blocked)} not clean" if appended.blocked else ""
    messages.note(f"saved {len(appended.stored)} baselines{blocked}")


def _build(
    preset: Preset, store: Warehouse, resume: str | None, no_canary: bool
) -> Plan:
    from datetime import UTC, datetime

    from orket.planning.identity import new_sweep_id
    from orket.planning.plan import build_plan

    sweep_id = (
        store.resolve(resume)
        if resume
        else new_sweep_id(preset.name, datetime.now(UTC))
    )
    return build_plan(preset, sweep_id, skip_canary=no_canary)


def _with_sidecar(preset: Preset, tool: str | None) -> Preset:
    from orket.planning.preset import Change, override

    return override(preset, [Change("sidecar.tool", tool)]) if tool else preset


def _write(store: Warehouse, sweep_id: str, output: str | None) -> dict[str, Any]:
    """Write sweep_summary.json, or to stdout for `-`; its content."""
    from orket.exports.load import load_summary_row, write_file
    from orket.exports.summary import render_summary, summary_document

    row = load_summary_row(store, sweep_id)
    if output == "-":
        click.echo(render_summary(row), nl=False)
    else:
        path = Path(output or "sweep_summary.json")
        write_file(path, render_summary(row))
        messages.note(f"wrote {path}")
    return summary_document(row)


def _require_recommendation(summary: dict[str, Any]) -> None:
    without = [
        session["model_id"]
        for session in summary["sessions"]
        if session["efficiency_frontier"]["minimum_viable_quant_tag"] is None
    ]
    if without:
        raise CheckFailed(
            f"no quant of {', '.join(without)} can be recommended",
            "the reasons stand in the table",
        )
