"""Stored baselines as the views tell them, and which of them are meant."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from orket.errors import UsageError
from orket.warehouse.statements import statement

if TYPE_CHECKING:
    from orket.warehouse import Warehouse


@dataclass(frozen=True, slots=True)
class Selection:
    """Which cells or records are meant; None is all."""

    test_id: str | None = None
    model_id: str | None = None
    quant_tag: str | None = None


ALL = Selection()


def list_records(
    warehouse: Warehouse, selection: Selection = ALL, with_pruned: bool = False
) -> list[dict[str, Any]]:
    """Stored baselines with their pins and prunes folded in, newest first by test."""
    with warehouse.session() as session:
        return session.rows(
            statement("baselines", "records"),
            {**asdict(selection), "with_pruned": with_pruned},
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
        return session.rows(statement("baselines", "history"), {"event_id": event_id})


def resolve(
    warehouse: Warehouse,
    sweep_id: str,
    selection: Selection = ALL,
    as_of: datetime | None = None,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The views' decisions for a sweep's cells, and every candidate with its fate.

    Events count up to the sweep's start, or up to `as_of` (UTC) where it is given.
    """
    overrides = {"as_of": as_of} if as_of else None
    with warehouse.session(sweep_id, overrides) as session:
        decisions = session.rows(statement("baselines", "decisions"), asdict(selection))
        candidates = session.rows(
            statement("baselines", "candidates"), asdict(selection)
        )
    return decisions, candidates


def as_utc(moment: datetime) -> datetime:
    """A moment of a view, which is UTC without a zone, with it."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
