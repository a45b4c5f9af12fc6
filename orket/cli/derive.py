"""`orket derive`: what every sweep says, derived ahead, here or on many machines."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orket.cli import messages
from orket.cli.options import reading_store_option
from orket.cli.writable import check_folder, check_warehouse
from orket.errors import UsageError
from orket.file_names import file_stems

if TYPE_CHECKING:
    from orket.warehouse import Warehouse


@click.command()
@click.option(
    "--engine",
    type=click.Choice(("here", "spark")),
    default="here",
    show_default=True,
    help="Where: in this process, or on the workers of a Spark cluster.",
)
@click.option(
    "--master",
    metavar="URL",
    help="Spark's cluster, e.g. spark://host:7077 or local[4]. "
    "[default: as Spark is set up]",
)
@click.option(
    "-o",
    "--output",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Also write the summary of each sweep there, as SWEEP.json.",
)
@reading_store_option
def derive(
    engine: str, master: str | None, output: Path | None, store: Warehouse
) -> None:
    """Derive what all sweeps say, and keep it for every command that looks.

    Nothing has to be derived ahead: what is missing is derived when it is looked at.
    With --engine spark it is derived on many machines: each worker needs Orket, and
    has to reach the warehouse by the same name. The same rows give the same bytes on
    either.
    """
    if master is not None and engine != "spark":
        raise UsageError("--master is for --engine spark", "add it, or leave this away")
    from orket.warehouse.kept import read_sweeps

    check_warehouse(store)
    sweeps = store.sweep_ids()
    if output is not None and not output.is_dir():
        raise UsageError(f"there is no folder {output}", "make it, or name another")
    if output is not None:
        check_folder(output, "name another folder with -o")
    stems = file_stems(sweeps)
    count = 0
    with ExitStack() as held:
        carrier = None
        if engine == "spark":
            from orket.warehouse.spark import spark_carrier

            place = store.place if store.is_mirrored else str(store.path.resolve())
            carrier = held.enter_context(spark_carrier(place, master))
        for rows in read_sweeps(store, sweeps, carrier=carrier):
            count += 1
            if output is not None:
                _write_summary(output, stems[rows.sweep_id], rows.summary)
    told = "1 sweep" if count == 1 else f"{count} sweeps"
    where = f", their summaries in {output}" if output is not None else ""
    messages.note(f"derived and kept: {told}{where}")


def _write_summary(folder: Path, stem: str, summary: dict[str, object]) -> None:
    from orket.exports.load import write_file
    from orket.exports.summary import render_summary

    write_file(folder / f"{stem}.json", render_summary(summary))
