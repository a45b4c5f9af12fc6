"""What a sweep does by now, beyond what its rows can tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orket.warehouse import Warehouse

INTERRUPTED = "INTERRUPTED"
"""Of a sweep whose rows have no end."""
RUNNING = "RUNNING"
UNKNOWN = "UNKNOWN"
"""It has no end, and whether the machine that ran it still does cannot be seen here."""


def status_by_now(store: Warehouse, sweep_id: str, status: str) -> str:
    """The status of a sweep, RUNNING where a process holds it, UNKNOWN where one may.

    `status` is what the views say by its rows; only one that came to no end is doubted.
    """
    if status != INTERRUPTED:
        return status
    from orket.warehouse.locks import Holder

    executor = store.executor(sweep_id)
    if executor.is_running:
        return RUNNING
    if executor.holder is Holder.UNKNOWN and not _was_ended(store, sweep_id):
        return UNKNOWN
    return status


def row_by_now(store: Warehouse, row: Mapping[str, Any]) -> dict[str, Any]:
    """The struct of `v1.summary` for one sweep, with its status by now."""
    status = status_by_now(store, row["sweep_id"], row["status"])
    return {**row, "status": status}


def _was_ended(store: Warehouse, sweep_id: str) -> bool:
    """Whether the last executor of a sweep recorded how it ended."""
    from orket.warehouse.statements import statement

    with store.session(sweep_id) as session:
        return bool(session.rows(statement("sweep", "was_ended"), [sweep_id] * 2))
