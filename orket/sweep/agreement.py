"""Says how long a sweep will take, and asks whether it may."""

from __future__ import annotations

from orket.sweep.context import Context
from orket.sweep.interrupts import Interrupted
from orket.sweep.reporter import Ahead


class Agreement:
    """Tells what lies ahead before each block, and asks about it once it is known."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._asked = False
        self._known = False

    def seek(self, ahead: Ahead) -> None:
        """Tell what lies ahead; ask, unless that was done with a time that was known.

        Raises Interrupted where a person finds it too long.
        """
        reporter = self._context.reporter
        self._context.forecast.end_block(self._now())
        reporter.goes_on(ahead)
        is_known = ahead.is_known
        if not self._known and (is_known or not self._asked):
            self._ask(ahead)
        # What a person thought about it for is no time of a block.
        self._context.forecast.begin_block(self._now())

    def _ask(self, ahead: Ahead) -> None:
        reporter, is_known = self._context.reporter, ahead.is_known
        self._asked, self._known = True, is_known
        with self._context.interrupts.allowed():
            agreed = reporter.agrees(ahead, self._context.forecast.basis())
        if not agreed:
            raise Interrupted

    def _now(self) -> float:
        return self._context.clock.monotonic_ns() / 10**9
