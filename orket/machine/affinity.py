"""CPU affinity: policy words turned into CPUs, set on a server and read back.

compact   the first N CPUs, core by core, the siblings of a core together
spread    the first N CPUs, one of each physical core before any sibling
none      no restriction: every CPU this process may use
0,2-3     exactly these

N is the number of threads asked for, or else of the physical cores allowed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from orket.errors import UsageError
from orket.machine.readings import list_names
from orket.machine.topology import (
    Core,
    format_cpu_list,
    parse_cpu_list,
    read_allowed_cpus,
    read_cores,
)

UNRESTRICTED = ("none", "server")


def resolve_affinity(
    policy: str,
    threads: int | None = None,
    *,
    allowed: Iterable[int] | None = None,
    root: Path = Path("/"),
) -> tuple[int, ...] | None:
    """The CPUs a policy means here, sorted; None where it restricts nothing.

    Raises UsageError for a policy that is none and for CPUs that are not allowed.
    """
    if policy in UNRESTRICTED:
        return None
    mask = read_allowed_cpus() if allowed is None else frozenset(allowed)
    if mask is None:
        raise UsageError(
            f"affinity {policy!r} cannot be set on {sys.platform}",
            "use the affinity policy none",
        )
    if policy in ("compact", "spread"):
        known = read_cores(root)
        cores = {cpu: known.get(cpu, (0, cpu)) for cpu in mask}
        wanted = threads or len(set(cores.values()))
        ordered = sort_compact(cores) if policy == "compact" else sort_spread(cores)
        return tuple(sorted(ordered[:wanted]))
    if not policy[:1].isdecimal():
        raise UsageError(
            f"unknown affinity policy {policy!r}",
            "use none, compact, spread or a CPU list like 0,2-3",
        )
    cpus = parse_cpu_list(policy)
    beyond = sorted(set(cpus) - mask)
    if beyond:
        raise UsageError(
            f"CPU {format_cpu_list(beyond)} of affinity {policy!r} is not available",
            f"this process may use the CPUs {format_cpu_list(mask)}",
        )
    return cpus


def sort_compact(cores: dict[int, Core]) -> list[int]:
    """CPUs core by core, siblings together."""
    return sorted(cores, key=lambda cpu: (cores[cpu], cpu))


def sort_spread(cores: dict[int, Core]) -> list[int]:
    """CPUs with one of each physical core first, then the second siblings."""
    seen: dict[Core, int] = {}
    rank = {}
    for cpu in sorted(cores):
        rank[cpu] = seen.get(cores[cpu], 0)
        seen[cores[cpu]] = rank[cpu] + 1
    return sorted(cores, key=lambda cpu: (rank[cpu], cores[cpu], cpu))


def read_affinity(pids: Sequence[int]) -> tuple[int, ...] | None:
    """CPUs that all threads of these processes may use, sorted.

    None where it cannot be read, and where threads differ: then no single answer is
    true.
    """
    masks: set[frozenset[int]] = set()
    try:
        for pid in pids:
            masks.update(_read_masks(pid))
    except (OSError, AttributeError):
        return None
    return tuple(sorted(masks.pop())) if len(masks) == 1 else None


def _read_masks(pid: int) -> set[frozenset[int]]:
    if not hasattr(os, "sched_getaffinity"):
        import psutil

        try:
            return {frozenset(psutil.Process(pid).cpu_affinity())}
        except psutil.Error as error:
            raise ProcessLookupError(str(error)) from error
    masks = set()
    for thread in _list_threads(pid):
        try:
            masks.add(frozenset(os.sched_getaffinity(thread)))
        except ProcessLookupError:
            if thread == pid:
                raise
    return masks


def describe_affinity(
    requested: str | None, pids: Sequence[int], threads: int | None = None
) -> str | None:
    """The affinity found in force: the requested word if it holds, else a CPU list.

    None where it cannot be read back.
    """
    found = read_affinity(pids)
    if found is None:
        return None
    if requested is not None and requested not in ("", "server"):
        wanted = resolve_affinity(requested, threads)
        everything = read_allowed_cpus()
        if set(found) == (everything if wanted is None else set(wanted)):
            return requested
    return format_cpu_list(found)


def _list_threads(pid: int) -> list[int]:
    return [int(name) for name in list_names(Path(f"/proc/{pid}/task"))] or [pid]
