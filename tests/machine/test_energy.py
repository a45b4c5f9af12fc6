"""RAPL counters from recorded files: summed, run over, denied, absent."""

from __future__ import annotations

from pathlib import Path

import pytest

from orket.machine.energy import PackageEnergy
from orket.machine.readings import Readings
from tests.recorded_machine import write_machine

BASE = "sys/class/powercap"
LIMIT_UJ = 262_143_328_850


def packages(*energies: int, limit: str = f"{LIMIT_UJ}\n") -> dict[str, str]:
    files = {
        f"{BASE}/intel-rapl/enabled": "1\n",
        # What lies below a package is a part of it, and the platform is all of it.
        f"{BASE}/intel-rapl:0:0/name": "core\n",
        f"{BASE}/intel-rapl:0:0/energy_uj": "7\n",
        f"{BASE}/intel-rapl:9/name": "psys\n",
        f"{BASE}/intel-rapl:9/energy_uj": "9\n",
    }
    for number, energy in enumerate(energies):
        zone = f"{BASE}/intel-rapl:{number}"
        files |= {
            f"{zone}/name": f"package-{number}\n",
            f"{zone}/energy_uj": f"{energy}\n",
            f"{zone}/max_energy_range_uj": limit,
        }
    return files


def read(source: PackageEnergy) -> tuple[int | None, dict[str, str]]:
    into = Readings()
    source.read(into)
    value = into.values.get("cpu_energy_uj")
    return value, into.gaps


def test_packages_are_summed_from_the_first_reading_on(tmp_path):
    root = write_machine(tmp_path, packages(5_000_000, 8_000_000))
    source = PackageEnergy(root)
    assert read(source) == (0, {})
    write_machine(root, packages(6_500_000, 8_250_000))
    assert read(source) == (1_750_000, {})
    source.close()


def test_a_counter_that_began_anew_goes_on(tmp_path):
    root = write_machine(tmp_path, packages(LIMIT_UJ - 1_000))
    source = PackageEnergy(root)
    read(source)
    write_machine(root, packages(2_000))
    assert read(source) == (3_000, {})


@pytest.mark.parametrize("limit", ["nonsense\n", "10\n"])
def test_one_that_ran_back_without_a_limit_is_an_error_and_then_goes_on(
    tmp_path, limit
):
    root = write_machine(tmp_path, packages(5_000, limit=limit))
    source = PackageEnergy(root)
    read(source)
    write_machine(root, packages(1_000, limit=limit))
    assert read(source) == (None, {"cpu_energy_uj": "error"})
    write_machine(root, packages(1_500, limit=limit))
    read(source)
    write_machine(root, packages(2_500, limit=limit))
    assert read(source) == (1_000, {})


def test_what_is_not_there_or_makes_no_sense_is_a_gap(tmp_path):
    assert read(PackageEnergy(tmp_path)) == (None, {"cpu_energy_uj": "absent"})
    root = write_machine(tmp_path, packages(5_000))
    write_machine(root, {f"{BASE}/intel-rapl:0/energy_uj": "much\n"})
    assert read(PackageEnergy(root)) == (None, {"cpu_energy_uj": "error"})
    Path(root / f"{BASE}/intel-rapl:0/energy_uj").unlink()
    assert read(PackageEnergy(root)) == (None, {"cpu_energy_uj": "unavailable"})
