"""Ctrl-C that never tears a record: it strikes only where waiting is safe."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_PATIENCE = 3
"""The third Ctrl-C ends the process even while it saves."""


class Interrupted(BaseException):
    """The user (or the system) asked to stop. Not an Exception: nothing may eat it."""


class Interrupts:
    """Holds Ctrl-C and SIGTERM back, but for the spans opened by `allowed`.

    A model call or a wait is broken off at once; writing a row or a part is finished
    first.
    """

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}
        self._open = False
        self._count = 0

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                self._before[number] = signal.signal(number, self._strike)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """A span that an interrupt may break off; one that waited strikes now."""
        self._open = True
        try:
            self.check()
            yield
        finally:
            self._open = False

    def check(self) -> None:
        """Stop here if an interrupt came while it was held back."""
        if self._count:
            raise Interrupted

    def _strike(self, number: int, frame: FrameType | None) -> None:
        self._count += 1
        if self._count >= _PATIENCE:
            raise KeyboardInterrupt
        if self._open:
            self._open = False
            raise Interrupted
