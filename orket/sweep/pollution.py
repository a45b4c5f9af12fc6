"""What the view says of the runs so far, asked once in a while and told."""

from __future__ import annotations

from orket.sweep.context import Context
from orket.sweep.judge import Judge, PollutedRun

JUDGE_EVERY_SECONDS = 60
"""Between two looks at how much is polluted: a look takes a second."""


class Pollution:
    """Asks the view which planned runs have no clean attempt yet."""

    def __init__(self, context: Context, judge: Judge) -> None:
        self._context = context
        self._judge = judge
        self._judged_ns = context.clock.monotonic_ns()

    def list_curable(self) -> list[PollutedRun]:
        """Polluted runs that another attempt could make clean; the reporter hears."""
        polluted = self._judge.list_polluted()
        self._context.reporter.judged(len(polluted))
        self._judged_ns = self._context.clock.monotonic_ns()
        return [run for run in polluted if run.is_curable]

    def show(self) -> None:
        """Tell the reporter what the view says by now, once in a while."""
        now_ns = self._context.clock.monotonic_ns()
        if now_ns - self._judged_ns >= JUDGE_EVERY_SECONDS * 10**9:
            self.list_curable()
