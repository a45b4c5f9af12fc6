"""`orket diff`: two sweeps side by side, and what became worse."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orket.cli.options import RowFormat, judging_store_option, rejudge_options
from orket.cli.output import print_rows
from orket.cli.rejudge import Rejudge
from orket.errors import CheckFailed, UsageError

if TYPE_CHECKING:
    from orket.warehouse import Warehouse

_SHOWN = 5


@click.command()
@click.argument("before")
@click.argument("after", default="latest")
@click.option(
    "--model",
    metavar="ID[=ID]",
    help="Only this model; ID=ID where it is called otherwise in the second sweep.",
)
@click.option("--quant", metavar="TAG", help="Only this quant.")
@click.option(
    "--after-warehouse",
    metavar="FOLDER",
    help="The second sweep lies in another warehouse.",
)
@click.option(
    "--tasks",
    type=click.IntRange(min=0),
    default=_SHOWN,
    show_default=True,
    metavar="N",
    help="Name so many lost tasks of a quant, and so many gained ones.",
)
@click.option(
    "--format",
    "output_format",
    type=RowFormat(),
    default="table",
    show_default=True,
    help="A table and sentences, all of it as JSON, or a row for each quant as CSV.",
)
@judging_store_option
@rejudge_options
def diff(
    before: str,
    after: str,
    model: str | None,
    quant: str | None,
    after_warehouse: str | None,
    tasks: int,
    output_format: str,
    store: Warehouse,
    rejudge: Rejudge,
) -> None:
    """Did it become better or worse between two sweeps? Exits with 4 when worse.

    What can be compared and what cannot; each quant task by task, by an exact test; its
    speed by blocks, beyond the noise. Across machines answers alone are compared.
    BEFORE and AFTER are ids, starts of ids, or `latest`.
    """
    from orket.cli.diff_words import print_difference
    from orket.exports.difference import ROW_KEYS, read_difference
    from orket.exports.json_text import render_json
    from orket.warehouse import Warehouse

    other = Warehouse.open(after_warehouse) if after_warehouse else store
    other.left_out = store.left_out
    found = read_difference(
        (store, store.resolve(before)),
        (other, other.resolve(after)),
        _models(model),
        quant,
        rejudge.policy_overrides(),
    )
    if output_format == "json":
        click.echo(render_json([part.document() for part in found]))
    elif output_format == "csv":
        rows = [row for part in found for row in part.rows()]
        print_rows(rows, ROW_KEYS, "csv")
    else:
        for place, part in enumerate(found):
            if place:
                click.echo()
            print_difference(part, tasks)
    worse = [f"{part.model_id} {tag}" for part in found for tag in part.worse]
    if worse:
        raise CheckFailed(
            f"worse than before: {', '.join(worse)}",
            "all of it stands in --format json",
        )


def _models(text: str | None) -> tuple[str, str] | None:
    """The model of each sweep: a name may have an `=` of its own only on one side."""
    if text is None:
        return None
    before, equals, after = text.partition("=")
    if not before or (equals and not after):
        raise UsageError(f"--model {text!r} names no model", "write ID, or ID=ID")
    return before, after or before
