"""What the planned tasks can support at best, said before anything is run."""

from __future__ import annotations

from collections.abc import Sequence

from orket.evidence import MOST_TASKS, least_without_loss
from orket.planning.schedule import PlannedModel
from orket.records import TaskEntry


def count_families(tasks: Sequence[TaskEntry]) -> int:
    """Families among the tasks; a task without one is its own."""
    return len(
        {
            (task.bank, task.test_id if task.family is None else task.family)
            for task in tasks
        }
    )


def warn_of_few(
    tasks: Sequence[TaskEntry], models: Sequence[PlannedModel]
) -> list[str]:
    """A line for each threshold that the tasks are too few, or too alike, to show."""
    families = count_families(tasks)
    unit, held, why = "tasks", f"{len(tasks)} tasks", ""
    if families < len(tasks):
        unit, held = "families", f"{len(tasks)} tasks in {families} families"
        why = " (tasks of one family tend to fail together)"
    least = {
        model.policy.adherence_threshold_ppm: least_without_loss(
            model.policy.adherence_threshold_ppm, model.policy.evidence_level_ppm
        )
        for model in models
    }
    lines = []
    for threshold, needed in sorted(least.items()):
        if needed is not None and families >= needed:
            continue
        number = f"more than {MOST_TASKS}" if needed is None else f"{needed} or more"
        lines.append(
            f"{held} are few to show that a quant keeps {threshold / 10**4:g} % of the "
            f"work: it takes {number} {unit} and no loss{why}"
        )
    return lines
