"""Adaptive sweeps as raw rows: the view is asked, obeyed, and answered by a truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from orket.planning.budget import PROOF
from orket.planning.rounds import ADAPTIVE, REPEAT, cut_repeats, cut_rounds
from orket.records import PlannedRun, TaskEntry
from orket.warehouse import Warehouse
from orket.warehouse.followed import FollowedSweep
from tests.built_sweep import Sweep
from tests.together import Sight

Passes = Callable[[str, int], bool]
"""Whether a quant passes the task of that number."""


@dataclass
class AdaptiveSweep(Sweep):
    """A sweep whose plan is cut into rounds; tasks are named t000, t001, ..."""

    manifest: dict[str, Any] = field(
        default_factory=lambda: {"order": ADAPTIVE, "until": PROOF}
    )
    repeats: bool = False
    """Whether what may be repeated is planned too."""
    planned: list[PlannedRun] = field(default_factory=list)

    def plan(self) -> list[PlannedRun]:
        """Portion by portion, quant by quant."""
        if not self.planned:
            self.planned = self._cut()
        return self.planned

    def _cut(self) -> list[PlannedRun]:
        planned: list[PlannedRun] = []
        block = 0
        for portion in cut_rounds([self.task_entry(task) for task in self.tasks]):
            for quant in self.quants:
                for task in portion:
                    planned.append(
                        PlannedRun(
                            run_id=self.run_id(quant, task.task_id, 1),
                            order_index=len(planned),
                            phase="matrix",
                            model_id=self.model_id,
                            quant_tag=quant,
                            test_id=task.test_id,
                            repetition=1,
                            block_index=block,
                        )
                    )
                block += 1
        for repetition, repeated in self._repeats():
            for quant in self.quants:
                for task in repeated:
                    planned.append(
                        PlannedRun(
                            run_id=self.run_id(quant, task.task_id, repetition) + "r",
                            order_index=len(planned),
                            phase=REPEAT,
                            model_id=self.model_id,
                            quant_tag=quant,
                            test_id=task.test_id,
                            repetition=repetition,
                            block_index=block,
                        )
                    )
                block += 1
        return planned

    def _repeats(self) -> list[tuple[int, tuple[TaskEntry, ...]]]:
        entries = [self.task_entry(task) for task in self.tasks]
        return cut_repeats(entries) if self.repeats else []

    def blocks(self) -> dict[int, list[PlannedRun]]:
        """The plan by its blocks."""
        return {
            index: list(runs)
            for index, runs in groupby(self.plan(), key=lambda run: run.block_index)
        }


def make(
    quants: tuple[str, ...], tasks: int = 136, name: str = "s", **facts: Any
) -> AdaptiveSweep:
    """A sweep that has not asked anything yet."""
    numbers = tuple(f"t{number:03}" for number in range(tasks))
    return AdaptiveSweep(sweep_id=name, quants=quants, tasks=numbers, **facts)


def losing(lost: Mapping[str, set[int]]) -> Passes:
    """A truth in which each quant fails these tasks and passes the others."""
    return lambda quant, task: task not in lost.get(quant, set())


def look_at(sweep: AdaptiveSweep) -> Sight:
    """What the views say by now: the next round, and each quant's proof by its tag."""
    seen = yield sweep
    (answer,) = seen.view("next_round")
    return answer, {row["quant_tag"]: row for row in seen.view("proof")}


def ask(
    sweep: AdaptiveSweep, answer: Mapping[str, Any], passes: Passes, wall_ms: int = 500
) -> None:
    """Make the runs of a round, each clean."""
    blocks = sweep.blocks()
    made = {run.run_id for run in sweep.runs}
    loads: dict[str, int] = {}
    for entry in answer["blocks"]:
        if entry.get("is_further"):
            continue
        for run in blocks[entry["block_index"]]:
            if run.run_id not in made:
                task = run.test_id.removeprefix("bank/")
                sweep.add(
                    run.quant_tag,
                    task,
                    run.repetition,
                    passed=int(passes(run.quant_tag, int(task[1:]))),
                    wall_ms=wall_ms,
                    phase=run.phase,
                    run_id=run.run_id,
                    # All that a quant is asked in a round goes into one load.
                    block_index=loads.setdefault(
                        run.quant_tag, 10_000 + len(sweep.runs)
                    ),
                )


Driven = tuple[list[list[tuple[str, str]]], dict[str, Any], dict[str, Any]]
"""The rounds (quant and purpose of each block), and the last look."""


def drive_on(sweep: AdaptiveSweep, passes: Passes, rounds: int = 99) -> Sight:
    """Go on for so many rounds, or until the view stops; gives what is `Driven`."""
    asked: list[list[tuple[str, str]]] = []
    while True:
        answer, proofs = yield from look_at(sweep)
        if answer["answer"] != "ASK" or len(asked) == rounds:
            return asked, answer, proofs
        asked.append(_named(answer))
        ask(sweep, answer, passes)


def drive(
    sweep: AdaptiveSweep, passes: Passes, folder: Path, rounds: int = 99
) -> Driven:
    """The same for one sweep alone, which is followed as one that is being run."""
    asked: list[list[tuple[str, str]]] = []
    warehouse = Warehouse(folder / "driven")
    warehouse.append("sweeps", [sweep.sweep_row()], sweep.sweep_id)
    written = 0
    with FollowedSweep(warehouse, sweep.sweep_id) as followed:
        while True:
            if fresh := sweep.runs[written:]:
                warehouse.append("runs", fresh, sweep.sweep_id)
                written = len(sweep.runs)
            followed.refresh()
            (answer,) = followed.rows("SELECT * FROM v1.next_round")
            if answer["answer"] != "ASK" or len(asked) == rounds:
                proofs = followed.rows("SELECT * FROM v1.proof")
                return asked, answer, {row["quant_tag"]: row for row in proofs}
            asked.append(_named(answer))
            ask(sweep, answer, passes)


def _named(answer: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Quant and purpose of each block of a round."""
    blocks = [entry for entry in answer["blocks"] if not entry["is_further"]]
    return list(dict.fromkeys((b["quant_tag"], b["purpose"]) for b in blocks))
