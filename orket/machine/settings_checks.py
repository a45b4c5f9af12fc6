"""What the doctor reads from files: settings and limits that hold until changed."""

from __future__ import annotations

import re
from pathlib import Path

from orket.machine.cgroups import read_memory_limit_bytes, read_quota_milli
from orket.machine.environment import (
    find_container,
    read_chosen,
    read_governors,
    read_turbo,
)
from orket.machine.findings import OK, UNKNOWN, WARN, Finding
from orket.machine.hardware_state import Power, list_cpus
from orket.machine.readings import (
    Readings,
    is_there,
    list_names,
    read_number,
    read_text,
)
from orket.machine.topology import format_cpu_list

GIB = 1 << 30
GOOD_CLOCK_SOURCES = ("tsc", "arch_sys_counter", "kvm-clock", "hyperv", "xen")
THERMAL_HEADROOM_MILLI_C = 10_000
"""Nearer than this to the throttle point, a few minutes of load reach it."""


def check_governor(root: Path) -> Finding:
    found = read_governors(root)
    title = "CPU frequency governor"
    if found is None:
        return Finding(
            "governor", UNKNOWN, title, "not shown here, as in most virtual machines"
        )
    if found == "performance":
        return Finding("governor", OK, title, found)
    return Finding(
        "governor",
        WARN,
        title,
        f"{found}: short runs are timed while the clock is still rising",
        "sudo cpupower frequency-set -g performance",
    )


def check_turbo(root: Path) -> Finding:
    turbo = read_turbo(root)
    title = "Turbo"
    if turbo is None:
        return Finding("turbo", UNKNOWN, title, "not shown here")
    if not turbo:
        return Finding("turbo", OK, title, "off: the clock does not depend on heat")
    switch = "sys/devices/system/cpu/intel_pstate/no_turbo"
    command = (
        f"echo 1 | sudo tee /{switch}"
        if is_there(root / switch)
        else "echo 0 | sudo tee /sys/devices/system/cpu/cpufreq/boost"
    )
    return Finding(
        "turbo",
        WARN,
        title,
        "on: the clock falls as the CPU warms up",
        f"for the steadiest figures, {command}; else compare within one sweep",
    )


def check_cpus(root: Path, allowed: frozenset[int] | None) -> Finding:
    cpus = list_cpus(root)
    usable = len(allowed) if allowed is not None else len(cpus)
    title = "CPUs"
    if usable == 1:
        return Finding(
            "cpus",
            WARN,
            title,
            "one CPU: the model server and Orket take turns on it",
            "give the machine or the container a second CPU",
        )
    isolated = read_text(root / "sys/devices/system/cpu/isolated")
    beside = f", {isolated} isolated" if isolated else ""
    if allowed is not None and cpus and usable < len(cpus):
        return Finding(
            "cpus",
            OK,
            title,
            f"{usable} of {len(cpus)}: {format_cpu_list(allowed)}{beside}",
        )
    return Finding("cpus", OK, title, f"{usable}{beside}")


def check_power(root: Path) -> Finding:
    title = "Power"
    readings = Readings()
    power = Power(root)
    power.read(readings)
    power.close()
    on_battery = readings.values.get("on_battery")
    profile = read_text(root / "sys/firmware/acpi/platform_profile")
    if on_battery:
        return Finding(
            "power", WARN, title, "on battery: the CPU is held back", "plug it in"
        )
    if profile in ("low-power", "quiet", "cool"):
        return Finding(
            "power",
            WARN,
            title,
            f"power profile {profile}",
            "powerprofilesctl set performance",
        )
    if on_battery is None:
        return Finding("power", UNKNOWN, title, "not shown here")
    beside = f", profile {profile}" if profile else ""
    return Finding("power", OK, title, f"mains{beside}")


def check_heat(root: Path) -> Finding:
    """How far the hottest CPU sensor is from the point where it throttles."""
    title = "Thermal headroom"
    rooms = list(_read_headrooms(root))
    if not rooms:
        return Finding("heat", UNKNOWN, title, "no CPU temperature is shown here")
    room_milli_c, now_milli_c = min(rooms)
    detail = f"{now_milli_c / 1000:.0f} C, {room_milli_c / 1000:.0f} C below the limit"
    if room_milli_c < THERMAL_HEADROOM_MILLI_C:
        return Finding(
            "heat", WARN, title, detail, "let the machine cool, clear its air vents"
        )
    return Finding("heat", OK, title, detail)


def _read_headrooms(root: Path) -> list[tuple[int, int]]:
    """Headroom and temperature of each CPU sensor that has a limit."""
    rooms = []
    for chip in list_names(root / "sys/class/hwmon"):
        folder = root / "sys/class/hwmon" / chip
        if read_text(folder / "name") not in ("coretemp", "k10temp", "cpu_thermal"):
            continue
        for name in list_names(folder):
            if not re.fullmatch(r"temp\d+_input", name):
                continue
            now = read_number(folder / name)
            stem = name.removesuffix("_input")
            limit = read_number(folder / f"{stem}_max") or read_number(
                folder / f"{stem}_crit"
            )
            if now is not None and limit is not None and 0 < limit < 200_000:
                rooms.append((limit - now, now))
    return rooms


def check_container(root: Path) -> list[Finding]:
    title = "Container limits"
    quota_milli = read_quota_milli(root)
    limit_bytes = read_memory_limit_bytes(root)
    kind = find_container(root)
    parts = [f"in {kind}"] if kind else []
    if limit_bytes is not None:
        parts.append(f"memory limit {limit_bytes / GIB:.1f} GiB")
    if quota_milli is None:
        detail = ", ".join([*parts, "no CPU quota"])
        return [Finding("container", OK, title, detail)]
    return [
        Finding(
            "container",
            WARN,
            title,
            ", ".join([*parts, f"CPU quota {quota_milli / 1000:g}"]),
            "use no more threads than the quota has whole CPUs, or bind CPUs instead "
            "(docker run --cpuset-cpus), which never stops a thread in mid-run",
        )
    ]


def check_memory(root: Path) -> list[Finding]:
    """Memory now, swap space and huge pages."""
    text = read_text(root / "proc/meminfo")
    if text is None:
        return []
    kib = {
        key: int(value)
        for key, value in re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE)
    }
    total, available = kib.get("MemTotal"), kib.get("MemAvailable")
    findings = []
    if total and available is not None:
        tight = available * 10 < total
        findings.append(
            Finding(
                "memory",
                WARN if tight else OK,
                "Available memory",
                f"{available * 1024 / GIB:.1f} of {total * 1024 / GIB:.1f} GiB",
                "close programs: a model that does not fit is read from disk again "
                "and again"
                if tight
                else None,
            )
        )
    used = kib.get("SwapTotal", 0) - kib.get("SwapFree", 0)
    findings.append(
        Finding(
            "swap_space",
            OK,
            "Swap space",
            f"{used * 1024 / GIB:.1f} of {kib.get('SwapTotal', 0) * 1024 / GIB:.1f} "
            "GiB used",
        )
    )
    huge_pages = read_chosen(root / "sys/kernel/mm/transparent_hugepage/enabled")
    if huge_pages is not None:
        findings.append(Finding("huge_pages", OK, "Transparent huge pages", huge_pages))
    return findings


def check_clock(root: Path) -> Finding:
    title = "Clock source"
    path = "sys/devices/system/clocksource/clocksource0/current_clocksource"
    source = read_text(root / path)
    if source is None:
        return Finding("clock", UNKNOWN, title, "not shown here")
    if source.startswith(GOOD_CLOCK_SOURCES):
        return Finding("clock", OK, title, source)
    return Finding(
        "clock",
        WARN,
        title,
        f"{source}: slow to read, and each reading disturbs",
        "boot with clocksource=tsc where the CPU's counter is stable",
    )
