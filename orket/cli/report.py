"""`orket report`: one sweep as a page that needs nothing else, or as Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orket.cli import messages
from orket.cli.options import (
    output_option,
    price_option,
    reading_store_option,
    scope_options,
)
from orket.cli.rejudge import Rejudge
from orket.cli.writable import check_output

if TYPE_CHECKING:
    from orket.exports.cost import Price
    from orket.warehouse import Warehouse


@click.command()
@click.argument("sweep", default="latest")
@output_option
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["html", "md"]),
    help="A page, or Markdown for an issue or a model card. [default: md for a FILE "
    "that ends so, else html]",
)
@price_option
@reading_store_option
@scope_options
def report(
    sweep: str,
    output: str | None,
    output_format: str | None,
    price: Price | None,
    store: Warehouse,
    rejudge: Rejudge,
) -> None:
    """Write a report of one sweep: pictures, answers, and how to do it again.

    SWEEP is an id, the start of one, or `latest`. The page is one file that loads
    nothing from anywhere; -o names it, else it is written to report.html (report.md).
    The same rows give the same bytes.
    """
    from orket.cli.advice import advise
    from orket.cli.fidelity_words import fidelity_words
    from orket.cli.sweep_table import cut_words
    from orket.exports.load import write_file
    from orket.report.gather import gather
    from orket.report.libraries import require_libraries
    from orket.report.page import Voice, render_markdown, render_page

    require_libraries()
    is_markdown = output_format == "md" or (
        output_format is None and (output or "").endswith(".md")
    )
    target = Path(output or ("report.md" if is_markdown else "report.html"))
    if output != "-":
        check_output(target)
    render = render_markdown if is_markdown else render_page
    gathered = gather(store, store.resolve(sweep), rejudge.policy_overrides())
    voice = Voice(advise, lambda told: [*fidelity_words(told), *cut_words(told)])
    content = render(gathered, voice, price)
    if output == "-":
        click.echo(content, nl=False)
        return
    write_file(target, content)
    messages.note(f"wrote {target}")
