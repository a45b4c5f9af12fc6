"""The clocks of a sweep, injectable, so that a clock step can be tried without one."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the executor and the adapters know of time."""

    def monotonic_ns(self) -> int:
        """Nanoseconds on a clock that is never set; only differences mean anything."""
        ...

    def realtime_ns(self) -> int:
        """Nanoseconds since 1970 on the wall clock, which can step."""
        ...

    def now(self) -> datetime:
        """The wall clock as an aware UTC moment."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The clocks of this machine."""

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def realtime_ns(self) -> int:
        return time.time_ns()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
