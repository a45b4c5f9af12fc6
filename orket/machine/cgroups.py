"""Control groups, v1 and v2: where a process is, its CPU quota and its throttling.

A quota can stand at any level above a process, so every level up to the mount's root
is looked at. Inside a container the path of a process may name folders of the host:
then the root of the mount is the container's own group.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orket.machine.readings import is_folder, is_there, read_number, read_text

NO_LIMIT_BYTES = 1 << 62
"""cgroup v1 says "no limit" by a number near 2**63."""


@dataclass(frozen=True, slots=True)
class CgroupPlace:
    """The levels of one controller above a process, the innermost first."""

    version: int
    levels: tuple[Path, ...]


def find_place(root: Path, pid: int | str, controller: str) -> CgroupPlace | None:
    """Where process `pid` stands under `controller`; None without control groups."""
    text = read_text(root / "proc" / str(pid) / "cgroup")
    if text is None:
        return None
    base = root / "sys/fs/cgroup"
    unified: str | None = None
    for line in text.splitlines():
        hierarchy, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if controller in names.split(","):
            return _climb(1, _find_v1_mount(base, names, controller), path)
        if hierarchy == "0" and not names:
            unified = path
    if unified is None:
        return None
    mount = base if is_there(base / "cgroup.controllers") else base / "unified"
    return _climb(2, mount, unified)


def _find_v1_mount(base: Path, names: str, controller: str) -> Path:
    joined = base / names
    return joined if is_folder(joined) else base / controller


def _climb(version: int, mount: Path, path: str) -> CgroupPlace | None:
    parts = [part for part in path.split("/") if part]
    levels = [mount.joinpath(*parts[:end]) for end in range(len(parts), -1, -1)]
    seen = tuple(level for level in levels if is_folder(level))
    if ".." in parts or not seen:
        seen = (mount,) if is_folder(mount) else ()
    return CgroupPlace(version, seen) if seen else None


def read_quota_milli(root: Path, pid: int | str = "self") -> int | None:
    """The tightest CPU quota above a process in 1/1000 CPU; None where there is none.

    A quota of one and a half CPUs is 1500.
    """
    place = find_place(root, pid, "cpu")
    if place is None:
        return None
    quotas = [_read_level_quota(place.version, level) for level in place.levels]
    return min((quota for quota in quotas if quota is not None), default=None)


def _read_level_quota(version: int, level: Path) -> int | None:
    if version == 2:
        words = (read_text(level / "cpu.max") or "").split()
        if len(words) != 2 or not (words[0].isdigit() and words[1].isdigit()):
            return None
        quota_us, period_us = int(words[0]), int(words[1])
    else:
        quota_us = read_number(level / "cpu.cfs_quota_us") or -1
        period_us = read_number(level / "cpu.cfs_period_us") or 0
    if quota_us <= 0 or period_us <= 0:
        return None
    return max(1, (quota_us * 1000 + period_us // 2) // period_us)


def read_memory_limit_bytes(root: Path, pid: int | str = "self") -> int | None:
    """The tightest memory limit above a process; None where there is none."""
    place = find_place(root, pid, "memory")
    if place is None:
        return None
    name = "memory.max" if place.version == 2 else "memory.limit_in_bytes"
    limits = [read_number(level / name) for level in place.levels]
    return min(
        (limit for limit in limits if limit is not None and limit < NO_LIMIT_BYTES),
        default=None,
    )


def find_throttle_files(root: Path, pid: int) -> list[Path] | None:
    """The cpu.stat of each level that can be throttled; None without control groups.

    A level without the CPU controller has no quota, so it is left out; one that may
    not be read stays in, so that its reading is missed.
    """
    place = find_place(root, pid, "cpu")
    if place is None:
        return None
    files = [level / "cpu.stat" for level in place.levels]
    return [path for path in files if _tells_throttling(path)]


def _tells_throttling(path: Path) -> bool:
    text = read_text(path)
    return is_there(path) if text is None else "throttled" in text


def parse_throttled_ns(content: bytes) -> int | None:
    """Throttled time in a cpu.stat: ns in v1 (`throttled_time`), us in v2."""
    for line in content.splitlines():
        name, _, value = line.partition(b" ")
        if name == b"throttled_usec":
            return int(value) * 1000
        if name == b"throttled_time":
            return int(value)
    return None
