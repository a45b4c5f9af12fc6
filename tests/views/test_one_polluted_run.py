"""One polluted run changes no advice: whoever's it is, and however near the edge."""

from __future__ import annotations

import random
from typing import Any

import pytest

from orket.policy import Policy
from tests.built_sweep import Sweep
from tests.together import Sight, together
from tests.views.test_advice import ask

LADDER = ("F16", "Q8_0", "Q4_K_M", "Q2_K")
POLICY = Policy(adherence_threshold_ppm=800_000)
LEAST = 21
"""Tasks that prove a threshold of 0.8 without a loss, at 1 %."""
ADVICE = (
    "baseline_quant_tag",
    "baseline_shifted",
    "minimum_viable_quant",
    "smallest_supported_quant",
    "best_value_quant",
    "best_value_status",
    "advised_quant",
    "confidence",
    "best_value_confidence",
    "eligible_quants",
    "judged_quants",
    "evidence_losses",
    "tasks_needed",
    "tasks_likely",
    "passing_threshold_ppm",
    "recommendation",
)
WALL_MS = {"F16": 900, "Q8_0": 700, "Q4_K_M": 500, "Q2_K": 450}

Cell = tuple[str, int, int]


def sweep_of(
    lost: dict[str, set[int]],
    tasks: int,
    repetitions: int,
    polluted: Cell | None = None,
    retried: bool = False,
) -> Sweep:
    """Answers repeat; `polluted` is the quant, task and repetition of one run."""
    names = tuple(f"t{number:03}" for number in range(tasks))
    sweep = Sweep("s", quants=LADDER, tasks=names, policy=POLICY)
    sweep.repetitions = repetitions
    for repetition in range(1, repetitions + 1):
        for quant in LADDER:
            for number, task in enumerate(names):
                facts: dict[str, Any] = {
                    "passed": int(number not in lost.get(quant, ())),
                    "wall_ms": WALL_MS[quant] + 10 * number,
                }
                is_polluted = (quant, number, repetition) == polluted
                others = ["x"] if is_polluted else []
                sweep.add(
                    quant, task, repetition, other_models_resident=others, **facts
                )
                if is_polluted and retried:
                    sweep.add(quant, task, repetition, attempt=2, **facts)
    return sweep


def advice(sweep: Sweep) -> Sight:
    row = yield from ask(sweep)
    return {key: row[key] for key in ADVICE}


@pytest.mark.parametrize("repetitions", [2, 3])
@pytest.mark.parametrize("quant", LADDER)
@together
def test_another_repetition_stands_in_for_a_polluted_run(quant, repetitions):
    """At the very edge of the proof: a loss more or a pass fewer would undo it."""
    draw = random.Random(f"{quant} {repetitions}")
    lost = {
        "Q4_K_M": set(draw.sample(range(LEAST), draw.choice([0, 1]))),
        "Q2_K": set(draw.sample(range(LEAST), draw.choice([0, 2, 3, 5]))),
    }
    cell = quant, draw.randrange(LEAST), draw.randrange(repetitions) + 1
    clean = yield from advice(sweep_of(lost, LEAST, repetitions))
    shaken = yield from advice(sweep_of(lost, LEAST, repetitions, cell))
    assert clean["smallest_supported_quant"] != "F16"
    assert shaken == clean, (lost, cell)


@pytest.mark.parametrize("quant", ["F16", "Q4_K_M"])
@together
def test_a_retry_stands_in_for_the_only_run(quant):
    clean = yield from advice(sweep_of({}, LEAST, 1))
    again = sweep_of({}, LEAST, 1, (quant, 4, 1), retried=True)
    assert (yield from advice(again)) == clean


@pytest.mark.parametrize("quant", ["F16", "Q2_K"])
@together
def test_a_task_without_its_only_run_counts_as_lost_and_one_more_run_settles_it(quant):
    row = yield from ask(sweep_of({}, LEAST, 1, (quant, 4, 1)))
    assert (row["baseline_quant_tag"], row["baseline_shifted"]) == ("F16", False)
    # The choice stays; only how sure it is does not.
    assert row["minimum_viable_quant"] == "Q2_K"
    assert (row["confidence"], row["evidence_losses"]) == ("NEEDS_MORE_TASKS", 1)
    assert (
        "1 task counts as lost only for want of an undisturbed run: one more run of it "
        "would settle that." in row["recommendation"]
    )


@together
def test_with_tasks_to_spare_one_lost_task_undoes_no_proof():
    row = yield from ask(sweep_of({}, 2 * LEAST, 1, ("F16", 4, 1)))
    assert row["confidence"] == "SUPPORTED"
    assert row["smallest_supported_quant"] == "Q2_K"
    assert "only for want of" not in row["recommendation"]
