"""`orket explain`: one run, with raw figures, formulas and evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orket.cli.options import reading_store_option

if TYPE_CHECKING:
    from orket.warehouse import Warehouse


@click.command()
@click.argument("run")
@click.argument("sweep", required=False)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Sentences, or all of it as JSON.",
)
@reading_store_option
def explain(run: str, sweep: str | None, output_format: str, store: Warehouse) -> None:
    """How does each figure of RUN come about, and why does it count, or not?

    What the server said, the formula of each figure, and what the run was judged by:
    the answer to a number that differs from another tool's. RUN is the id of a run or
    of an attempt, or its start. It is looked for in SWEEP, else in the newest, then in
    all.
    """
    from orket.cli.explain_words import print_run
    from orket.exports.explanation import read_run
    from orket.exports.json_text import render_json

    found = read_run(store, run, sweep)
    if output_format == "json":
        click.echo(render_json([attempt.document() for attempt in found]))
        return
    for place, attempt in enumerate(found):
        if place:
            click.echo()
        print_run(attempt, place + 1, len(found))
