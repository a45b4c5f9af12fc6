from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from orket.machine import doctor, settings_checks
from orket.machine.findings import Finding
from orket.machine.live_checks import Sample, check_sample, check_sensors
from orket.machine.readings import read_text
from orket.machine.topology import parse_cpu_list
from orket.records import Counters, Policy
from tests.recorded_machine import laptop_files, no_permission, write_machine

NS = 1_000_000_000


def by_id(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.id: finding for finding in findings}


def settings_of(root) -> dict[str, Finding]:
    status = read_text(root / "proc/self/status") or ""
    listed = status.partition("Cpus_allowed_list:")[2].split()
    allowed = frozenset(parse_cpu_list(listed[0])) if listed else None
    return by_id(
        [
            settings_checks.check_cpus(root, allowed),
            settings_checks.check_governor(root),
            settings_checks.check_turbo(root),
            settings_checks.check_heat(root),
            settings_checks.check_power(root),
            *settings_checks.check_container(root),
            *settings_checks.check_memory(root),
            settings_checks.check_clock(root),
        ]
    )


CPU = "sys/devices/system/cpu"
CLOCK = "sys/devices/system/clocksource/clocksource0/current_clocksource"
HUGE_PAGES = "sys/kernel/mm/transparent_hugepage/enabled"
TEMPERATURE = "sys/class/hwmon/hwmon0/temp1_input"
HEAT = {
    "sys/class/hwmon/hwmon0/name": "coretemp\n",
    "sys/class/hwmon/hwmon0/temp1_max": "100000\n",
    "sys/class/hwmon/hwmon0/temp1_crit": "105000\n",
}


@pytest.mark.parametrize(
    ("changes", "finding", "status", "says"),
    [
        ({}, "governor", "warn", "powersave"),
        (
            {f"{CPU}/cpu{n}/cpufreq/scaling_governor": "performance" for n in range(4)},
            "governor",
            "ok",
            "performance",
        ),
        (
            {f"{CPU}/cpu0/cpufreq/scaling_governor": "performance"},
            "governor",
            "warn",
            "1 x performance, 3 x powersave",
        ),
        ({}, "turbo", "unknown", "not shown"),
        ({f"{CPU}/intel_pstate/no_turbo": "0"}, "turbo", "warn", "on"),
        ({f"{CPU}/intel_pstate/no_turbo": "1"}, "turbo", "ok", "off"),
        ({f"{CPU}/cpufreq/boost": "1"}, "turbo", "warn", "on"),
        ({}, "power", "ok", "mains"),
        (
            {
                "sys/class/power_supply/AC/online": "0",
                "sys/class/power_supply/BAT0/status": "Discharging",
            },
            "power",
            "warn",
            "battery",
        ),
        ({"sys/firmware/acpi/platform_profile": "low-power"}, "power", "warn", "low"),
        ({}, "heat", "unknown", "no CPU temperature"),
        ({**HEAT, "sys/class/hwmon/hwmon0/temp1_input": "55000"}, "heat", "ok", "45 C"),
        (
            {**HEAT, "sys/class/hwmon/hwmon0/temp1_input": "96000"},
            "heat",
            "warn",
            "4 C",
        ),
        ({}, "container", "ok", "no CPU quota"),
        (
            {"sys/fs/cgroup/user.slice/cpu.max": "150000 100000"},
            "container",
            "warn",
            "CPU quota 1.5",
        ),
        ({}, "memory", "ok", "7.6 of 15.5 GiB"),
        (
            {"proc/meminfo": "MemTotal: 16252928 kB\nMemAvailable: 900000 kB\n"},
            "memory",
            "warn",
            "0.9 of 15.5 GiB",
        ),
        ({}, "clock", "unknown", "not shown"),
        ({CLOCK: "tsc"}, "clock", "ok", "tsc"),
        ({CLOCK: "hpet"}, "clock", "warn", "hpet"),
        ({}, "cpus", "ok", "4"),
        ({"proc/self/status": "Cpus_allowed_list:\t1\n"}, "cpus", "warn", "one CPU"),
        ({"proc/self/status": "Cpus_allowed_list:\t0,2\n"}, "cpus", "ok", "2 of 4"),
        (
            {"sys/kernel/mm/transparent_hugepage/enabled": "a [b] c"},
            "huge_pages",
            "ok",
            "b",
        ),
    ],
)
def test_settings(tmp_path, changes, finding, status, says):
    root = write_machine(tmp_path, laptop_files() | changes)
    found = settings_of(root)[finding]
    assert found.status == status
    assert says in found.detail
    assert (found.fix is not None) == (status == "warn")


def test_a_machine_that_shows_nothing_is_unknown_and_not_unfit(tmp_path):
    root = write_machine(tmp_path, laptop_files())
    with no_permission(root):
        found = settings_of(root)
    assert {finding.status for finding in found.values()} <= {"ok", "unknown"}
    assert found["governor"].status == "unknown"


QUIET: dict[str, int | None] = {
    "host_total_ns": 2 * NS,
    "host_busy_ns": NS // 20,
    "client_cpu_ns": NS // 50,
    "host_steal_ns": 0,
    "swap_in_bytes": 0,
    "swap_out_bytes": 0,
    "psi_memory_full_us": 0,
    "thermal_throttle_count": 0,
    "load1_milli": 300,
}


def sample_of(changes: dict[str, int | None]) -> Sample:
    grown: dict[str, Any] = QUIET | changes
    opened: dict[str, Any] = {
        field: 0 if value is not None else None for field, value in grown.items()
    }
    consumers = (("cc1 (pid 7)", 700_000),)
    return Sample(Counters(**opened), Counters(**grown), NS, {}, consumers)


@pytest.mark.parametrize(
    ("changes", "finding", "status", "says"),
    [
        ({}, "foreign_cpu", "ok", "1.5 %"),
        ({"host_busy_ns": NS}, "foreign_cpu", "unfit", "cc1 (pid 7) 70.0 %"),
        ({"host_busy_ns": None}, "foreign_cpu", "unknown", "cannot be read"),
        ({}, "load", "ok", "0.30 on 2 CPUs"),
        ({"load1_milli": 2001}, "load", "warn", "2.00"),
        ({"load1_milli": None}, "load", "unknown", "none"),
        ({}, "steal", "ok", "0.0 %"),
        ({"host_steal_ns": NS // 10}, "steal", "unfit", "5.0 %"),
        ({"swap_in_bytes": 3 << 20}, "swap", "unfit", "3.0 MiB/s"),
        ({"swap_in_bytes": None}, "swap", "unknown", "not shown"),
        ({"psi_memory_full_us": 50_000}, "pressure", "unfit", "5.0 %"),
        ({"thermal_throttle_count": 3}, "throttling", "unfit", "3 events"),
        ({"thermal_throttle_count": None}, "throttling", "unknown", "not shown"),
    ],
)
def test_the_sample(changes, finding, status, says):
    found = by_id(check_sample(sample_of(changes), Policy(), logical_cpus=2))[finding]
    assert found.status == status
    assert says in found.detail
    assert (found.fix is not None) == (status in ("warn", "unfit"))


def test_each_denied_sensor_is_named_with_its_fix():
    gaps = {
        "psi_memory_full_us": "denied",
        "swap_in_bytes": "error",
        "gpu_utilisation_ppm": "unavailable",
        "server_cpu_ns": "denied",
    }
    found = by_id(check_sensors(gaps))
    assert found["sensor:psi_memory_full_us"].fix
    assert "/proc/vmstat" in found["sensor:swap_in_bytes"].detail
    assert "orket[nvidia]" in (found["gpu"].fix or "")
    assert "sensor:server_cpu_ns" not in found


def test_a_kernel_without_pressure_readings_can_be_told_to_have_them():
    found = by_id(check_sensors({"psi_io_full_us": "unavailable"}))
    assert "psi=1" in (found["sensor:psi_io_full_us"].fix or "")


def test_every_sensor_with_a_gap_is_counted():
    found = by_id(check_sensors({"cpu_frequency_khz": "unavailable"}))["sensors"]
    assert "unavailable: cpu_frequency_khz" in found.detail


def test_a_missing_engine_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "EMBEDDED_PACKAGE", "no-such-package-anywhere")
    monkeypatch.setenv("PATH", str(tmp_path))
    found = doctor.check_engine()
    assert found.status == "warn"
    assert "orket[embedded]" in (found.fix or "")
    binary = tmp_path / "llama-server"
    binary.write_text("#!/bin/sh\n")
    binary.chmod(0o755)
    assert doctor.check_engine().status == "ok"


def test_an_engine_that_crashes_is_unfit(monkeypatch):
    monkeypatch.setattr(doctor, "EMBEDDED_PACKAGE", "pytest")
    monkeypatch.setattr(doctor, "_ENGINE_REPORT", "import os; os.abort()")
    assert doctor.check_engine().status == "unfit"


def test_this_machine_is_examined_and_the_exit_code_follows():
    asked = subprocess.run(
        [sys.executable, "-m", "orket", "doctor", "--format", "json"],
        capture_output=True,
        text=True,
        check=False,
    )
    rows = json.loads(asked.stdout)
    statuses = [row["status"] for row in rows]
    assert set(statuses) <= {"ok", "warn", "unfit", "unknown"}
    assert asked.returncode == (4 if "unfit" in statuses else 0)
    assert {"foreign_cpu", "sensors", "engine", "power"} <= {row["id"] for row in rows}
    assert all(row["fix"] for row in rows if row["status"] in ("warn", "unfit"))
    assert "Traceback" not in asked.stderr


def test_a_recorded_machine_is_examined_whole(tmp_path):
    root = write_machine(tmp_path, laptop_files())
    found = by_id(doctor.examine(root, sample_seconds=0))
    assert found["governor"].status == "warn"
    assert found["power"].status == "ok"
    assert found["foreign_cpu"].status == "unknown"
