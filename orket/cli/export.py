"""`orket export`: `sweep_summary.json`, as recorded or judged again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orket.cli import messages
from orket.cli.options import output_option, rejudge_options, store_option
from orket.cli.rejudge import Rejudge

if TYPE_CHECKING:
    from orket.warehouse import Warehouse


@click.command()
@click.argument("sweep", default="latest")
@output_option
@store_option
@rejudge_options
def export(sweep: str, output: str | None, store: Warehouse, rejudge: Rejudge) -> None:
    """Write sweep_summary.json; thresholds given here judge again without a re-run.

    SWEEP is an id, the start of one, or `latest`. Without -o it is written to stdout.
    The same rows give the same bytes.
    """
    from orket.exports.load import load_summary_row, write_file
    from orket.exports.summary import render_summary

    sweep_id = store.resolve(sweep)
    row = load_summary_row(store, sweep_id, rejudge.policy_overrides())
    content = render_summary(row)
    if output is None or output == "-":
        click.echo(content, nl=False)
        return
    write_file(Path(output), content)
    messages.note(f"wrote {output}")
