"""The order of tasks and the blocks of an adaptive sweep.

Any prefix of the order holds each kind of task nearly in proportion, so that a sweep
may stop after any round: loss differs between kinds, and an unbalanced prefix would
prove something about other work.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import zip_longest

from orket.evidence import proof_min_passes, stake_table
from orket.records import Policy, TaskEntry

ADAPTIVE = "adaptive"
"""As the order of a plan: which block is next is told by the rows so far."""
RULE = "adaptive-2"
ORDER_SEED = 1
FIRST_SIZES = (6, 11, 17)
"""Tasks of the first portions, which every quant is asked. The first two are one round;
where the time is too short for it, each is a round of its own."""
LATER_SIZE = 17
START_RULE = "fidelity-else-Q4_K_M-else-middle"
"""Where the first chain of proofs starts; see v1.start_quant."""
REPEAT = "repeat"
"""The phase in which tasks are asked again: no row of it is evidence of quality."""
ANSWERS_REPETITION = 2
"""That a few tasks are repeated in, to see whether answers repeat."""
SPEED_ROUNDS = 4
SPEED_TASKS = 12

Stratum = tuple[str, int]
"""Bucket and tier."""


def order_tasks(
    tasks: Sequence[TaskEntry], seed: int = ORDER_SEED
) -> tuple[TaskEntry, ...]:
    """The tasks in the order they are asked in, which their content decides.

    Kinds of tasks (bucket and tier) are interleaved in proportion, families of a kind
    take turns, and within a family a hash decides: never how short or easy a task is.
    """
    strata: dict[Stratum, list[TaskEntry]] = {}
    for task in tasks:
        strata.setdefault((task.bucket, task.tier), []).append(task)
    waiting = {
        stratum: _take_turns(members, seed) for stratum, members in strata.items()
    }
    size = {stratum: len(members) for stratum, members in waiting.items()}
    taken = dict.fromkeys(waiting, 0)
    ordered: list[TaskEntry] = []
    for place in range(len(tasks)):
        due = min(
            (stratum for stratum in waiting if taken[stratum] < size[stratum]),
            key=lambda s: (taken[s] * len(tasks) - size[s] * (place + 1), s),
        )
        ordered.append(waiting[due][taken[due]])
        taken[due] += 1
    return tuple(ordered)


def _take_turns(tasks: Sequence[TaskEntry], seed: int) -> list[TaskEntry]:
    """Tasks of one stratum: a task of each family, then the next of each."""
    families: dict[str, list[TaskEntry]] = {}
    for task in sorted(tasks, key=lambda task: _digest(task, seed)):
        name = f"task {task.test_id}" if task.family is None else f"in {task.family}"
        families.setdefault(name, []).append(task)
    turns = zip_longest(*families.values())
    return [task for turn in turns for task in turn if task is not None]


def _digest(task: TaskEntry, seed: int) -> bytes:
    text = f"order-1|{seed}|{task.test_id}|{task.task_revision}"
    return hashlib.sha256(text.encode()).digest()


def cut_rounds(
    tasks: Sequence[TaskEntry], begun: int = 0
) -> list[tuple[TaskEntry, ...]]:
    """Ordered tasks in the portions that a quant is asked at a time.

    `begun`: portions that lie before these tasks, where they are added to a plan.
    """
    portions: list[tuple[TaskEntry, ...]] = []
    start = 0
    while start < len(tasks):
        number = begun + len(portions)
        size = FIRST_SIZES[number] if number < len(FIRST_SIZES) else LATER_SIZE
        portions.append(tuple(tasks[start : start + size]))
        start += size
    return portions


def cut_repeats(
    tasks: Sequence[TaskEntry],
) -> list[tuple[int, tuple[TaskEntry, ...]]]:
    """What may be repeated, with the number of its repetition.

    First a task of each bucket, to see whether answers repeat; then a dozen of the
    tasks that every quant was asked, a few times over, to compare speed.
    """
    buckets: dict[str, TaskEntry] = {}
    for task in tasks:
        buckets.setdefault(task.bucket, task)
    repeats = [(ANSWERS_REPETITION, tuple(buckets.values()))]
    known = tasks[: sum(FIRST_SIZES)]
    size = min(SPEED_TASKS, len(known))
    for number in range(SPEED_ROUNDS):
        places = (
            place % len(known) for place in range(number * size, (number + 1) * size)
        )
        window = tuple(known[place] for place in places)
        repeats.append((ANSWERS_REPETITION + 1 + number, window))
    return repeats


def rule_facts(policy: Policy, worth: int) -> dict[str, object]:
    """What of the rules decides who is asked, for the hash of the plan.

    `worth`: as many single tasks say as much as the planned ones.
    """
    threshold, level = policy.adherence_threshold_ppm, policy.evidence_level_ppm
    return {
        "rule": RULE,
        "order_seed": ORDER_SEED,
        "sizes": [*FIRST_SIZES, LATER_SIZE],
        "speed": [SPEED_ROUNDS, SPEED_TASKS],
        "start": START_RULE,
        "start_ppm": policy.fidelity_start_ppm,
        "threshold_ppm": threshold,
        "correlation_ppm": policy.family_correlation_ppm,
        "proofs": [
            list(proof_min_passes(threshold, level, worth, shares)) for shares in (1, 2)
        ],
        "stakes": [
            [stake.lost_nano, stake.both_nano, stake.gain_nano]
            for stake in stake_table(threshold)
        ],
    }
