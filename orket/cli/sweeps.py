"""`orket sweeps`: what is in the warehouse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from orket.cli import messages
from orket.cli.machines import machine_named, machine_option
from orket.cli.options import format_option, reading_store_option
from orket.cli.output import print_rows
from orket.exports.by_now import status_by_now
from orket.exports.stops import stop_of, stop_words

if TYPE_CHECKING:
    from orket.warehouse import Warehouse

_COLUMNS = (
    "sweep_id",
    "generated_at",
    "preset",
    "status",
    "stopped",
    ("hardware_fingerprint", "machine"),
    "model",
    "quants",
    ("best_value", "best value"),
    ("minimum_viable", "smallest that passes"),
    "confidence",
)
_DROPPABLE = ("generated_at", "preset", "quants")
"""What a narrow terminal goes without; the id tells the first two as well."""


@click.command()
@machine_option("--machine")
@click.option(
    "--by-machine", is_flag=True, help="Group by machine, the oldest sweep first."
)
@reading_store_option
@format_option
def sweeps(
    machine: str | None, by_machine: bool, store: Warehouse, output_format: str | None
) -> None:
    """List the sweeps in the warehouse, oldest first, a line for each model.

    Advice holds for the machine that it was measured on: each line names it. What
    stopped a sweep by rounds stands beside its status. A sweep without an end is
    RUNNING while a process has it, else INTERRUPTED; UNKNOWN where another machine ran
    it last, whose processes cannot be seen from here, or where its end may be among
    events that cannot be read.
    """
    from orket.warehouse.kept import read_sweeps

    sweep_ids = store.sweep_ids()
    lines = {
        found.sweep_id: list(_sweep_rows(found.summary, store))
        for found in read_sweeps(store, sweep_ids)
    }
    if not lines:
        messages.note(f"there is no sweep in {store.path}; try: orket run quickstart")
    rows = [row for sweep_id in sweep_ids for row in lines.get(sweep_id, ())]
    if machine is not None:
        wanted = machine_named(rows, machine)
        rows = [row for row in rows if row["hardware_fingerprint"] == wanted]
    if by_machine:
        rows.sort(key=lambda row: str(row["hardware_fingerprint"] or ""))
    print_rows(
        rows,
        _COLUMNS,
        output_format,
        rigid="sweep_id",
        droppable=_DROPPABLE,
        names=("sweep_id", "model"),
    )


def _sweep_rows(
    summary: Mapping[str, Any], store: Warehouse
) -> Iterator[dict[str, Any]]:
    """The lines of a sweep, from the struct that `v1.summary` has for it."""
    status = status_by_now(store, summary["sweep_id"], summary["status"])
    for session in summary["sessions"]:
        detail = session["recommendation_detail"]
        yield {
            "sweep_id": summary["sweep_id"],
            "generated_at": summary["generated_at"],
            "preset": summary["preset"],
            "status": status,
            "stopped": stop_words(stop_of(session)),
            "hardware_fingerprint": summary["hardware_fingerprint"],
            "model": session["model_id"],
            "quants": len(session["per_quant"]),
            "best_value": detail["best_value_quant"],
            "minimum_viable": detail["minimum_viable_quant"],
            "confidence": detail["confidence"],
        }
