"""What the views say of the runs so far, asked once in a while and told."""

from __future__ import annotations

import time
from dataclasses import replace

from orket.errors import WarehouseError
from orket.machine.consumers import Users, read_users, say_busiest
from orket.sweep.context import Context
from orket.sweep.judge import Judge, PollutedRun
from orket.sweep.reporter import Standing

LOOK_SHARE_INVERSE = 20
"""The next look is due when 20 times what the last one cost has passed: 5 % of it."""
FIRST_COST_SECONDS = 1
"""CPU time of a look, before one was taken."""


class Pollution:
    """Asks the views which runs have no clean attempt yet, and how the quants stand."""

    def __init__(self, context: Context, judge: Judge, has_rows: bool = False) -> None:
        """`has_rows`: an earlier executor left some, so that a look tells something."""
        self._context = context
        self._judge = judge
        first_ns = FIRST_COST_SECONDS * 10**9 * LOOK_SHARE_INVERSE
        now_ns = context.clock.monotonic_ns()
        self._due_ns = now_ns if has_rows else now_ns + first_ns
        self._is_blind = False
        self._users: Users | None = read_users() if context.reporter.watches else None
        self._quants = {
            run.run_id: (run.model_id, run.quant_tag) for run in context.plan.runs
        }

    def list_curable(self) -> list[PollutedRun]:
        """Polluted runs that another attempt could make clean; the reporter hears.

        What cannot be loaded is not tried again.
        """
        polluted, health = self._judge.list_polluted(), self._context.health
        self._context.reporter.judged(len(polluted))
        return [
            run
            for run in polluted
            if run.is_curable and health.left_out(*self._quants[run.run_id]) is None
        ]

    def show(self) -> None:
        """Tell the reporter how the quants stand, where it looks, once in a while.

        Cheapest right behind a look that the executor takes for itself: the same rows
        are read once.
        """
        context = self._context
        is_due = context.clock.monotonic_ns() >= self._due_ns
        if not context.reporter.watches or self._is_blind or not is_due:
            return
        began_ns = time.process_time_ns()
        try:
            standing = self._judge.read_standing()
        except WarehouseError as error:
            # A sweep does not end because a look at it cannot be had.
            context.reporter.note(f"how the quants stand cannot be told: {error}")
            self._is_blind = True
            return
        context.reporter.stands(self._name(standing))
        # By CPU time: on a busy machine the clock also tells what others did meanwhile.
        cost_ns = time.process_time_ns() - began_ns
        self._due_ns = context.clock.monotonic_ns() + cost_ns * LOOK_SHARE_INVERSE

    def _name(self, standing: Standing) -> Standing:
        """The same with the program that disturbs, where any run was disturbed."""
        before, self._users = self._users, read_users()
        if before is None or not any(row["polluted_runs"] for row in standing.quants):
            return standing
        watched = self._context.observer.watched
        return replace(standing, busiest=say_busiest(before, self._users, watched))
