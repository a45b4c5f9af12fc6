"""Adds tasks to a sweep by rounds that was begun: its evidence holds at every look.

All that was planned stays as it is, in its order, and counts; what is added lies behind
it. The lists of proofs are those of the start: making them anew for more tasks, after a
look at the rows, would spend the chance of error twice.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from orket.errors import UsageError
from orket.planning import identity
from orket.planning.plan import Plan, build_plan
from orket.planning.preset import Preset
from orket.planning.rounds import ADAPTIVE, order_tasks
from orket.planning.schedule import extend_schedule
from orket.records import PlannedRun, TaskEntry
from orket.warehouse import Warehouse


def plan_to_go_on(
    preset: Preset, warehouse: Warehouse, sweep_id: str, skip_canary: bool
) -> Plan:
    """The plan that a sweep goes on by: its own, or its own and more tasks.

    Raises UsageError for fewer tasks, and for more tasks of a grid. Any other plan is
    given as it is: whoever takes it up refuses it.
    """
    asked = build_plan(preset, sweep_id, skip_canary=skip_canary)
    kept = _read_kept(warehouse, sweep_id)
    if kept is None or kept["plan_hash"] == asked.plan_hash:
        return asked
    wanted = _revisions(asked.task_entries)
    planned = _revisions(kept["tasks"])
    if any(
        wanted.get(test, revision) != revision for test, revision in planned.items()
    ):
        return asked
    if left_out := len(planned.keys() - wanted.keys()):
        raise UsageError(
            f"sweep {sweep_id} cannot be resumed with fewer tasks: "
            f"{left_out} of its {len(planned)} would be left out",
            "leave out --bank, --tasks and --bucket, or start a new sweep",
        )
    start = [task.test_id for task in kept["start_tasks"]]
    begun = build_plan(
        preset, sweep_id, skip_canary=not kept["canary_planned"], only=start
    )
    if begun.plan_hash != kept["start_plan_hash"]:
        return asked
    if kept["order"] != ADAPTIVE:
        raise UsageError(
            f"sweep {sweep_id} is a grid, which tests a fixed number of tasks once: "
            "more tasks after a look at it would prove nothing",
            "start a new sweep; one by rounds (--budget, --until) may be given more",
        )
    return _extend(begun, asked, kept)


def _extend(begun: Plan, asked: Plan, kept: dict[str, Any]) -> Plan:
    """The plan at the start, what was added to it so far, and what is asked for now."""
    planned = _revisions(kept["tasks"])
    added = order_tasks(
        [entry for entry in asked.task_entries if entry.test_id not in planned]
    )
    entries = (*kept["tasks"], *added)
    tasks = {task.test_id: task for task in asked.tasks}
    facts = {
        "extends": begun.plan_hash,
        "tasks": [[entry.test_id, entry.task_revision] for entry in entries],
    }
    return replace(
        begun,
        tasks=tuple(tasks[entry.test_id] for entry in entries),
        task_entries=entries,
        runs=extend_schedule(begun.sweep_id, begun.models, kept["plan"], added),
        plan_hash=identity.hash_of(facts),
        extends=kept["plan_hash"],
        added_tests=tuple(entry.test_id for entry in added),
    )


def _revisions(entries: tuple[TaskEntry, ...]) -> dict[str, str]:
    return {entry.test_id: entry.task_revision for entry in entries}


def _read_kept(warehouse: Warehouse, sweep_id: str) -> dict[str, Any] | None:
    """What the manifests of a sweep say of its plan; None where there is none."""
    with warehouse.session(sweep_id) as session:
        found = session.rows(
            'SELECT plan_hash, start_plan_hash, "order", canary_planned, tasks, '
            "start_tasks, plan FROM v1.manifest WHERE sweep_id = ?",
            [sweep_id],
        )
    if not found:
        return None
    (row,) = found
    return {
        **row,
        "tasks": msgspec.convert(row["tasks"], tuple[TaskEntry, ...]),
        "start_tasks": msgspec.convert(row["start_tasks"], tuple[TaskEntry, ...]),
        "plan": msgspec.convert(row["plan"], tuple[PlannedRun, ...]),
    }
