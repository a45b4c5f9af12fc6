"""Draws a block of lines at the foot of a terminal, and again where it stands.

It draws when it is told to, at most four times a second, and by itself only where
nothing was told for a second: a redraw costs a millisecond, and none of them falls into
a short call.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orket.cli.folding import columns_of, fold_line
from orket.cli.live_table import Line

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.live import Live

LEAST_GAP_SECONDS = 0.25
QUIET_SECONDS = 1.0
LEAST_COLUMNS, LEAST_ROWS = 20, 5

Draw = Callable[[int, int], Sequence[Line]]
"""Lines for a screen of this many columns and rows."""


def can_redraw() -> bool:
    """Whether stderr is a terminal that moves its cursor, with a person before it."""
    is_dumb = os.environ.get("TERM", "").casefold() in ("dumb", "unknown")
    return sys.stderr.isatty() and not is_dumb and not os.environ.get("CI")


class LiveScreen:
    """The block; `lock` guards whatever `draw` reads."""

    def __init__(self, draw: Draw) -> None:
        self.lock = threading.RLock()
        self._draw = draw
        self._live: Live | None = None
        self._drawn_at = 0.0
        self._ended = threading.Event()

    def start(self) -> None:
        """Begin to draw."""
        from rich.live import Live

        self._live = Live(
            _Block(self._draw),
            console=_open_console(),
            auto_refresh=False,
            transient=True,
            vertical_overflow="crop",
        )
        self._live.start()
        self._ended.clear()
        threading.Thread(target=self._keep_alive, daemon=True).start()

    def stop(self) -> None:
        """Take the block away."""
        live, self._live = self._live, None
        self._ended.set()
        if live is not None:
            with self.lock:
                live.stop()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """A span without the block, such as for a question."""
        was_live = self._live is not None
        self.stop()
        try:
            yield
        finally:
            if was_live:
                self.start()

    def update(self) -> None:
        """Draw, unless that was done a moment ago."""
        now = time.monotonic()
        if now - self._drawn_at >= LEAST_GAP_SECONDS:
            self._redraw(now)

    def say(self, text: str) -> None:
        """A line above the block, which stays."""
        from rich.text import Text

        live = self._live
        if live is not None:
            folded = "\n".join(fold_line(text, columns_of(sys.stderr)))
            with self.lock:
                live.console.print(Text(folded), soft_wrap=True)

    def _redraw(self, now: float) -> None:
        live = self._live
        if live is not None:
            with self.lock:
                self._drawn_at = now
                live.refresh()

    def _keep_alive(self) -> None:
        """The clock of the table goes on while a long call runs."""
        ended = self._ended
        while not ended.wait(QUIET_SECONDS / 4):
            now = time.monotonic()
            if now - self._drawn_at >= QUIET_SECONDS:
                self._redraw(now)


class _Block:
    """The lines as rich draws them; none is measured or broken by it."""

    def __init__(self, draw: Draw) -> None:
        self._draw = draw

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> RenderResult:
        from rich.segment import Segment
        from rich.style import Style

        screen = shutil.get_terminal_size()
        # A full last column would make some terminals begin a line of their own.
        lines = self._draw(
            max(screen.columns - 1, LEAST_COLUMNS), max(screen.lines - 1, LEAST_ROWS)
        )
        strong = Style(bold=True)
        for line in lines:
            yield Segment(line.text, strong if line.is_strong else None)
            yield Segment.line()


def _open_console() -> Console:
    from rich.console import Console

    return Console(
        stderr=True,
        markup=False,
        emoji=False,
        highlight=False,
        color_system=None if os.environ.get("NO_COLOR") else "auto",
    )
