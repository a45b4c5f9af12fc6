"""`orket use`: the line that runs the advised quant as it was measured."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from orket.cli.options import judging_store_option, past_options
from orket.cli.rejudge import Rejudge

if TYPE_CHECKING:
    from orket.warehouse import Warehouse


@click.command()
@click.argument("sweep", default="latest")
@click.option("--quant", metavar="TAG", help="This quant in place of the advised one.")
@click.option("--model", metavar="ID", help="Only of this model.")
@click.option(
    "--shell",
    type=click.Choice(["posix", "powershell"]),
    help="Whose quoting the line has. [default: posix; powershell on Windows]",
)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="The line and what it stands for, or all of it as JSON.",
)
@judging_store_option
@past_options
def use(
    sweep: str,
    quant: str | None,
    model: str | None,
    shell: str | None,
    output_format: str,
    store: Warehouse,
    rejudge: Rejudge,
) -> None:
    """How is the advised quant run, with the settings it was measured under?

    The line for its server: llama-server, Ollama (a Modelfile where settings differ),
    LM Studio, vLLM, or the command that the sweep started it by. Only what is recorded
    stands in it; what is not known is said. SWEEP is an id, the start of one, or
    `latest`.
    """
    from orket.cli.running import show_line
    from orket.cli.use_words import print_chosen
    from orket.exports.handover import read_handovers
    from orket.exports.json_text import render_json

    sweep_id = store.resolve(sweep)
    found = read_handovers(store, sweep_id, quant, model, rejudge.policy_overrides())
    if output_format == "json":
        click.echo(render_json([chosen.document() for chosen in found]))
        return
    own = "powershell" if sys.platform == "win32" else "posix"
    for place, chosen in enumerate(found):
        if place:
            click.echo()
        print_chosen(chosen, shell or own, show_line(sweep_id, store, rejudge))
