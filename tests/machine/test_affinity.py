from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orket.errors import UsageError
from orket.machine.affinity import (
    describe_affinity,
    read_affinity,
    resolve_affinity,
)
from orket.machine.topology import format_cpu_list, parse_cpu_list
from tests.recorded_machine import laptop_files, write_machine

linux = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="the mask of a process is Linux's"
)


@pytest.fixture
def laptop(tmp_path):
    """Two cores: CPUs 0 and 2 are siblings, and so are 1 and 3."""
    return write_machine(tmp_path, laptop_files(cpus=4))


@pytest.mark.parametrize(
    ("policy", "threads", "expected"),
    [
        ("none", None, None),
        ("server", None, None),
        ("compact", None, (0, 2)),
        ("compact", 1, (0,)),
        ("compact", 3, (0, 1, 2)),
        ("compact", 99, (0, 1, 2, 3)),
        ("spread", None, (0, 1)),
        ("spread", 1, (0,)),
        ("spread", 3, (0, 1, 2)),
        ("0,2-3", None, (0, 2, 3)),
        ("3", None, (3,)),
    ],
)
def test_policies_on_two_cores_with_siblings(laptop, policy, threads, expected):
    found = resolve_affinity(policy, threads, allowed=range(4), root=laptop)
    assert found == expected


def test_only_allowed_cpus_are_used(laptop):
    assert resolve_affinity("compact", 2, allowed=(1, 2, 3), root=laptop) == (1, 2)
    assert resolve_affinity("spread", 2, allowed=(1, 3), root=laptop) == (1, 3)
    with pytest.raises(UsageError, match=r"CPU 0 of affinity '0-1' is not available"):
        resolve_affinity("0-1", allowed=(1, 3), root=laptop)


@pytest.mark.parametrize("policy", ["compact", "spread", "0"])
def test_one_cpu(tmp_path, policy):
    root = write_machine(tmp_path, laptop_files(cpus=1))
    assert resolve_affinity(policy, 4, allowed=[0], root=root) == (0,)


@pytest.mark.parametrize(
    "policy", ["compcat", "0-", "3-1", "1,,2", "0x1", "1-99999999"]
)
def test_a_policy_that_is_none_says_what_is_one(laptop, policy):
    with pytest.raises(UsageError):
        resolve_affinity(policy, allowed=range(4), root=laptop)


@given(st.sets(st.integers(0, 300), min_size=1))
def test_cpu_lists_are_read_as_they_are_written(cpus):
    assert parse_cpu_list(format_cpu_list(cpus)) == tuple(sorted(cpus))


@linux
def test_the_mask_of_every_thread_is_read_back():
    cpu = min(os.sched_getaffinity(0))
    script = (
        f"import os, sys, threading\nos.sched_setaffinity(0, [{cpu}])\n"
        "threads = [threading.Thread(target=sys.stdin.readline) for _ in range(3)]\n"
        "[t.start() for t in threads]\nprint('ready', flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert read_affinity([child.pid]) == (cpu,)
        assert describe_affinity(str(cpu), [child.pid]) == str(cpu)
        everything = os.sched_getaffinity(0)
        if len(everything) > 1:
            assert describe_affinity("none", [child.pid]) == str(cpu)
            # A thread that escaped: no single answer is true.
            os.sched_setaffinity(child.pid, everything)
            assert read_affinity([child.pid]) is None
        child.kill()


@linux
def test_a_process_that_is_gone_cannot_be_read():
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert read_affinity([child.pid]) is None
    assert describe_affinity("none", [child.pid]) is None


@linux
def test_an_unrestricted_process_has_the_policy_none():
    assert describe_affinity("none", [os.getpid()]) == "none"
    assert describe_affinity(None, [os.getpid()]) == format_cpu_list(
        os.sched_getaffinity(0)
    )
