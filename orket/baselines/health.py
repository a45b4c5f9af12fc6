"""Stored baselines that are stale, incompatible, orphaned or there twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orket.errors import CheckFailed
from orket.warehouse.statements import statement

if TYPE_CHECKING:
    from orket.warehouse import Warehouse

HEALTH_CHECKS = ("stale", "incompatible", "orphaned", "duplicate")


def health(
    warehouse: Warehouse, limits: Mapping[str, int] | None = None
) -> tuple[dict[str, int], list[dict[str, Any]], list[str]]:
    """Counts by check, the records with a problem, and the checks over their limit."""
    with warehouse.session() as session:
        (totals,) = session.rows(statement("baselines", "health_totals"))
        problems = session.rows(statement("baselines", "health_problems"))
    passed = sorted(
        name for name, limit in (limits or {}).items() if totals[name] > limit
    )
    return totals, problems, passed


def require_health(totals: Mapping[str, int], passed: Sequence[str]) -> None:
    """Raise CheckFailed when a limit is passed."""
    if passed:
        found = ", ".join(f"{totals[name]} {name}" for name in passed)
        raise CheckFailed(
            f"stored baselines are not healthy: {found}",
            "see which with: orket baseline health",
        )
