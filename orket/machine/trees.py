"""The model server's process tree and Orket's own, as sources of readings on Linux."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Sequence
from pathlib import Path

from orket.machine.cgroups import find_throttle_files, parse_throttled_ns
from orket.machine.processes import (
    NS,
    ProcessMeter,
    ProcessReading,
    find_tree,
    read_parents,
)
from orket.machine.readings import KeptFile, Readings
from orket.machine.registry import DENIED, ERROR, UNAVAILABLE


class ServerTree:
    """The server's processes as one meter that never runs backwards.

    Times and faults are summed up from differences, so that a child that ends, or
    another server after a reload, takes nothing away that was counted before.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._meters: list[ProcessMeter] = []
        self._last: dict[int, ProcessReading] = {}
        self._ended_ns = 0
        self._cpu_ns = 0
        self._faults = 0
        self._missing = UNAVAILABLE
        self._throttle_files: list[KeptFile] | None = None
        self._rss_peaks: dict[int, int] = {}
        self._high_waters: dict[int, int | None] = {}

    @property
    def pids(self) -> frozenset[int]:
        return frozenset(meter.pid for meter in self._meters)

    @property
    def ended_ns(self) -> int:
        """CPU time that ended processes of this tree had used when last seen."""
        return self._ended_ns

    def attach(self, tree: Sequence[int]) -> None:
        """Watch these processes from now on, and no others."""
        self.close()
        self._missing = UNAVAILABLE
        self._meters = [ProcessMeter(self._root, pid) for pid in tree]
        for meter in self._meters:
            found = meter.read()
            if found is not None:
                self._last[meter.pid] = found
            elif meter.status == DENIED:
                self._missing = DENIED
        if tree:
            paths = find_throttle_files(self._root, tree[0])
            if paths is not None:
                self._throttle_files = [KeptFile(path) for path in paths]
        self.reset_peak()

    def read(self, into: Readings) -> None:
        rss_bytes, alive = 0, 0
        for meter in self._meters:
            before = self._last.get(meter.pid)
            if before is None:
                continue
            now = meter.read()
            if now is not None:
                self._cpu_ns += max(0, now.cpu_ns - before.cpu_ns)
                self._faults += max(0, now.major_faults - before.major_faults)
            if now is None or now.ended:
                del self._last[meter.pid]
                self._ended_ns += (now or before).cpu_ns
                continue
            alive += 1
            self._last[meter.pid] = now
            rss_bytes += now.rss_bytes
            if now.rss_bytes > self._rss_peaks.get(meter.pid, 0):
                self._rss_peaks[meter.pid] = now.rss_bytes
        if alive:
            into.put("server_cpu_ns", self._cpu_ns)
            into.put("server_major_faults", self._faults)
            into.put("server_rss_bytes", rss_bytes)
        else:
            for field in ("server_cpu_ns", "server_major_faults", "server_rss_bytes"):
                into.miss(field, self._missing)
        self._read_throttling(into)

    def _read_throttling(self, into: Readings) -> None:
        if self._throttle_files is None:
            return into.miss("cgroup_throttled_ns")
        total_ns = 0
        for kept in self._throttle_files:
            content = kept.read(4096)
            if content is None:
                return into.miss("cgroup_throttled_ns", kept.status or UNAVAILABLE)
            try:
                throttled_ns = parse_throttled_ns(content)
            except ValueError:
                throttled_ns = None
            if throttled_ns is None:
                return into.miss("cgroup_throttled_ns", ERROR)
            total_ns += throttled_ns
        into.put("cgroup_throttled_ns", total_ns)

    def reset_peak(self) -> None:
        self._rss_peaks = {pid: seen.rss_bytes for pid, seen in self._last.items()}
        self._high_waters = {
            meter.pid: meter.read_high_water_bytes() for meter in self._meters
        }

    def read_peak_bytes(self) -> int | None:
        """Peak resident memory since the reset, summed over the processes.

        Where the high-water mark of a process grew since the reset, the mark is its
        peak; else the peak is the most that was seen at the readings.
        """
        if not self._rss_peaks:
            return None
        total_bytes = 0
        for meter in self._meters:
            peak_bytes = self._rss_peaks.get(meter.pid, 0)
            mark = meter.read_high_water_bytes()
            mark_before = self._high_waters.get(meter.pid)
            if mark is not None and mark_before is not None and mark > mark_before:
                peak_bytes = max(peak_bytes, mark)
            total_bytes += peak_bytes
        return total_bytes

    def close(self) -> None:
        for meter in self._meters:
            meter.close()
        for kept in self._throttle_files or ():
            kept.close()
        self._meters = []
        self._last = {}
        self._throttle_files = None


class ClientTree:
    """Orket's own process and its children, the server's tree left out."""

    def __init__(self, root: Path, server: ServerTree) -> None:
        self._root = root
        self._server = server
        self._own_pid = os.getpid()
        # Children started later by the main thread are found here at each reading;
        # those of other threads only when a server is attached.
        task = root / "proc" / str(self._own_pid) / "task" / str(self._own_pid)
        self._children = KeptFile(task / "children")
        self._meters: dict[int, ProcessMeter] = {}
        self._server_below_us = False
        self._server_ended_ns = 0
        self._excluded_ns = 0
        self._highest_ns = 0

    def attach(self, parents: dict[int, int]) -> None:
        """Find our children anew; `parents` are all processes now."""
        for meter in self._meters.values():
            meter.close()
        own = set(find_tree(parents, [self._own_pid])) - {self._own_pid}
        self._server_below_us = bool(own & self._server.pids)
        self._meters = {
            pid: ProcessMeter(self._root, pid) for pid in own - self._server.pids
        }

    def read(self, into: Readings) -> None:
        self._find_new_children()
        total_ns = time.process_time_ns() + self._read_waited_for_ns()
        for pid, meter in list(self._meters.items()):
            now = meter.read()
            if now is None:
                meter.close()
                del self._meters[pid]
            else:
                total_ns += now.cpu_ns
        self._highest_ns = max(self._highest_ns, total_ns)
        into.put("client_cpu_ns", self._highest_ns)

    def _find_new_children(self) -> None:
        for word in (self._children.read(4096) or b"").split():
            pid = int(word)
            if pid not in self._meters and pid not in self._server.pids:
                self._meters[pid] = ProcessMeter(self._root, pid)

    def _read_waited_for_ns(self) -> int:
        """CPU time of children that ended, without what a dead server had used."""
        ended_ns = self._server.ended_ns
        if self._server_below_us:
            self._excluded_ns += ended_ns - self._server_ended_ns
        self._server_ended_ns = ended_ns
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        waited_ns = int((usage.ru_utime + usage.ru_stime) * NS)
        return max(0, waited_ns - self._excluded_ns)

    def close(self) -> None:
        self._children.close()
        for meter in self._meters.values():
            meter.close()
        self._meters = {}


def resolve_trees(
    root: Path, server: ServerTree, client: ClientTree, pids: Sequence[int]
) -> None:
    """Find the server's and our own processes, once for a block.

    Our own process is never the server's, not even when a server runs inside it.
    """
    parents = read_parents(root)
    tree = [pid for pid in find_tree(parents, pids) if pid != os.getpid()]
    server.attach(tree)
    client.attach(parents)
