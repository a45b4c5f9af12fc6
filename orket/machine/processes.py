"""Process trees on Linux: CPU time, memory and page faults, read from kept files."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from orket.machine.readings import KeptFile, list_names

NS = 1_000_000_000
_STAT_BYTES = 4096
_HIGH_WATER = re.compile(rb"VmHWM:\s+(\d+) kB")


def ticks_to_ns(ticks: int) -> int:
    """CPU clock ticks in nanoseconds."""
    return ticks * (NS // os.sysconf("SC_CLK_TCK"))


@dataclass(frozen=True, slots=True)
class ProcessReading:
    """What one process had used at one moment."""

    cpu_ns: int
    major_faults: int
    rss_bytes: int
    ended: bool = False
    """It has ended, and nobody has waited for it yet."""


def parse_stat(content: bytes) -> tuple[bytes, list[bytes]]:
    """State letter and the fields after it of a /proc/<pid>/stat.

    The name may hold spaces and brackets, so the last bracket counts. Field n of
    proc(5) is at index n - 4 of the list. Raises ValueError where it is none.
    """
    words = content[content.rindex(b")") + 2 :].split()
    if len(words) < 22:
        raise ValueError("too few fields")
    return words[0], words[1:]


class ProcessMeter:
    """Reads one process; the kept file is the process itself, not its number.

    When it has ended, reading fails, also when another has taken its pid.
    """

    def __init__(self, root: Path, pid: int) -> None:
        self.pid = pid
        folder = root / "proc" / str(pid)
        self._stat = KeptFile(folder / "stat")
        self._status = KeptFile(folder / "status")
        # The CPU clock of a process has nanoseconds where stat has ticks of 10 ms. It
        # belongs to the running kernel: a recorded tree has none.
        self._clock = (~pid << 3) | 2 if root == Path("/") else None
        self._page_bytes = os.sysconf("SC_PAGE_SIZE")

    @property
    def status(self) -> str | None:
        """Why the last reading gave nothing."""
        return self._stat.status

    def read(self) -> ProcessReading | None:
        """The process now; None when it has ended or cannot be read."""
        content = self._stat.read(_STAT_BYTES)
        if content is None:
            return None
        try:
            state, fields = parse_stat(content)
            cpu_ns = ticks_to_ns(int(fields[10]) + int(fields[11]))
            faults, pages = int(fields[8]), int(fields[20])
        except ValueError:
            return None
        if self._clock is not None:
            try:
                cpu_ns = time.clock_gettime_ns(self._clock)
            except OSError:
                self._clock = None
        rss_bytes = max(0, pages) * self._page_bytes
        return ProcessReading(cpu_ns, faults, rss_bytes, state in b"ZX")

    def read_high_water_bytes(self) -> int | None:
        """Peak resident memory since the process started (VmHWM); None when unknown."""
        found = _HIGH_WATER.search(self._status.read(8192) or b"")
        return int(found.group(1)) * 1024 if found else None

    def close(self) -> None:
        self._stat.close()
        self._status.close()


def read_parents(root: Path) -> dict[int, int]:
    """Parent of every process that can be seen."""
    parents = {}
    folder = root / "proc"
    for name in list_names(folder):
        if not name.isdigit():
            continue
        try:
            _, fields = parse_stat(_read_at_once(f"{folder}/{name}/stat"))
            parents[int(name)] = int(fields[0])
        except (OSError, ValueError):
            continue
    return parents


def _read_at_once(path: str) -> bytes:
    """A small file in one call: of hundreds of them, file objects cost most."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, _STAT_BYTES)
    finally:
        os.close(descriptor)


def find_tree(parents: dict[int, int], roots: Iterable[int]) -> list[int]:
    """`roots` and everything below them, sorted."""
    children: dict[int, list[int]] = {}
    for pid, parent in parents.items():
        children.setdefault(parent, []).append(pid)
    tree: set[int] = set()
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        if pid not in tree:
            tree.add(pid)
            waiting.extend(children.get(pid, ()))
    return sorted(tree)
