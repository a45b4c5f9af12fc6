"""The table of units in which people read the views, from their declaration."""

from __future__ import annotations

from orket.warehouse.human_units import UNITS
from tools.docs.pages import markdown_table


def human_units() -> str:
    """A row for each unit: what a name ends in, what it becomes, the divisor."""
    rows = [
        [
            f"`{unit.ending}`" + (" of a plain number" if unit.names else ""),
            f"`{unit.shown}`" if unit.shown else "no ending",
            unit.words or "as it is",
            f"{unit.divisor:,}",
        ]
        for unit in UNITS
    ]
    unique = list(dict.fromkeys(map(tuple, rows)))
    headers = ["in v1", "in v1h", "unit", "divided by"]
    return markdown_table(headers, [list(row) for row in unique])
