"""The live state of a sweep on stderr; in a pipe only what a person must know."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

import click

from orket.cli import messages
from orket.exports.figures import duration
from orket.text import printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from orket.planning.plan import Plan
    from orket.records import RunRecord


ASK_BEYOND_SECONDS = 3600
"""A longer matrix is asked about, where somebody can answer."""


class SweepProgress:
    """A reporter that draws a progress line while the sweep runs."""

    def __init__(self, yes: bool = False) -> None:
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._total = 0
        self._calls = 0
        self._failed = 0
        self._cancelled = 0
        self._polluted: int | None = None
        self._place = ""
        self._left: str | None = None
        self._yes = yes

    def __enter__(self) -> SweepProgress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def started(self, plan: Plan, total: int) -> None:
        """Open the display, where stderr is a terminal."""
        self._total = total
        calls = f"{total} calls"
        if plan.is_adaptive:
            calls = f"at most {total} calls, as many as it takes"
        if plan.budget_seconds is not None:
            calls = f"at most {total} calls within {duration(plan.budget_seconds)}"
        messages.note(
            f"sweep {plan.sweep_id}: {calls}, control profile "
            + ", ".join(plan.control_profiles)
        )
        if sys.stderr.isatty():
            self._progress = _open_display()
            self._task = self._progress.add_task(
                "starting", total=total, state="", left=""
            )
            self._progress.start()

    def loading(self, model_id: str, quant_tag: str) -> None:
        """Show what is being made resident."""
        self._place = f"{model_id} {quant_tag}"
        self._draw(f"loading {self._place}")

    def extended(self, calls: int) -> None:
        """More (or fewer) calls than planned lie ahead."""
        self._total += calls
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, total=self._total)

    def recorded(self, row: RunRecord) -> None:
        """Move on by one call."""
        self._calls += 1
        self._failed += row.call.outcome not in ("OK", "CANCELLED")
        self._cancelled += row.call.outcome == "CANCELLED"
        number = f" retry {row.retry_pass}" if row.retry_pass else ""
        repetition = f" repetition {row.repetition}" if row.phase == "matrix" else ""
        self._draw(f"{row.phase} {self._place}{repetition}{number}", advance=1)

    def judged(self, polluted: int) -> None:
        """Show how many runs the view calls polluted so far."""
        self._polluted = polluted
        self._draw(None)

    def agrees(self, seconds: float | None, at_most: bool = False) -> bool:
        """Say how long the matrix will take; on a terminal, more than an hour is asked.

        In a pipe nobody could answer: what was asked for is done.
        """
        if seconds is None:
            self.note("how long the matrix will take cannot be told yet")
            return True
        if at_most:
            self.note(f"the rounds will take at most about {duration(seconds)}")
        else:
            self.note(
                f"the matrix will take about {duration(seconds)}, by the calls so far, "
                "and more where disturbed runs have to be repeated"
            )
        asks = sys.stderr.isatty() and sys.stdin.isatty() and not self._yes
        if seconds <= ASK_BEYOND_SECONDS or not asks:
            return True
        with self._paused():
            return click.confirm("Go on?", default=True, err=True)

    def left(self, seconds: float | None) -> None:
        """Show how long the planned calls that are left will take."""
        self._left = None if seconds is None else f"{duration(seconds)} left"
        self._draw(None)

    @contextmanager
    def _paused(self) -> Iterator[None]:
        if self._progress is not None:
            self._progress.stop()
        try:
            yield
        finally:
            if self._progress is not None:
                self._progress.start()

    def note(self, text: str) -> None:
        """Say a line, above the display where there is one."""
        if self._progress is None:
            messages.note(text)
            return
        from rich.text import Text

        line = Text(f"{messages.PROGRAM}: {printable(text)}")
        self._progress.console.print(line, soft_wrap=True)

    def _draw(self, description: str | None, advance: int = 0) -> None:
        if self._progress is None or self._task is None:
            return
        self._progress.update(
            self._task,
            advance=advance,
            description=description,
            left=self._left or "",
            state=describe_calls(self._failed, self._cancelled, self._polluted),
        )


def describe_calls(failed: int, cancelled: int, polluted: int | None) -> str:
    """What a person must know of the calls so far; polluted None: not judged yet."""
    states = [f"{failed} failed"] if failed else []
    if cancelled:
        states.append(f"{cancelled} cancelled")
    if polluted is not None:
        states.append(f"{polluted} polluted")
    return ", ".join(states)


def _open_display() -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    return Progress(
        # Names of models are not ours: no markup.
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}", markup=False),
        TextColumn("{task.fields[state]}", markup=False),
        console=Console(stderr=True, markup=False, emoji=False, highlight=False),
        refresh_per_second=4,
        transient=True,
    )
