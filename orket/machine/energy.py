"""The energy of CPU packages on Linux: RAPL, as the kernel's powercap shows it.

Most kernels let only root read it; then the sensor is denied, and nothing is guessed.
"""

from __future__ import annotations

import re
from pathlib import Path

from orket.machine.readings import (
    KeptFile,
    Readings,
    list_names,
    read_number,
    read_text,
)
from orket.machine.registry import ABSENT, ERROR, UNAVAILABLE

FIELD = "cpu_energy_uj"
_ZONE = re.compile(r"intel-rapl:\d+")
"""A package; its cores and memory are zones below it, with another colon."""


class PackageEnergy:
    """Energy of all packages, summed up from the first reading on.

    Each counter begins anew at its own limit, after minutes of full load: what it ran
    over is added, as long as it is read more often than that.
    """

    def __init__(self, root: Path) -> None:
        folder = root / "sys/class/powercap"
        zones = [
            folder / name
            for name in list_names(folder)
            if _ZONE.fullmatch(name)
            and (read_text(folder / name / "name") or "").startswith("package-")
        ]
        self._files = [KeptFile(zone / "energy_uj") for zone in zones]
        self._limits_uj = [read_number(zone / "max_energy_range_uj") for zone in zones]
        self._last_uj: list[int] | None = None
        self._total_uj = 0

    def read(self, into: Readings) -> None:
        """The sum over some of the packages would be a wrong number: all or none."""
        if not self._files:
            return into.miss(FIELD, ABSENT)
        now: list[int] = []
        for kept in self._files:
            value = kept.read_int()
            if value is None or value < 0:
                status = ERROR if value is not None else kept.status
                return into.miss(FIELD, status or UNAVAILABLE)
            now.append(value)
        if self._last_uj is not None:
            spent = self._spent(self._last_uj, now)
            if spent is None:
                self._last_uj = None
                return into.miss(FIELD, ERROR)
            self._total_uj += spent
        self._last_uj = now
        into.put(FIELD, self._total_uj)

    def _spent(self, before: list[int], now: list[int]) -> int | None:
        """What all packages spent; None where a counter ran back without a limit."""
        total = 0
        for old, new, limit in zip(before, now, self._limits_uj, strict=True):
            if new < old and (limit is None or limit < old):
                return None
            total += new - old if new >= old else limit - old + new  # type: ignore[operator]
        return total

    def close(self) -> None:
        for kept in self._files:
            kept.close()
