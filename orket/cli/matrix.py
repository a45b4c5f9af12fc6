"""`orket matrix`: what is advised on each machine for each model, over all sweeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orket.cli import messages
from orket.cli.machines import machine_named, machine_option
from orket.cli.options import output_option, price_option, reading_store_option
from orket.cli.writable import check_output
from orket.errors import UsageError
from orket.text import nearest

if TYPE_CHECKING:
    from orket.exports.cost import Price
    from orket.warehouse import Warehouse
    from orket.warehouse.fleet import Fleet

FORMATS = ("table", "json", "csv", "md", "html")


@click.command()
@click.option("--model", metavar="ID", help="Only this model.")
@machine_option("--hardware")
@click.option(
    "--all",
    "with_past",
    is_flag=True,
    help="Superseded sweeps and earlier changes of versions too.",
)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(FORMATS),
    help="[default: as FILE is named, else table]",
)
@output_option
@price_option
@reading_store_option
def matrix(
    model: str | None,
    hardware: str | None,
    with_past: bool,
    output_format: str | None,
    output: str | None,
    price: Price | None,
    store: Warehouse,
) -> None:
    """What to use on each machine for each model, and what a new version changed.

    Over all sweeps of the warehouse: the answer that stands, how sure it is and how
    old, the runtime with its version, how many sweeps say so and whether others
    disagree. Below it, whether a new version of a runtime made anything slower or
    worse, by the rules of `orket diff`: same machine, weights, tasks and settings, or
    no claim.
    """
    from orket.warehouse.fleet import Fleet, read_fleet, with_drift

    chosen = output_format or _format_of(output)
    check_output(output)
    everything = read_fleet(store)
    if not everything.matrix:
        messages.note(f"there is no sweep in {store.path}; try: orket run quickstart")
    wanted = _filter(everything, model, hardware)
    matrix = [
        row
        for row in everything.matrix
        if wanted(row) and (with_past or row["is_current"])
    ]
    changes = [
        row
        for row in everything.changes
        if wanted(row) and (with_past or row["is_newest"])
    ]
    fleet = Fleet(matrix, with_drift(store, changes))
    if chosen == "table" and output in (None, "-"):
        from orket.cli.fleet_words import print_fleet

        print_fleet(fleet, datetime.now(UTC).replace(tzinfo=None), price)
        return
    content = _render(fleet, chosen, price)
    if output in (None, "-"):
        click.echo(content, nl=False)
        return
    from orket.exports.load import write_file

    write_file(Path(str(output)), content)
    messages.note(f"wrote {output}")


def _filter(
    fleet: Fleet, model: str | None, hardware: str | None
) -> Callable[[Mapping[str, Any]], bool]:
    """Which rows are asked for. Raises UsageError where none can be."""
    machine = machine_named(fleet.matrix, hardware) if hardware else None
    models = sorted({row["model_id"] for row in fleet.matrix})
    if model is not None and model not in models:
        raise UsageError(f"no model {model!r} in any sweep", nearest(model, models))
    return lambda row: (
        model in (None, row["model_id"])
        and machine in (None, row["hardware_fingerprint"])
    )


def _format_of(output: str | None) -> str:
    """The format that the name of a file asks for."""
    ending = (output or "").rpartition(".")[2]
    if output in (None, "-"):
        return "table"
    if ending not in FORMATS:
        raise UsageError(
            f"{output}: the name tells no format", f"add --format: {', '.join(FORMATS)}"
        )
    return ending


def _render(fleet: Fleet, output_format: str, price: Price | None) -> bytes:
    if output_format == "html":
        from orket.report.fleet import render_fleet_page

        return render_fleet_page(fleet.matrix, fleet.changes, price)
    from orket.exports.fleet import plain_row, render_markdown

    if output_format == "table":
        raise UsageError("a table is for a terminal", "use --format md for a file")
    if output_format == "md":
        return render_markdown(fleet.matrix, fleet.changes, price).encode()
    rows = [plain_row(row, price) for row in fleet.matrix]
    if output_format == "csv":
        from orket.cli.output import csv_text

        columns = list(rows[0]) if rows else ["hardware_fingerprint", "model_id"]
        return csv_text(rows, columns).encode()
    from orket.exports.json_text import render_json

    changes = [plain_row(row) for row in fleet.changes]
    return (render_json({"matrix": rows, "changes": changes}) + "\n").encode()
