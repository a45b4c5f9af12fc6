"""The third phase: polluted runs again, as often as the preset allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from orket.planning.plan import MATRIX
from orket.planning.targets import Target
from orket.records import PlannedRun
from orket.sweep.anchors import Anchors
from orket.sweep.context import Context
from orket.sweep.judge import PollutedRun
from orket.sweep.matrix import matrix_ahead
from orket.sweep.pollution import Pollution
from orket.sweep.reporter import Ahead
from orket.sweep.resume import Progress
from orket.sweep.walk import Walk

WAIT_SECONDS = 2.0
"""Before a retry pass: what disturbed a run of milliseconds has often gone by then."""
COOL_DOWN_SECONDS = 60.0
"""Before a retry pass after drift: a machine that got hot needs longer."""
BARREN_PASSES = 2
TRIAL_BLOCKS = 2
"""A retry pass whose first blocks gain no clean run is not worth going on with."""


class Retry:
    """Runs polluted planned runs again until they are clean or nothing is gained."""

    def __init__(
        self, context: Context, walk: Walk, anchors: Anchors, pollution: Pollution
    ) -> None:
        self._context = context
        self._walk = walk
        self._anchors = anchors
        self._pollution = pollution
        self._barren_passes = 0
        self.behind: Callable[[float | None], Ahead] = partial(matrix_ahead, context)
        """What lies ahead when a pass takes so long in front of it; rounds say it."""

    @property
    def is_barren(self) -> bool:
        """Whether the last passes have gained nothing: the machine stays as it is."""
        return self._barren_passes >= BARREN_PASSES

    def run(self, progress: Progress) -> None:
        """Make the retry passes that are left. Raises ServersGone, Doomed."""
        if self._context.plan.purpose == MATRIX:
            self.make_passes(progress.retried, max(1, progress.retry_pass))

    def make_passes(
        self,
        retried: set[tuple[str, int]],
        first: int = 1,
        fits: Callable[[Sequence[PlannedRun]], bool] | None = None,
    ) -> None:
        """Make passes from `first` on over what was not `retried` in them, and add it.

        `fits` says whether there is time for so many runs. Raises ServersGone, Doomed.
        """
        plan = self._context.plan
        by_id = {run.run_id: run for run in plan.runs}
        found = self._pollution.list_curable()
        for number in range(first, plan.polluted_retries + 1):
            curable = [run for run in found if (run.run_id, number) not in retried]
            runs = [by_id[run.run_id] for run in curable]
            if not runs or (fits is not None and not fits(runs)):
                return
            self._wait(curable)
            self._run_pass(number, [run.run_id for run in curable])
            retried.update((run.run_id, number) for run in curable)
            self._anchors.close()
            found = self._pollution.list_curable()
            left = {run.run_id for run in found}
            has_gained = any(run.run_id not in left for run in curable)
            self._barren_passes = 0 if has_gained else self._barren_passes + 1

    def _wait(self, polluted: Sequence[PollutedRun]) -> None:
        drifted = any(run.has_drifted for run in polluted)
        seconds = COOL_DOWN_SECONDS if drifted else WAIT_SECONDS
        count = len(polluted)
        runs = "1 run was" if count == 1 else f"{count} runs were"
        self._context.reporter.waits(
            f"{runs} disturbed or failed; running again in {seconds:.0f} s"
        )
        with self._context.interrupts.allowed():
            self._context.clock.sleep(seconds)

    def _run_pass(self, number: int, run_ids: Sequence[str]) -> None:
        by_id = {run.run_id: run for run in self._context.plan.runs}
        groups = self._by_target([by_id[run_id] for run_id in run_ids])
        self._context.reporter.extended(len(run_ids))
        for place, (target, group) in enumerate(groups, start=1):
            self._context.reporter.goes_on(self._ahead(groups[place - 1 :]))
            self._walk.run_again(target, group, number)
            self._anchors.run_if_due(target.ref.model_id)
            self._pollution.show()
            if place == TRIAL_BLOCKS < len(groups) and not self._has_gained(run_ids):
                self._context.reporter.note(
                    "what disturbs the machine has not gone by; the other polluted "
                    "runs are not run again"
                )
                return

    def _ahead(self, groups: Sequence[tuple[Target, list[PlannedRun]]]) -> Ahead:
        """What is left of this pass, and of the sweep behind it."""
        forecast = self._context.forecast
        seconds = forecast.seconds(run for _, runs in groups for run in runs)
        keys = ((target.ref.model_id, target.ref.quant_tag) for target, _ in groups)
        return replace(self.behind(seconds), next=tuple(keys))

    def _has_gained(self, run_ids: Sequence[str]) -> bool:
        """Whether any of these runs has a clean attempt by now."""
        still = {run.run_id for run in self._pollution.list_curable()}
        return any(run_id not in still for run_id in run_ids)

    def _by_target(
        self, runs: Sequence[PlannedRun]
    ) -> list[tuple[Target, list[PlannedRun]]]:
        """Runs by model and quant, so that each quant is loaded once."""
        groups: dict[tuple[str, str], list[PlannedRun]] = {}
        for run in runs:
            groups.setdefault((run.model_id, run.quant_tag), []).append(run)
        plan = self._context.plan
        return [(plan.target(*key), group) for key, group in groups.items()]
