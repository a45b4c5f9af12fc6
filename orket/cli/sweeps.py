"""`orket sweeps`: what is in the warehouse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from orket.cli import messages
from orket.cli.options import format_option, store_option
from orket.cli.output import print_rows

if TYPE_CHECKING:
    from orket.warehouse import Warehouse

_COLUMNS = (
    "sweep_id",
    "generated_at",
    "preset",
    "status",
    "model",
    "quants",
    ("best_value", "best value"),
    ("minimum_viable", "minimum viable"),
    "confidence",
)
_DROPPABLE = ("generated_at", "preset", "quants", "status", "confidence", "model")
"""What a narrow terminal goes without; the id tells the first two as well."""


@click.command()
@store_option
@format_option
def sweeps(store: Warehouse, output_format: str | None) -> None:
    """List the sweeps in the warehouse, oldest first, a line for each model."""
    from orket.exports.summary import summary_document

    with store.session() as session:
        found = session.rows("SELECT summary FROM v1.summary")
    if not found:
        messages.note(f"there is no sweep in {store.path}; try: orket run quickstart")
    documents = {row["summary"]["sweep_id"]: row["summary"] for row in found}
    rows = [
        row
        for sweep_id in store.sweep_ids()
        if sweep_id in documents
        for row in _sweep_rows(summary_document(documents[sweep_id]))
    ]
    print_rows(rows, _COLUMNS, output_format, rigid="sweep_id", droppable=_DROPPABLE)


def _sweep_rows(summary: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for session in summary["sessions"]:
        detail = session["recommendation_detail"]
        yield {
            "sweep_id": summary["sweep_id"],
            "generated_at": summary["generated_at"],
            "preset": summary["preset"],
            "status": summary["status"],
            "model": session["model_id"],
            "quants": len(session["per_quant"]),
            "best_value": detail["best_value_quant"],
            "minimum_viable": detail["minimum_viable_quant"],
            "confidence": detail["confidence"],
        }
