"""`orket compact`: many small parts become few; what every view says stays the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from orket.cli import messages
from orket.cli.options import format_option, store_option
from orket.cli.output import print_rows
from orket.cli.writable import check_warehouse
from orket.errors import CheckFailed, UsageError

if TYPE_CHECKING:
    from orket.warehouse import Warehouse
    from orket.warehouse.compact import Folded

_COLUMNS = (
    "dataset",
    ("sweep_id", "sweep"),
    "rows",
    ("parts_before", "parts"),
    ("parts_after", "become"),
    ("bytes_before", "bytes"),
    ("bytes_after", "become"),
)


@click.command()
@click.argument("sweep", required=False)
@click.option(
    "--dry-run", is_flag=True, help="Say what would be folded; change nothing."
)
@click.option(
    "--take-over",
    is_flag=True,
    help="In an object store: another machine that ran or folded a sweep did not end, "
    "and never will.",
)
@format_option
@store_option
def compact(
    sweep: str | None,
    dry_run: bool,
    take_over: bool,
    output_format: str | None,
    store: Warehouse,
) -> None:
    """Fold small parts of SWEEP, or of all sweeps and the events, into few.

    For what was imported in many files, or run in many blocks. Every row stays, and so
    does what the views say; checksums are kept. Others may write and read meanwhile: a
    sweep that is being run is left alone. A kill at any moment loses nothing, and the
    next `orket compact`, or `orket verify --clean`, ends what was begun. In an object
    store a lease keeps other machines out, and what one began another ends.
    """
    from orket.warehouse.compact import compact as fold

    store.require_there()
    if not dry_run:
        check_warehouse(store)
    sweep_id = store.resolve(sweep) if sweep else None
    if take_over and not store.is_mirrored:
        raise UsageError(
            "--take-over is for a warehouse in an object store",
            "a folder is free as soon as the process that had it ends",
        )
    done = fold(store, sweep_id, is_trial=dry_run, take_over=take_over)
    for reason in done.held:
        messages.note(f"left alone: {reason}")
    for reason in done.damaged:
        messages.warn(f"left alone: {reason}")
    if done.folded or output_format in ("json", "csv"):
        print_rows([_row(folded) for folded in done.folded], _COLUMNS, output_format)
    before = sum(folded.parts_before for folded in done.folded)
    after = sum(folded.parts_after for folded in done.folded)
    would = "would become" if dry_run else "became"
    messages.note(
        f"{before} parts {would} {after}" if done.folded else "nothing is to be folded"
    )
    if done.damaged:
        raise CheckFailed(
            "what is damaged was not folded",
            "see it with orket verify, move it away with --quarantine",
        )


def _row(folded: Folded) -> dict[str, Any]:
    return {
        "dataset": folded.dataset,
        "sweep_id": folded.sweep_id,
        "rows": folded.rows,
        "parts_before": folded.parts_before,
        "parts_after": folded.parts_after,
        "bytes_before": folded.bytes_before,
        "bytes_after": folded.bytes_after,
    }
