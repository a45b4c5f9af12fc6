"""`orket why`: why a quant is recommended or not, and what would change that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orket.cli.options import past_options, reading_store_option
from orket.cli.rejudge import Rejudge

if TYPE_CHECKING:
    from orket.warehouse import Warehouse

_SHOWN = 5


@click.command()
@click.argument("quant")
@click.argument("sweep", default="latest")
@click.option("--model", metavar="ID", help="Only of this model.")
@click.option(
    "--answers",
    type=click.IntRange(min=0),
    default=_SHOWN,
    show_default=True,
    metavar="N",
    help="Show so many lost tasks with their answers, and so many gained ones.",
)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Sentences, or all of it as JSON.",
)
@reading_store_option
@past_options
def why(
    quant: str,
    sweep: str,
    model: str | None,
    answers: int,
    output_format: str,
    store: Warehouse,
    rejudge: Rejudge,
) -> None:
    """Why is QUANT recommended, or not? And what would change that?

    Each rule with its numbers, the tasks that it loses and gains against the
    reference, what was answered, and which check failed. SWEEP is an id, the start of
    one, or `latest`.
    """
    from orket.cli.running import place_words
    from orket.cli.why_words import print_why
    from orket.exports.json_text import render_json
    from orket.exports.reasoning import read_reasoning

    sweep_id = store.resolve(sweep)
    found = read_reasoning(store, sweep_id, quant, model, rejudge.policy_overrides())
    if output_format == "json":
        click.echo(render_json([part.document() for part in found]))
        return
    for place, part in enumerate(found):
        if place:
            click.echo()
        print_why(part, answers, place_words(store))
