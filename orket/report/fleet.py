"""Many sweeps as one HTML page that loads nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orket import __version__
from orket.exports.fleet import (
    HEADERS,
    change_words,
    hardware_names,
    legend,
    price_cell,
    price_header,
    table_cells,
)
from orket.report.libraries import require_libraries
from orket.report.page import page_environment
from orket.report.palette import DARK, NAMES

if TYPE_CHECKING:
    from orket.exports.cost import Price

Row = Mapping[str, Any]


def render_fleet_page(
    matrix: Sequence[Row], changes: Sequence[Row], price: Price | None
) -> bytes:
    """The page: the same rows give the same bytes. Raises MissingExtra."""
    require_libraries("jinja2")
    names = hardware_names([*matrix, *changes])
    text = (
        page_environment()
        .get_template("fleet.html")
        .render(
            version=__version__,
            colours={name: (light, DARK[light]) for name, light in NAMES.items()},
            models=[],
            headers=HEADERS,
            price_header=price_header(price) if price else None,
            price=price,
            rows=[
                {
                    "cells": dict(zip(HEADERS, table_cells(row, names), strict=True)),
                    "measured": row["measured_at"].date().isoformat(),
                    "sweep": row["sweep_id"],
                    "standing": row["standing"],
                    "agreement": row["agreement"],
                    "is_current": row["is_current"],
                    "price": price_cell(row, price) if price else None,
                }
                for row in matrix
            ],
            changes=[
                list(change_words(change, names[change["hardware_fingerprint"]]))
                for change in changes
            ],
            legend=legend(matrix),
            machines=len({row["hardware_fingerprint"] for row in matrix}),
        )
    )
    return text.encode()
