"""All sweeps of a warehouse side by side, from the rows that are kept of them.

What each sweep says is small and kept (`v1.fleet_entry`); the views over all of them
are computed from these rows alone. Two sweeps that stand for two versions of a runtime
are compared by the views of `orket diff`, once for as long as both lie as they do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orket.warehouse.kept import read_sweeps
from orket.warehouse.kept_pairs import Pair, read_pairs

if TYPE_CHECKING:
    from orket.warehouse.store import Warehouse

Row = dict[str, Any]

_KINDS = {"out_quants": "VARCHAR[]", "is_completed": "BOOLEAN"}
_NUMBERS = ("_ns", "_uj", "_bytes", "_micro", "_milli", "tasks")
"""What the names of columns of whole numbers end with."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """What all sweeps of a warehouse say."""

    matrix: list[Row]
    """Rows of `v1.matrix`, by machine, model, runtime and bank, the newest first."""
    changes: list[Row]
    """Rows of `v1.version_change`, the newest first."""


def read_fleet(warehouse: Warehouse) -> Fleet:
    """What all sweeps say. Raises WarehouseError naming what cannot be read."""
    entries = [
        entry
        for sweep in read_sweeps(warehouse, warehouse.sweep_ids())
        for entry in sweep.fleet
    ]
    return Fleet(*_over_all(entries)) if entries else Fleet([], [])


def with_drift(warehouse: Warehouse, changes: Sequence[Row]) -> list[Row]:
    """The changes, each with its rows of `v1.drift` under `drift`.

    There are none where its two sweeps are not compared.
    """
    pairs = [_pair(row) for row in changes if row["reason"] is None]
    found = read_pairs(warehouse, pairs)
    return [{**row, "drift": found.get(_pair(row), [])} for row in changes]


def _pair(change: Row) -> Pair:
    return Pair(change["before_sweep"], change["after_sweep"], change["model_id"])


def _over_all(entries: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """The rows of the views over all sweeps."""
    from orket.warehouse.views import Views

    with Views({}, {}, threads=1, is_lazy=True) as views:
        views.give(
            "fleet_entry",
            {
                name: (kind_of(name), [entry[name] for entry in entries])
                for name in entries[0]
            },
        )
        views.stage(["matrix", "version_change"])
        found = []
        for query in (_MATRIX, _CHANGES):
            cursor = views.connection.execute(query)
            names = [column[0] for column in cursor.description or ()]
            found.append(
                [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
            )
    return found[0], found[1]


_MATRIX = (
    "SELECT * FROM v1.matrix ORDER BY hardware_label NULLS LAST, hardware_fingerprint, "
    "model_id, provider, task_bank, is_current DESC, started_at DESC, sweep_id DESC"
)
_CHANGES = (
    "SELECT * FROM v1.version_change "
    "ORDER BY since DESC, hardware_fingerprint, model_id, provider"
)


def kind_of(column: str) -> str:
    """The type of a column of `v1.fleet_entry`."""
    if column.endswith("_at"):
        return "TIMESTAMP"
    if column in _KINDS:
        return _KINDS[column]
    return "BIGINT" if column.endswith(_NUMBERS) else "VARCHAR"
