"""`orket show`: one sweep in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orket.cli import messages
from orket.cli.options import reading_store_option, scope_options
from orket.cli.rejudge import Rejudge
from orket.cli.running import resume_line

if TYPE_CHECKING:
    from orket.warehouse import Warehouse


@click.command()
@click.argument("sweep", default="latest")
@reading_store_option
@scope_options
def show(sweep: str, store: Warehouse, rejudge: Rejudge) -> None:
    """Show one sweep: its quants, the recommendation, and how far to trust it.

    SWEEP is an id, the start of one, or `latest`.
    """
    from orket.cli.bucket_table import print_buckets
    from orket.cli.sweep_table import print_sweep
    from orket.exports.load import load_summary

    sweep_id = store.resolve(sweep)
    given = rejudge.policy_overrides()
    summary = load_summary(store, sweep_id, given)
    print_sweep(
        summary,
        lambda: load_summary(store, sweep_id, {**given, "include_polluted": "fill"}),
    )
    print_buckets(summary, store, given)
    if summary["status"] == "INTERRUPTED":
        from orket.sweep.resume import can_go_on

        if can_go_on(store, sweep_id):
            messages.note(f"go on with: {resume_line(sweep_id, store)}")
