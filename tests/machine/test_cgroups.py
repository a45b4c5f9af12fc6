from __future__ import annotations

import pytest

from orket.machine.cgroups import (
    find_throttle_files,
    parse_throttled_ns,
    read_memory_limit_bytes,
    read_quota_milli,
)
from orket.machine.observer import Observer
from tests.recorded_machine import write_machine

V2 = {
    "proc/self/cgroup": "0::/kubepods/pod7/box\n",
    "sys/fs/cgroup/cgroup.controllers": "cpu memory\n",
    "sys/fs/cgroup/kubepods/cpu.max": "max 100000\n",
    "sys/fs/cgroup/kubepods/pod7/cpu.max": "250000 100000\n",
    "sys/fs/cgroup/kubepods/pod7/box/cpu.max": "max 100000\n",
    "sys/fs/cgroup/kubepods/memory.max": "max\n",
    "sys/fs/cgroup/kubepods/pod7/memory.max": "4294967296\n",
    "sys/fs/cgroup/kubepods/pod7/box/memory.max": "8589934592\n",
}


def test_the_tightest_level_rules(tmp_path):
    write_machine(tmp_path, V2)
    assert read_quota_milli(tmp_path) == 2500
    assert read_memory_limit_bytes(tmp_path) == 4294967296
    write_machine(
        tmp_path, {"sys/fs/cgroup/kubepods/pod7/box/cpu.max": "50000 100000\n"}
    )
    assert read_quota_milli(tmp_path) == 500


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("max 100000", None),
        ("150000 100000", 1500),
        ("33333 100000", 333),
        ("1 1000000", 1),
        ("-1 100000", None),
        ("100000 0", None),
        ("100000", None),
        ("abc def", None),
        ("", None),
    ],
)
def test_fractional_quota_of_v2(tmp_path, content, expected):
    write_machine(
        tmp_path,
        {
            "proc/self/cgroup": "0::/\n",
            "sys/fs/cgroup/cgroup.controllers": "cpu\n",
            "sys/fs/cgroup/cpu.max": content,
        },
    )
    assert read_quota_milli(tmp_path) == expected


@pytest.mark.parametrize(("quota", "expected"), [("-1", None), ("175000", 1750)])
def test_fractional_quota_of_v1(tmp_path, quota, expected):
    write_machine(
        tmp_path,
        {
            "proc/self/cgroup": "3:cpu:/docker/abc\n5:memory:/docker/abc\n0::/\n",
            "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us": quota,
            "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": (
                "9223372036854771712"
            ),
        },
    )
    assert read_quota_milli(tmp_path) == expected
    assert read_memory_limit_bytes(tmp_path) is None


def test_without_control_groups_there_is_no_quota(tmp_path):
    assert read_quota_milli(tmp_path) is None
    assert read_memory_limit_bytes(tmp_path) is None
    assert find_throttle_files(tmp_path, 1) is None


def test_throttling_is_summed_over_the_levels_that_have_it(tmp_path):
    box = "sys/fs/cgroup/kubepods/pod7/box/cpu.stat"
    pod = "sys/fs/cgroup/kubepods/pod7/cpu.stat"
    write_machine(
        tmp_path,
        V2
        | {
            "proc/4000001/cgroup": V2["proc/self/cgroup"],
            "proc/4000001/stat": "4000001 (x) S 1 " + "0 " * 30,
            box: "usage_usec 9\n",
            pod: "usage_usec 9\nthrottled_usec 12\n",
        },
    )
    assert find_throttle_files(tmp_path, 4_000_001) == [tmp_path / pod]
    with Observer(tmp_path, "linux") as observer:
        observer.attach([4_000_001], "loopback")
        assert observer.read().cgroup_throttled_ns == 12_000


def test_throttling_that_cannot_be_read_is_a_gap_and_not_zero(tmp_path):
    write_machine(
        tmp_path,
        {
            "proc/4000001/cgroup": "0::/\n",
            "proc/4000001/stat": "4000001 (x) S 1 " + "0 " * 30,
            "sys/fs/cgroup/cgroup.controllers": "cpu\n",
        },
    )
    # Opening a folder works and reading it does not, whoever tries.
    (tmp_path / "sys/fs/cgroup/cpu.stat").mkdir()
    with Observer(tmp_path, "linux") as observer:
        observer.attach([4_000_001], "loopback")
        assert observer.read().cgroup_throttled_ns is None
        assert "cgroup_throttled_ns=unavailable" in observer.gaps


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"nr_throttled 2\nthrottled_usec 5\n", 5000),
        (b"nr_throttled 2\nthrottled_time 5\n", 5),
        (b"usage_usec 5\n", None),
    ],
)
def test_throttled_time_of_both_versions(content, expected):
    assert parse_throttled_ns(content) == expected
