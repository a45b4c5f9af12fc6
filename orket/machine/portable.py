"""Sources of macOS and Windows, through psutil; NVML where there is a driver."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import psutil

from orket.machine.gpu import GpuEnergy, open_gpus
from orket.machine.readings import Readings, Source
from orket.machine.registry import DENIED

NS = 1_000_000_000
_BUSY = ("user", "nice", "system", "irq", "softirq", "interrupt", "dpc")
_COUNTED_IN_SYSTEM = ("interrupt", "dpc")
"""Windows counts these inside `system` too."""


class PortableHost:
    """CPU time, load, memory and power source of the whole machine."""

    def read(self, into: Readings) -> None:
        times = psutil.cpu_times()._asdict()
        parts = {k: v for k, v in times.items() if k not in _COUNTED_IN_SYSTEM}
        busy = [seconds for name, seconds in parts.items() if name in _BUSY]
        into.put("host_total_ns", _to_ns(sum(parts.values())))
        into.put("host_busy_ns", _to_ns(sum(busy)))
        into.put("host_idle_ns", _to_ns(times["idle"]))
        into.put("available_memory_bytes", psutil.virtual_memory().available)
        if hasattr(os, "getloadavg"):
            into.put("load1_milli", round(os.getloadavg()[0] * 1000))

    def close(self) -> None:
        """Nothing is open."""


class PortablePower:
    """Whether the machine runs on its battery."""

    def read(self, into: Readings) -> None:
        battery = psutil.sensors_battery()
        into.put("on_battery", battery is not None and battery.power_plugged is False)

    def close(self) -> None:
        """Nothing is open."""


class PortableTrees:
    """CPU time and memory of the server's process tree and of our own."""

    def __init__(self) -> None:
        self._own = psutil.Process()
        self._server: list[psutil.Process] = []
        self._children: list[psutil.Process] = []
        self._last_ns: dict[int, int] = {}
        self._totals_ns = {"server_cpu_ns": 0, "client_cpu_ns": 0}
        self._rss_peak_bytes: int | None = None
        self._denied = False

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._server]

    def attach(self, pids: Sequence[int]) -> None:
        roots = [process for process in map(_find_process, pids) if process]
        tree = {p.pid: p for root in roots for p in (root, *_list_children(root))}
        tree.pop(self._own.pid, None)
        self._server = list(tree.values())
        self._children = [
            child for child in _list_children(self._own) if child.pid not in tree
        ]
        watched = [self._own, *self._server, *self._children]
        self._last_ns = {
            process.pid: used_ns
            for process in watched
            if (used_ns := self._read_cpu_ns(process)) is not None
        }

    def read(self, into: Readings) -> None:
        alive = self._add_up("server_cpu_ns", self._server)
        self._add_up("client_cpu_ns", [self._own, *self._children])
        into.put("client_cpu_ns", self._totals_ns["client_cpu_ns"])
        if not alive:
            for field in ("server_cpu_ns", "server_rss_bytes"):
                into.miss(field, DENIED) if self._denied else into.miss(field)
            return
        into.put("server_cpu_ns", self._totals_ns["server_cpu_ns"])
        rss_bytes = sum(_read_rss_bytes(process) for process in self._server)
        into.put("server_rss_bytes", rss_bytes)
        self._rss_peak_bytes = max(self._rss_peak_bytes or 0, rss_bytes)

    def _add_up(self, field: str, processes: Sequence[psutil.Process]) -> bool:
        """Add what was used since the last reading; whether any process was read."""
        any_read = False
        for process in processes:
            now_ns = self._read_cpu_ns(process)
            if now_ns is None:
                continue
            any_read = True
            before_ns = self._last_ns.get(process.pid, now_ns)
            self._totals_ns[field] += max(0, now_ns - before_ns)
            self._last_ns[process.pid] = now_ns
        return any_read

    def _read_cpu_ns(self, process: psutil.Process) -> int | None:
        try:
            times = process.cpu_times()
        except psutil.AccessDenied:
            self._denied = True
            return None
        except psutil.Error:
            return None
        return _to_ns(times.user + times.system)

    def reset_peak(self) -> None:
        sizes = [_read_rss_bytes(process) for process in self._server]
        self._rss_peak_bytes = sum(sizes) or None

    def read_peak_bytes(self) -> int | None:
        return self._rss_peak_bytes

    def close(self) -> None:
        """Nothing is open."""


class PortablePlatform:
    """All sources of macOS and Windows."""

    def __init__(self) -> None:
        self._trees = PortableTrees()
        self._gpus = open_gpus(Path("/"))
        self.quick: Sequence[Source] = (PortableHost(), self._trees)
        self.slow: Sequence[Source] = (
            PortablePower(),
            self._gpus,
            GpuEnergy(self._gpus),
        )

    def attach(self, pids: Sequence[int]) -> None:
        self._trees.attach(pids)
        self._gpus.attach(self._trees.pids)

    def reset_peak(self) -> None:
        self._trees.reset_peak()

    def read_peak_rss_bytes(self) -> int | None:
        return self._trees.read_peak_bytes()


def _find_process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except psutil.Error:
        return None


def _list_children(process: psutil.Process) -> list[psutil.Process]:
    try:
        found: list[psutil.Process] = process.children(recursive=True)
    except psutil.Error:
        return []
    return found


def _read_rss_bytes(process: psutil.Process) -> int:
    try:
        rss_bytes = int(process.memory_info().rss)
    except psutil.Error:
        return 0
    return rss_bytes


def _to_ns(seconds: float) -> int:
    return round(seconds * NS)
