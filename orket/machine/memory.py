"""How much memory a model may take right now: the machine's, and that of its GPUs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orket.machine.cgroups import read_memory_limit_bytes
from orket.machine.gpu import read_free_gpu_bytes


@dataclass(frozen=True, slots=True)
class FreeMemory:
    """Bytes that are free; None where they cannot be read."""

    ram_bytes: int | None
    gpu_bytes: int | None = None
    """All NVIDIA GPUs together; None without one, or without its driver."""


def read_free_memory(root: Path = Path("/")) -> FreeMemory:
    """Memory that is free now: without swap, and within a container's limit."""
    import psutil

    free = int(psutil.virtual_memory().available)
    limit = read_memory_limit_bytes(root)
    if limit is not None:
        own = int(psutil.Process().memory_info().rss)
        free = min(free, max(0, limit - own))
    return FreeMemory(free, read_free_gpu_bytes())
