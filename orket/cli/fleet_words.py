"""Many sweeps on a terminal: the matrix, and what new versions changed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from orket.cli.output import Column, print_prose, print_rows
from orket.exports.fleet import (
    HEADERS,
    age_words,
    change_words,
    hardware_names,
    legend,
    price_cell,
    price_header,
    table_cells,
)

if TYPE_CHECKING:
    from orket.exports.cost import Price
    from orket.warehouse.fleet import Fleet

_PRICE = "price"
_NAMES = ("machine", "model", "runtime", "tasks")
"""Of a cell of the matrix: no two have all four alike, unless one is superseded."""
_BEFORE_AGE = 4
"""Headers before the age: what to use, and how sure it is."""


def print_fleet(fleet: Fleet, now: datetime, price: Price | None) -> None:
    """Print the matrix and the changes; `now` is UTC without a zone."""
    names = hardware_names([*fleet.matrix, *fleet.changes])
    columns: list[Column] = [*HEADERS[:_BEFORE_AGE], "age", *HEADERS[_BEFORE_AGE:]]
    if price is not None:
        columns.append((_PRICE, price_header(price)))
    print_rows(
        [_cells(row, names, now, price) for row in fleet.matrix],
        columns,
        "table",
        rigid="use",
        droppable=["tasks"] if _has_one_bank(fleet) else [],
        names=_NAMES,
    )
    for text in legend(fleet.matrix):
        print_prose(text)
    for change in fleet.changes:
        headline, *told = change_words(change, names[change["hardware_fingerprint"]])
        print_prose()
        print_prose(headline)
        for line in told:
            print_prose(f"  {line}")


def _cells(
    row: Mapping[str, Any],
    names: Mapping[str | None, str],
    now: datetime,
    price: Price | None,
) -> dict[str, str]:
    cells = dict(zip(HEADERS, table_cells(row, names), strict=True))
    cells["age"] = age_words(row["measured_at"], now)
    if price is not None:
        cells[_PRICE] = price_cell(row, price)
    return cells


def _has_one_bank(fleet: Fleet) -> bool:
    return len({row["task_bank"] for row in fleet.matrix}) < 2
