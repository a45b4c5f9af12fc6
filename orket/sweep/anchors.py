"""Anchor runs: the canary cell measured again during the matrix, to see drift.

The view compares them with the canary and marks the runs in between; the executor only
sees to it that they are there.
"""

from __future__ import annotations

from collections.abc import Mapping

from orket.sweep.blocks import BlockRunner
from orket.sweep.context import Context
from orket.sweep.rows import extra_call, extra_warmups

ANCHOR_CALLS = 3
"""Calls of one anchor; the view takes their median."""


class Anchors:
    """Measures the canary cell again when the plan's interval has passed."""

    def __init__(
        self, context: Context, blocks: BlockRunner, calls: Mapping[str, int]
    ) -> None:
        """`calls` counts what earlier executors made: numbers go on from there."""
        self._context = context
        self._blocks = blocks
        self._cells = {cell.model_id: cell for cell in context.plan.canary}
        self._calls = dict(calls)
        self._last_ns = 0
        self._blocks_since = 0
        self._pending: str | None = None

    def start(self) -> None:
        """The interval begins: the canary has just been measured."""
        self._last_ns = self._context.clock.monotonic_ns()
        self._blocks_since = 0

    def run_if_due(self, model_id: str) -> None:
        """Measure after a block of this model when the interval has passed."""
        self._blocks_since += 1
        if self._pending not in (None, model_id):
            self.close()
        if self._is_due():
            self._measure(model_id)
        elif self._calls.get(model_id):
            self._pending = model_id

    def close(self) -> None:
        """Measure once more behind the last runs of a model that has anchors."""
        if self._pending is not None:
            self._measure(self._pending)

    def _is_due(self) -> bool:
        plan = self._context.plan
        passed_ns = self._context.clock.monotonic_ns() - self._last_ns
        return (
            0 < plan.anchor_every_seconds * 10**9 <= passed_ns
            or 0 < plan.anchor_every_blocks <= self._blocks_since
        )

    def _measure(self, model_id: str) -> None:
        self._pending = None
        cell = self._cells.get(model_id)
        if cell is not None:
            target = self._context.plan.target(model_id, cell.quant_tag)
            done = self._calls.get(model_id, 0)
            self._calls[model_id] = done + ANCHOR_CALLS
            calls = [
                *extra_warmups(self._context, target, cell.test_id),
                *(
                    extra_call(self._context, target, "anchor", cell.test_id, number)
                    for number in range(done + 1, done + ANCHOR_CALLS + 1)
                ),
            ]
            self._context.reporter.extended(len(calls))
            self._blocks.run(target, calls, self._context.take_block())
        self.start()
