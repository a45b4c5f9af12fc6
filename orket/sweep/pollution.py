"""What the views say of the runs so far, asked once in a while and told."""

from __future__ import annotations

from orket.errors import WarehouseError
from orket.sweep.context import Context
from orket.sweep.judge import Judge, PollutedRun

LOOK_SHARE_INVERSE = 20
"""The next look is due when 20 times what the last one took has passed: 5 % of time."""


class Pollution:
    """Asks the views which runs have no clean attempt yet, and how the quants stand."""

    def __init__(self, context: Context, judge: Judge) -> None:
        self._context = context
        self._judge = judge
        self._due_ns = 0
        self._is_blind = False

    def list_curable(self) -> list[PollutedRun]:
        """Polluted runs that another attempt could make clean; the reporter hears."""
        polluted = self._judge.list_polluted()
        self._context.reporter.judged(len(polluted))
        return [run for run in polluted if run.is_curable]

    def show(self) -> None:
        """Tell the reporter how the quants stand, where it looks, once in a while.

        Cheapest right behind a look that the executor takes for itself: the same rows
        are read once.
        """
        context = self._context
        began_ns = context.clock.monotonic_ns()
        if not context.reporter.watches or self._is_blind or began_ns < self._due_ns:
            return
        try:
            standing = self._judge.read_standing()
        except WarehouseError as error:
            # A sweep does not end because a look at it cannot be had.
            context.reporter.note(f"how the quants stand cannot be told: {error}")
            self._is_blind = True
            return
        context.reporter.stands(standing)
        ended_ns = context.clock.monotonic_ns()
        self._due_ns = ended_ns + (ended_ns - began_ns) * LOOK_SHARE_INVERSE
