"""Heat, clock frequency and power source, from /sys on Linux."""

from __future__ import annotations

from pathlib import Path

from orket.machine.readings import (
    KeptFile,
    Readings,
    is_folder,
    is_there,
    keep_files,
    list_names,
    read_text,
)
from orket.machine.registry import DENIED, ERROR, UNAVAILABLE

MS_TO_NS = 1_000_000


def list_cpus(root: Path) -> list[int]:
    """Numbers of the CPUs that /sys shows, in order."""
    names = list_names(root / "sys/devices/system/cpu")
    return sorted(int(name[3:]) for name in names if name[3:].isdigit())


def choose_thermal_cpus(root: Path) -> tuple[list[int], list[int]]:
    """One CPU for each physical core, and one for each package."""
    cores: dict[tuple[str | None, str | None], int] = {}
    packages: dict[str | None, int] = {}
    for cpu in list_cpus(root):
        topology = root / f"sys/devices/system/cpu/cpu{cpu}/topology"
        package = read_text(topology / "physical_package_id")
        core = read_text(topology / "core_id") or str(cpu)
        cores.setdefault((package, core), cpu)
        packages.setdefault(package, cpu)
    return sorted(cores.values()), sorted(packages.values())


class Throttling:
    """Thermal throttling as two meters: events in all, and the longest time.

    Siblings of a core and cores of a package repeat the same counters, so each is read
    once. The time is summed up from the longest difference at each reading: the
    highest counter alone would hide that another core was throttled now.
    """

    def __init__(self, root: Path) -> None:
        cores, packages = choose_thermal_cpus(root)
        folder = root / "sys/devices/system/cpu"
        places = [(cpu, "core") for cpu in cores]
        places += [(cpu, "package") for cpu in packages]
        bases = [
            folder / f"cpu{cpu}/thermal_throttle" / level
            for cpu, level in places
            if is_folder(folder / f"cpu{cpu}/thermal_throttle")
        ]
        self._counts = keep_files(Path(f"{base}_throttle_count") for base in bases)
        self._times = keep_files(
            Path(f"{base}_throttle_total_time_ms") for base in bases
        )
        self._last_ms: list[int] | None = None
        self._throttled_ns = 0

    def read(self, into: Readings) -> None:
        counts = self._read_all(self._counts, "thermal_throttle_count", into)
        if counts is not None:
            into.put("thermal_throttle_count", sum(counts))
        times = self._read_all(self._times, "thermal_throttled_ns", into)
        if times is not None:
            if self._last_ms is not None:
                pairs = zip(times, self._last_ms, strict=True)
                longest_ms = max(now - before for now, before in pairs)
                self._throttled_ns += max(0, longest_ms) * MS_TO_NS
            self._last_ms = times
            into.put("thermal_throttled_ns", self._throttled_ns)

    @staticmethod
    def _read_all(
        files: list[KeptFile], field: str, into: Readings
    ) -> list[int] | None:
        if not files:
            into.miss(field)
            return None
        values = []
        for kept in files:
            value = kept.read_int()
            if value is None or value < 0:
                into.miss(field, ERROR if value is not None else _why(kept))
                return None
            values.append(value)
        return values

    def close(self) -> None:
        for kept in self._counts + self._times:
            kept.close()


class Frequency:
    """Mean of the CPUs' current frequencies."""

    def __init__(self, root: Path) -> None:
        folder = root / "sys/devices/system/cpu"
        paths = [
            folder / f"cpu{cpu}/cpufreq/scaling_cur_freq" for cpu in list_cpus(root)
        ]
        self._files = keep_files(path for path in paths if is_there(path))

    def read(self, into: Readings) -> None:
        if not self._files:
            return into.miss("cpu_frequency_khz")
        total_khz = 0
        for kept in self._files:
            khz = kept.read_int()
            if khz is None or khz <= 0:
                status = ERROR if khz is not None else _why(kept)
                return into.miss("cpu_frequency_khz", status)
            total_khz += khz
        into.put("cpu_frequency_khz", total_khz // len(self._files))

    def close(self) -> None:
        for kept in self._files:
            kept.close()


class Power:
    """Whether the machine runs on its battery.

    A machine that shows power supplies at all and no battery among them is not on
    battery; batteries of mice and keyboards do not count.
    """

    def __init__(self, root: Path) -> None:
        folder = root / "sys/class/power_supply"
        self._present = is_folder(folder)
        self._hidden = False
        self._mains: list[KeptFile] = []
        self._batteries: list[KeptFile] = []
        for name in list_names(folder):
            kind = read_text(folder / name / "type")
            self._hidden = self._hidden or kind is None
            if kind == "Battery":
                if read_text(folder / name / "scope") != "Device":
                    self._batteries.append(KeptFile(folder / name / "status"))
            elif is_there(folder / name / "online"):
                self._mains.append(KeptFile(folder / name / "online"))

    def read(self, into: Readings) -> None:
        if not self._present:
            return into.miss("on_battery")
        if self._hidden:
            return into.miss("on_battery", DENIED)
        if any(kept.read_int() for kept in self._mains):
            return into.put("on_battery", False)
        states = [kept.read(64) for kept in self._batteries]
        for kept, state in zip(self._batteries, states, strict=True):
            if state is None:
                return into.miss("on_battery", _why(kept))
        into.put("on_battery", any((s or b"").startswith(b"Dis") for s in states))

    def close(self) -> None:
        for kept in self._mains + self._batteries:
            kept.close()


def _why(kept: KeptFile) -> str:
    return kept.status or UNAVAILABLE
