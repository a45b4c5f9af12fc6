"""Stores the cells of a finished sweep as baselines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from orket.baselines.records import ALL, Selection, as_utc
from orket.identity import dated_content_id
from orket.records import BASELINE_IDENTITY, Controls, EventRow
from orket.warehouse.statements import statement

if TYPE_CHECKING:
    from orket.warehouse import Warehouse

_FACTS = (
    "run_quality_status",
    "source_run_ids",
    "runs",
    "checks_passed",
    "checks_total",
    "latency_median_ns",
    "latency_mad_ns",
    "memory_bytes",
)


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of the cells of one sweep."""

    stored: list[dict[str, Any]]
    already: list[dict[str, Any]]
    blocked: list[dict[str, Any]]
    """Cells that are not CLEAN and complete, with `blocked_reasons`."""


def append_from_sweep(
    warehouse: Warehouse,
    sweep_id: str,
    reason: str | None = None,
    selection: Selection = ALL,
) -> Appended:
    """Store the cells of a finished sweep as baselines.

    Only cells that are CLEAN and complete are stored, unless `reason` says why the
    others shall be too; it is kept with those. A cell that is stored already is left.
    """
    with warehouse.session(sweep_id) as session:
        cells = session.rows(statement("baselines", "sources"), asdict(selection))
        known = session.rows("SELECT event_id FROM v1.baseline_record")
    stored_ids = {row["event_id"] for row in known}
    result = Appended([], [], [])
    events: list[EventRow] = []
    for cell in cells:
        is_override = not cell["appendable"]
        if (is_override and reason is None) or not cell["runs"]:
            result.blocked.append(cell)
            continue
        event = _append_event(cell, reason if is_override else None)
        if event.event_id in stored_ids:
            result.already.append(cell)
            continue
        events.append(event)
        result.stored.append({**cell, "event_id": event.event_id})
    if events:
        warehouse.append("events", events)
    return result


def _append_event(cell: Mapping[str, Any], reason: str | None) -> EventRow:
    measured_at = as_utc(cell["measured_at"])
    key = (cell["sweep_id"], cell["model_id"], cell["quant_tag"], cell["test_id"])
    return EventRow(
        event_id=dated_content_id(measured_at, "baseline", *key),
        recorded_at=datetime.now(UTC),
        event="BASELINE_APPEND",
        sweep_id=cell["sweep_id"],
        reason=reason,
        controls=msgspec.convert(cell["controls"], Controls),
        measured_at=measured_at,
        **{name: cell[name] for name in (*BASELINE_IDENTITY, *_FACTS)},
    )
