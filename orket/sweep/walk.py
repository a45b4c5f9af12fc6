"""Runs blocks of the plan: whole, or what an earlier executor left of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from orket.planning.plan import Plan
from orket.planning.targets import Target
from orket.records import PlannedRun
from orket.sweep.blocks import BlockRunner
from orket.sweep.context import Call, Context, planned_call
from orket.sweep.failures import ServersGone
from orket.sweep.resume import Progress
from orket.sweep.rows import extra_warmups


class Walk:
    """Runs planned runs, each once, as long as a server is there."""

    def __init__(
        self, context: Context, blocks: BlockRunner, progress: Progress
    ) -> None:
        self._context = context
        self._blocks = blocks
        self._progress = progress

    def run_block(self, block: Sequence[PlannedRun]) -> None:
        """Run a block of the plan, or what is missing of it.

        Raises ServersGone behind a block that lost the last server, Doomed.
        """
        target = self._context.plan.target(block[0].model_id, block[0].quant_tag)
        missing = [run for run in block if not self._progress.is_done(run)]
        if len(missing) == len(block):
            calls = [planned_call(run) for run in block]
            self._blocks.run(target, calls, block[0].block_index)
            self._stop_if_gone()
            return
        self._context.reporter.extended(len(missing) - len(block))
        work = [run for run in missing if run.phase != "warmup"]
        if work:
            self.run_again(target, work, retry_pass=0)

    def run_again(
        self, target: Target, runs: Sequence[PlannedRun], retry_pass: int
    ) -> None:
        """Run planned runs in a block of their own, behind warm-ups of their own."""
        warmups = extra_warmups(self._context, target, runs[0].test_id)
        calls = [
            *warmups,
            *(Call(run.run_id, run.phase, run.test_id, run.repetition) for run in runs),
        ]
        self._context.reporter.extended(len(warmups))
        self._blocks.run(target, calls, self._context.take_block(), retry_pass)
        self._stop_if_gone()

    def _stop_if_gone(self) -> None:
        if cause := self._context.health.all_gone():
            raise ServersGone(cause)


def blocks_of(plan: Plan, phase: str) -> list[list[PlannedRun]]:
    """The blocks whose timed runs are of this phase, in order, warm-ups included."""
    blocks = [
        list(runs) for _, runs in groupby(plan.runs, key=lambda run: run.block_index)
    ]
    return [block for block in blocks if block[-1].phase == phase]
