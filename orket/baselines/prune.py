"""Takes stored baselines out, by one event that can be undone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from orket.baselines.records import ALL, Selection
from orket.errors import UsageError
from orket.records import EventRow
from orket.warehouse.parts import time_ordered_id
from orket.warehouse.statements import statement

if TYPE_CHECKING:
    from orket.warehouse import Warehouse

_DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneRule:
    """What may be taken out. Both parts must hold; pins and references always stay."""

    keep_last: int = 5
    """Newest records of each key that stay."""
    older_than_days: int | None = None
    fingerprint: str | None = None
    """Machine whose records may go; None is no machine."""
    all_machines: bool = False


def plan_prune(
    warehouse: Warehouse, rule: PruneRule, selection: Selection = ALL
) -> list[dict[str, Any]]:
    """Every stored baseline with `kept_because`; None there means that it would go."""
    days = rule.older_than_days
    with warehouse.session() as session:
        return session.rows(
            statement("baselines", "prune_plan"),
            {
                **asdict(selection),
                "all_machines": rule.all_machines,
                "fingerprint": rule.fingerprint,
                "keep_last": rule.keep_last,
                "older_than_us": None if days is None else days * _DAY_US,
            },
        )


def apply_prune(
    warehouse: Warehouse, event_ids: Sequence[str], reason: str | None = None
) -> str:
    """Take these baselines out, by one event that can be undone. Returns its id."""
    row = EventRow(
        event_id=time_ordered_id(),
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
        prunes = session.rows(statement("baselines", "prunes"))
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
        event_id=time_ordered_id(),
        recorded_at=datetime.now(UTC),
        event="BASELINE_PRUNE_UNDONE",
        target_event_id=found[0]["event_id"],
        reason=reason,
    )
    warehouse.append("events", [row])
    return str(found[0]["event_id"]), int(found[0]["records"])
