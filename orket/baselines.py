"""Stored baselines: every act is an event row, no file is ever edited in place.

What a baseline is worth, which one matches and which is stale is decided by the views;
here events are written and the views' answers fetched.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from orket.errors import CheckFailed, UsageError
from orket.identity import dated_content_id
from orket.records import Controls, EventRow

if TYPE_CHECKING:
    from orket.warehouse import Warehouse

_DAY_US = 86_400_000_000
_MIB = 1024 * 1024

_IDENTITY = (
    "test_id",
    "model_id",
    "model_digest",
    "quant_tag",
    "task_revision",
    "hardware_fingerprint",
    "fingerprint_version",
    "control_profile",
)
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
HEALTH_CHECKS = ("stale", "incompatible", "orphaned", "duplicate")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which cells or records are meant; None is all."""

    test_id: str | None = None
    model_id: str | None = None
    quant_tag: str | None = None

    def where(self) -> tuple[str, list[object]]:
        """A SQL condition with its parameters."""
        chosen = {
            name: value
            for name, value in (
                ("test_id", self.test_id),
                ("model_id", self.model_id),
                ("quant_tag", self.quant_tag),
            )
            if value is not None
        }
        condition = " AND ".join(f"{name} = ?" for name in chosen) or "true"
        return condition, list(chosen.values())


ALL = Selection()


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
    condition, parameters = selection.where()
    with warehouse.session(sweep_id) as session:
        cells = session.rows(
            f"SELECT * FROM v1.baseline_source WHERE {condition} "
            "ORDER BY first_order_index, model_id, quant_tag, test_id",
            parameters,
        )
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
    measured_at = _utc(cell["measured_at"])
    key = (cell["sweep_id"], cell["model_id"], cell["quant_tag"], cell["test_id"])
    return EventRow(
        event_id=dated_content_id(measured_at, "baseline", *key),
        recorded_at=datetime.now(UTC),
        event="BASELINE_APPEND",
        sweep_id=cell["sweep_id"],
        reason=reason,
        controls=msgspec.convert(cell["controls"], Controls),
        measured_at=measured_at,
        **{name: cell[name] for name in (*_IDENTITY, *_FACTS)},
    )


def list_records(
    warehouse: Warehouse, selection: Selection = ALL, with_pruned: bool = False
) -> list[dict[str, Any]]:
    """Stored baselines with their pins and prunes folded in, newest first by test."""
    condition, parameters = selection.where()
    with warehouse.session() as session:
        return session.rows(
            f"SELECT * FROM v1.baseline_record WHERE {condition} AND (? OR NOT pruned) "
            "ORDER BY test_id, model_id, quant_tag, measured_at DESC NULLS LAST, "
            "event_id",
            [*parameters, with_pruned],
        )


def find_record(warehouse: Warehouse, reference: str) -> dict[str, Any]:
    """The baseline that an event id, its unique prefix or a source run id means.

    Raises UsageError when none or several fit.
    """
    records = list_records(warehouse, with_pruned=True)
    found = [row for row in records if row["event_id"] == reference]
    found = found or [
        row
        for row in records
        if row["event_id"].startswith(reference)
        or reference in (row["source_run_ids"] or [])
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        raise UsageError(
            f"no stored baseline {reference!r}", "see them with: orket baseline list"
        )
    names = ", ".join(row["event_id"] for row in found[:5])
    raise UsageError(
        f"{reference!r} means {len(found)} baselines", f"name one of: {names}"
    )


def record_history(warehouse: Warehouse, event_id: str) -> list[dict[str, Any]]:
    """Every event that concerns one baseline, in order."""
    with warehouse.session() as session:
        return session.rows(
            "SELECT DISTINCT event_id, recorded_at, event, reason FROM raw.events "
            "WHERE event_id = ? OR target_event_id = ? "
            "OR list_contains(target_event_ids, ?) "
            "OR target_event_id IN (SELECT event_id FROM raw.events "
            "WHERE event = 'BASELINE_PRUNE' AND list_contains(target_event_ids, ?)) "
            "ORDER BY recorded_at, event_id",
            [event_id] * 4,
        )


def resolve(
    warehouse: Warehouse,
    sweep_id: str,
    selection: Selection = ALL,
    as_of: datetime | None = None,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The views' decisions for a sweep's cells, and every candidate with its fate.

    Events count up to the sweep's start, or up to `as_of` (UTC) where it is given.
    """
    condition, parameters = selection.where()
    overrides = {"as_of": as_of} if as_of else None
    with warehouse.session(sweep_id, overrides) as session:
        decisions = session.rows(
            f"SELECT * FROM v1.baseline_match WHERE {condition} "
            "ORDER BY model_id, quant_tag, test_id",
            parameters,
        )
        candidates = session.rows(
            f"SELECT * FROM v1.baseline_candidate WHERE {condition} "
            "ORDER BY model_id, quant_tag, test_id, nearness",
            parameters,
        )
    return decisions, candidates


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
        event_id=_new_event_id(),
        recorded_at=datetime.now(UTC),
        event=event,
        target_event_id=record["event_id"],
        reason=reason,
        sweep_id=record["sweep_id"],
        **{name: record[name] for name in _IDENTITY},
    )
    warehouse.append("events", [row])
    return str(record["event_id"])


def health(
    warehouse: Warehouse, limits: Mapping[str, int] | None = None
) -> tuple[dict[str, int], list[dict[str, Any]], list[str]]:
    """Counts by check, the records with a problem, and the checks over their limit."""
    limits = limits or {}
    counts = ", ".join(
        f"count(*) FILTER (is_{name}) AS {name}" for name in HEALTH_CHECKS
    )
    with warehouse.session() as session:
        totals = session.rows(
            "SELECT count(*) FILTER (kind = 'RECORD') AS records, "
            f"{counts} FROM v1.baseline_health"
        )[0]
        problems = session.rows(
            "SELECT * FROM v1.baseline_health WHERE is_stale OR is_incompatible "
            "OR is_orphaned OR is_duplicate ORDER BY test_id, model_id, quant_tag, "
            "event_id"
        )
        passed = [
            name
            for name, limit in sorted(limits.items())
            if session.rows("SELECT ? > ? AS is_passed", [totals[name], limit])[0][
                "is_passed"
            ]
        ]
    return totals, problems, passed


def require_health(totals: Mapping[str, int], passed: Sequence[str]) -> None:
    """Raise CheckFailed when a limit is passed."""
    if passed:
        found = ", ".join(f"{totals[name]} {name}" for name in passed)
        raise CheckFailed(
            f"stored baselines are not healthy: {found}",
            "see which with: orket baseline health",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneRule:
    """What may be taken out. Both parts must hold; pins and references always stay."""

    keep_last: int = 5
    """Newest records of each key that stay."""
    older_than_days: int | None = None
    fingerprint: str | None = None
    """Machine whose records may go; None is no machine."""
    all_machines: bool = False


_PRUNE_PLAN = """
WITH referenced AS (
    SELECT DISTINCT event_id
    FROM v1.baseline_candidate
    WHERE chosen
)

SELECT
    record.*,
    CASE
        WHEN record.pinned THEN 'PINNED'
        WHEN referenced.event_id IS NOT NULL THEN 'REFERENCED'
        WHEN NOT ? AND NOT coalesce(record.hardware_fingerprint = ?, false)
            THEN 'OTHER_MACHINE'
        WHEN record.key_rank <= ? THEN 'AMONG_NEWEST'
        WHEN ? AND NOT coalesce(record.age_us > ?, false) THEN 'YOUNG_ENOUGH'
    END AS kept_because
FROM v1.baseline_record AS record
LEFT JOIN referenced
    ON referenced.event_id = record.event_id
WHERE NOT record.pruned AND {condition}
ORDER BY
    record.test_id, record.model_id, record.quant_tag, record.hardware_fingerprint,
    record.key_rank, record.event_id
"""


def plan_prune(
    warehouse: Warehouse, rule: PruneRule, selection: Selection = ALL
) -> list[dict[str, Any]]:
    """Every stored baseline with `kept_because`; None there means that it would go."""
    condition, parameters = selection.where()
    condition = condition.replace("test_id", "record.test_id")
    condition = condition.replace("model_id", "record.model_id")
    condition = condition.replace("quant_tag", "record.quant_tag")
    age_us = (rule.older_than_days or 0) * _DAY_US
    with warehouse.session() as session:
        return session.rows(
            _PRUNE_PLAN.format(condition=condition),
            [
                rule.all_machines,
                rule.fingerprint,
                rule.keep_last,
                rule.older_than_days is not None,
                age_us,
                *parameters,
            ],
        )


def apply_prune(
    warehouse: Warehouse, event_ids: Sequence[str], reason: str | None = None
) -> str:
    """Take these baselines out, by one event that can be undone. Returns its id."""
    row = EventRow(
        event_id=_new_event_id(),
        recorded_at=datetime.now(UTC),
        event="BASELINE_PRUNE",
        target_event_ids=sorted(event_ids),
        reason=reason,
    )
    warehouse.append("events", [row])
    return row.event_id


def undo_prune(
    warehouse: Warehouse, reference: str, reason: str | None = None
) -> tuple[str, int]:
    """Undo a prune by its id, a unique prefix or `latest`: its id and its size."""
    with warehouse.session() as session:
        prunes = session.rows(
            "SELECT DISTINCT event_id, recorded_at, len(target_event_ids) AS records "
            "FROM raw.events WHERE event = 'BASELINE_PRUNE' AND event_id NOT IN ("
            "SELECT target_event_id FROM raw.events "
            "WHERE event = 'BASELINE_PRUNE_UNDONE') ORDER BY recorded_at, event_id"
        )
    if reference == "latest":
        found = prunes[-1:]
    else:
        found = [row for row in prunes if row["event_id"].startswith(reference)]
    if len(found) != 1:
        known = ", ".join(row["event_id"] for row in prunes[-5:])
        raise UsageError(
            f"no single prune {reference!r} that could be undone",
            f"there are: {known}" if known else "nothing is pruned",
        )
    row = EventRow(
        event_id=_new_event_id(),
        recorded_at=datetime.now(UTC),
        event="BASELINE_PRUNE_UNDONE",
        target_event_id=found[0]["event_id"],
        reason=reason,
    )
    warehouse.append("events", [row])
    return str(found[0]["event_id"]), int(found[0]["records"])


def export_legacy(
    warehouse: Warehouse, folder: Path, selection: Selection = ALL
) -> list[Path]:
    """Write stored baselines as the earlier `{test_id}.json` files, newest first.

    Raises UsageError where a file is there already.
    """
    by_test: dict[str, list[dict[str, Any]]] = {}
    for record in list_records(warehouse, selection):
        by_test.setdefault(record["test_id"], []).append(record)
    paths = {test: folder / f"{quote(test, safe='')}.json" for test in by_test}
    for path in paths.values():
        if path.exists():
            raise UsageError(f"{path} is there already", "name an empty folder")
    folder.mkdir(parents=True, exist_ok=True)
    for test_id, records in by_test.items():
        records.sort(key=_newest_first)
        document = {
            "test_id": test_id,
            "history": [_legacy_entry(record) for record in records],
        }
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        paths[test_id].write_text(text, encoding="utf-8", newline="\n")
    return list(paths.values())


def _newest_first(record: Mapping[str, Any]) -> tuple[float, str]:
    measured_at = record["measured_at"]
    moment = _utc(measured_at).timestamp() if measured_at else 0.0
    return -moment, record["event_id"]


def _legacy_entry(record: Mapping[str, Any]) -> dict[str, Any]:
    runs = record["source_run_ids"] or []
    measured_at = record["measured_at"]
    passed, checks = record["checks_passed"], record["checks_total"]
    memory, latency = record["memory_bytes"], record["latency_median_ns"]
    metadata = {
        "test_run_id": runs[0] if len(runs) == 1 else record["event_id"],
        "model_id": record["model_id"],
        "model_hash": record["model_digest"],
        "quant_tag": record["quant_tag"],
        "hardware_fingerprint": record["hardware_fingerprint"],
        "task_revision": record["task_revision"],
        "created_at": f"{_utc(measured_at):%Y-%m-%dT%H:%M:%S.%fZ}"
        if measured_at
        else None,
        "pinned": record["pinned"],
    }
    telemetry = {
        "adherence_score": round(passed / checks, 6) if checks else None,
        "peak_memory_rss": round(memory / _MIB, 6) if memory else None,
        "total_latency": round(latency / 1e9, 9) if latency else None,
    }
    return {"baseline_metadata": metadata, "gold_telemetry": telemetry}


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _new_event_id() -> str:
    from orket.warehouse.parts import time_ordered_id

    return time_ordered_id()
