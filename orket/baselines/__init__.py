"""Stored baselines: every act is an event row, no file is ever edited in place.

What a baseline is worth, which one matches and which is stale is decided by the views;
here events are written and the views' answers fetched.
"""

from orket.baselines.append import Appended, append_from_sweep
from orket.baselines.health import HEALTH_CHECKS, health, require_health
from orket.baselines.legacy import export_legacy
from orket.baselines.pins import pin, unpin
from orket.baselines.prune import PruneRule, apply_prune, plan_prune, undo_prune
from orket.baselines.records import (
    ALL,
    Selection,
    find_record,
    list_records,
    record_history,
    resolve,
)

__all__ = [
    "ALL",
    "HEALTH_CHECKS",
    "Appended",
    "PruneRule",
    "Selection",
    "append_from_sweep",
    "apply_prune",
    "export_legacy",
    "find_record",
    "health",
    "list_records",
    "pin",
    "plan_prune",
    "record_history",
    "require_health",
    "resolve",
    "undo_prune",
    "unpin",
]
