"""`orket run`: a whole sweep, from the preset to the recommendation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orket.cli import messages
from orket.cli.chosen_preset import (
    bend_preset,
    load_chosen_preset,
    names_itself,
    with_budget,
)
from orket.cli.opening import open_screen
from orket.cli.options import output_option, running_store_option
from orket.cli.own_model import plan_fitting, print_choices
from orket.cli.running import (
    ended_before_anything,
    explain_added,
    explain_budget,
    explain_interrupt,
    failure_of,
    new_id,
    resume_line,
    run_plan,
    say_how_far,
    say_what_next,
)
from orket.cli.sweep_options import SweepOptions, budget_options, sweep_options
from orket.cli.writable import check_output, check_warehouse
from orket.errors import CheckFailed, UsageError

if TYPE_CHECKING:
    from orket.planning.plan import Plan
    from orket.planning.preset import Preset
    from orket.warehouse import Warehouse


@click.command()
@click.argument("preset", metavar="[MODEL|FOLDER|URL|PRESET]", required=False)
@sweep_options
@budget_options
@click.option("--no-canary", is_flag=True, help="Skip the gate; the summary says so.")
@click.option(
    "--sidecar",
    metavar="TOOL",
    help="Run this diagnostic tool after the matrix, e.g. llama-bench.",
)
@click.option(
    "--resume",
    metavar="SWEEP",
    help="Go on with a sweep that stopped: its id, or latest. It needs no PRESET; one "
    "by rounds may be given more tasks.",
)
@click.option(
    "--take-over",
    is_flag=True,
    help="With --resume, of a sweep in an object store: another machine that did not "
    "end it is gone for good.",
)
@click.option("--dry-run", is_flag=True, help="Show the plan and run nothing.")
@click.option(
    "--save-baseline", is_flag=True, help="Keep the clean results as baselines."
)
@click.option(
    "--require-recommendation",
    is_flag=True,
    help="Exit with 4 when no quant can be recommended.",
)
@click.option(
    "-y", "--yes", is_flag=True, help="Do not ask before a matrix of over an hour."
)
@running_store_option
@output_option
@click.pass_context
def run(
    ctx: click.Context,
    preset: str | None,
    chosen: SweepOptions,
    budget: str | None,
    until: str | None,
    grid: bool,
    no_canary: bool,
    sidecar: str | None,
    resume: str | None,
    take_over: bool,
    dry_run: bool,
    save_baseline: bool,
    require_recommendation: bool,
    yes: bool,
    store: Warehouse,
    output: str | None,
) -> None:
    """Run a sweep and say which quant to use.

    \b
    orket run llama3.1:8b        a model that Ollama has installed, or a family
    orket run ./models           a folder of GGUF files, or one file
    orket run http://host:8000   whatever server answers there
    orket run --url AWQ=http://a --url FP8=http://b   a server for each quant
    orket run quickstart         a preset: its name (orket presets) or a TOML file
    orket run                    lists what there is to measure here

    Options win over the preset, and the summary records them. Writes
    sweep_summary.json, or -o FILE.
    """
    from orket.cli.bucket_table import name_buckets
    from orket.cli.sweep_table import print_sweep
    from orket.exports.load import load_summary
    from orket.planning.readiness import (
        list_missing,
        warn_of_context,
        warn_of_copies,
        warn_of_unknown,
    )
    from orket.planning.served import fill_served
    from orket.planning.survey import survey_plan
    from orket.sweep.extend import plan_to_go_on
    from orket.sweep.resume import read_started
    from orket.sweep.sidecar import note_absent

    is_asked = preset is not None or resume is not None or names_itself(chosen)
    if is_asked and not dry_run:
        # Before anything is looked at: what cannot be kept need not be found out.
        check_output(output or "sweep_summary.json")
        check_warehouse(store)
    if take_over:
        _require_elsewhere(resume, store)
    sweep_id = store.resolve(resume) if resume else None
    if preset is None and sweep_id is not None:
        started = read_started(store, sweep_id)
        command = chosen.server.get("serve_cmd")
        if started.password_removed and not (chosen.urls or command):
            raise UsageError(
                f"the URL or command of sweep {sweep_id} had a secret, which is not "
                "kept",
                "give it again with --url or --serve-cmd",
            )
        resolved = bend_preset(started.preset, chosen)
        no_canary = no_canary or not started.canary_planned
    elif preset is not None:
        resolved = load_chosen_preset(preset, chosen)
    elif names_itself(chosen):
        resolved = load_chosen_preset(None, chosen)
    else:
        print_choices()
        return
    resolved = with_budget(resolved, chosen, budget, until, grid)
    resolved = _with_sidecar(resolved, sidecar)
    if not dry_run:
        resolved = fill_served(resolved)
    name = sweep_id or new_id(resolved.name)
    if dry_run:
        from orket.cli.plan_table import print_plan

        if sweep_id is None:
            plan, _, survey = plan_fitting(resolved, name, no_canary, ask=False)
        else:
            plan = plan_to_go_on(resolved, store, name, no_canary)
            survey = survey_plan(plan, ask=False)
            say_how_far(plan, store)
        print_plan(plan, store, output or "sweep_summary.json", survey)
        return
    if sweep_id is None:
        plan, _, survey = plan_fitting(resolved, name, no_canary)
        if not list_missing(plan):
            open_screen(plan, survey, store)
    else:
        plan = plan_to_go_on(resolved, store, name, no_canary)
    note_absent(plan, messages.note)
    for told in (warn_of_context, warn_of_copies, warn_of_unknown):
        for warning in told(plan):
            messages.warn(warning)
    outcome = run_plan(plan, store, resume is not None, yes, take_over)
    if outcome.status == "INTERRUPTED":
        line = resume_line(plan.sweep_id, store, output)
        if plan.sweep_id in store.sweep_ids():
            kept = _write(store, plan.sweep_id, output)
            if outcome.calls and output != "-":
                print_sweep(kept)
        ctx.exit(explain_interrupt(plan.sweep_id, store, outcome.calls, line))
    if outcome.status == "CANARY_FAILED":
        from orket.cli.canary_words import gate_failure

        _write(store, plan.sweep_id, output)
        raise gate_failure(store, plan.sweep_id, outcome.failed_canaries)
    failure = failure_of(outcome, resume_line(plan.sweep_id, store, output))
    if failure is None:
        _measure_sidecar(plan, store, outcome.was_complete)
        if save_baseline:
            _save_baselines(store, plan.sweep_id)
    summary = _write(store, plan.sweep_id, output)
    if nothing := ended_before_anything(outcome, plan, summary, store):
        raise nothing
    fill = {"include_polluted": "fill"}
    if output != "-":
        print_sweep(summary, lambda: load_summary(store, plan.sweep_id, fill))
        name_buckets(summary, store)
    if failure is not None:
        raise failure
    explain_budget(outcome, plan, summary, store)
    explain_added(plan, store)
    say_what_next(summary, store)
    if require_recommendation:
        _require_recommendation(summary)


def _measure_sidecar(plan: Plan, store: Warehouse, was_complete: bool) -> None:
    from orket.sweep.sidecar import has_sidecar_rows, measure_sidecar

    if not was_complete or not has_sidecar_rows(store, plan.sweep_id):
        measure_sidecar(plan, store, messages.note)


def _save_baselines(store: Warehouse, sweep_id: str) -> None:
    from orket.baselines import append_from_sweep

    appended = append_from_sweep(store, sweep_id)
    blocked = f", {len(appended.blocked)} not clean" if appended.blocked else ""
    messages.note(f"saved {len(appended.stored)} baselines{blocked}")


def _require_elsewhere(resume: str | None, store: Warehouse) -> None:
    """Raise UsageError where there is nothing to take over from another machine."""
    if resume is None:
        raise UsageError(
            "--take-over goes on with a sweep", "name it: --resume SWEEP --take-over"
        )
    if not store.is_mirrored:
        raise UsageError(
            f"--take-over is for an object store, and {store.place} is a folder",
            "leave it out: a folder tells itself whether the sweep still runs",
        )


def _with_sidecar(preset: Preset, tool: str | None) -> Preset:
    from orket.planning.preset import Change, override

    return override(preset, [Change("sidecar.tool", tool)]) if tool else preset


def _write(store: Warehouse, sweep_id: str, output: str | None) -> dict[str, Any]:
    """Write sweep_summary.json, or to stdout for `-`; its content.

    A sweep of which no run was made never takes the place of a summary that is there.
    """
    from orket.exports.load import is_special, load_summary_row, write_file
    from orket.exports.summary import render_summary, summary_document

    row = load_summary_row(store, sweep_id)
    if output == "-":
        click.echo(render_summary(row), nl=False)
    else:
        path = Path(output or "sweep_summary.json")
        if path.exists() and not is_special(path) and not _has_runs(row):
            messages.note(f"{path} is left as it was: no run of this sweep was made")
        else:
            write_file(path, render_summary(row))
            messages.note(f"wrote {path}")
    return summary_document(row)


def _has_runs(row: dict[str, Any]) -> bool:
    """Whether any run of the matrix was made, with or without success."""
    return any(
        quant["runs"]["attempts"] > 0
        for session in row["sessions"]
        for quant in session["per_quant"]
    )


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
