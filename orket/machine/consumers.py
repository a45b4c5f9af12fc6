"""Who uses the CPU: every process that the system lets this user see."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass

PPM = 1_000_000
NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU time that a process had used when it was looked at."""

    name: str
    parent: int | None
    used_ns: int


@dataclass(frozen=True, slots=True)
class Users:
    """Every process at one moment, by pid and start: a pid may be given again."""

    at_ns: int
    processes: dict[tuple[int, float], Usage]

    def tree(self, roots: Iterable[int]) -> set[int]:
        """These pids and everything below them."""
        children: dict[int | None, list[int]] = {}
        for (pid, _), usage in self.processes.items():
            children.setdefault(usage.parent, []).append(pid)
        found: set[int] = set()
        waiting = list(roots)
        while waiting:
            pid = waiting.pop()
            if pid not in found:
                found.add(pid)
                waiting += children.get(pid, [])
        return found


def read_users() -> Users:
    """Every process now; what cannot be seen is left out. Takes milliseconds."""
    import psutil

    processes = {}
    for process in psutil.process_iter(["name", "ppid", "cpu_times", "create_time"]):
        told = process.info
        if told["cpu_times"] is None or told["create_time"] is None:
            continue
        used = told["cpu_times"].user + told["cpu_times"].system
        name = str(told["name"] or "a process without a name")
        key = (process.pid, told["create_time"])
        processes[key] = Usage(name, told["ppid"], round(used * NS))
    return Users(time.monotonic_ns(), processes)


def rank_users(
    before: Users, after: Users, total_ns: int, without: Iterable[int] = ()
) -> list[tuple[str, int]]:
    """Names with their share of `total_ns` of CPU time in ppm, the greatest first.

    Those `without`, by pid, are none of them; nor is this process.
    """
    if total_ns <= 0:
        return []
    out = {*without, os.getpid()}
    shares = [
        (
            (usage.used_ns - earlier.used_ns) * PPM // total_ns,
            f"{usage.name} (pid {pid})",
        )
        for (pid, start), usage in after.processes.items()
        if pid not in out
        and (earlier := before.processes.get((pid, start))) is not None
    ]
    shares.sort(key=lambda entry: (-entry[0], entry[1]))
    return [(name, share) for share, name in shares if share > 0]


LEAST_SHARE_PPM = 10_000
"""Who uses less of the machine disturbs nobody, and is not named for it."""


def find_busiest(
    before: Users, after: Users, own: Iterable[int]
) -> tuple[str, int] | None:
    """The greatest foreign program between two looks, with its share of the machine.

    In ppm, over all processes of its name. `own` are the processes that are measured;
    what these and Orket started is no foreign program. None where nobody stands out:
    what ran and ended between the looks is in neither.
    """
    import psutil

    total_ns = (after.at_ns - before.at_ns) * (psutil.cpu_count() or 1)
    ours = after.tree([os.getpid(), *own])
    programs: dict[str, list[tuple[str, int]]] = {}
    for named, share in rank_users(before, after, total_ns, ours):
        programs.setdefault(named.rpartition(" (pid ")[0], []).append((named, share))
    if not programs:
        return None
    totals = {name: sum(share for _, share in ran) for name, ran in programs.items()}
    name = min(totals, key=lambda name: (-totals[name], name))
    if totals[name] < LEAST_SHARE_PPM:
        return None
    ran = programs[name]
    return ran[0][0] if len(ran) == 1 else f"{name} ({len(ran)} processes)", totals[
        name
    ]


def say_busiest(before: Users, after: Users, own: Iterable[int]) -> str | None:
    """The same in words: `python (pid 7) uses 40 % of the CPUs`; None where nobody."""
    found = find_busiest(before, after, own)
    return f"{found[0]} uses {found[1] / 10_000:.0f} % of the CPUs" if found else None
