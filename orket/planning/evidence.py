"""What the planned tasks can support at best, said before anything is run."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from orket.planning.schedule import PlannedModel
from orket.records import TaskEntry

ERROR_SHARE = Fraction(1, 100)
"""Chance of error that a claim may have."""

MOST = 2_000
"""More tasks than this nobody would run."""


def count_families(tasks: Sequence[TaskEntry]) -> int:
    """Families among the tasks; a task without one is its own."""
    return len(
        {
            (task.bank, task.test_id if task.family is None else task.family)
            for task in tasks
        }
    )


def least_without_loss(threshold_ppm: int) -> int | None:
    """Fewest tasks, none of them lost, that show this share to be kept.

    None where no practicable number does.
    """
    if threshold_ppm == 0:
        return 1
    chance, kept = Fraction(1), Fraction(threshold_ppm, 10**6)
    for number in range(1, MOST + 1):
        chance *= kept
        if chance <= ERROR_SHARE:
            return number
    return None


def warn_of_few(
    tasks: Sequence[TaskEntry], models: Sequence[PlannedModel]
) -> list[str]:
    """A line for each threshold that the tasks are too few, or too alike, to show."""
    families = count_families(tasks)
    unit, held, why = "tasks", f"{len(tasks)} tasks", ""
    if families < len(tasks):
        unit, held = "families", f"{len(tasks)} tasks in {families} families"
        why = " (tasks of one family tend to fail together)"
    thresholds = {model.policy.adherence_threshold_ppm for model in models}
    lines = []
    for threshold in sorted(thresholds):
        needed = least_without_loss(threshold)
        if needed is not None and families >= needed:
            continue
        least = f"more than {MOST}" if needed is None else f"{needed} or more"
        lines.append(
            f"{held} are few to show that a quant keeps {threshold / 10**4:g} % of the "
            f"work: it takes {least} {unit} and no loss{why}"
        )
    return lines
