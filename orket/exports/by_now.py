"""What a sweep does by now, beyond what its rows can tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orket.warehouse import Warehouse

INTERRUPTED = "INTERRUPTED"
"""Of a sweep whose rows have no end."""
RUNNING = "RUNNING"
PARTS_MISSING = "PARTS_MISSING"
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
    """The struct of `v1.summary` for one sweep, with its status by now and what is
    missing of it."""
    status = status_by_now(store, row["sweep_id"], row["status"])
    missing = missing_by_now(store, row["sweep_id"])
    return {**row, "status": status, "missing_parts": missing}


def missing_by_now(store: Warehouse, sweep_id: str) -> dict[str, Any] | None:
    """What lies in quarantine of a sweep, as `MissingParts` has it; None: nothing.

    A damaged part often still tells how many rows it held; one that does not may have
    held any number.
    """
    from orket.warehouse.quarantine import missing_parts, rows_of

    parts = [
        part for part in missing_parts(store.path) if part.sweep_id in (None, sweep_id)
    ]
    if not parts:
        return None
    counts = [rows for part in parts if (rows := rows_of(part.path)) is not None]
    return {
        "status": PARTS_MISSING,
        "parts": len(parts),
        "rows_at_least": sum(counts) if counts else None,
    }


def say_missing(summary: Mapping[str, Any]) -> str | None:
    """What is missing of a sweep, in words; None where nothing is known to be."""
    missing = summary.get("missing_parts")
    if missing is None:
        return None
    parts, rows = missing["parts"], missing["rows_at_least"]
    named = "1 part" if parts == 1 else f"{parts} parts"
    held = "an unknown number of" if rows is None else f"at least {rows}"
    are = "is" if parts == 1 else "are"
    return f"{named} with {held} rows {are} missing, damaged and moved to quarantine"


def _was_ended(store: Warehouse, sweep_id: str) -> bool:
    """Whether the last executor of a sweep recorded how it ended."""
    from orket.warehouse.statements import statement

    with store.session(sweep_id) as session:
        return bool(session.rows(statement("sweep", "was_ended"), [sweep_id] * 2))
