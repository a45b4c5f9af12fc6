"""Pins: which stored baseline alone is compared with, until it is unpinned."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from orket.baselines.records import find_record
from orket.errors import UsageError
from orket.records import BASELINE_IDENTITY, EventRow
from orket.warehouse.parts import time_ordered_id

if TYPE_CHECKING:
    from orket.warehouse import Warehouse


def pin(warehouse: Warehouse, reference: str, reason: str | None = None) -> str:
    """Pin a baseline: until unpinned, it alone is compared with. Returns its id."""
    record = find_record(warehouse, reference)
    if record["pruned"]:
        undo = f"orket baseline prune --undo {record['prune_event_id']}"
        raise UsageError(
            f"{record['event_id']} is pruned", f"bring it back with: {undo}"
        )
    if record["pinned"]:
        raise UsageError(f"{record['event_id']} is pinned already")
    return _record_act(warehouse, "BASELINE_PIN", record, reason)


def unpin(warehouse: Warehouse, reference: str, reason: str | None = None) -> str:
    """Take the pin off a baseline. Returns its id."""
    record = find_record(warehouse, reference)
    if not record["pinned"]:
        raise UsageError(f"{record['event_id']} is not pinned")
    return _record_act(warehouse, "BASELINE_UNPIN", record, reason)


def _record_act(
    warehouse: Warehouse, event: str, record: Mapping[str, Any], reason: str | None
) -> str:
    # The act repeats the key, so that it is understood when its record is gone.
    row = EventRow(
        event_id=time_ordered_id(),
        recorded_at=datetime.now(UTC),
        event=event,
        target_event_id=record["event_id"],
        reason=reason,
        sweep_id=record["sweep_id"],
        **{name: record[name] for name in BASELINE_IDENTITY},
    )
    warehouse.append("events", [row])
    return str(record["event_id"])
