from __future__ import annotations

import os
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orket.limits import MAX_READING
from orket.machine.observer import Observer, Paced
from orket.machine.readings import KeptFile, Readings
from orket.machine.registry import list_sensors
from orket.providers.contract import ServerLoad
from orket.records import Counters
from tests.recorded_machine import (
    PAGE_BYTES,
    RUNNER_PID,
    SERVER_PID,
    TICK_NS,
    laptop_files,
    no_permission,
    process_files,
    process_stat,
    write_machine,
)


@pytest.fixture
def laptop(tmp_path):
    return write_machine(tmp_path, laptop_files())


@pytest.fixture
def observer(laptop):
    # A clock that leaps: every paced source is due at every reading.
    ticks = iter(range(0, 10**18, 10**12))
    with Observer(laptop, "linux", now_ns=lambda: next(ticks)) as made:
        for paced in made._paced:
            paced._cost_ns = 1
        made.attach([SERVER_PID], "loopback")
        yield made


def gaps_of(observer: Observer) -> dict[str, str]:
    return dict(gap.split("=") for gap in observer.gaps)


def test_every_sensor_of_a_laptop_is_read(observer):
    found = observer.read(ServerLoad(requests_processing=2, tokens_generated=77))
    assert found.host_total_ns == (1000 + 10 + 500 + 9000 + 40 + 5 + 15 + 30) * TICK_NS
    assert found.host_busy_ns == (1000 + 10 + 500 + 5 + 15) * TICK_NS
    assert found.host_idle_ns == 9000 * TICK_NS
    assert found.host_iowait_ns == 40 * TICK_NS
    assert found.host_steal_ns == 30 * TICK_NS
    assert found.load1_milli == 420
    assert found.psi_cpu_some_us == 111
    assert found.psi_memory_full_us == 22
    assert found.psi_io_full_us == 33
    assert found.swap_in_bytes == 7 * PAGE_BYTES
    assert found.swap_out_bytes == 9 * PAGE_BYTES
    assert found.available_memory_bytes == 8_000_000 * 1024
    assert found.server_rss_bytes == 7000 * PAGE_BYTES
    assert found.cgroup_throttled_ns == 44_000
    assert found.thermal_throttle_count == 10 + 11 + 20
    assert found.cpu_frequency_khz == 1_001_500
    assert found.on_battery is False
    assert found.server_requests_processing == 2
    assert found.server_tokens_generated == 77
    assert found.client_cpu_ns is not None
    assert {field for field in gaps_of(observer)} == {
        sensor.field for sensor in list_sensors() if sensor.source == "NVML"
    }


def test_server_use_is_counted_from_the_attachment_on(observer, laptop):
    before = observer.read()
    write_machine(
        laptop,
        process_files(SERVER_PID, 1, ticks=310, faults=4)
        | process_files(RUNNER_PID, SERVER_PID, ticks=750, faults=9),
    )
    after = observer.read()
    assert after.server_cpu_ns - before.server_cpu_ns == 60 * TICK_NS
    assert after.server_major_faults - before.server_major_faults == 3


def test_an_ended_child_takes_nothing_away(observer, laptop):
    write_machine(laptop, process_files(RUNNER_PID, SERVER_PID, ticks=760))
    before = observer.read()
    # A process that ended: its kept file has nothing more to say.
    write_machine(laptop, {f"proc/{RUNNER_PID}/stat": ""})
    write_machine(laptop, process_files(SERVER_PID, 1, ticks=305))
    after = observer.read()
    assert before.server_cpu_ns == 60 * TICK_NS
    assert after.server_cpu_ns == 65 * TICK_NS


def test_a_server_that_died_is_a_gap(observer, laptop):
    assert observer.read().server_cpu_ns is not None
    write_machine(
        laptop, {f"proc/{SERVER_PID}/stat": "", f"proc/{RUNNER_PID}/stat": ""}
    )
    found = observer.read()
    assert found.server_cpu_ns is None
    assert found.server_rss_bytes is None
    assert gaps_of(observer)["server_cpu_ns"] == "unavailable"


def test_a_zombie_counts_as_ended(observer, laptop):
    zombie = process_stat(SERVER_PID, 1, ticks=320, state="Z")
    write_machine(laptop, {f"proc/{SERVER_PID}/stat": zombie})
    write_machine(laptop, {f"proc/{RUNNER_PID}/stat": ""})
    assert observer.read().server_cpu_ns is None


def test_another_server_goes_on_where_the_last_one_stopped(observer, laptop):
    write_machine(laptop, process_files(RUNNER_PID, SERVER_PID, ticks=800))
    before = observer.read()
    write_machine(laptop, process_files(SERVER_PID + 7, 1, ticks=5))
    observer.attach([SERVER_PID + 7], "child")
    write_machine(laptop, process_files(SERVER_PID + 7, 1, ticks=25))
    after = observer.read()
    assert after.server_cpu_ns - before.server_cpu_ns == 20 * TICK_NS


def test_a_remote_server_has_no_readings_of_its_own(observer):
    observer.attach([], "remote")
    found = observer.read()
    assert found.server_cpu_ns is None
    assert found.host_total_ns is not None
    assert gaps_of(observer)["server_cpu_ns"] == "unavailable"


VANISHING = {
    "proc/stat": "host_total_ns",
    "proc/loadavg": "load1_milli",
    "proc/vmstat": "swap_in_bytes",
    "proc/pressure/memory": "psi_memory_full_us",
    "proc/meminfo": "available_memory_bytes",
    "sys/fs/cgroup/system.slice/ollama.service/cpu.stat": "cgroup_throttled_ns",
    "sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq": "cpu_frequency_khz",
    "sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count": (
        "thermal_throttle_count"
    ),
}


@pytest.mark.parametrize("name", VANISHING)
def test_a_sensor_that_vanishes_mid_run_is_a_gap(observer, laptop, name):
    field = VANISHING[name]
    assert getattr(observer.read(), field) is not None
    write_machine(laptop, {name: ""})
    (laptop / name).unlink()
    found = observer.read()
    assert getattr(found, field) is None
    assert gaps_of(observer)[field] == "unavailable"
    assert found.client_cpu_ns is not None


def test_a_file_that_is_not_held_open_can_vanish_too(tmp_path):
    path = tmp_path / "scaling_cur_freq"
    path.write_text("5")
    file = KeptFile(path, keep=False)
    assert file.read_int() == 5
    path.unlink()
    assert file.read_int() is None
    assert file.status == "unavailable"


@pytest.mark.parametrize("name", VANISHING)
def test_a_sensor_that_talks_nonsense_is_in_error(observer, laptop, name):
    field = VANISHING[name]
    text = (laptop / name).read_text()
    words = "".join("zz" if c.isdigit() else c for c in text)
    write_machine(laptop, {name: words})
    assert getattr(observer.read(), field) is None
    assert gaps_of(observer)[field] == "error"


def test_without_permission_for_any_file_every_field_says_so():
    with tempfile.TemporaryDirectory() as folder:
        root = write_machine(Path(folder), laptop_files())
        # Folders can be looked into, as in /proc and /sys; no file can be opened.
        root.chmod(0o755)
        with no_permission(root), Observer(root, "linux") as observer:
            observer.attach([SERVER_PID], "loopback")
            found = observer.read()
            gaps = gaps_of(observer)
            assert observer.peak() == (None, None)
    known = {
        name for name in Counters.__struct_fields__ if getattr(found, name) is not None
    }
    assert known == {"client_cpu_ns"}
    told = {field for field, status in gaps.items() if status == "denied"}
    assert told >= {
        "host_total_ns",
        "load1_milli",
        "psi_memory_full_us",
        "swap_in_bytes",
        "available_memory_bytes",
        "thermal_throttle_count",
        "thermal_throttled_ns",
        "cpu_frequency_khz",
        "on_battery",
        "server_cpu_ns",
        "server_rss_bytes",
    }


def test_a_machine_that_cannot_even_be_listed_has_only_gaps(laptop):
    with no_permission(laptop), Observer(laptop, "linux") as observer:
        observer.attach([SERVER_PID], "loopback")
        assert observer.read().host_total_ns is None
        assert len(observer.gaps) == len(list_sensors()) - 1


def test_an_empty_machine_has_only_gaps(tmp_path):
    with Observer(tmp_path, "linux") as observer:
        observer.attach([1, 2, 3], "loopback")
        observer.read()
        assert observer.peak() == (None, None)
        assert observer.host_load() is None
        assert len(observer.gaps) == len(list_sensors()) - 1


STAT = "proc/stat"


@pytest.mark.parametrize(
    "line",
    [
        "cpu  -5 10 500 9000 40 5 15 30 0 0\n",
        "cpu  5 10\n",
        "intr 5 10 500 9000 40 5 15 30 0 0\n",
        f"cpu  {10**30} 10 500 9000 40 5 15 30 0 0\n",
    ],
)
def test_absurd_cpu_times_are_an_error_of_the_sensor(observer, laptop, line):
    write_machine(laptop, {STAT: line})
    found = observer.read()
    assert found.host_total_ns is None
    assert gaps_of(observer)["host_total_ns"] == "error"
    assert found.server_cpu_ns is not None


def test_a_counter_that_runs_back_is_an_error_once(observer, laptop):
    observer.read()
    write_machine(laptop, {STAT: "cpu  10 10 50 9000 40 5 15 30 0 0\n"})
    assert observer.read().host_busy_ns is None
    assert gaps_of(observer)["host_busy_ns"] == "error"
    write_machine(laptop, {STAT: "cpu  20 10 50 9000 40 5 15 30 0 0\n"})
    assert observer.read().host_busy_ns == (20 + 10 + 50 + 5 + 15) * TICK_NS


def test_idle_time_may_step_back_a_little(observer, laptop):
    before = observer.read()
    write_machine(laptop, {STAT: "cpu  1000 10 500 8999 38 5 15 30 0 0\n"})
    after = observer.read()
    assert after.host_total_ns == before.host_total_ns
    assert after.host_idle_ns == before.host_idle_ns


def test_the_longest_throttled_core_counts_though_another_leads(observer, laptop):
    folder = "sys/devices/system/cpu/cpu0/thermal_throttle"
    before = observer.read()
    # The package stands at 50 ms; a core below that was throttled all the same.
    write_machine(laptop, {f"{folder}/core_throttle_total_time_ms": "45\n"})
    after = observer.read()
    assert after.thermal_throttled_ns - before.thermal_throttled_ns == 40_000_000


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"AC/online": "0\n", "BAT0/status": "Discharging\n"}, True),
        ({"AC/online": "1\n", "BAT0/status": "Discharging\n"}, False),
        ({"AC/online": "0\n", "BAT0/status": "Charging\n"}, False),
        (
            {
                "AC/online": "0\n",
                "mouse/type": "Battery\n",
                "mouse/scope": "Device\n",
                "mouse/status": "Discharging\n",
            },
            False,
        ),
    ],
)
def test_power_source(tmp_path, changes, expected):
    files = laptop_files()
    files |= {f"sys/class/power_supply/{k}": v for k, v in changes.items()}
    with Observer(write_machine(tmp_path, files), "linux") as observer:
        assert observer.read().on_battery is expected


def test_peak_memory_takes_the_high_water_mark_only_when_it_grew(observer, laptop):
    observer.read()
    seen_bytes = 7000 * PAGE_BYTES
    assert observer.peak() == (seen_bytes, None)
    status = f"VmHWM:\t{90_000} kB\n"
    write_machine(laptop, {f"proc/{RUNNER_PID}/status": status})
    assert observer.peak() == (2000 * PAGE_BYTES + 90_000 * 1024, None)
    observer.reset_peak()
    observer.read()
    assert observer.peak() == (seen_bytes, None)


def test_throttling_of_cgroup_v1(tmp_path):
    files = {
        name: text for name, text in laptop_files().items() if "fs/cgroup" not in name
    }
    files[f"proc/{SERVER_PID}/cgroup"] = "4:cpu,cpuacct:/docker/abc\n0::/\n"
    # The path is the host's; inside the container the mount's root is the group.
    files["sys/fs/cgroup/cpu,cpuacct/cpu.stat"] = "nr_periods 9\nthrottled_time 1234\n"
    with Observer(write_machine(tmp_path, files), "linux") as observer:
        observer.attach([SERVER_PID], "loopback")
        assert observer.read().cgroup_throttled_ns == 1234


def test_other_platforms_name_what_orket_does_not_read_there():
    with Observer(sys_platform="darwin") as observer:
        observer.attach([os.getpid()], "loopback")
        found = observer.read()
        gaps = gaps_of(observer)
    assert found.host_total_ns
    assert found.client_cpu_ns is not None
    assert found.available_memory_bytes
    for sensor in list_sensors():
        if "macos" not in sensor.platforms:
            assert gaps[sensor.field] == "unsupported_platform"


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts open files")
def test_hundreds_of_cpus_take_no_hundreds_of_open_files(tmp_path):
    root = write_machine(tmp_path, laptop_files(cpus=200))
    before = len(os.listdir("/proc/self/fd"))
    with Observer(root, "linux") as observer:
        found = observer.read()
        assert len(os.listdir("/proc/self/fd")) - before < 50
    assert found.cpu_frequency_khz == 1_099_500
    assert found.thermal_throttle_count == 10 + 11 + 20


class Slow:
    def __init__(self) -> None:
        self.reads = 0

    def read(self, into: Readings) -> None:
        self.reads += 1
        into.put("cpu_frequency_khz", self.reads)

    def close(self) -> None: ...


def test_a_slow_source_keeps_its_last_reading_for_400_times_its_cost():
    # Each reading takes 10 ns; the third comes when 4000 ns have passed.
    times = iter([0, 10, 4009, 4010, 4020])
    source = Slow()
    paced = Paced(source, lambda: next(times))
    seen = []
    for _ in range(3):
        into = Readings()
        paced.read(into)
        seen.append(into.values["cpu_frequency_khz"])
    assert seen == [1, 1, 2]


class Broken:
    def read(self, into: Readings) -> None:
        raise RuntimeError("a driver that nobody expected")

    def close(self) -> None: ...


def test_a_source_that_breaks_costs_only_its_own_fields(observer):
    places = [type(source).__name__ for source in observer._sources]
    observer._sources[places.index("Swap")] = Broken()
    found = observer.read()
    assert found.host_total_ns is not None
    assert found.swap_in_bytes is None
    assert gaps_of(observer)["swap_in_bytes"] == "error"


Ticks = st.one_of(st.integers(-(10**20), 10**20), st.integers(0, 1000))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(Ticks, Ticks, Ticks), min_size=2, max_size=8))
def test_whatever_the_files_say_counters_never_run_back(tmp_path_factory, moments):
    root = tmp_path_factory.mktemp("machine")
    write_machine(root, laptop_files())
    counters = [s.field for s in list_sensors() if s.kind == "counter"]
    last: dict[str, Any] = {}
    with Observer(root, "linux") as observer:
        observer.attach([SERVER_PID], "loopback")
        for user, ticks, swapped in moments:
            write_machine(
                root,
                {
                    STAT: f"cpu  {user} 10 500 9000 40 5 15 30 0 0\n",
                    f"proc/{SERVER_PID}/stat": process_stat(SERVER_PID, 1, ticks=ticks),
                    "proc/vmstat": f"pswpin {swapped}\npswpout 9\n",
                },
            )
            found = observer.read()
            for field in counters:
                value = getattr(found, field)
                if value is None:
                    assert field in gaps_of(observer)
                    last.pop(field, None)
                    continue
                assert last.get(field, 0) <= value <= MAX_READING
                last[field] = value


def test_traffic_of_a_restarted_server_is_no_error(observer):
    busy = SimpleNamespace(requests_processing=None, tokens_generated=500)
    observer.read(busy)
    observer.attach([SERVER_PID], "child")
    fresh = SimpleNamespace(requests_processing=0, tokens_generated=3)
    found = observer.read(fresh)
    assert found.server_tokens_generated == 3
    assert found.server_requests_processing == 0
