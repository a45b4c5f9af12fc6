"""`orket plan`: what a sweep would do; runs nothing and needs no server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orket.cli.chosen_preset import load_chosen_preset, with_budget
from orket.cli.options import store_option
from orket.cli.own_model import plan_fitting
from orket.cli.sweep_options import SweepOptions, budget_options, sweep_options

if TYPE_CHECKING:
    from orket.warehouse import Warehouse

PLACEHOLDER = "<sweep>"


@click.command()
@click.argument("preset", metavar="MODEL|FOLDER|URL|PRESET")
@sweep_options
@budget_options
@click.option("--no-canary", is_flag=True, help="Plan without the gate.")
@click.option(
    "--format",
    "output_format",
    type=click.Choice(("table", "json")),
    default="table",
    show_default=True,
)
@store_option
def plan(
    preset: str,
    chosen: SweepOptions,
    budget: str | None,
    until: str | None,
    grid: bool,
    no_canary: bool,
    output_format: str,
    store: Warehouse,
) -> None:
    """Show the resolved plan of PRESET: matrix, controls, order, hash, estimate.

    The plan hash depends on all that can change a result and on nothing else.
    """
    from orket.cli.plan_table import plan_document, print_plan
    from orket.exports.json_text import render_json

    bent = with_budget(load_chosen_preset(preset, chosen), chosen, budget, until, grid)
    resolved, _, seen = plan_fitting(bent, PLACEHOLDER, no_canary, ask=False)
    if output_format == "json":
        document = plan_document(resolved, store, "sweep_summary.json", seen)
        click.echo(render_json(document))
        return
    print_plan(resolved, store, "sweep_summary.json", seen)
