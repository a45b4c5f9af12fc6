"""The sources of macOS and Windows. psutil works here too, so they are tried here."""

from __future__ import annotations

import os
import subprocess

import pytest

from orket.machine.observer import Observer
from tests.recorded_machine import burner_command

BURNT_NS = 300_000_000
RESOLUTION_NS = 20_000_000
"""psutil reads CPU times in ticks, of user and system time each."""


@pytest.fixture
def burner():
    child = subprocess.Popen(
        burner_command(BURNT_NS / 1e9),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    yield child
    child.kill()
    child.communicate()


def burn(child):
    child.stdin.write("\n")
    child.stdin.flush()
    assert child.stdout.readline() == "burnt\n"


@pytest.fixture(params=["darwin", "win32"])
def observer(request):
    with Observer(sys_platform=request.param) as made:
        yield made


def test_work_of_the_server_is_the_servers(observer, burner):
    observer.attach([burner.pid], "child")
    before = observer.read()
    burn(burner)
    after = observer.read()
    assert after.server_cpu_ns - before.server_cpu_ns >= BURNT_NS - RESOLUTION_NS
    assert after.client_cpu_ns - before.client_cpu_ns < BURNT_NS
    assert after.host_busy_ns - before.host_busy_ns > 0
    assert after.host_total_ns >= after.host_busy_ns + after.host_idle_ns
    rss_bytes, gpu_bytes = observer.peak()
    assert rss_bytes >= after.server_rss_bytes > 1_000_000
    assert gpu_bytes is None


def test_work_of_another_child_is_ours(observer, burner):
    observer.attach([], "remote")
    before = observer.read()
    burn(burner)
    after = observer.read()
    assert after.client_cpu_ns - before.client_cpu_ns >= BURNT_NS - RESOLUTION_NS
    assert after.server_cpu_ns is None
    assert "server_cpu_ns=unavailable" in observer.gaps


def test_a_server_that_died_is_a_gap(observer, burner):
    observer.attach([burner.pid], "child")
    assert observer.read().server_cpu_ns is not None
    burner.kill()
    burner.wait()
    assert observer.read().server_cpu_ns is None
    assert observer.peak()[0] is not None


def test_a_process_that_is_not_there_cannot_be_watched(observer):
    observer.attach([4_000_001], "loopback")
    assert observer.read().server_cpu_ns is None
    assert observer.peak() == (None, None)


@pytest.mark.skipif(not hasattr(os, "getloadavg"), reason="Windows has no load average")
def test_the_load_is_read_on_its_own(observer):
    load = observer.host_load()
    assert load is not None and load >= 0
