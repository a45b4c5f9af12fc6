"""The live state of a sweep on stderr; in a pipe only what a person must know."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click

from orket.cli import messages
from orket.cli.fidelity_words import row_words
from orket.cli.live_screen import LiveScreen, can_redraw
from orket.cli.live_table import Board, Line, show_board
from orket.exports.figures import duration, time_words
from orket.planning.estimate import LONG_SECONDS
from orket.sweep.reporter import Ahead, Key, Standing
from orket.text import printable

if TYPE_CHECKING:
    from orket.planning.plan import Plan
    from orket.records import RunRecord


SAID_EVERY = 60.0
"""Seconds between two lines of how far it is, where there is no table to redraw."""


class SweepProgress:
    """A reporter that keeps a table on the terminal while the sweep runs."""

    def __init__(self, yes: bool = False, said_every: float = SAID_EVERY) -> None:
        self.watches = can_redraw()
        self._board = Board(())
        self._screen = LiveScreen(self._draw)
        self._is_live = False
        self._is_adaptive = False
        self._told_at = 0.0
        self._said_every = said_every
        self._started_at = self._last_said_at = time.monotonic()
        self._failed = 0
        self._cancelled = 0
        self._polluted: int | None = None
        self._yes = yes
        self._said: set[str] = set()

    def __enter__(self) -> SweepProgress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._screen.stop()
        if self._is_live:
            messages.note("reading the answer from what was recorded")

    def started(self, plan: Plan, total: int) -> None:
        """Say what begins, and open the table where it can be redrawn."""
        from orket.planning.fidelity import by_precision

        board = self._board
        board.total, board.budget = total, plan.budget_seconds
        self._is_adaptive = plan.is_adaptive
        board.quants = [
            (model.model_id, target.ref.quant_tag)
            for model in plan.models
            for target in by_precision(model.targets, model.controls)
        ]
        calls = f"{total} calls"
        if plan.is_adaptive:
            calls = f"at most {total} calls, as many as it takes"
        if plan.budget_seconds is not None:
            calls = f"at most {total} calls within {duration(plan.budget_seconds)}"
        messages.note(
            f"sweep {plan.sweep_id}: {calls}, control profile "
            + ", ".join(plan.control_profiles)
        )
        if self.watches:
            self._is_live = True
            self._screen.start()

    def loading(self, model_id: str, quant_tag: str) -> None:
        """Show what is being made resident."""
        self._show("loading", (model_id, quant_tag))

    def extended(self, calls: int) -> None:
        """More (or fewer) calls than planned lie ahead."""
        with self._screen.lock:
            self._board.total += calls

    def recorded(self, row: RunRecord) -> None:
        """Move on by one call."""
        key = (row.model_id, row.quant_tag)
        with self._screen.lock:
            self._board.calls += 1
            if row.phase == "matrix":
                self._board.asked.add(key)
            self._failed += row.call.outcome not in ("OK", "CANCELLED")
            self._cancelled += row.call.outcome == "CANCELLED"
        number = f", retry {row.retry_pass}" if row.retry_pass else ""
        repetition = f" {row.repetition}" if row.phase == "matrix" else ""
        doing = "repetition" if row.phase == "matrix" else row.phase
        if self._is_adaptive and row.phase == "matrix":
            doing, repetition = "asking", ""
        self._show(f"{doing}{repetition}{number},", key)

    def followed(self, model_id: str, quant_tag: str) -> None:
        """Move on by one prompt of the phase `fidelity`."""
        with self._screen.lock:
            self._board.calls += 1
        self._show("fidelity,", (model_id, quant_tag))

    def judged(self, polluted: int) -> None:
        """Show how many runs the view calls polluted so far."""
        self._polluted = polluted
        self._show()

    def stands(self, standing: Standing) -> None:
        """Show how the quants stand, by the views."""
        with self._screen.lock:
            self._board.standing = {_key(row): row for row in standing.quants}
            self._board.lines = standing.lines
            self._board.busiest = standing.busiest
            self._polluted = sum(row["polluted_runs"] for row in standing.quants)
        self._show()

    def faithful(self, quants: Sequence[Mapping[str, Any]]) -> None:
        """Show, and say, what the phase `fidelity` found."""
        with self._screen.lock:
            self._board.fidelity = {_key(row): row for row in quants}
        # The table of a terminal has a column for it already.
        for line in row_words(quants, with_table=not self._is_live):
            self.note(line)

    def agrees(self, ahead: Ahead, basis: str) -> bool:
        """Say how long the sweep will take; where it usually takes over an hour, a
        person at a terminal is asked.

        In a pipe nobody could answer: what was asked for is done.
        """
        # Rounds end where it is decided, and whenever they are stopped.
        takes = ahead.most if ahead.usual is None else ahead.usual
        if not ahead.is_known or takes is None:
            self.note("how long this will take cannot be told before the first answers")
            return True
        told = f", {basis}" if basis else ""
        repeats = ", and more where disturbed runs have to be repeated"
        more = "" if ahead.bound is not None else repeats
        span = time_words(ahead.mostly, ahead.whole, ahead.bound)
        self.note(f"what comes takes {span}{told}{more}")
        asks = sys.stderr.isatty() and sys.stdin.isatty() and not self._yes
        within = takes if ahead.bound is None else min(takes, ahead.bound)
        if within <= LONG_SECONDS or not asks:
            return True
        with self._screen.paused():
            return click.confirm("Go on?", default=True, err=True)

    def goes_on(self, ahead: Ahead) -> None:
        """Show what lies ahead by now."""
        with self._screen.lock:
            self._board.ahead = ahead
            self._told_at = time.monotonic()
        self._show()
        self._say_how_far(ahead)

    def _say_how_far(self, ahead: Ahead) -> None:
        now = time.monotonic()
        if self._is_live or now - self._last_said_at < self._said_every:
            return
        self._last_said_at = now
        calls, left = self._board.calls, ""
        if ahead.is_known:
            left = time_words(ahead.mostly, ahead.whole, ahead.bound, " left")
        made = f"{calls} call{'' if calls == 1 else 's'}"
        told = f"{made} in {duration(now - self._started_at)}"
        self.note(f"{told}; {left}" if left else told)

    def waits(self, text: str) -> None:
        """Show what is waited for; in a pipe it is a line like others."""
        if self._is_live:
            self._show(f"waiting: {text};")
        else:
            self.note(text)

    def note(self, text: str) -> None:
        """Say a line, above the table where there is one."""
        if self._is_live:
            if text not in self._said:
                # The table stays calm: what was said stands above it already.
                self._said.add(text)
                self._screen.say(printable(f"{messages.PROGRAM}: {text}"))
        else:
            messages.note(text)

    def _show(self, doing: str | None = None, place: Key | None = None) -> None:
        with self._screen.lock:
            board = self._board
            board.doing = doing or board.doing
            board.place = place or board.place
            board.troubles = describe_calls(
                self._failed, self._cancelled, self._polluted
            )
        if self._is_live:
            self._screen.update()

    def _draw(self, width: int, height: int) -> Sequence[Line]:
        self._board.since = time.monotonic() - self._told_at
        return show_board(self._board, width, height)


def describe_calls(failed: int, cancelled: int, polluted: int | None) -> str:
    """What a person must know of the calls so far; polluted None: not judged yet."""
    states = [f"{failed} failed"] if failed else []
    if cancelled:
        states.append(f"{cancelled} cancelled")
    if polluted is not None:
        states.append(f"{polluted} polluted")
    return ", ".join(states)


def _key(row: Mapping[str, Any]) -> Key:
    return row["model_id"], row["quant_tag"]
