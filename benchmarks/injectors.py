"""Disturbances for the machine or the server, each switched on and off by hand.

Everything is done by processes that are no children of Orket, because a child's work
counts as Orket's own. Nothing of the machine is changed: what an injector stopped or
took, it gives back when it is switched off.
"""

from __future__ import annotations

import ctypes
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
from pathlib import Path
from typing import Protocol

PROCESS_MADVISE, MADV_PAGEOUT = 440, 21
"""Numbers of the system call and of the advice, the same on x86-64 and Arm."""
STOPPED_SECONDS, RUNNING_SECONDS = 0.25, 0.05
_BURN = "while True: pass"
_FILE_MAPPING = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) r\S+ \S+ \S+ [1-9]\d* +/")


class Injector(Protocol):
    """One kind of disturbance."""

    expected: str
    """The code that must be found in the runs it disturbs."""

    def start(self, server_pid: int, url: str) -> None: ...

    def stop(self) -> None: ...


def count_burners() -> int:
    """As many burners as take a quarter of the machine, and one at least."""
    return max(1, -(-(os.cpu_count() or 1) // 4))


class CpuBurner:
    """Other programs that compute without a pause."""

    expected = "HIGH_FOREIGN_CPU"

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


class StoppedServer:
    """A server that is stopped and continued again and again."""

    expected = "SERVER_STALLED"

    def __init__(self) -> None:
        self._loop: _Loop | None = None
        self._pid = 0

    def start(self, server_pid: int, url: str) -> None:
        del url
        self._pid = server_pid
        self._loop = _Loop(self._stop_for_a_moment)

    def _stop_for_a_moment(self) -> float:
        os.kill(self._pid, signal.SIGSTOP)
        time.sleep(STOPPED_SECONDS)
        os.kill(self._pid, signal.SIGCONT)
        return RUNNING_SECONDS

    def stop(self) -> None:
        if self._loop is not None:
            self._loop.end()
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGCONT)


class MemoryThief:
    """Takes the server's mapped pages away, as a machine short of memory does.

    Only pages that come back from their file are taken. Needs Linux and the right to
    trace the server.
    """

    expected = "MEMORY_PRESSURE"

    def __init__(self) -> None:
        self._loop: _Loop | None = None
        self._handle: int | None = None
        self._pid = 0
        self._call = ctypes.CDLL(None, use_errno=True).syscall

    def start(self, server_pid: int, url: str) -> None:
        del url
        self._pid, self._handle = server_pid, os.pidfd_open(server_pid)
        self._take_pages()
        self._loop = _Loop(self._take_pages)

    def _take_pages(self) -> float:
        class Span(ctypes.Structure):
            _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]

        maps = Path(f"/proc/{self._pid}/maps").read_text()
        found = [_FILE_MAPPING.match(line) for line in maps.splitlines()]
        spans = [(int(m[1], 16), int(m[2], 16)) for m in found if m]
        for first, last in spans:
            span = Span(first, last - first)
            done = self._call(
                PROCESS_MADVISE,
                self._handle,
                ctypes.byref(span),
                ctypes.c_size_t(1),
                MADV_PAGEOUT,
                0,
            )
            if done < 0 and ctypes.get_errno() in (1, 38):
                raise PermissionError(ctypes.get_errno(), "process_madvise")
        return 0.02

    def stop(self) -> None:
        if self._loop is not None:
            self._loop.end()
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


class SecondClient:
    """Another client that asks the same server for answers."""

    expected = "SERVER_SHARED"

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


class SteppedClock:
    """The machine's clocks, whose wall clock jumps ahead at every reading while on.

    The machine's own clock is never set.
    """

    expected = "CLOCK_JUMP"

    def __init__(self, step_ns: int = 400_000_000) -> None:
        self._step_ns = step_ns
        self._ahead_ns = 0
        self._on = False

    def start(self, server_pid: int, url: str) -> None:
        del server_pid, url
        self._on = True

    def stop(self) -> None:
        self._on = False

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

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
        with suppress(ProcessLookupError):
            while not self._ended.is_set():
                self._ended.wait(self._work())

    def end(self) -> None:
        self._ended.set()
        self._thread.join()


def _kill(pid: int) -> None:
    if pid:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
