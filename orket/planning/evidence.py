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
    """A line for each threshold that the tasks are too few, or too alike, to show.

    Few families of tasks halve the chance of error (docs/advice.md).
    """
    families = count_families(tasks)
    is_alike = families < len(tasks)
    lines = []
    for threshold, level in sorted({_asked(model) for model in models}):
        loss_free = least_without_loss(threshold, level // 2 if is_alike else level)
        by_families = least_without_loss(threshold, level)
        share = f"a quant keeps {threshold / 10**4:g} % of the work"
        if loss_free is None or len(tasks) < loss_free:
            number = f"more than {MOST_TASKS}"
            number = number if loss_free is None else f"{loss_free} or more"
            lines.append(
                f"{len(tasks)} tasks are few to show that {share}: it takes {number} "
                "that the most precise quant passes, and no loss"
            )
        elif is_alike and by_families is not None and families < by_families:
            lines.append(
                f"{len(tasks)} tasks in {families} families can show that {share} only "
                "where it loses none of them (tasks of one family tend to fail "
                "together)"
            )
    return lines


def _asked(model: PlannedModel) -> tuple[int, int]:
    """Threshold and chance of error."""
    return model.policy.adherence_threshold_ppm, model.policy.evidence_level_ppm
