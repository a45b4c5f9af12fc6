"""Disturbances for the machine or the server, each switched on and off by hand.

Everything is done by processes that are no children of Orket, because a child's work
counts as Orket's own. Nothing of the machine is changed: what an injector stopped or
took, it gives back when it is switched off.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from orket.machine.clock import SystemClock
from orket.warehouse.reasons import code_of

PROCESS_MADVISE, MADV_PAGEOUT = 440, 21
"""Numbers of the system call and of the advice, the same on x86-64 and Arm."""
MAX_FAULTS_PER_SECOND = 1500
"""More would bring the server to a standstill instead of disturbing it."""
STOPPED_SECONDS, RUNNING_SECONDS = 0.4, 0.1
_BURN = "while True: pass"
_BIG_FILE = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) r.*(?:[.]gguf|llama\S*)$")
"""A mapped model file, or a part of the engine, in /proc/<pid>/maps."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the monotonic clock, ns."""

    start_ns: int
    end_ns: int

    def overlap_ns(self, other: Span) -> int:
        """How long both last at once."""
        first = max(self.start_ns, other.start_ns)
        return max(0, min(self.end_ns, other.end_ns) - first)


def expect(*signals: str) -> frozenset[str]:
    """The codes of what the views are to see in a run."""
    return frozenset(code_of("run", signal) for signal in signals)


class Injector(Protocol):
    """One kind of disturbance."""

    expected: frozenset[str]
    """The codes of which one must be found in what it disturbs."""
    judged_by: str
    """What the views judge it by: `run`, `window` or `block`."""
    aftermath_ns: int = 0
    """For so long after it was switched off it is still felt."""

    def start(self, server_pid: int, url: str) -> None: ...

    def stop(self) -> None: ...

    def spans(self, switched_on: list[Span]) -> list[Span]:
        """When it really disturbed, of the time for which it was switched on."""
        return switched_on


def count_burners() -> int:
    """As many burners as take a quarter of the machine, and one at least."""
    return max(1, -(-(os.cpu_count() or 1) // 4))


class CpuBurner(Injector):
    """Other programs that compute without a pause."""

    expected = expect("high_foreign_cpu")
    judged_by = "window"

    def __init__(self, burners: int | None = None) -> None:
        self._burners = burners or count_burners()
        self._pids: list[int] = []

    def start(self, server_pid: int, url: str) -> None:
        del server_pid, url
        self._pids = [start_stranger(_BURN) for _ in range(self._burners)]

    def stop(self) -> None:
        for pid in self._pids:
            _kill(pid)
        self._pids = []


class StoppedServer(Injector):
    """A server that is stopped and continued again and again.

    Stopped while it computes, its own clock goes on and its CPU time does not; stopped
    before a request arrives, it starts its clock late, and the wait is unexplained.
    """

    expected = expect("server_stalled", "high_overhead")
    judged_by = "run"

    def __init__(self) -> None:
        self._loop: _Loop | None = None
        self._pid = 0
        self._stops: list[Span] = []

    def spans(self, switched_on: list[Span]) -> list[Span]:
        del switched_on
        return self._stops

    def start(self, server_pid: int, url: str) -> None:
        del url
        self._pid = server_pid
        self._loop = _Loop(self._stop_for_a_moment)

    def _stop_for_a_moment(self) -> float:
        start_ns = time.monotonic_ns()
        os.kill(self._pid, signal.SIGSTOP)
        time.sleep(STOPPED_SECONDS)
        os.kill(self._pid, signal.SIGCONT)
        self._stops.append(Span(start_ns, time.monotonic_ns()))
        return RUNNING_SECONDS

    def stop(self) -> None:
        if self._loop is not None:
            self._loop.end()
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGCONT)


class _Stretch(ctypes.Structure):
    """A stretch of another process's memory (struct iovec)."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class MemoryThief(Injector):
    """Takes the server's mapped pages away, as a machine short of memory does.

    Only pages that come back from their file are taken: those of the model and of the
    engine. Needs Linux and the right to trace the server.
    """

    expected = expect("memory_pressure")
    judged_by = "window"
    # Each page that was taken comes back by a fault when it is next needed.
    aftermath_ns = 1_000_000_000

    def __init__(self) -> None:
        self._loop: _Loop | None = None
        self._handle: int | None = None
        self._pid = 0
        self._faults = 0
        self._stretches: list[_Stretch] = []
        self._call = ctypes.CDLL(None, use_errno=True).syscall

    def start(self, server_pid: int, url: str) -> None:
        del url
        self._pid, self._handle = server_pid, os.pidfd_open(server_pid)
        self._faults = _read_major_faults(server_pid)
        maps = Path(f"/proc/{server_pid}/maps").read_text().splitlines()
        found = [match for line in maps if (match := _BIG_FILE.match(line))]
        self._stretches = [
            _Stretch(int(match[1], 16), int(match[2], 16) - int(match[1], 16))
            for match in found
        ]
        self._take_pages()
        self._loop = _Loop(self._take_pages)

    def _take_pages(self) -> float:
        for stretch in self._stretches:
            done = self._call(
                ctypes.c_long(PROCESS_MADVISE),
                ctypes.c_int(self._handle or -1),
                ctypes.byref(stretch),
                ctypes.c_size_t(1),
                ctypes.c_int(MADV_PAGEOUT),
                ctypes.c_uint(0),
            )
            if done < 0 and ctypes.get_errno() in (errno.EPERM, errno.ENOSYS):
                raise PermissionError(ctypes.get_errno(), "process_madvise")
        before, self._faults = self._faults, _read_major_faults(self._pid)
        wanted = (self._faults - before) / MAX_FAULTS_PER_SECOND
        return min(0.1, max(0.001, wanted))

    def stop(self) -> None:
        if self._loop is not None:
            self._loop.end()
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _read_major_faults(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[9])


class SecondClient(Injector):
    """Another client that asks the same server for answers."""

    expected = expect("server_shared")
    judged_by = "block"

    def __init__(self) -> None:
        self._pid = 0

    def start(self, server_pid: int, url: str) -> None:
        del server_pid
        body = json.dumps({"prompt": "eval: a = T", "n_predict": 8})
        self._pid = start_stranger(
            "import time, urllib.request\n"
            f"request = urllib.request.Request({url!r} + '/completion', "
            f"{body.encode()!r}, {{'Content-Type': 'application/json'}})\n"
            "while True:\n"
            "    try:\n"
            "        urllib.request.urlopen(request, timeout=10).read()\n"
            "    except OSError:\n"
            "        time.sleep(0.05)\n"
            "    time.sleep(0.02)\n"
        )

    def stop(self) -> None:
        _kill(self._pid)


class SteppedClock(Injector, SystemClock):
    """The machine's clocks, whose wall clock jumps ahead at every reading while on.

    The machine's own clock is never set.
    """

    expected = expect("clock_jump")
    judged_by = "run"

    def __init__(self, step_ns: int = 400_000_000) -> None:
        self._step_ns = step_ns
        self._ahead_ns = 0
        self._on = False

    def start(self, server_pid: int, url: str) -> None:
        del server_pid, url
        self._on = True

    def stop(self) -> None:
        self._on = False

    def realtime_ns(self) -> int:
        if self._on:
            self._ahead_ns += self._step_ns
        return time.time_ns() + self._ahead_ns


def start_stranger(script: str) -> int:
    """Run Python code in a process that is not below ours; its pid.

    The shell in between ends at once, so that the process belongs to nobody here.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".py", delete=False) as file:
        file.write(script)
    started = subprocess.run(
        f"{sys.executable} {file.name} >/dev/null 2>&1 & echo $!",
        shell=True,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        start_new_session=True,
    )
    pid = int(started.stdout)
    _wait_until_it_runs(pid, file.name)
    os.unlink(file.name)
    return pid


def _wait_until_it_runs(pid: int, script: str) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            ticks = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            if script.encode() in command and int(ticks[11]) > 0:
                return
        time.sleep(0.01)
    raise TimeoutError(f"process {pid} does not run")


class _Loop:
    """Calls a function again and again, in a thread, at the pause that it returns."""

    def __init__(self, work: Callable[[], float]) -> None:
        self._work = work
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with suppress(ProcessLookupError, FileNotFoundError):
            while not self._ended.is_set():
                self._ended.wait(self._work())

    def end(self) -> None:
        self._ended.set()
        self._thread.join()


def _kill(pid: int) -> None:
    if pid:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
