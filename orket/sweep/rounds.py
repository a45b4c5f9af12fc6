"""The second phase of an adaptive sweep: round by round, as the view says.

The executor asks the view, obeys, and decides nothing but whether the next block still
fits into the budget. Each answer of the view is kept as an event, so that it can be
made again from the rows of the blocks before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from orket.planning.estimate import Slack, add_seconds
from orket.planning.identity import canonical_json
from orket.planning.rounds import REPEAT
from orket.planning.usual import first_runs, usual_runs
from orket.records import EventRow, PlannedRun
from orket.sweep.agreement import Agreement
from orket.sweep.anchors import Anchors
from orket.sweep.context import Context
from orket.sweep.judge import ASK, Judge, Look
from orket.sweep.pacing import Pacing
from orket.sweep.pollution import Pollution
from orket.sweep.reporter import Ahead
from orket.sweep.resume import BUDGET_ENDED, MACHINE_BUSY, Progress
from orket.sweep.retry import Retry
from orket.sweep.start import fix_starts
from orket.sweep.steadiness import Steadiness
from orket.sweep.walk import Walk
from orket.warehouse import Warehouse
from orket.warehouse.parts import time_ordered_id

ROUND_JUDGED = "ROUND_JUDGED"
QUIET_SECONDS = 60.0
"""How long a machine that is too busy for anything to count is waited for."""


@dataclass(frozen=True, slots=True)
class Ending:
    """Why the rounds ended, and what more of them would bring."""

    reason: str
    """BUDGET_ENDED, MACHINE_BUSY, or what the view said of each model that it stops."""
    further_tasks: int | None = None
    """Tasks that the next proof takes at least; None where none is in reach."""
    further_seconds: float | None = None
    """How long these would take, and at least the next round, if as much of it counts
    as did so far; None: not known."""
    slack: Slack = Slack()
    """By how much that may be off."""
    is_disturbed: bool = False
    """Most of what was asked does not count: nothing is said of more time."""


class Rounds:
    """Asks the view which blocks are next, and runs them while the budget lasts."""

    def __init__(
        self,
        context: Context,
        warehouse: Warehouse,
        judge: Judge,
        walk: Walk,
        anchors: Anchors,
        pollution: Pollution,
        retry: Retry,
        progress: Progress,
        agreement: Agreement,
        steadiness: Steadiness,
    ) -> None:
        self._context = context
        self._warehouse = warehouse
        self._judge = judge
        self._walk = walk
        self._anchors = anchors
        self._pollution = pollution
        self._retry = retry
        retry.behind = self.ahead
        self._agreement = agreement
        self._steadiness = steadiness
        self._asked = set(progress.tried)
        # What was disturbed before may be quiet by now: it gets its passes anew.
        self._retried: set[tuple[str, int]] = set()
        self._progress = progress
        self._has_said_busy = False
        self._usual = {run.run_id for run in usual_runs(context.plan)}
        self._first = {run.run_id for run in first_runs(context.plan)}
        self._owed = progress.tried - progress.measured
        self._has_rows = bool(progress.tried)
        self._blocks = {
            index: list(runs)
            for index, runs in groupby(
                (run for run in context.plan.runs if run.phase in ("matrix", REPEAT)),
                key=lambda run: run.block_index,
            )
        }
        self._pacing = Pacing(context.forecast, context.budget_left, self._waiting)

    def run(self) -> Ending:
        """Run rounds to the end. Raises ServersGone, Doomed, Interrupted.

        Where that leaves quants without valid runs for disturbances alone, and the
        sweep may go on under looser thresholds, it does: they are judged by these, and
        asked more where that is evidence.
        """
        self._anchors.start()
        fix_starts(self._context, self._warehouse, self._judge, self._progress)
        if self._has_rows:
            self._make_owed()
            self._mend()
        ending = self._run_rounds()
        while ending.reason != MACHINE_BUSY and self._steadiness.settle_end():
            ending = self._run_rounds()
        return ending

    def _run_rounds(self) -> Ending:
        """Rounds under the thresholds of now."""
        looks = self._look()
        self._announce(looks)
        while any(look.answer == ASK for look in looks):
            before = looks
            self._steadiness.watch()
            if not self._run_round(looks):
                self._anchors.close()
                return self._end_by_budget()
            self._mend()
            looks = self._look()
            if _is_lost_time(before, looks) and self._pollution.list_curable():
                looks = self._wait_for_quiet()
            while _is_lost_time(before, looks):
                if not self._steadiness.settle_round():
                    self._anchors.close()
                    return Ending(MACHINE_BUSY)
                looks = self._look()
            if self._steadiness.settle_between():
                looks = self._look()
        self._anchors.close()
        if self._retry.is_barren and self._mend(is_last=True):
            looks = self._look()
        return Ending(_join(looks))

    def _run_round(self, looks: Sequence[Look]) -> bool:
        """Run the blocks of a round, each model's in turn; False: the budget ended."""
        blocks = self._pacing.blocks(looks)
        for place, block in enumerate(blocks):
            fitting = self._pacing.beginning(block)
            if not fitting:
                return False
            self._agreement.seek(self._ahead(blocks[place:]))
            first = fitting[0]
            target = self._context.plan.target(first.model_id, first.quant_tag)
            self._asked.update(run.run_id for run in fitting)
            self._walk.run_again(target, fitting, retry_pass=0)
            self._anchors.run_if_due(first.model_id)
            self._pollution.show()
            if len(fitting) < len(block):
                return False
        return True

    def _waiting(self, index: int) -> list[PlannedRun]:
        """What of a block of the plan was not asked yet; the view names no other."""
        return [run for run in self._blocks[index] if run.run_id not in self._asked]

    def _make_owed(self) -> None:
        """What a server owed an earlier executor: tried is not measured."""
        owed: dict[tuple[str, str], list[PlannedRun]] = {}
        for block in self._blocks.values():
            for run in block:
                if run.run_id in self._owed:
                    owed.setdefault((run.model_id, run.quant_tag), []).append(run)
        for key, runs in owed.items():
            if self._pacing.beginning(runs) == runs:
                target = self._context.plan.target(*key)
                self._walk.run_again(target, runs, retry_pass=0)

    def _mend(self, is_last: bool = False) -> bool:
        """Runs that were disturbed or failed again, or their pairs count as lost.

        Where disturbed runs count and repeating them gains nothing, they wait for the
        end. Says whether anything was tried.
        """
        models = self._context.plan.models
        counts = all(model.policy.include_polluted != "never" for model in models)
        if counts and self._retry.is_barren and not is_last:
            if not self._has_said_busy:
                self._has_said_busy = True
                self._context.reporter.note(
                    "the machine stays busy: disturbed runs are repeated at the end"
                )
            return False
        self._retry.make_passes(self._retried, fits=self._fits)
        return True

    def _wait_for_quiet(self) -> list[Look]:
        """Nothing of a round counts, so busy is the machine: wait, try once more."""
        context = self._context
        seconds = min(QUIET_SECONDS, max(context.budget_left(), 0.0))
        context.reporter.note(
            f"nothing of this round counts, so busy is the machine; waiting "
            f"{seconds:.0f} s for it"
        )
        with context.interrupts.allowed():
            context.clock.sleep(seconds)
        self._retried.clear()
        self._mend()
        return self._look()

    def _look(self) -> list[Look]:
        """What the view says of each model by now; kept as an event."""
        context = self._context
        looks = self._judge.read_rounds()
        self._pollution.show()
        said = {
            "until": context.plan.until,
            "before_block": context.next_block,
            "steps": self._steadiness.steps(),
            "rounds": [look.answer_row for look in looks],
        }
        row = EventRow(
            event_id=time_ordered_id(),
            recorded_at=context.clock.now(),
            event=ROUND_JUDGED,
            sweep_id=context.plan.sweep_id,
            reason=canonical_json(said),
        )
        self._warehouse.append("events", [row])
        return looks

    def _fits(self, block: Sequence[PlannedRun]) -> bool:
        """Whether a block would end within the budget; one of unknown length may."""
        left = self._context.budget_left()
        return left > 0 and (self._context.forecast.seconds(block) or 0.0) <= left

    def ahead(self, before: float | None = 0.0) -> Ahead:
        """What lies ahead of the first round; `before`: what comes in front of it."""
        found = self._ahead([])
        return replace(
            found,
            least=add_seconds(before, found.least),
            most=add_seconds(before, found.most),
            usual=add_seconds(before, found.usual),
        )

    def _ahead(self, blocks: Sequence[Sequence[PlannedRun]]) -> Ahead:
        """At least these blocks and what all are asked; at most all that waits."""
        context, forecast = self._context, self._context.forecast
        waiting = [
            run
            for block in self._blocks.values()
            for run in block
            if run.run_id not in self._asked and run.phase == "matrix"
        ]
        coming = {run.run_id: run for block in blocks for run in block}
        coming |= {run.run_id: run for run in waiting if run.run_id in self._first}
        following = tuple((block[0].model_id, block[0].quant_tag) for block in blocks)
        return Ahead(
            forecast.seconds(coming.values()),
            forecast.seconds(waiting),
            context.seconds_used(),
            following,
            forecast.seconds(run for run in waiting if run.run_id in self._usual),
            forecast.slack(),
            context.bound(),
        )

    def _announce(self, looks: Sequence[Look]) -> None:
        """Say when what is left of the budget is too short for a round."""
        context = self._context
        blocks = self._pacing.blocks(looks)
        if not blocks:
            return
        runs = [run for block in blocks for run in block]
        seconds = context.forecast.seconds(runs)
        if seconds is not None and seconds > self._context.budget_left():
            fitting = self._count_fitting(blocks)
            had = (
                f"{fitting} of its {len(blocks)} blocks can be had"
                if fitting
                else "nothing of it can be had"
            )
            context.reporter.note(
                f"what is left of the budget is shorter than the next round, which "
                f"takes about {max(1, round(seconds))} s: {had}"
            )

    def _count_fitting(self, blocks: Sequence[Sequence[PlannedRun]]) -> int:
        left = self._context.budget_left()
        for number, block in enumerate(blocks):
            left -= self._context.forecast.seconds(block) or 0.0
            if left < 0:
                return number
        return len(blocks)

    def _end_by_budget(self) -> Ending:
        """What more time would bring: the next proof, else the next round."""
        looks = self._look()
        asked_tasks, settled = _count(looks, "asked_tasks"), _settled(looks)
        if 2 * settled < asked_tasks:
            return Ending(BUDGET_ENDED, is_disturbed=True)
        tasks = [look.further_tasks for look in looks if look.further_tasks is not None]
        runs = [run for block in self._pacing.blocks(looks) for run in block]
        seconds = self._context.forecast.seconds(runs)
        asked = {run.run_id for run in runs}
        proofs = [
            run
            for look in looks
            for quant in look.proof_quants
            for run in self._unasked(look.model_id, quant)[: look.further_tasks]
            if run.run_id not in asked
        ]
        more = self._context.forecast.seconds(proofs)
        if seconds is not None and more is not None:
            seconds += more
        if seconds is not None and settled:
            seconds *= asked_tasks / settled
        slack = self._context.forecast.slack()
        if slack is None:
            # No call here tells of it: assumptions are no answer.
            return Ending(BUDGET_ENDED, max(tasks, default=None))
        return Ending(BUDGET_ENDED, max(tasks, default=None), seconds, slack)

    def _unasked(self, model_id: str, quant_tag: str) -> list[PlannedRun]:
        return [
            run
            for block in self._blocks.values()
            for run in block
            if run.run_id not in self._asked
            and run.phase == "matrix"
            and (run.model_id, run.quant_tag) == (model_id, quant_tag)
        ]


def _is_lost_time(before: Sequence[Look], after: Sequence[Look]) -> bool:
    """Whether tasks were asked in between, and none of them has a verdict or failed."""
    return _count(before, "asked_tasks") < _count(after, "asked_tasks") and (
        _settled(before) >= _settled(after)
    )


def _settled(looks: Sequence[Look]) -> int:
    return _count(looks, "asked_tasks") - _count(looks, "disturbed_tasks")


def _count(looks: Sequence[Look], what: str) -> int:
    return sum(quant[what] for look in looks for quant in look.answer_row["quants"])


def _join(looks: Sequence[Look]) -> str:
    """The reasons of all models, each once."""
    return ", ".join(dict.fromkeys(look.answer for look in looks))
