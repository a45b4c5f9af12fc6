"""What the planned tasks can support at best, said before anything is run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from orket.evidence import (
    MOST_TASKS,
    family_table,
    least_without_loss,
    proof_min_passes,
    retention_table,
)
from orket.planning.schedule import PlannedModel
from orket.records import Policy, TaskEntry


def count_families(tasks: Sequence[TaskEntry]) -> int:
    """Families among the tasks; a task without one is its own."""
    return len(_sizes(tasks))


def count_worth(tasks: Sequence[TaskEntry], policy: Policy) -> int:
    """How many tasks that fail by themselves say as much, if all are passed."""
    threshold, _, correlation = _asked(policy)
    return _worth(tasks, threshold, correlation)


def warn_of_few(
    tasks: Sequence[TaskEntry],
    models: Sequence[PlannedModel],
    is_adaptive: bool = False,
) -> list[str]:
    """A line for each threshold that the tasks are too few, or too alike, to show.

    Tasks of one family are worth fewer tasks of their own (docs/advice.md). A sweep
    that is looked at after every round (`is_adaptive`) takes more (docs/adaptive.md).
    """
    families = count_families(tasks)
    lines = []
    for threshold, level, correlation in sorted({_asked(m.policy) for m in models}):
        worth = _worth(tasks, threshold, correlation)
        loss_free, one_lost = _needed(threshold, level, worth if is_adaptive else None)
        share = f"a quant keeps {threshold / 10**4:g} % of the work"
        number = f"more than {MOST_TASKS}" if loss_free is None else str(loss_free)
        number += "" if loss_free is None else " or more"
        alike = f"{len(tasks)} tasks in {families} families say as much as {worth}"
        if loss_free is None or len(tasks) < loss_free:
            lines.append(
                f"{len(tasks)} tasks are few to show that {share}: it takes {number} "
                "that the most precise quant passes, and no loss"
            )
        elif worth < loss_free:
            lines.append(
                f"{alike} that fail by themselves, too few to show that {share}: it "
                f"takes {number} that the most precise quant passes, and no loss"
            )
        elif families < len(tasks) and (one_lost is None or worth < one_lost):
            lines.append(
                f"{alike} that fail by themselves: they can show that {share} only "
                "where it loses none of them"
            )
    return lines


def _sizes(tasks: Sequence[TaskEntry]) -> Counter[tuple[str, str]]:
    """Tasks by family."""
    return Counter(
        (task.bank, task.test_id if task.family is None else task.family)
        for task in tasks
    )


def _worth(tasks: Sequence[TaskEntry], threshold: int, correlation: int) -> int:
    """How many tasks that fail by themselves say as much, if all are passed."""
    table = family_table(threshold, correlation, max(MOST_TASKS, len(tasks)))
    if not table:
        return len(tasks)
    return sum(table[size - 1] for size in _sizes(tasks).values()) // 10**6


def _needed(
    threshold: int, level: int, worth: int | None
) -> tuple[int | None, int | None]:
    """Passes that prove a quant without a loss, and with one; None where none do.

    `worth`: of the tasks of an adaptive sweep, which say how often it is looked at.
    """
    if worth is None:
        table = retention_table(threshold, level)
        one_lost = table[1].least_passes if len(table) > 1 else None
        return least_without_loss(threshold, level), one_lost
    if threshold == 0:
        return 1, 1
    passes = (*proof_min_passes(threshold, level, worth), None, None)
    return passes[0], passes[1]


def _asked(policy: Policy) -> tuple[int, int, int]:
    """Threshold, chance of error and correlation within a family."""
    return (
        policy.adherence_threshold_ppm,
        policy.evidence_level_ppm,
        policy.family_correlation_ppm,
    )
