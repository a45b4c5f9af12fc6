"""The whole machine on Linux: CPU time, load, pressure, swap and memory."""

from __future__ import annotations

import re
from pathlib import Path

from orket.machine.processes import ticks_to_ns
from orket.machine.readings import KeptFile, Readings
from orket.machine.registry import ERROR, UNAVAILABLE

USER, NICE, SYSTEM, IDLE, IOWAIT, IRQ, SOFTIRQ, STEAL = range(8)
"""Columns of /proc/stat; guest time, behind them, is part of user and nice."""
MAX_IDLE_BACKSTEP_TICKS = 100
"""Idle and iowait may run back a little on a tickless kernel; beyond it is an error."""

_SWAP_IN = re.compile(rb"^pswpin (\S+)", re.MULTILINE)
_SWAP_OUT = re.compile(rb"^pswpout (\S+)", re.MULTILINE)
_AVAILABLE = re.compile(rb"^MemAvailable:\s+(\S+) kB", re.MULTILINE)
_PRESSURE_TOTAL = {
    b"some": re.compile(rb"^some .*total=(\S+)", re.MULTILINE),
    b"full": re.compile(rb"^full .*total=(\S+)", re.MULTILINE),
}


class HostCpu:
    """CPU time of all CPUs together, from the first line of /proc/stat."""

    fields = (
        "host_total_ns",
        "host_busy_ns",
        "host_idle_ns",
        "host_iowait_ns",
        "host_steal_ns",
    )

    def __init__(self, root: Path) -> None:
        self._stat = KeptFile(root / "proc/stat")
        self._held = {IDLE: 0, IOWAIT: 0}

    def read(self, into: Readings) -> None:
        content = self._stat.read(1024)
        if content is None:
            return self._miss(into, self._stat.status or UNAVAILABLE)
        try:
            ticks = [int(word) for word in content.split(b"\n", 1)[0].split()[1:9]]
        except ValueError:
            return self._miss(into, ERROR)
        if len(ticks) < 8 or min(ticks) < 0 or not content.startswith(b"cpu "):
            return self._miss(into, ERROR)
        for column, held in self._held.items():
            if 0 < held - ticks[column] <= MAX_IDLE_BACKSTEP_TICKS:
                ticks[column] = held
            self._held[column] = ticks[column]
        busy = ticks[USER] + ticks[NICE] + ticks[SYSTEM] + ticks[IRQ] + ticks[SOFTIRQ]
        into.put("host_total_ns", ticks_to_ns(sum(ticks)))
        into.put("host_busy_ns", ticks_to_ns(busy))
        into.put("host_idle_ns", ticks_to_ns(ticks[IDLE]))
        into.put("host_iowait_ns", ticks_to_ns(ticks[IOWAIT]))
        into.put("host_steal_ns", ticks_to_ns(ticks[STEAL]))

    def _miss(self, into: Readings, status: str) -> None:
        for field in self.fields:
            into.miss(field, status)

    def close(self) -> None:
        self._stat.close()


class Load:
    """The load average of the last minute."""

    def __init__(self, root: Path) -> None:
        self._loadavg = KeptFile(root / "proc/loadavg")

    def read(self, into: Readings) -> None:
        content = self._loadavg.read(128)
        if content is None:
            return into.miss("load1_milli", self._loadavg.status or UNAVAILABLE)
        try:
            into.put("load1_milli", round(float(content.split()[0]) * 1000))
        except (ValueError, IndexError, OverflowError):
            into.miss("load1_milli", ERROR)

    def close(self) -> None:
        self._loadavg.close()


class MatchedNumber:
    """One whole number that a pattern finds in a file, times a factor."""

    def __init__(
        self, field: str, kept: KeptFile, pattern: re.Pattern[bytes], factor: int = 1
    ) -> None:
        self._field = field
        self._kept = kept
        self._pattern = pattern
        self._factor = factor

    def read(self, into: Readings) -> None:
        self.judge(self._kept.read(), into)

    def judge(self, content: bytes | None, into: Readings) -> None:
        """Take the number out of `content`, which a sibling may have read."""
        if content is None:
            return into.miss(self._field, self._kept.status or UNAVAILABLE)
        found = self._pattern.search(content)
        if found is None:
            return into.miss(self._field)
        try:
            into.put(self._field, int(found.group(1)) * self._factor)
        except ValueError:
            into.miss(self._field, ERROR)

    def close(self) -> None:
        self._kept.close()


class Swap:
    """Swap traffic since the machine started."""

    def __init__(self, root: Path, page_bytes: int) -> None:
        self._vmstat = KeptFile(root / "proc/vmstat")
        self._numbers = [
            MatchedNumber("swap_in_bytes", self._vmstat, _SWAP_IN, page_bytes),
            MatchedNumber("swap_out_bytes", self._vmstat, _SWAP_OUT, page_bytes),
        ]

    def read(self, into: Readings) -> None:
        content = self._vmstat.read()
        for number in self._numbers:
            number.judge(content, into)

    def close(self) -> None:
        self._vmstat.close()


def watch_pressure(root: Path, resource: str, line: str, field: str) -> MatchedNumber:
    """Stall time of one resource; `line` is some or full."""
    kept = KeptFile(root / "proc/pressure" / resource)
    return MatchedNumber(field, kept, _PRESSURE_TOTAL[line.encode()])


def watch_available_memory(root: Path) -> MatchedNumber:
    """Memory that could be given out without swapping."""
    kept = KeptFile(root / "proc/meminfo")
    return MatchedNumber("available_memory_bytes", kept, _AVAILABLE, 1024)
