"""What rounds are usually asked: both of breadth, then what proves two quants.

A sweep by rounds seldom asks all that was planned. What it usually asks follows from
its rules alone, so that an estimate can be told before anything ran; who is asked the
rows decide (v1.next_round), and an estimate enters nothing.
"""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple

from orket.evidence import proof_min_passes
from orket.planning.evidence import count_worth
from orket.planning.fidelity import by_precision
from orket.planning.plan import CANARY_QUANT, MATRIX, Plan
from orket.planning.rounds import FIRST_SIZES
from orket.planning.schedule import PlannedModel
from orket.quants import find_named
from orket.records import PlannedRun


def usual_runs(plan: Plan) -> list[PlannedRun]:
    """Runs of the matrix that an adaptive plan is usually asked; of a grid all."""
    matrix = [run for run in plan.runs if run.phase == MATRIX]
    if not plan.is_adaptive:
        return matrix
    needed = {model.model_id: _tasks_of_a_proof(plan, model) for model in plan.models}
    proofs = {model.model_id: _asked_further(model) for model in plan.models}
    found: list[PlannedRun] = []

    def key(run: PlannedRun) -> tuple[str, str]:
        return run.model_id, run.quant_tag

    for (model_id, quant_tag), runs in groupby(sorted(matrix, key=key), key=key):
        ordered = sorted(runs, key=lambda run: run.order_index)
        breadth = sum(FIRST_SIZES)
        if quant_tag in proofs[model_id]:
            breadth = max(breadth, needed[model_id])
        found += ordered[:breadth]
    return found


def first_runs(plan: Plan) -> list[PlannedRun]:
    """Runs of the matrix that every quant of an adaptive plan is asked in any case."""
    count: dict[tuple[str, str], int] = {}
    found: list[PlannedRun] = []
    for run in sorted(plan.runs, key=lambda run: run.order_index):
        key = run.model_id, run.quant_tag
        if run.phase == MATRIX and count.get(key, 0) < sum(FIRST_SIZES):
            count[key] = count.get(key, 0) + 1
            found.append(run)
    return found


class CallCounts(NamedTuple):
    """Calls that a plan may come to, but for repeats."""

    gate: int
    """With all warm-ups that are planned."""
    fidelity: int
    runs: int
    """Tasks that quants are asked."""

    @property
    def all(self) -> int:
        """Everything that is asked of a model."""
        return self.gate + self.fidelity + self.runs


def count_calls(plan: Plan) -> CallCounts:
    """The calls of a plan: one number, wherever it is told."""
    phases = [run.phase for run in plan.runs]
    prompts = 0
    if plan.fidelity is not None and plan.purpose == MATRIX:
        # The reference answers each prompt too.
        asked = sum(len(model.targets) + 1 for model in plan.models)
        prompts = len(plan.fidelity.test_ids) * asked
    gate = phases.count("canary") + phases.count("warmup")
    return CallCounts(gate, prompts, phases.count(MATRIX))


def _tasks_of_a_proof(plan: Plan, model: PlannedModel) -> int:
    """Tasks that prove a quant that loses none; none where no proof is in reach."""
    policy = model.policy
    worth = count_worth(plan.task_entries, policy)
    passes = proof_min_passes(
        policy.adherence_threshold_ppm, policy.evidence_level_ppm, worth
    )
    if not passes or passes[0] > worth or not worth:
        return 0
    # Tasks of one family are worth less than as many of their own.
    return -(-passes[0] * len(plan.task_entries) // worth)


def _asked_further(model: PlannedModel) -> set[str]:
    """The reference, the quant that the proofs usually start at, and the next smaller:
    what passes by its score and is smaller is asked on, proven or not."""
    tags = [t.ref.quant_tag for t in by_precision(model.targets, model.controls)]
    start = find_named(CANARY_QUANT, tags)
    place = tags.index(start[0]) if start else len(tags) // 2
    return {tags[0], *tags[place : place + 2]}
