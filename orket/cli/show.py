"""`orket show`: one sweep in the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from orket.cli import messages
from orket.cli.options import price_option, reading_store_option, scope_options
from orket.cli.rejudge import Rejudge
from orket.cli.running import resume_line, say_what_next
from orket.cli.show_formats import FORMATS, print_as
from orket.exports.by_now import RUNNING, UNKNOWN, has_lost_events
from orket.exports.stops import is_open, stop_of

if TYPE_CHECKING:
    from orket.exports.cost import Price
    from orket.warehouse import Warehouse


@click.command()
@click.argument("sweep", default="latest")
@click.option(
    "--format",
    "output_format",
    type=click.Choice(FORMATS),
    default="table",
    show_default=True,
    help="For a person; the summary as JSON; a row for each quant as CSV or Markdown; "
    "a line for each run that counts, for benchstat.",
)
@price_option
@reading_store_option
@scope_options
def show(
    sweep: str,
    output_format: str,
    price: Price | None,
    store: Warehouse,
    rejudge: Rejudge,
) -> None:
    """Show one sweep: its quants, the recommendation, and how far to trust it.

    SWEEP is an id, the start of one, or `latest`.
    """
    if output_format != "table":
        given = rejudge.policy_overrides()
        print_as(output_format, store, store.resolve(sweep), given, price)
        return
    from orket.cli.bucket_table import print_buckets
    from orket.cli.cost_words import print_costs
    from orket.cli.sweep_table import print_sweep
    from orket.exports.load import load_summary

    sweep_id = store.resolve(sweep)
    given = rejudge.policy_overrides()
    summary = load_summary(store, sweep_id, given)
    by_now = summary["status"]
    print_sweep(
        summary,
        lambda: load_summary(store, sweep_id, {**given, "include_polluted": "fill"}),
    )
    print_buckets(summary, store, given)
    if price is not None:
        print_costs(summary, price)
    if by_now in (RUNNING, UNKNOWN):
        _say_who_runs(by_now, store, sweep_id)
    else:
        _say_how_to_go_on(summary, store)
    say_what_next(summary, store, rejudge)


def _say_who_runs(by_now: str, store: Warehouse, sweep_id: str) -> None:
    """What is shown is so far: who has the sweep, or had it last."""
    if by_now == UNKNOWN and has_lost_events(store, sweep_id):
        messages.note("its end may be among the events that cannot be read")
        return
    who = store.executor(sweep_id).name or "run by another process"
    if by_now == RUNNING:
        messages.note(f"{who}: what stands here is what was found so far")
        return
    messages.note(
        f"{who}, and whether it still is cannot be seen from here; if it is not: "
        f"{resume_line(sweep_id, store)}"
    )


def _say_how_to_go_on(summary: Mapping[str, Any], store: Warehouse) -> None:
    """The line that goes on with a sweep that stopped, or that more time would help."""
    could_go_on = {code for code in map(stop_of, summary["sessions"]) if is_open(code)}
    if summary["status"] != "INTERRUPTED" and not could_go_on:
        return
    from orket.planning.budget import read_budget
    from orket.sweep.resume import can_go_on, read_rounds_so_far

    sweep_id = summary["sweep_id"]
    if not can_go_on(store, sweep_id):
        return
    rounds = read_rounds_so_far(store, sweep_id)
    line = resume_line(sweep_id, store)
    judged = f"rounds judged so far: {rounds.count}; " if rounds.count else ""
    budget = read_budget(rounds.budget) if rounds.budget else None
    if "MACHINE_BUSY" in could_go_on:
        why = "the machine was too busy for more to count; when it is quieter"
    elif not could_go_on or budget is None:
        why = "go on with"
    else:
        why = f"its budget of {rounds.budget} ended before it was decided; with more"
        line += f" --budget {max(1, math.ceil(2 * budget / 60))}m"
    messages.note(f"{judged}{why}: {line}")
