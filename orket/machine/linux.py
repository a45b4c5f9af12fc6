"""All sources of Linux."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from orket.machine.energy import PackageEnergy
from orket.machine.gpu import GpuEnergy, open_gpus
from orket.machine.hardware_state import Frequency, Power, Throttling
from orket.machine.host import (
    HostCpu,
    Load,
    Swap,
    watch_available_memory,
    watch_pressure,
)
from orket.machine.readings import Source
from orket.machine.trees import ClientTree, ServerTree, resolve_trees


class LinuxPlatform:
    """Reads /proc and /sys below `root`, and NVML where there is a driver."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._server = ServerTree(root)
        self._client = ClientTree(root, self._server)
        self._gpus = open_gpus(root)
        self.quick: Sequence[Source] = (
            Load(root),
            HostCpu(root),
            self._server,
            self._client,
            watch_pressure(root, "cpu", "some", "psi_cpu_some_us"),
            watch_pressure(root, "memory", "full", "psi_memory_full_us"),
            watch_pressure(root, "io", "full", "psi_io_full_us"),
            Swap(root, os.sysconf("SC_PAGE_SIZE")),
            watch_available_memory(root),
            PackageEnergy(root),
        )
        self.slow: Sequence[Source] = (
            Throttling(root),
            Frequency(root),
            Power(root),
            self._gpus,
            GpuEnergy(self._gpus),
        )

    def attach(self, pids: Sequence[int]) -> None:
        resolve_trees(self._root, self._server, self._client, pids)
        self._gpus.attach(self._server.pids)

    def reset_peak(self) -> None:
        self._server.reset_peak()

    def read_peak_rss_bytes(self) -> int | None:
        return self._server.read_peak_bytes()
