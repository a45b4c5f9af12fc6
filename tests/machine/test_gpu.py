"""NVML is a driver that CI machines lack: here it is a stand-in with set readings."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace as Facts
from typing import Any, cast

import pytest

from orket.machine.gpu import (
    GPU_FIELDS,
    INIT_PID_NAMESPACE,
    GpuEnergy,
    has_gpu,
    open_gpus,
    read_gpu_memory,
)
from orket.machine.readings import Readings
from orket.machine.registry import list_sensors
from tests.recorded_machine import laptop_files, write_machine

MIB = 1 << 20
OWN, OTHER = 4242, 777


class NVMLError(Exception):
    def __init__(self, value: int) -> None:
        super().__init__(value)
        self.value = value


class Nvml:
    """Two devices; `fails` maps a function's name to the error it answers with."""

    NVMLError = NVMLError
    NVML_TEMPERATURE_GPU = 0
    NVML_CLOCK_SM = 1
    NVML_ERROR_NOT_SUPPORTED = 3
    NVML_ERROR_NO_PERMISSION = 4
    NVML_ERROR_NOT_FOUND = 6

    def __init__(self, **fails: int) -> None:
        self.fails = fails
        self.open = 0
        self.processes = [{OWN: 900 * MIB}, {OWN: 100 * MIB, OTHER: 300 * MIB}]
        self.samples: list[list[Any]] = [[], []]

    def _say(self, name: str, value: Any) -> Any:
        if name in self.fails:
            raise NVMLError(self.fails[name])
        return value

    def nvmlInit(self) -> None:
        self._say("nvmlInit", None)
        self.open += 1

    def nvmlShutdown(self) -> None:
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def __getattr__(self, name: str) -> Any:
        readings: dict[str, list[Any]] = {
            "nvmlDeviceGetUtilizationRates": [Facts(gpu=40), Facts(gpu=90)],
            "nvmlDeviceGetMemoryInfo": [
                Facts(used=1000 * MIB, total=24_000 * MIB),
                Facts(used=500 * MIB, total=16_000 * MIB),
            ],
            "nvmlDeviceGetTemperature": [61, 72],
            "nvmlDeviceGetPowerUsage": [70_000, 80_500],
            "nvmlDeviceGetTotalEnergyConsumption": [5, 7],
            "nvmlDeviceGetClockInfo": [1980, 1200],
            "nvmlDeviceGetCurrentClocksEventReasons": [0x04, 0x20],
            "nvmlDeviceGetCurrentClocksThrottleReasons": [0x01, 0x01],
        }
        if name not in readings:
            raise AttributeError(name)
        return lambda device, *_: self._say(name, readings[name][device])

    def nvmlDeviceGetComputeRunningProcesses(self, device: int) -> list[Any]:
        name = "nvmlDeviceGetComputeRunningProcesses"
        listed = self.processes[device].items()
        return cast(
            list[Any],
            self._say(name, [Facts(pid=p, usedGpuMemory=size) for p, size in listed]),
        )

    def nvmlDeviceGetGraphicsRunningProcesses(self, device: int) -> list[Any]:
        return []

    def nvmlDeviceGetProcessUtilization(self, device: int, since: int) -> list[Any]:
        name = "nvmlDeviceGetProcessUtilization"
        found = [s for s in self.samples[device] if s.timeStamp > since]
        if not found:
            raise NVMLError(self.fails.get(name, self.NVML_ERROR_NOT_FOUND))
        return cast(list[Any], self._say(name, found))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    machine = write_machine(tmp_path, laptop_files())
    (machine / "proc/self/ns").mkdir(parents=True)
    (machine / "proc/self/ns/pid").symlink_to(INIT_PID_NAMESPACE)
    return machine


def read(root: Path, nvml: Nvml) -> Readings:
    gpus = open_gpus(root, cast(Any, nvml))
    gpus.attach([OWN])
    into = Readings()
    gpus.read(into)
    GpuEnergy(gpus).read(into)
    gpus.close()
    return into


def test_devices_are_summed_or_the_worst_counts(root):
    nvml = Nvml()
    found = read(root, nvml)
    assert found.gaps == {}
    assert found.values == {
        "gpu_utilisation_ppm": 900_000,
        "gpu_memory_used_bytes": 1500 * MIB,
        "gpu_memory_server_bytes": 1000 * MIB,
        "gpu_memory_foreign_bytes": 300 * MIB,
        "gpu_foreign_busy": False,
        "gpu_temperature_milli_c": 72_000,
        "gpu_power_mw": 150_500,
        "gpu_energy_uj": 12_000,
        "gpu_sm_clock_mhz": 1200,
        "gpu_throttle_reasons": 0x24,
    }
    assert nvml.open == 0


def test_these_are_all_the_sensors_nvml_is_declared_for():
    declared = {s.field for s in list_sensors() if s.source == "NVML"}
    assert set(GPU_FIELDS) == declared


@pytest.mark.parametrize(("pid", "busy"), [(OTHER, True), (OWN, False)])
def test_work_of_another_process_on_the_gpu(root, pid, busy):
    nvml = Nvml()
    gpus = open_gpus(root, cast(Any, nvml))
    gpus.attach([OWN])
    now_us = time.time_ns() // 1000
    seen = []
    for samples in (
        [Facts(pid=pid, timeStamp=now_us - 10**9, smUtil=80)],
        [Facts(pid=pid, timeStamp=now_us + 10**6, smUtil=0)],
        [Facts(pid=pid, timeStamp=now_us + 2 * 10**6, smUtil=55)],
        [Facts(pid=pid, timeStamp=now_us + 2 * 10**6, smUtil=55)],
    ):
        nvml.samples[1] = samples
        into = Readings()
        gpus.read(into)
        seen.append(into.values["gpu_foreign_busy"])
    # Before our time, idle, at work, and the same sample once more.
    assert seen == [False, False, busy, False]


def test_a_reading_that_one_device_lacks_is_missed_and_not_summed(root):
    found = read(
        root,
        Nvml(
            nvmlDeviceGetPowerUsage=3,
            nvmlDeviceGetMemoryInfo=4,
            nvmlDeviceGetTotalEnergyConsumption=3,
        ),
    )
    assert found.gaps == {
        "gpu_energy_uj": "unavailable",
        "gpu_power_mw": "unavailable",
        "gpu_memory_used_bytes": "denied",
    }
    assert found.values["gpu_sm_clock_mhz"] == 1200


def test_a_driver_in_trouble_is_an_error(root):
    found = read(root, Nvml(nvmlDeviceGetComputeRunningProcesses=999))
    assert found.gaps == dict.fromkeys(
        ("gpu_memory_server_bytes", "gpu_memory_foreign_bytes", "gpu_foreign_busy"),
        "error",
    )


def test_an_old_driver_names_the_throttle_reasons_otherwise(root):
    found = read(root, Nvml(nvmlDeviceGetCurrentClocksEventReasons=13))
    assert found.values["gpu_throttle_reasons"] == 0x01


def test_windows_does_not_tell_the_memory_of_each_process(root):
    nvml = Nvml()
    nvml.processes = cast(Any, [{OWN: None}, {}])
    found = read(root, nvml)
    assert found.gaps == dict.fromkeys(
        ("gpu_memory_server_bytes", "gpu_memory_foreign_bytes"), "unavailable"
    )
    assert found.values["gpu_foreign_busy"] is False


def test_pids_of_the_host_are_not_compared_inside_a_container(root):
    (root / "proc/self/ns/pid").unlink()
    (root / "proc/self/ns/pid").symlink_to("pid:[4026532999]")
    nvml = Nvml()
    assert read(root, nvml).values["gpu_memory_foreign_bytes"] == 300 * MIB
    nvml.processes = [{OTHER: 900 * MIB}, {}]
    found = read(root, nvml)
    assert "gpu_memory_foreign_bytes" not in found.values
    assert found.gaps["gpu_foreign_busy"] == "unavailable"


def test_without_a_working_driver_a_gpu_is_unavailable(root):
    found = read(root, Nvml(nvmlInit=9))
    assert found.gaps == dict.fromkeys(GPU_FIELDS, "unavailable")


@pytest.mark.parametrize(
    ("vendor", "expected"), [("0x10de", True), ("0x1002", True), ("0x1af4", False)]
)
def test_a_display_of_a_virtual_machine_is_no_gpu(tmp_path, vendor, expected):
    root = write_machine(tmp_path, {"sys/class/drm/card0/device/vendor": f"{vendor}\n"})
    assert has_gpu(root) is expected


def test_a_machine_without_a_gpu_misses_none(tmp_path):
    (tmp_path / "sys/class/drm").mkdir(parents=True)
    into = Readings()
    open_gpus(tmp_path).read(into)
    assert into.gaps == dict.fromkeys(GPU_FIELDS, "absent")


def test_the_memory_of_each_gpu_is_read_or_the_reason_given(root: Path) -> None:
    sizes = [24_000 * MIB, 16_000 * MIB]
    assert read_gpu_memory(root, cast(Any, Nvml())) == (sizes, "ok")
    denied = Nvml(nvmlDeviceGetMemoryInfo=Nvml.NVML_ERROR_NO_PERMISSION)
    assert read_gpu_memory(root, cast(Any, denied)) == (None, "denied")
    assert denied.open == 0
    assert read_gpu_memory(root) == (None, "unavailable")
    bare = write_machine(root / "bare", {"sys/class/drm/version": "drm 1.1.0\n"})
    assert read_gpu_memory(bare) == (None, "absent")
