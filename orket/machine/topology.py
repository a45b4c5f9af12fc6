"""Which CPUs share a physical core, and which this process may use, on Linux."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from orket.errors import UsageError
from orket.machine.hardware_state import list_cpus
from orket.machine.readings import read_text
from orket.text import whole_number

Core = tuple[int, int]
"""Package number and core number."""


def read_cores(root: Path) -> dict[int, Core]:
    """The physical core of each CPU; a CPU without topology is a core of its own."""
    cores = {}
    for cpu in list_cpus(root):
        folder = root / f"sys/devices/system/cpu/cpu{cpu}/topology"
        package = _read_id(folder / "physical_package_id", 0)
        cores[cpu] = (package, _read_id(folder / "core_id", cpu))
    return cores


def _read_id(path: Path, otherwise: int) -> int:
    text = read_text(path)
    try:
        number = int(text) if text else -1
    except ValueError:
        number = -1
    return number if number >= 0 else otherwise


def read_allowed_cpus() -> frozenset[int] | None:
    """CPUs this process may run on; None where the system does not tell."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    import psutil

    process = psutil.Process()
    if not hasattr(process, "cpu_affinity"):
        return None
    return frozenset(process.cpu_affinity())


def parse_cpu_list(text: str) -> tuple[int, ...]:
    """A list like `0,2-3` as sorted CPU numbers. Raises UsageError."""
    cpus: set[int] = set()
    for part in text.split(","):
        first, dash, last = (piece.strip() for piece in part.partition("-"))
        start, end = whole_number(first), whole_number(last if dash else first)
        if start is None or end is None:
            raise UsageError(
                f"not a CPU list: {text!r}", "write numbers and ranges, like 0,2-3"
            )
        if end < start or end > 65535:
            raise UsageError(
                f"not a CPU range: {part.strip()!r}", "the lower number comes first"
            )
        cpus.update(range(start, end + 1))
    return tuple(sorted(cpus))


def format_cpu_list(cpus: Iterable[int]) -> str:
    """Sorted CPU numbers as a list like `0,2-3`."""
    spans: list[list[int]] = []
    for cpu in sorted(set(cpus)):
        if spans and spans[-1][1] == cpu - 1:
            spans[-1][1] = cpu
        else:
            spans.append([cpu, cpu])
    return ",".join(
        str(first) if first == last else f"{first}-{last}" for first, last in spans
    )
