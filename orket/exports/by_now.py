"""What a sweep does by now, beyond what its rows can tell."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orket.warehouse import Warehouse

INTERRUPTED = "INTERRUPTED"
"""Of a sweep whose rows have no end."""
RUNNING = "RUNNING"
PARTS_MISSING = "PARTS_MISSING"
UNKNOWN = "UNKNOWN"
"""It has no end, and whether the machine that ran it still does cannot be seen here, or
its end may be among events that cannot be read."""


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
    if has_lost_events(store, sweep_id):
        return UNKNOWN
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
    """What is known to be lost of a sweep, as `MissingParts` has it; None: nothing.

    It lies in quarantine, or in its place and could not be read just now. A damaged
    part often still tells how many rows it held; one that does not may have held any
    number.
    """
    from orket.warehouse.quarantine import rows_of

    parts = [path for _, path in _lost(store, sweep_id)]
    if not parts:
        return None
    counts = [rows for part in parts if (rows := rows_of(part)) is not None]
    return {
        "status": PARTS_MISSING,
        "parts": len(parts),
        "rows_at_least": sum(counts) if counts else None,
    }


def has_lost_events(store: Warehouse, sweep_id: str) -> bool:
    """Whether events are known to be lost that may be of a sweep, its end too."""
    return any(dataset == "events" for dataset, _ in _lost(store, sweep_id))


def _lost(store: Warehouse, sweep_id: str) -> list[tuple[str | None, Path]]:
    """Dataset and path of each damaged part that may bear on a sweep."""
    from orket.warehouse.quarantine import missing_parts

    moved = [
        (part.dataset, part.path)
        for part in missing_parts(store.path)
        if part.may_bear_on(sweep_id)
    ]
    met = {
        damage.part: damage.dataset
        for damage in store.left_out.bearing()
        if damage.part is not None and damage.may_bear_on(sweep_id)
    }
    return [*moved, *((dataset, part) for part, dataset in met.items())]


def say_missing(summary: Mapping[str, Any]) -> str | None:
    """What is missing of a sweep, in words; None where nothing is known to be."""
    missing = summary.get("missing_parts")
    if missing is None:
        return None
    parts, rows = missing["parts"], missing["rows_at_least"]
    named = "1 part" if parts == 1 else f"{parts} parts"
    held = "an unknown number of" if rows is None else f"at least {rows}"
    are = "is" if parts == 1 else "are"
    return f"{named} with {held} rows {are} missing, damaged or moved to quarantine"


def _was_ended(store: Warehouse, sweep_id: str) -> bool:
    """Whether the last executor of a sweep recorded how it ended."""
    from orket.warehouse.statements import statement

    with store.session(sweep_id) as session:
        return bool(session.rows(statement("sweep", "was_ended"), [sweep_id] * 2))
