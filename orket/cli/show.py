"""`orket show`: one sweep in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orket.cli.options import reading_store_option, rejudge_options
from orket.cli.rejudge import Rejudge

if TYPE_CHECKING:
    from orket.warehouse import Warehouse


@click.command()
@click.argument("sweep", default="latest")
@reading_store_option
@rejudge_options
def show(sweep: str, store: Warehouse, rejudge: Rejudge) -> None:
    """Show one sweep: its quants, the recommendation, and how far to trust it.

    SWEEP is an id, the start of one, or `latest`.
    """
    from orket.cli.sweep_table import print_sweep
    from orket.exports.load import load_summary

    sweep_id = store.resolve(sweep)
    given = rejudge.policy_overrides()
    print_sweep(
        load_summary(store, sweep_id, given),
        lambda: load_summary(store, sweep_id, {**given, "include_polluted": "fill"}),
    )
