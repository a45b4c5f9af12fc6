"""The observer: counters of the machine and the server, before and after each run.

It starts no thread: it reads when it is asked, and sleeps with the rest of Orket while
the model decodes. It never raises for want of a sensor, and never changes anything.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from orket.limits import MAX_READING
from orket.machine.readings import Readings, Source
from orket.machine.registry import (
    ERROR,
    UNAVAILABLE,
    UNSUPPORTED_PLATFORM,
    list_sensors,
    name_platform,
)
from orket.records import Counters

PACED_SHARE_INVERSE = 400
"""A slow source is read again when 400 times its cost has passed: 0.25 % of time."""

_SIGNED = frozenset({"gpu_temperature_milli_c"})
_OF_ONE_SERVER = ("server_tokens_generated", "cgroup_throttled_ns")
"""Counters that begin anew with another server."""
_TRAFFIC = ("server_requests_processing", "server_tokens_generated")


class Traffic(Protocol):
    """What a server says of its traffic; see `providers.contract.ServerLoad`."""

    @property
    def requests_processing(self) -> int | None: ...
    @property
    def tokens_generated(self) -> int | None: ...


class Platform(Protocol):
    """The sources of one operating system."""

    quick: Sequence[Source]
    """Read every time."""
    slow: Sequence[Source]
    """Paced: many files, or a driver in between."""

    def attach(self, pids: Sequence[int]) -> None: ...
    def reset_peak(self) -> None: ...
    def read_peak_rss_bytes(self) -> int | None: ...


class Paced:
    """A source that is read only so often that its cost stays a small share of time.

    In between, its last readings stand.
    """

    def __init__(self, source: Source, now_ns: Callable[[], int]) -> None:
        self._source = source
        self._now_ns = now_ns
        self._due_ns = 0
        self._cost_ns = 0
        self._last = Readings()

    def expire(self) -> None:
        """Read the source again at the next reading, whatever it costs."""
        self._due_ns = 0

    def read(self, into: Readings) -> None:
        start_ns = self._now_ns()
        if start_ns >= self._due_ns:
            self._last = Readings()
            read_safely(self._source, self._last)
            end_ns = self._now_ns()
            cost_ns = end_ns - start_ns
            # The lesser of two costs: one that was interrupted says nothing.
            share_ns = min(cost_ns, self._cost_ns or cost_ns) * PACED_SHARE_INVERSE
            self._due_ns, self._cost_ns = end_ns + share_ns, cost_ns
        into.values.update(self._last.values)
        into.gaps.update(self._last.gaps)
        into.broken = into.broken or self._last.broken

    def close(self) -> None:
        self._source.close()


class Observer:
    """Reads every sensor of `records.Counters` that this machine has.

    `root` is where proc/ and sys/ are found, so that a recorded machine can be read.
    """

    def __init__(
        self,
        root: Path = Path("/"),
        sys_platform: str = sys.platform,
        now_ns: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        platform = name_platform(sys_platform)
        sensors = list_sensors()
        self._counters = [s.field for s in sensors if s.kind == "counter"]
        self._unsupported = {
            s.field: UNSUPPORTED_PLATFORM
            for s in sensors
            if platform not in s.platforms
        }
        self._fields = [s.field for s in sensors]
        self._platform = _open_platform(platform, root)
        self._paced = [Paced(source, now_ns) for source in self._platform.slow]
        self._sources: list[Source] = [*self._platform.quick, *self._paced]
        self._last: dict[str, int] = {}
        self._gaps: dict[str, str] = {}
        self._gpu_peak_bytes: int | None = None
        self.watched: tuple[int, ...] = ()
        """Root processes of the server."""

    def attach(self, pids: Sequence[int], locality: str) -> None:
        """Watch the server whose root processes these are; none, where it is remote.

        Finds the whole process tree, which takes milliseconds: once for a block.
        """
        self.watched = () if locality == "remote" else tuple(pids)
        self._platform.attach(self.watched)
        for field in _OF_ONE_SERVER:
            self._last.pop(field, None)
        for paced in self._paced:
            paced.expire()
        self.reset_peak()

    def read(self, server_load: Traffic | None = None) -> Counters:
        """All sensors now. What has no reading is None and stands in `gaps`."""
        readings = Readings()
        for source in self._sources:
            read_safely(source, readings)
        _read_traffic(server_load, readings)
        self._judge(readings)
        self._note_gaps(readings)
        values = readings.values
        gpu_bytes = values.get("gpu_memory_server_bytes")
        if gpu_bytes is not None:
            self._gpu_peak_bytes = max(self._gpu_peak_bytes or 0, gpu_bytes)
        return Counters(**values)  # type: ignore[arg-type]

    def _judge(self, readings: Readings) -> None:
        """Turn what cannot be true into a gap: negative, too big, running back."""
        values, last = readings.values, self._last
        for field, value in list(values.items()):
            if abs(value) > MAX_READING or (value < 0 and field not in _SIGNED):
                del values[field]
                readings.miss(field, ERROR)
        for field in self._counters:
            now = values.get(field)
            if now is None:
                continue
            if now < last.get(field, 0):
                del values[field]
                readings.miss(field, ERROR)
            last[field] = now

    def _note_gaps(self, readings: Readings) -> None:
        gaps = {}
        untold = ERROR if readings.broken else UNAVAILABLE
        for field in self._fields:
            if field not in readings.values:
                unsupported = self._unsupported.get(field)
                gaps[field] = unsupported or readings.gaps.get(field, untold)
        self._gaps = gaps

    @property
    def gaps(self) -> list[str]:
        """What the last reading lacked, sorted, as field=status."""
        return sorted(f"{field}={status}" for field, status in self._gaps.items())

    def reset_peak(self) -> None:
        """Begin a new span for `peak`."""
        self._platform.reset_peak()
        self._gpu_peak_bytes = None

    def peak(self) -> tuple[int | None, int | None]:
        """Peak memory of the server since the reset: resident, and on GPUs; bytes."""
        return self._platform.read_peak_rss_bytes(), self._gpu_peak_bytes

    def host_load(self) -> int | None:
        """Load average of the last minute now, in 1/1000."""
        readings = Readings()
        for source in self._platform.quick:
            if "load1_milli" in readings.values:
                break
            read_safely(source, readings)
        load = readings.values.get("load1_milli")
        return None if load is None else int(load)

    def close(self) -> None:
        """Let go of every kept file."""
        for source in self._sources:
            source.close()

    def __enter__(self) -> Observer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_safely(source: Source, into: Readings) -> None:
    """Read a source; whatever goes wrong in it may cost its fields and never a run."""
    try:
        source.read(into)
    except Exception:
        into.broken = True


def _read_traffic(server_load: Traffic | None, into: Readings) -> None:
    if server_load is None:
        return
    figures = (server_load.requests_processing, server_load.tokens_generated)
    for field, figure in zip(_TRAFFIC, figures, strict=True):
        if figure is not None:
            into.put(field, figure)


def _open_platform(platform: str, root: Path) -> Platform:
    if platform == "linux" and hasattr(os, "sysconf"):
        from orket.machine.linux import LinuxPlatform

        return LinuxPlatform(root)
    from orket.machine.portable import PortablePlatform

    return PortablePlatform()
