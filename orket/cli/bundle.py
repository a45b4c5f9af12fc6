"""`orket bundle`: a sweep as one file, to be computed anew elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orket.cli import messages
from orket.cli.options import store_option
from orket.cli.writable import check_output

if TYPE_CHECKING:
    from orket.warehouse import Warehouse


@click.command()
@click.argument("sweep", default="latest")
@click.option("-o", "--output", required=True, metavar="FILE", help="The tar to write.")
@store_option
def bundle(sweep: str, output: str, store: Warehouse) -> None:
    """Write an evidence bundle: raw rows, manifest, summary and a hash of each.

    SWEEP is an id, the start of one, or `latest`. The same rows give the same bytes.
    Elsewhere, `orket verify FILE.tar` computes the summary anew from the rows.
    """
    from orket.exports.bundle import write_bundle

    check_output(output)
    sweep_id = store.resolve(sweep)
    parts = write_bundle(store, sweep_id, Path(output))
    messages.note(f"wrote {output}: sweep {sweep_id}, {parts} parts and their summary")
