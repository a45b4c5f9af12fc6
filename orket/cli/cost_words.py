"""What a passed task costs, on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orket.cli.output import print_prose, print_rows
from orket.exports.cost import Price, cost_table


def print_costs(summary: Mapping[str, Any], price: Price) -> None:
    """Print a table for each model of a summary, and what is not known."""
    for session in summary["sessions"]:
        print_prose()
        print_prose(
            f"What a passed task of {session['model_id']} costs at {price} an hour, "
            "those that fail paid for too (95 % interval of the share that passes):"
        )
        table = cost_table(session, price)
        if table is None:
            print_prose("  Nothing was measured that would tell.")
            continue
        print_rows(
            [dict(zip(table.headers, row, strict=True)) for row in table.rows],
            table.headers,
            "table",
            rigid=table.headers[0],
        )
        for note in table.notes:
            print_prose(note)
