"""The stability KPIs of a history, from the rows that are kept of its sweeps."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from orket.warehouse.kept import read_sweeps

if TYPE_CHECKING:
    from orket.warehouse.store import Warehouse


def read_history(warehouse: Warehouse, since: datetime) -> list[dict[str, Any]]:
    """The row of `v1.kpi_history` with the totals from this moment (UTC) on, if any.

    Raises WarehouseError naming what cannot be read.
    """
    sweeps = [
        (sweep.sweep_id, sweep.started_at, sweep.kpi)
        for sweep in read_sweeps(warehouse, warehouse.sweep_ids())
    ]
    if not sweeps:
        return []
    from orket.warehouse.views import Views

    counts = [name for name, value in sweeps[0][2].items() if _is_count(name, value)]
    with Views({}, {}, threads=1, is_lazy=True) as views:
        views.give(
            "manifest",
            {
                "sweep_id": ("VARCHAR", [sweep_id for sweep_id, _, _ in sweeps]),
                "started_at": ("TIMESTAMP", [started for _, started, _ in sweeps]),
            },
        )
        views.give(
            "stability_kpi",
            {
                "sweep_id": ("VARCHAR", [sweep_id for sweep_id, _, _ in sweeps]),
                **{
                    name: ("BIGINT", [kpi[name] for _, _, kpi in sweeps])
                    for name in counts
                },
            },
        )
        views.stage(["kpi_history"])
        # The row of the first sweep on or after it holds the totals from there on.
        cursor = views.connection.execute(
            "SELECT * FROM v1.kpi_history WHERE since >= ? "
            "ORDER BY since, since_sweep_id LIMIT 1",
            [since],
        )
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _is_count(name: str, value: object) -> bool:
    """Whether a column is a number: all but the id and the list of objectives."""
    return name != "sweep_id" and not isinstance(value, list)
