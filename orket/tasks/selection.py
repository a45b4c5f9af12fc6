"""Selects tasks of a bank: by bucket, by name, and evenly by number."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence

from orket.errors import UsageError
from orket.tasks.task import BUCKETS, TIERS, Task, TaskBank
from orket.text import nearest


def select_tasks(
    bank: TaskBank,
    buckets: Iterable[str] | None = None,
    ids: Iterable[str] | None = None,
    limit: int | None = None,
) -> tuple[Task, ...]:
    """Tasks of these buckets and names, in the bank's order, at most `limit`.

    A name is a task id, a test id, a pattern with * or ?, or a selection of the bank.
    `limit` takes evenly from buckets and tiers. Raises UsageError on an unknown name
    and when nothing is left.
    """
    tasks = bank.tasks
    if buckets is not None:
        wanted = list(buckets)
        for bucket in wanted:
            if bucket not in BUCKETS:
                raise UsageError(
                    f"no bucket named {bucket!r}", nearest(bucket, BUCKETS)
                )
        tasks = tuple(task for task in tasks if task.bucket in wanted)
    if ids is not None:
        names = {found for name in ids for found in _expand(bank, name)}
        tasks = tuple(task for task in tasks if task.id in names)
    if limit is not None:
        if limit < 1:
            raise UsageError(f"a limit of {limit} tasks leaves none", "use 1 or more")
        tasks = _spread(tasks, limit)
    if not tasks:
        raise UsageError(
            f"no task of the bank {bank.bank!r} is left",
            "the buckets and the task names exclude each other",
        )
    return tasks


def _expand(bank: TaskBank, name: str) -> list[str]:
    """Task ids that a name stands for."""
    if name in bank.selections:
        return list(bank.selections[name])
    found = [
        task.id
        for task in bank.tasks
        if fnmatch.fnmatchcase(task.id, name) or fnmatch.fnmatchcase(task.test_id, name)
    ]
    if found:
        return found
    known = [*bank.selections, *(task.id for task in bank.tasks)]
    raise UsageError(
        f"no task of the bank {bank.bank!r} is named {name!r}", nearest(name, known)
    )


def _spread(tasks: Sequence[Task], limit: int) -> tuple[Task, ...]:
    """Take from each bucket in turn, within it from each tier in turn."""
    queues = {
        bucket: _rotate([task for task in tasks if task.bucket == bucket])
        for bucket in BUCKETS
    }
    taken: set[str] = set()
    while len(taken) < min(limit, len(tasks)):
        for queue in queues.values():
            if queue and len(taken) < limit:
                taken.add(queue.pop(0).id)
    return tuple(task for task in tasks if task.id in taken)


def _rotate(tasks: Sequence[Task]) -> list[Task]:
    """Order tasks tier by tier in turn: the first of each tier, the second, ..."""
    ranked: list[tuple[int, int, Task]] = []
    for tier in TIERS:
        same = [task for task in tasks if task.tier == tier]
        ranked += [(place, tier, task) for place, task in enumerate(same)]
    return [task for _, _, task in sorted(ranked, key=lambda item: item[:2])]
