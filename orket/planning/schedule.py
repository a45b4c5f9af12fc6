"""The order of runs: blocks, warm-ups, turns.

Nesting is model > repetition > quant > task. Every second repetition visits the quants
in reverse, so that a machine that slows down or warms up steadily does so for every
quant alike: over two repetitions their places add up to the same.

An adaptive plan has each task once, cut into rounds: its blocks are all that could be
asked, and the rows so far tell which of them is next (see `rounds`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from orket.errors import UsageError
from orket.limits import MAX_PLANNED_RUNS
from orket.planning import identity
from orket.planning.rounds import ADAPTIVE, REPEAT, cut_repeats, cut_rounds
from orket.planning.targets import Target
from orket.records import Controls, PlannedRun, Policy, PolicyStep, TaskEntry
from orket.text import whole_number


@dataclass(frozen=True, slots=True)
class PlannedModel:
    """One model of a sweep with its quants, controls and policy."""

    model_id: str
    targets: tuple[Target, ...]
    controls: Controls
    policy: Policy
    parameters_billions: Decimal | None = None
    """For estimates only."""
    yields_to: tuple[PolicyStep, ...] = ()
    """What rules instead, step by step, where the machine is not steady enough."""

    def controls_of(self, target: Target) -> Controls:
        """What is asked for one of its quants: its level goes over the controls."""
        if target.level is None:
            return self.controls
        own = {
            "kv_cache": target.level.kv,
            "context_tokens": target.level.context_tokens,
        }
        said = {name: value for name, value in own.items() if value is not None}
        return msgspec.structs.replace(self.controls, **said)


@dataclass(frozen=True, slots=True)
class CanaryCell:
    """The cell of one model that the gate and the anchors measure."""

    model_id: str
    quant_tag: str
    test_id: str


def model_identity(target: Target) -> dict[str, Any]:
    """What names the weights: their digest, else what the server calls them."""
    identity_facts: dict[str, Any] = {"model": target.ref.model_id}
    if target.digest:
        return {**identity_facts, "digest": target.digest}
    return {**identity_facts, "name": target.ref.name}


def build_schedule(
    sweep_id: str,
    models: Sequence[PlannedModel],
    tasks: Sequence[TaskEntry],
    repetitions: int,
    order: str,
    canary: Sequence[CanaryCell],
) -> tuple[PlannedRun, ...]:
    """Every planned run in the order of execution: the gates, then the matrix."""
    return tuple(_Builder(sweep_id, models, tasks).build(repetitions, order, canary))


def extend_schedule(
    sweep_id: str,
    models: Sequence[PlannedModel],
    before: Sequence[PlannedRun],
    added: Sequence[TaskEntry],
) -> tuple[PlannedRun, ...]:
    """The runs of an adaptive plan as they are, behind them those of more tasks."""
    return tuple(_Builder(sweep_id, models, added, before).add_to_rounds())


class _Builder:
    """Numbers runs and blocks while the plan is written down."""

    def __init__(
        self,
        sweep_id: str,
        models: Sequence[PlannedModel],
        tasks: Sequence[TaskEntry],
        before: Sequence[PlannedRun] = (),
    ) -> None:
        self._sweep_id = sweep_id
        self._models = models
        self._tasks = tasks
        self._runs = list(before)
        self._block = max((run.block_index for run in before), default=-1)
        self._warmups: dict[tuple[str, str, str], int] = {}

    def build(
        self, repetitions: int, order: str, canary: Sequence[CanaryCell]
    ) -> list[PlannedRun]:
        self._require_possible(repetitions, canary)
        by_id = {entry.test_id: entry for entry in self._tasks}
        for cell in canary:
            model = next(m for m in self._models if m.model_id == cell.model_id)
            target = next(t for t in model.targets if t.ref.quant_tag == cell.quant_tag)
            task = by_id[cell.test_id]
            self._open_block(model, target, task)
            for repetition in range(1, model.policy.canary_repetitions + 1):
                self._add("canary", target, task, repetition)
        if order == ADAPTIVE:
            self._add_rounds()
            return self._runs
        for model in self._models:
            for repetition, target in _visits(model.targets, repetitions, order):
                self._open_block(model, target, self._tasks[0])
                for task in self._tasks:
                    self._add("matrix", target, task, repetition)
        return self._runs

    def _require_possible(self, repetitions: int, canary: Sequence[CanaryCell]) -> None:
        """Raise UsageError before memory is filled with more runs than a plan holds."""
        models = {model.model_id: model for model in self._models}
        gates = (models[cell.model_id] for cell in canary)
        runs = sum(
            model.policy.canary_repetitions + warmup_steps(model.controls)
            for model in gates
        ) + sum(
            len(model.targets)
            * repetitions
            * (len(self._tasks) + warmup_steps(model.controls))
            for model in self._models
        )
        if runs > MAX_PLANNED_RUNS:
            raise UsageError(
                f"a plan of {runs:,} runs is more than {MAX_PLANNED_RUNS:,}",
                "ask for fewer repetitions, warm-ups, tasks or quants",
            )

    def _add_rounds(self) -> None:
        """Blocks without warm-ups: each is warmed up when it is asked."""
        for model in self._models:
            self._add_portions(model, cut_rounds(self._tasks))
            for repetition, repeated in cut_repeats(self._tasks):
                for target in model.targets:
                    self._block += 1
                    for task in repeated:
                        self._add(REPEAT, target, task, repetition)

    def add_to_rounds(self) -> list[PlannedRun]:
        """Nothing more is repeated: what was named for it at the start is enough."""
        for model in self._models:
            ref = model.targets[0].ref
            begun = {
                run.block_index
                for run in self._runs
                if run.phase == "matrix"
                and (run.model_id, run.quant_tag) == (ref.model_id, ref.quant_tag)
            }
            self._add_portions(model, cut_rounds(self._tasks, len(begun)))
        return self._runs

    def _add_portions(
        self, model: PlannedModel, portions: Sequence[Sequence[TaskEntry]]
    ) -> None:
        for portion in portions:
            for target in model.targets:
                self._block += 1
                for task in portion:
                    self._add("matrix", target, task, 1)

    def _open_block(self, model: PlannedModel, target: Target, task: TaskEntry) -> None:
        self._block += 1
        for _ in range(warmup_steps(model.controls)):
            cell = (model.model_id, target.ref.quant_tag, task.test_id)
            self._warmups[cell] = self._warmups.get(cell, 0) + 1
            self._add("warmup", target, task, self._warmups[cell])

    def _add(
        self, phase: str, target: Target, task: TaskEntry, repetition: int
    ) -> None:
        quant = target.ref.quant_tag
        self._runs.append(
            PlannedRun(
                run_id=identity.run_id(
                    self._sweep_id,
                    phase,
                    model_identity(target),
                    quant,
                    task.test_id,
                    task.task_revision,
                    repetition,
                ),
                order_index=len(self._runs),
                phase=phase,
                model_id=target.ref.model_id,
                quant_tag=quant,
                test_id=task.test_id,
                repetition=repetition,
                block_index=self._block,
            )
        )


def warmup_steps(controls: Controls) -> int:
    """Recorded warm-up calls at the head of a block: at least one."""
    return max(1, whole_number(controls.warmup) or 1)


def _visits(
    targets: Sequence[Target], repetitions: int, order: str
) -> list[tuple[int, Target]]:
    """Which quant is visited in which repetition, in order."""
    if order == "grouped":
        return [(r, target) for target in targets for r in range(1, repetitions + 1)]
    visits: list[tuple[int, Target]] = []
    for repetition in range(1, repetitions + 1):
        if order == "rotated":
            shift = (repetition - 1) % len(targets)
            turned = (*targets[shift:], *targets[:shift])
        else:
            turned = (*targets,) if repetition % 2 else (*targets,)[::-1]
        visits += [(repetition, target) for target in turned]
    return visits
