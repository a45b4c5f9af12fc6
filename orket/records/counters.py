"""The sensor registry: readings of the machine and the server at one moment."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from orket.row_types import Reading, Record, Signed


def _sensor(
    meaning: str,
    unit: str,
    source: str,
    platforms: str = "linux",
    pollutes: str = "",
    kind: str = "counter",
) -> Meta:
    """What the sensor registry says of a field of `Counters`.

    `kind` is "counter" (cumulative: judged by its delta over a window) or "level"
    (a reading at one moment). `pollutes` names the signals of `v1.reason` it feeds.
    """
    return Meta(
        description=meaning,
        extra={
            "unit": unit,
            "source": source,
            "platforms": platforms,
            "pollutes": pollutes,
            "kind": kind,
        },
    )


class Counters(Record, frozen=True, kw_only=True):
    """Readings of the machine and the server at one moment: the sensor registry.

    Every field that a platform lacks, or that was denied, is None; the run's
    `sensor_gaps` says which and why. Counters of the server begin at 0 when it is first
    watched and never run backwards: only their differences mean anything.
    """

    host_total_ns: Annotated[
        Reading | None,
        _sensor(
            "CPU time of all CPUs in every state but guest",
            "ns",
            "/proc/stat, psutil.cpu_times",
            "linux macos windows",
            "high_foreign_cpu cpu_steal",
        ),
    ] = None
    host_busy_ns: Annotated[
        Reading | None,
        _sensor(
            "CPU time of all CPUs in user, nice, system, irq and softirq",
            "ns",
            "/proc/stat, psutil.cpu_times",
            "linux macos windows",
            "high_foreign_cpu",
        ),
    ] = None
    host_idle_ns: Annotated[
        Reading | None,
        _sensor(
            "Idle CPU time of all CPUs",
            "ns",
            "/proc/stat, psutil.cpu_times",
            "linux macos windows",
        ),
    ] = None
    host_iowait_ns: Annotated[
        Reading | None,
        _sensor("CPU time waiting for I/O", "ns", "/proc/stat"),
    ] = None
    host_steal_ns: Annotated[
        Reading | None,
        _sensor(
            "CPU time the hypervisor gave to others",
            "ns",
            "/proc/stat",
            "linux",
            "cpu_steal",
        ),
    ] = None
    server_cpu_ns: Annotated[
        Reading | None,
        _sensor(
            "CPU time of the model server's process tree",
            "ns",
            "process CPU clock, psutil",
            "linux macos windows",
            "high_foreign_cpu server_stalled environment_unobserved",
        ),
    ] = None
    client_cpu_ns: Annotated[
        Reading | None,
        _sensor(
            "CPU time of Orket's own process tree without the server",
            "ns",
            "process CPU clock, psutil",
            "linux macos windows",
            "high_foreign_cpu",
        ),
    ] = None
    load1_milli: Annotated[
        Reading | None,
        _sensor(
            "Load average of the last minute",
            "1/1000",
            "/proc/loadavg, os.getloadavg",
            "linux macos",
            "high_system_load",
            "level",
        ),
    ] = None
    psi_cpu_some_us: Annotated[
        Reading | None,
        _sensor("Time in which some task waited for a CPU", "us", "/proc/pressure/cpu"),
    ] = None
    psi_memory_full_us: Annotated[
        Reading | None,
        _sensor(
            "Time in which all tasks waited for memory",
            "us",
            "/proc/pressure/memory",
            "linux",
            "memory_pressure",
        ),
    ] = None
    psi_io_full_us: Annotated[
        Reading | None,
        _sensor("Time in which all tasks waited for I/O", "us", "/proc/pressure/io"),
    ] = None
    cgroup_throttled_ns: Annotated[
        Reading | None,
        _sensor(
            "Time for which the server's cgroup was held back by its CPU quota",
            "ns",
            "cpu.stat",
            "linux",
            "cpu_quota_throttled",
        ),
    ] = None
    swap_in_bytes: Annotated[
        Reading | None,
        _sensor(
            "Bytes swapped in (pswpin)",
            "bytes",
            "/proc/vmstat",
            "linux",
            "swap_activity",
        ),
    ] = None
    swap_out_bytes: Annotated[
        Reading | None,
        _sensor(
            "Bytes swapped out (pswpout)",
            "bytes",
            "/proc/vmstat",
            "linux",
            "swap_activity",
        ),
    ] = None
    server_major_faults: Annotated[
        Reading | None,
        _sensor(
            "Major page faults of the model server",
            "count",
            "/proc/<pid>/stat",
            "linux",
            "memory_pressure",
        ),
    ] = None
    thermal_throttle_count: Annotated[
        Reading | None,
        _sensor(
            "Thermal throttle events, summed over cores and packages",
            "count",
            "/sys/devices/system/cpu/cpu*/thermal_throttle",
            "linux",
            "thermal_throttle",
        ),
    ] = None
    thermal_throttled_ns: Annotated[
        Reading | None,
        _sensor(
            "Time throttled for heat, the longest of all cores and packages",
            "ns",
            "/sys/devices/system/cpu/cpu*/thermal_throttle",
            "linux",
            "thermal_throttle",
        ),
    ] = None
    cpu_energy_uj: Annotated[
        Reading | None,
        _sensor(
            "Energy of all CPU packages since they were first read",
            "uJ",
            "/sys/class/powercap/intel-rapl:*",
        ),
    ] = None
    cpu_frequency_khz: Annotated[
        Reading | None,
        _sensor(
            "Mean current frequency of the CPUs",
            "kHz",
            "/sys/devices/system/cpu/cpu*/cpufreq",
            "linux",
            "",
            "level",
        ),
    ] = None
    on_battery: Annotated[
        bool | None,
        _sensor(
            "Running on battery",
            "",
            "/sys/class/power_supply, psutil",
            "linux macos windows",
            "battery_power",
            "level",
        ),
    ] = None
    available_memory_bytes: Annotated[
        Reading | None,
        _sensor(
            "Memory available without swapping",
            "bytes",
            "/proc/meminfo, psutil",
            "linux macos windows",
            "",
            "level",
        ),
    ] = None
    server_rss_bytes: Annotated[
        Reading | None,
        _sensor(
            "Resident memory of the model server's process tree",
            "bytes",
            "/proc/<pid>/stat, psutil",
            "linux macos windows",
            "",
            "level",
        ),
    ] = None
    server_requests_processing: Annotated[
        Reading | None,
        _sensor(
            "Requests in the model server at this moment, ours excluded",
            "count",
            "the server's own metrics",
            "linux macos windows",
            "server_shared",
            "level",
        ),
    ] = None
    server_tokens_generated: Annotated[
        Reading | None,
        _sensor(
            "Tokens the server has generated since its start",
            "count",
            "the server's own metrics",
            "linux macos windows",
            "server_shared",
        ),
    ] = None
    gpu_utilisation_ppm: Annotated[
        Reading | None,
        _sensor(
            "GPU utilisation, the highest of the devices",
            "ppm",
            "NVML",
            "linux windows",
            "",
            "level",
        ),
    ] = None
    gpu_memory_used_bytes: Annotated[
        Reading | None,
        _sensor(
            "GPU memory in use, all devices and processes",
            "bytes",
            "NVML",
            "linux windows",
            "",
            "level",
        ),
    ] = None
    gpu_memory_server_bytes: Annotated[
        Reading | None,
        _sensor(
            "GPU memory of the model server's process tree",
            "bytes",
            "NVML",
            "linux windows",
            "",
            "level",
        ),
    ] = None
    gpu_memory_foreign_bytes: Annotated[
        Reading | None,
        _sensor(
            "GPU memory of other processes",
            "bytes",
            "NVML",
            "linux windows",
            "gpu_foreign_process",
            "level",
        ),
    ] = None
    gpu_foreign_busy: Annotated[
        bool | None,
        _sensor(
            "Another process computed on a GPU since the reading before",
            "",
            "NVML",
            "linux windows",
            "gpu_foreign_process",
            "level",
        ),
    ] = None
    gpu_temperature_milli_c: Annotated[
        Signed | None,
        _sensor(
            "GPU temperature, the hottest device",
            "1/1000 C",
            "NVML",
            "linux windows",
            "",
            "level",
        ),
    ] = None
    gpu_power_mw: Annotated[
        Reading | None,
        _sensor(
            "GPU power draw, all devices", "mW", "NVML", "linux windows", "", "level"
        ),
    ] = None
    gpu_energy_uj: Annotated[
        Reading | None,
        _sensor("GPU energy since driver load", "uJ", "NVML", "linux windows"),
    ] = None
    gpu_sm_clock_mhz: Annotated[
        Reading | None,
        _sensor(
            "GPU compute clock, the slowest device",
            "MHz",
            "NVML",
            "linux windows",
            "",
            "level",
        ),
    ] = None
    gpu_throttle_reasons: Annotated[
        Reading | None,
        _sensor(
            "NVML clock event reasons, or-ed over the devices",
            "bitmask",
            "NVML",
            "linux windows",
            "gpu_throttled",
            "level",
        ),
    ] = None
