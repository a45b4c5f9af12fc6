"""NVIDIA GPUs through NVML (the extra `nvidia`), all devices together."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from orket.machine.readings import (
    Readings,
    is_folder,
    list_names,
    read_number,
    read_text,
)
from orket.machine.registry import ABSENT, DENIED, ERROR, UNAVAILABLE

ENERGY_FIELD = "gpu_energy_uj"
GPU_FIELDS = (
    "gpu_utilisation_ppm",
    "gpu_memory_used_bytes",
    "gpu_memory_server_bytes",
    "gpu_memory_foreign_bytes",
    "gpu_foreign_busy",
    "gpu_temperature_milli_c",
    "gpu_power_mw",
    ENERGY_FIELD,
    "gpu_sm_clock_mhz",
    "gpu_throttle_reasons",
)
IS_READ = "ok"
"""Status of what was read."""
PERCENT_TO_PPM = 10_000
GIB = 1 << 30
NVIDIA_VENDOR = "0x10de"
INIT_PID_NAMESPACE = "pid:[4026531836]"
"""The machine's own pid namespace; its number is fixed in the kernel."""
VIRTUAL_DISPLAYS = frozenset({"0x1234", "0x1013", "0x15ad", "0x1a03", "0x1af4"})
"""PCI vendors of emulated and management displays, which no model computes on."""


class NoGpus:
    """Stands where GPUs cannot be read, and says why."""

    def __init__(self, status: str) -> None:
        self._status = status

    def attach(self, pids: Iterable[int]) -> None:
        """Nothing can be attributed."""

    def read(self, into: Readings) -> None:
        for field in GPU_FIELDS:
            into.miss(field, self._status)

    def read_energy(self, into: Readings) -> None:
        into.miss(ENERGY_FIELD, self._status)

    def close(self) -> None:
        """Nothing is open."""


class NvmlGpus:
    """Readings of all NVIDIA devices: summed, or the worst of them."""

    def __init__(self, nvml: Any, sees_all_pids: bool) -> None:
        self._nvml = nvml
        self._sees_all_pids = sees_all_pids
        count = nvml.nvmlDeviceGetCount()
        self._devices = [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(count)]
        self._server_pids: frozenset[int] = frozenset()
        # Samples carry the wall clock; those from before this moment are not ours.
        self._seen_us = [time.time_ns() // 1000] * count

    def attach(self, pids: Iterable[int]) -> None:
        """Attribute memory and work to these processes; all others are foreign."""
        self._server_pids = frozenset(pids)

    def read(self, into: Readings) -> None:
        nvml = self._nvml
        self._put(into, "gpu_utilisation_ppm", self._read_utilisation_ppm, max)
        self._put(into, "gpu_memory_used_bytes", self._read_used_bytes, sum)
        self._put(into, "gpu_temperature_milli_c", self._read_milli_c, max)
        self._put(into, "gpu_power_mw", nvml.nvmlDeviceGetPowerUsage, sum)
        self._put(into, "gpu_sm_clock_mhz", self._read_clock_mhz, min)
        self._put(into, "gpu_throttle_reasons", self._read_reasons, _join_bits)
        self._read_processes(into)

    def read_energy(self, into: Readings) -> None:
        self._put(into, ENERGY_FIELD, self._read_energy_uj, sum)

    def _read_utilisation_ppm(self, device: Any) -> int:
        rates = self._nvml.nvmlDeviceGetUtilizationRates(device)
        return int(rates.gpu) * PERCENT_TO_PPM

    def _read_used_bytes(self, device: Any) -> int:
        return int(self._nvml.nvmlDeviceGetMemoryInfo(device).used)

    def _read_milli_c(self, device: Any) -> int:
        nvml = self._nvml
        return 1000 * int(
            nvml.nvmlDeviceGetTemperature(device, nvml.NVML_TEMPERATURE_GPU)
        )

    def _read_energy_uj(self, device: Any) -> int:
        return 1000 * int(self._nvml.nvmlDeviceGetTotalEnergyConsumption(device))

    def _read_clock_mhz(self, device: Any) -> int:
        nvml = self._nvml
        return int(nvml.nvmlDeviceGetClockInfo(device, nvml.NVML_CLOCK_SM))

    def _read_reasons(self, device: Any) -> int:
        nvml = self._nvml
        try:
            return int(nvml.nvmlDeviceGetCurrentClocksEventReasons(device))
        except (AttributeError, nvml.NVMLError):
            # Drivers before 535 know them by this name only.
            return int(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(device))

    def _put(
        self,
        into: Readings,
        field: str,
        read_device: Callable[[Any], int],
        combine: Callable[[list[int]], int],
    ) -> None:
        """A sum over some of the devices would be a wrong number: all or none."""
        try:
            into.put(
                field, combine([int(read_device(device)) for device in self._devices])
            )
        except self._nvml.NVMLError as error:
            into.miss(field, self._status_of(error))

    def _read_processes(self, into: Readings) -> None:
        memory_fields = ("gpu_memory_server_bytes", "gpu_memory_foreign_bytes")
        try:
            used = [self._read_memory(device) for device in self._devices]
        except self._nvml.NVMLError as error:
            for field in (*memory_fields, "gpu_foreign_busy"):
                into.miss(field, self._status_of(error))
            return
        pids = {pid for by_pid in used for pid in by_pid}
        if pids and not self._sees_all_pids and not pids & self._server_pids:
            # Inside a container NVML may name the host's pids: nothing to compare.
            for field in (*memory_fields, "gpu_foreign_busy"):
                into.miss(field)
            return
        sizes = [(pid, size) for by_pid in used for pid, size in by_pid.items()]
        if any(size is None for _, size in sizes):
            for field in memory_fields:
                into.miss(field)
        else:
            own = [size or 0 for pid, size in sizes if pid in self._server_pids]
            other = [size or 0 for pid, size in sizes if pid not in self._server_pids]
            into.put("gpu_memory_server_bytes", sum(own))
            into.put("gpu_memory_foreign_bytes", sum(other))
        self._read_foreign_work(into)

    def _read_memory(self, device: Any) -> dict[int, int | None]:
        nvml = self._nvml
        listed = [
            *nvml.nvmlDeviceGetComputeRunningProcesses(device),
            *nvml.nvmlDeviceGetGraphicsRunningProcesses(device),
        ]
        return {process.pid: process.usedGpuMemory for process in listed}

    def _read_foreign_work(self, into: Readings) -> None:
        nvml = self._nvml
        busy = False
        for index, device in enumerate(self._devices):
            since_us = self._seen_us[index]
            try:
                listed = nvml.nvmlDeviceGetProcessUtilization(device, since_us)
            except nvml.NVMLError as error:
                if error.value == nvml.NVML_ERROR_NOT_FOUND:
                    continue
                return into.miss("gpu_foreign_busy", self._status_of(error))
            fresh = [sample for sample in listed if sample.timeStamp > since_us]
            self._seen_us[index] = max([since_us, *(s.timeStamp for s in fresh)])
            busy = busy or any(
                s.smUtil > 0 and s.pid not in self._server_pids for s in fresh
            )
        into.put("gpu_foreign_busy", busy)

    def _status_of(self, error: Any) -> str:
        return _status_of(self._nvml, error)

    def close(self) -> None:
        self._nvml.nvmlShutdown()


class GpuEnergy:
    """The energy of GPUs as a source of its own.

    What a span took is the difference of two readings, which must not be as old as the
    costlier ones beside it may be.
    """

    def __init__(self, gpus: NoGpus | NvmlGpus) -> None:
        self._gpus = gpus

    def read(self, into: Readings) -> None:
        self._gpus.read_energy(into)

    def close(self) -> None:
        """Its GPUs are closed for themselves."""


def open_gpus(root: Path, nvml: ModuleType | None = None) -> NoGpus | NvmlGpus:
    """The GPUs of this machine; `nvml` is the pynvml module, found when not given."""
    if nvml is None and root == Path("/"):
        nvml = _import_nvml()
    if nvml is not None:
        try:
            nvml.nvmlInit()
            return NvmlGpus(nvml, _sees_all_pids(root))
        except (nvml.NVMLError, OSError):
            return NoGpus(UNAVAILABLE if has_gpu(root) else ABSENT)
    return NoGpus(UNAVAILABLE if has_gpu(root) else ABSENT)


def read_gpu_memory(
    root: Path, nvml: ModuleType | None = None
) -> tuple[list[int] | None, str]:
    """Memory of each GPU that NVML lists, bytes, in its order; and `ok`, or why not."""
    if nvml is None and root == Path("/"):
        nvml = _import_nvml()
    if nvml is None:
        return None, UNAVAILABLE if has_gpu(root) else ABSENT
    try:
        nvml.nvmlInit()
    except (nvml.NVMLError, OSError):
        return None, UNAVAILABLE if has_gpu(root) else ABSENT
    try:
        sizes = [
            int(nvml.nvmlDeviceGetMemoryInfo(nvml.nvmlDeviceGetHandleByIndex(i)).total)
            for i in range(nvml.nvmlDeviceGetCount())
        ]
    except nvml.NVMLError as error:
        # Of some of them alone nothing could be told of the machine.
        return None, _status_of(nvml, error)
    finally:
        nvml.nvmlShutdown()
    return (sizes, IS_READ) if sizes else (None, ABSENT)


def _status_of(nvml: Any, error: Any) -> str:
    if error.value == nvml.NVML_ERROR_NO_PERMISSION:
        return DENIED
    if error.value == nvml.NVML_ERROR_NOT_SUPPORTED:
        return UNAVAILABLE
    return ERROR


def read_free_gpu_bytes(nvml: ModuleType | None = None) -> int | None:
    """Memory that is free on all NVIDIA GPUs together; None where none is read."""
    nvml = nvml or _import_nvml()
    if nvml is None:
        return None
    try:
        nvml.nvmlInit()
        handles = [
            nvml.nvmlDeviceGetHandleByIndex(index)
            for index in range(nvml.nvmlDeviceGetCount())
        ]
        free = [int(nvml.nvmlDeviceGetMemoryInfo(handle).free) for handle in handles]
        nvml.nvmlShutdown()
    except (nvml.NVMLError, OSError):
        return None
    return sum(free) if free else None


def _import_nvml() -> ModuleType | None:
    try:
        return importlib.import_module("pynvml")
    except ImportError:
        return None


def has_gpu(root: Path) -> bool:
    """Whether Linux shows any GPU that could compute; elsewhere one is assumed."""
    if is_folder(root / "proc/driver/nvidia"):
        return True
    if not is_folder(root / "sys/class"):
        return True
    vendors = {
        read_text(root / "sys/class/drm" / name / "device/vendor")
        for name in list_names(root / "sys/class/drm")
    }
    return bool(vendors - VIRTUAL_DISPLAYS - {None})


def _sees_all_pids(root: Path) -> bool:
    try:
        return os.readlink(root / "proc/self/ns/pid") == INIT_PID_NAMESPACE
    except OSError:
        # No such namespaces outside Linux: every process is seen.
        return not is_folder(root / "proc")


def _join_bits(values: list[int]) -> int:
    joined = 0
    for value in values:
        joined |= value
    return joined


def list_gpus(root: Path) -> list[str] | None:
    """GPUs of this machine, sorted; empty where there is none, None when unknown.

    Read without the extra `nvidia` too, so that installing it changes no fingerprint.
    """
    if not is_folder(root / "sys/class"):
        return _list_nvml_gpus() if root == Path("/") else None
    driver = root / "proc/driver/nvidia/gpus"
    gpus = [
        f"NVIDIA {model.removeprefix('NVIDIA ')}"
        for name in list_names(driver)
        if (model := _find_model(driver / name / "information"))
    ]
    for name in list_names(root / "sys/class/drm"):
        device = root / "sys/class/drm" / name / "device"
        vendor = read_text(device / "vendor")
        if not name.startswith("card") or "-" in name or vendor is None:
            continue
        if vendor in VIRTUAL_DISPLAYS or (vendor == NVIDIA_VENDOR and gpus):
            continue
        memory_bytes = read_number(device / "mem_info_vram_total")
        size = f" {memory_bytes / GIB:.0f} GiB" if memory_bytes else ""
        gpus.append(f"{vendor}:{read_text(device / 'device')}{size}")
    return sorted(gpus)


def _find_model(path: Path) -> str | None:
    for line in (read_text(path) or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "Model":
            return value.strip() or None
    return None


def _list_nvml_gpus() -> list[str] | None:
    nvml = _import_nvml()
    if nvml is None:
        return None
    try:
        nvml.nvmlInit()
        names = [
            str(nvml.nvmlDeviceGetName(nvml.nvmlDeviceGetHandleByIndex(index)))
            for index in range(nvml.nvmlDeviceGetCount())
        ]
        nvml.nvmlShutdown()
    except (nvml.NVMLError, OSError):
        return None
    return sorted(f"NVIDIA {name.removeprefix('NVIDIA ')}" for name in names)
