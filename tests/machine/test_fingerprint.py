from __future__ import annotations

import json
import re

import pytest

from orket.machine.fingerprint import read_fingerprint, round_ram_bytes
from tests.recorded_machine import laptop_files, write_machine

GIB = 1 << 30


@pytest.fixture
def fingerprint_of(tmp_path):
    made = iter(range(1000))

    def read(**changes: str) -> str:
        files = laptop_files() | {name: text for name, text in changes.items() if text}
        for name, text in changes.items():
            if not text:
                files.pop(name, None)
        root = write_machine(tmp_path / str(next(made)), files)
        return read_fingerprint(root).id

    return read


MEMINFO = laptop_files()["proc/meminfo"]
CPUINFO = laptop_files()["proc/cpuinfo"]


def test_parts_stand_beside_the_id(tmp_path):
    found = read_fingerprint(write_machine(tmp_path, laptop_files()))
    assert re.fullmatch(r"hw1-[0-9a-f]{16}", found.id)
    assert found.version == "hw1"
    assert found.hardware.os == "Linux"
    assert found.hardware.cpu == "Intel(R) Core(TM) i7-8650U CPU @ 1.90GHz"
    assert found.hardware.physical_cores == 2
    assert found.hardware.logical_cpus == 4
    assert found.hardware.ram_bytes == 16 * GIB
    assert found.hardware.gpus == ["0x8086:0x5917"]
    assert found.hardware.cpu_quota_milli is None
    environment = json.loads(found.hardware.environment or "")
    assert environment["kernel"] == "6.1.0-20-amd64"
    assert environment["governor"] == "powersave"
    assert environment["microcode"] == "0xf6"
    assert environment["virtualised"] is False
    assert "laptop" not in environment.values()


@pytest.mark.parametrize(
    "changes",
    [
        {"proc/sys/kernel/osrelease": "6.12.1-amd64\n"},
        {"proc/sys/kernel/hostname": "renamed\n"},
        {"proc/meminfo": MEMINFO.replace("16252928", "16180000")},
        {"proc/meminfo": MEMINFO.replace("16252928", "16310000")},
        {"proc/cpuinfo": CPUINFO.replace("0xf6", "0xf8")},
        {"sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "performance\n"},
        {"proc/self/cgroup": "0::/user.slice/session-77.scope\n"},
        {"sys/class/power_supply/BAT0/status": "Discharging\n"},
    ],
)
def test_what_changes_on_the_same_machine_is_not_in_it(fingerprint_of, changes):
    assert fingerprint_of(**changes) == fingerprint_of()


@pytest.mark.parametrize(
    "changes",
    [
        {"proc/cpuinfo": CPUINFO.replace("i7-8650U", "i5-8250U")},
        {
            "sys/devices/system/cpu/cpu4/topology/core_id": "2\n",
            "sys/devices/system/cpu/cpu4/topology/physical_package_id": "0\n",
        },
        {"proc/meminfo": MEMINFO.replace("16252928", "32700000")},
        {"proc/meminfo": MEMINFO.replace("16252928", "8052928")},
        {"proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: \t NVIDIA T4\n"},
        {
            "sys/class/drm/card1/device/vendor": "0x1002\n",
            "sys/class/drm/card1/device/device": "0x744c\n",
        },
        {"sys/fs/cgroup/user.slice/cpu.max": "150000 100000\n"},
    ],
)
def test_other_hardware_is_another_machine(fingerprint_of, changes):
    assert fingerprint_of(**changes) != fingerprint_of()


def test_quotas_tell_machines_apart(fingerprint_of):
    name = "sys/fs/cgroup/user.slice/cpu.max"
    assert fingerprint_of(**{name: "150000 100000\n"}) != fingerprint_of(
        **{name: "200000 100000\n"}
    )
    assert fingerprint_of(**{name: "75000 50000\n"}) == fingerprint_of(
        **{name: "150000 100000\n"}
    )


def test_this_machine_has_the_same_id_twice():
    first, second = read_fingerprint(), read_fingerprint()
    assert first == second
    assert first.hardware.cpu
    assert first.hardware.ram_bytes


def test_gpu_memory_stands_with_the_gpu(tmp_path):
    files = laptop_files() | {
        "sys/class/drm/card1/device/vendor": "0x1002\n",
        "sys/class/drm/card1/device/device": "0x744c\n",
        "sys/class/drm/card1/device/mem_info_vram_total": str(24 * GIB),
        "sys/class/drm/card1-HDMI-A-1/device/vendor": "0x1002\n",
        "sys/class/drm/renderD129/device/vendor": "0x1002\n",
    }
    hardware = read_fingerprint(write_machine(tmp_path, files)).hardware
    assert hardware.gpus == ["0x1002:0x744c 24 GiB", "0x8086:0x5917"]


def test_an_arm_cpu_is_named_by_its_parts(tmp_path):
    core = "CPU implementer\t: 0x41\nCPU part\t: {}\n\n"
    files = laptop_files() | {
        "proc/cpuinfo": core.format("0xd0b") * 2 + core.format("0xd05")
    }
    hardware = read_fingerprint(write_machine(tmp_path, files)).hardware
    assert hardware.cpu == "arm 0x41:0xd05 x1, 0x41:0xd0b x2"


def test_an_empty_machine_still_has_an_id(tmp_path):
    assert re.fullmatch(r"hw1-[0-9a-f]{16}", read_fingerprint(tmp_path).id)


@pytest.mark.parametrize(
    ("usable_gib", "built_gib"),
    [
        (0.47, 0.5),
        (1.9, 2),
        (7.6, 8),
        (15.2, 16),
        (15.6, 16),
        (23.5, 24),
        (31.1, 32),
        (47.0, 48),
        (62.7, 64),
        (94.2, 96),
        (125.6, 128),
        (251.7, 256),
        (503.5, 512),
    ],
)
def test_usable_memory_is_rounded_to_the_size_it_was_built_with(usable_gib, built_gib):
    assert round_ram_bytes(round(usable_gib * GIB)) == round(built_gib * GIB)
