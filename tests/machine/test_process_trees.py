"""Real processes under the real /proc: what is the server's, ours and foreign."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orket.machine.observer import Observer
from orket.records import Counters
from tests.recorded_machine import BURNER, TICK_NS, burner_command

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="reads the /proc of Linux"
)

BURNT_SECONDS = 0.3
BURNT_NS = 300_000_000
SLACK_NS = 8 * TICK_NS
"""The machine's CPU time advances by ticks, each CPU's on its own."""


@pytest.fixture
def observer() -> Iterator[Observer]:
    with Observer() as made:
        yield made


def start_burner() -> subprocess.Popen[str]:
    child = subprocess.Popen(
        burner_command(BURNT_SECONDS),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def burn(child: subprocess.Popen[str]) -> None:
    """Let a burner burn, and wait until it says that it has."""
    assert child.stdin is not None and child.stdout is not None
    child.stdin.write("\n")
    child.stdin.flush()
    assert child.stdout.readline() == "burnt\n"


def end(child: subprocess.Popen[str]) -> None:
    child.kill()
    child.communicate()


def grown(before: Counters, after: Counters, field: str) -> int:
    """How much a counter grew, in ns."""
    return int(getattr(after, field) - getattr(before, field))


def foreign(before: Counters, after: Counters) -> int:
    own = grown(before, after, "server_cpu_ns") + grown(before, after, "client_cpu_ns")
    return grown(before, after, "host_busy_ns") - own


def test_work_of_the_server_is_the_servers(observer):
    server = start_burner()
    try:
        observer.attach([server.pid], "child")
        before = observer.read()
        burn(server)
        after = observer.read()
    finally:
        end(server)
    assert grown(before, after, "server_cpu_ns") >= BURNT_NS
    assert grown(before, after, "client_cpu_ns") < BURNT_NS
    assert after.server_rss_bytes is not None and after.server_rss_bytes > 1_000_000


def test_work_of_another_child_is_ours_and_stays_ours_when_it_ends(observer):
    server, helper = start_burner(), start_burner()
    try:
        observer.attach([server.pid], "child")
        before = observer.read()
        burn(helper)
        while_alive = observer.read()
        end(helper)
        ended = observer.read()
    finally:
        end(server)
    assert grown(before, while_alive, "client_cpu_ns") >= BURNT_NS
    assert grown(before, ended, "client_cpu_ns") >= BURNT_NS
    assert grown(before, ended, "server_cpu_ns") < BURNT_NS


def test_a_child_that_starts_later_is_ours(observer):
    observer.attach([], "loopback")
    before = observer.read()
    helper = start_burner()
    try:
        burn(helper)
        after = observer.read()
    finally:
        end(helper)
    assert grown(before, after, "client_cpu_ns") >= BURNT_NS


def test_work_of_a_stranger_is_foreign(observer, tmp_path):
    """The stranger is no child of ours: the shell that started it has ended."""
    script = tmp_path / "burner.py"
    script.write_text(BURNER)
    pipe_in, pipe_out = tmp_path / "in", tmp_path / "out"
    os.mkfifo(pipe_in)
    os.mkfifo(pipe_out)
    subprocess.run(
        f"{sys.executable} {script} {BURNT_SECONDS} <{pipe_in} >{pipe_out} &",
        shell=True,
        check=True,
    )
    server = start_burner()
    with pipe_in.open("w") as say, pipe_out.open() as hear:
        try:
            assert hear.readline() == "ready\n"
            observer.attach([server.pid], "child")
            before = observer.read()
            say.write("\n")
            say.flush()
            assert hear.readline() == "burnt\n"
            after = observer.read()
        finally:
            end(server)
    assert foreign(before, after) >= BURNT_NS - SLACK_NS
    assert grown(before, after, "client_cpu_ns") < BURNT_NS


def test_a_stopped_server_uses_no_cpu_time(observer):
    server = start_burner()
    try:
        observer.attach([server.pid], "child")
        os.kill(server.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, server.pid, os.WSTOPPED | os.WNOWAIT)
        assert server.stdin is not None and server.stdout is not None
        server.stdin.write("\n")
        server.stdin.flush()
        stopped = observer.read()
        time.sleep(0.05)
        still = observer.read()
        os.kill(server.pid, signal.SIGCONT)
        assert server.stdout.readline() == "burnt\n"
        after = observer.read()
    finally:
        end(server)
    assert grown(stopped, still, "server_cpu_ns") == 0
    assert grown(still, after, "server_cpu_ns") >= BURNT_NS


def test_a_dead_server_is_a_gap_and_its_work_does_not_become_ours(observer):
    server = start_burner()
    observer.attach([server.pid], "child")
    burn(server)
    before = observer.read()
    end(server)
    after = observer.read()
    assert after.server_cpu_ns is None
    assert "server_cpu_ns=unavailable" in observer.gaps
    assert grown(before, after, "client_cpu_ns") < BURNT_NS


def test_peak_memory_of_a_spike_between_two_readings(observer):
    script = (
        "import sys\nprint('ready', flush=True)\nsys.stdin.readline()\n"
        "block = bytearray(b'x') * (64 << 20)\ndel block\n"
        "print('done', flush=True)\nsys.stdin.readline()\n"
    )
    server = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdin is not None and server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        observer.attach([server.pid], "child")
        observer.read()
        quiet, _ = observer.peak()
        server.stdin.write("\n")
        server.stdin.flush()
        assert server.stdout.readline() == "done\n"
        observer.read()
        spike, _ = observer.peak()
        observer.reset_peak()
        later, _ = observer.peak()
    finally:
        end(server)
    assert quiet is not None and spike is not None and later is not None
    assert spike - quiet >= 60 << 20
    assert later < spike - (50 << 20)


def test_watching_leaves_no_open_files_behind():
    before = len(os.listdir("/proc/self/fd"))
    with Observer() as observer:
        for _ in range(3):
            observer.attach([os.getppid()], "loopback")
            observer.read()
        held = len(os.listdir("/proc/self/fd"))
    assert held > before
    assert len(os.listdir("/proc/self/fd")) == before


def test_watching_starts_no_thread_and_writes_nothing_into_the_process(observer):
    threads = len(os.listdir("/proc/self/task"))
    mark = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
    observer.attach([os.getpid()], "loopback")
    observer.read()
    observer.reset_peak()
    assert len(os.listdir("/proc/self/task")) == threads
    after = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
    assert int(after) >= int(mark)
