"""What the doctor sees in one second: load and who makes it, steal, swap, throttling.

The limits are those of the default policy, which polluted runs are judged by.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from orket.machine.consumers import rank_users, read_users
from orket.machine.findings import OK, UNFIT, UNKNOWN, WARN, Finding
from orket.machine.observer import Observer
from orket.machine.registry import DENIED, ERROR, UNAVAILABLE, list_sensors
from orket.records import Counters, Policy

PPM = 1_000_000
NS = 1_000_000_000
SHOWN_CONSUMERS = 3
SHOWN_SHARE_PPM = 10_000
"""A consumer of less than 1 % of the machine is not named."""

_FIXES = {
    "psi_cpu_some_us": "boot with psi=1, or give the container /proc/pressure",
    "psi_memory_full_us": "boot with psi=1, or give the container /proc/pressure",
    "psi_io_full_us": "boot with psi=1, or give the container /proc/pressure",
}
_GPU_FIX = 'pip install "orket[nvidia]", with the NVIDIA driver installed'
_DENIED_FIX = "let this user read {source}"
_OF_SERVER = ("server_", "cgroup_throttled_ns")


@dataclass(frozen=True, slots=True)
class Sample:
    """The machine over about a second in which Orket itself slept."""

    opened: Counters
    closed: Counters
    window_ns: int
    gaps: dict[str, str]
    consumers: tuple[tuple[str, int], ...]
    """Name and machine share in ppm of the greatest users of CPU time."""

    def delta(self, field: str) -> int | None:
        """How much a counter grew; None when it is unknown."""
        before, after = getattr(self.opened, field), getattr(self.closed, field)
        return None if before is None or after is None else max(0, after - before)


def take_sample(observer: Observer, seconds: float) -> Sample:
    """Watch the machine, asleep, for `seconds`."""
    users = read_users()
    start_ns = time.monotonic_ns()
    opened = observer.read()
    time.sleep(seconds)
    closed = observer.read()
    window_ns = time.monotonic_ns() - start_ns
    gaps = dict(gap.partition("=")[::2] for gap in observer.gaps)
    total_ns = (closed.host_total_ns or 0) - (opened.host_total_ns or 0)
    ranked = rank_users(users, read_users(), total_ns)
    consumers = tuple(ranked[:SHOWN_CONSUMERS])
    return Sample(opened, closed, window_ns, gaps, consumers)


def check_sample(sample: Sample, policy: Policy, logical_cpus: int) -> list[Finding]:
    """Everything the sample tells."""
    return [
        _check_foreign(sample, policy),
        _check_load(sample, policy, logical_cpus),
        _check_steal(sample, policy),
        _check_swap(sample, policy),
        _check_pressure(sample, policy),
        _check_throttling(sample),
        *check_sensors(sample.gaps),
    ]


def _check_foreign(sample: Sample, policy: Policy) -> Finding:
    title = "CPU use of other programs"
    total, busy = sample.delta("host_total_ns"), sample.delta("host_busy_ns")
    own = sample.delta("client_cpu_ns")
    if not total or busy is None:
        return Finding("foreign_cpu", UNKNOWN, title, "CPU time cannot be read")
    share = max(0, busy - (own or 0)) * PPM // total
    limit = policy.max_foreign_cpu_ppm
    named = [
        f"{name} {_percent(part)}"
        for name, part in sample.consumers
        if part >= SHOWN_SHARE_PPM
    ]
    who = f"; most by {', '.join(named)}" if named else ""
    detail = f"{_percent(share)} of the machine, limit {_percent(limit)}{who}"
    if share > limit:
        fix = "close these programs, or choose a looser control profile"
        return Finding("foreign_cpu", UNFIT, title, detail, fix)
    return Finding("foreign_cpu", OK, title, detail)


def _check_load(sample: Sample, policy: Policy, logical_cpus: int) -> Finding:
    title = "Load average of the last minute"
    load_milli = sample.closed.load1_milli
    if load_milli is None:
        return Finding("load", UNKNOWN, title, "this system has none")
    detail = f"{load_milli / 1000:.2f} on {logical_cpus} CPUs"
    if load_milli > logical_cpus * policy.max_load_per_cpu_milli:
        fix = "wait until what ran has ended; look at its programs with top"
        return Finding("load", WARN, title, detail, fix)
    return Finding("load", OK, title, detail)


def _check_steal(sample: Sample, policy: Policy) -> Finding:
    title = "CPU time taken by the hypervisor"
    total, steal = sample.delta("host_total_ns"), sample.delta("host_steal_ns")
    if not total or steal is None:
        return Finding("steal", UNKNOWN, title, "not shown here")
    share = steal * PPM // total
    detail = f"{_percent(share)}, limit {_percent(policy.max_steal_ppm)}"
    if share > policy.max_steal_ppm:
        fix = "use a dedicated machine, or try at a quieter hour"
        return Finding("steal", UNFIT, title, detail, fix)
    return Finding("steal", OK, title, detail)


def _check_swap(sample: Sample, policy: Policy) -> Finding:
    title = "Swap traffic"
    into, out = sample.delta("swap_in_bytes"), sample.delta("swap_out_bytes")
    if into is None or out is None:
        return Finding("swap", UNKNOWN, title, "not shown here")
    rate = (into + out) * NS // max(1, sample.window_ns)
    detail = f"{rate / (1 << 20):.1f} MiB/s"
    if rate > policy.max_swap_bytes_per_second:
        fix = "close programs until nothing is swapped, or choose a smaller model"
        return Finding("swap", UNFIT, title, detail, fix)
    return Finding("swap", OK, title, detail)


def _check_pressure(sample: Sample, policy: Policy) -> Finding:
    title = "Memory pressure"
    stalled_us = sample.delta("psi_memory_full_us")
    if stalled_us is None:
        return Finding("pressure", UNKNOWN, title, "not shown here")
    share = stalled_us * 1000 * PPM // max(1, sample.window_ns)
    detail = f"all tasks waited for memory {_percent(share)} of the time"
    if share > policy.max_memory_pressure_ppm:
        fix = "close programs, or choose a smaller model"
        return Finding("pressure", UNFIT, title, detail, fix)
    return Finding("pressure", OK, title, detail)


def _check_throttling(sample: Sample) -> Finding:
    title = "Thermal throttling"
    events = sample.delta("thermal_throttle_count")
    if events is None:
        return Finding("throttling", UNKNOWN, title, "not shown here")
    since = sample.closed.thermal_throttle_count
    detail = f"{events} events now, {since} since the machine started"
    if events:
        fix = "let the machine cool, clear its air vents, use fewer threads"
        return Finding("throttling", UNFIT, title, detail, fix)
    return Finding("throttling", OK, title, detail)


def check_sensors(gaps: dict[str, str]) -> list[Finding]:
    """One finding for all sensors, and one for each that could be made to work.

    The server's own sensors are left out: there is no server yet.
    """
    sensors = [s for s in list_sensors() if not s.field.startswith(_OF_SERVER)]
    missing = {s.field: gaps[s.field] for s in sensors if s.field in gaps}
    count = len(sensors) - len(missing)
    by_status: dict[str, dict[str, None]] = {}
    for field, status in missing.items():
        name = "gpu_*" if field.startswith("gpu_") else field
        by_status.setdefault(status, {})[name] = None
    detail = [f"{count} of {len(sensors)} give readings"]
    detail += [f"{status}: {', '.join(names)}" for status, names in by_status.items()]
    findings = [Finding("sensors", OK, "Sensors", "; ".join(detail))]
    for sensor in sensors:
        status = missing.get(sensor.field, "")
        curable = status == UNAVAILABLE and sensor.field in _FIXES
        if curable or status in (DENIED, ERROR):
            findings.append(
                Finding(
                    f"sensor:{sensor.field}",
                    WARN,
                    sensor.meaning,
                    f"{status}: {sensor.source}",
                    _FIXES.get(sensor.field)
                    or _DENIED_FIX.format(source=sensor.source),
                )
            )
    if missing.get("gpu_utilisation_ppm") == UNAVAILABLE:
        findings.append(
            Finding("gpu", WARN, "GPU", "there is one, and it is not read", _GPU_FIX)
        )
    return findings


def _percent(ppm: int) -> str:
    return f"{ppm / 10_000:.1f} %"
