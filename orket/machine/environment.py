"""Further facts of the machine that change: kernel, settings, container.

They stand beside the fingerprint and are not part of it. Allow-listed and read-only:
no host name, no user name, no paths of the user.
"""

from __future__ import annotations

import os
import platform
import re
from collections import Counter
from pathlib import Path

from orket.machine.cgroups import find_place, read_memory_limit_bytes
from orket.machine.hardware_state import list_cpus
from orket.machine.readings import is_there, list_names, read_number, read_text

Facts = dict[str, str | int | bool]

_CHOSEN = re.compile(r"\[(\S+)\]")
_FILES = {
    "scaling_driver": "sys/devices/system/cpu/cpu0/cpufreq/scaling_driver",
    "energy_preference": (
        "sys/devices/system/cpu/cpu0/cpufreq/energy_performance_preference"
    ),
    "amd_pstate": "sys/devices/system/cpu/amd_pstate/status",
    "smt": "sys/devices/system/cpu/smt/control",
    "cpus_isolated": "sys/devices/system/cpu/isolated",
    "clock_source": "sys/devices/system/clocksource/clocksource0/current_clocksource",
    "swappiness": "proc/sys/vm/swappiness",
    "aslr": "proc/sys/kernel/randomize_va_space",
    "power_profile": "sys/firmware/acpi/platform_profile",
    "machine_vendor": "sys/class/dmi/id/sys_vendor",
    "machine_model": "sys/class/dmi/id/product_name",
}


def read_environment(root: Path = Path("/")) -> Facts:
    """What can be read; a fact that cannot is left out."""
    facts: dict[str, str | int | bool | None] = {
        "python": platform.python_version(),
        "kernel": read_text(root / "proc/sys/kernel/osrelease") or platform.release(),
        "os_version": read_os_version(root),
        "libc": " ".join(platform.libc_ver()).strip() or None,
        "governor": read_governors(root),
        "turbo": read_turbo(root),
        "microcode": _find(root / "proc/cpuinfo", r"^microcode\s*: *(\S+)"),
        "virtualised": read_virtualised(root),
        "container": find_container(root),
        "cgroup_version": read_cgroup_version(root),
        "cpus_allowed": _find(
            root / "proc/self/status", r"^Cpus_allowed_list:\s*(\S+)"
        ),
        "memory_limit_bytes": read_memory_limit_bytes(root),
        "swap_total_bytes": read_swap_total_bytes(root),
        "huge_pages": read_chosen(root / "sys/kernel/mm/transparent_hugepage/enabled"),
        "numa_nodes": count_numa_nodes(root),
    }
    for name, path in _FILES.items():
        facts[name] = read_text(root / path) or None
    return {name: fact for name, fact in sorted(facts.items()) if fact is not None}


def read_governors(root: Path) -> str | None:
    """The frequency governor, or all of them with their counts where CPUs differ."""
    folder = root / "sys/devices/system/cpu"
    governors = Counter(
        governor
        for cpu in list_cpus(root)
        if (governor := read_text(folder / f"cpu{cpu}/cpufreq/scaling_governor"))
    )
    if len(governors) <= 1:
        return next(iter(governors), None)
    return ", ".join(f"{count} x {name}" for name, count in sorted(governors.items()))


def read_turbo(root: Path) -> bool | None:
    """Whether CPUs may exceed their base frequency."""
    folder = root / "sys/devices/system/cpu"
    no_turbo = read_number(folder / "intel_pstate/no_turbo")
    if no_turbo is not None:
        return no_turbo == 0
    boost = read_number(folder / "cpufreq/boost")
    return None if boost is None else boost == 1


def read_virtualised(root: Path) -> bool | None:
    """Whether the CPU says that a hypervisor runs it; only x86 says so."""
    flags = _find(root / "proc/cpuinfo", r"^flags\s*: *(.*)$")
    return None if flags is None else "hypervisor" in flags.split()


def find_container(root: Path) -> str | None:
    """The kind of container this process runs in, where it shows."""
    for path, kind in (
        (".dockerenv", "docker"),
        ("run/.containerenv", "podman"),
        ("var/run/secrets/kubernetes.io", "kubernetes"),
    ):
        if is_there(root / path):
            return kind
    named = (
        (os.environ.get("container") or "").strip()  # noqa: SIM112 (its real name)
        if root == Path("/")
        else ""
    )
    if named:
        return named
    places = read_text(root / "proc/self/cgroup") or ""
    found = re.search(r"docker|kubepods|containerd|lxc|libpod", places)
    return found.group(0) if found else None


def read_cgroup_version(root: Path) -> int | None:
    """Which version rules CPU time here."""
    place = find_place(root, "self", "cpu")
    return place.version if place else None


def read_swap_total_bytes(root: Path) -> int | None:
    """Size of all swap areas."""
    kib = _find(root / "proc/meminfo", r"^SwapTotal:\s+(\d+) kB")
    return int(kib) * 1024 if kib else None


def read_chosen(path: Path) -> str | None:
    """The bracketed word of a kernel setting like `always [madvise] never`."""
    found = _CHOSEN.search(read_text(path) or "")
    return found.group(1) if found else None


def read_os_version(root: Path) -> str | None:
    """Name and version of the distribution or system."""
    pretty = _find(root / "etc/os-release", r'^PRETTY_NAME="?([^"\n]+)')
    return pretty or (platform.version() if root == Path("/") else None)


def count_numa_nodes(root: Path) -> int | None:
    """Memory nodes; None where the kernel has no such notion."""
    names = list_names(root / "sys/devices/system/node")
    return sum(bool(re.fullmatch(r"node\d+", name)) for name in names) or None


def _find(path: Path, pattern: str) -> str | None:
    found = re.search(pattern, read_text(path) or "", re.MULTILINE)
    return found.group(1) if found else None
