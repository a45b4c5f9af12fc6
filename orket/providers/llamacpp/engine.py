"""A llama.cpp server in a process of its own, started and stopped by Orket.

Its CPU time and memory are its own, and a crash of it is an error row. The process
leads its own session, so that Ctrl-C in the terminal ends Orket's run in an orderly
way and not the server under it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from orket.errors import MissingExtra, UsageError
from orket.levels import read_kv
from orket.providers.http.problems import EngineFailure, one_line
from orket.providers.reading.figures import mapping, nanoseconds, sequence, text

START_SECONDS = 1800.0
"""A very large model on a slow disk loads for many minutes."""
STOP_SECONDS = 8.0
LOG_SECONDS = 1.0
LOG_POLL_SECONDS = 0.01
LOG_BYTES = 65_536
BINARY = "llama-server"

_LOG_ERROR = re.compile(r"^\d[\d.]* E \s*(.*)$", re.MULTILINE)
_LOG_THREADS = re.compile(r"n_threads = (\d+)")
_LOG_KV = re.compile(r"kv_cache: size = .* K \((\w+)\): .* V \((\w+)\):")
_CHILD = Path(__file__).with_name("engine_child.py")


@dataclass(frozen=True)
class EngineSettings:
    """What the engine is started with; None leaves it its own choice."""

    model: str
    alias: str
    context_tokens: int
    threads: int | None = None
    batch_tokens: int | None = None
    kv_cache: str | None = None
    """Type of the KV cache: `q8_0`, or `q8_0/f16` for keys and values."""
    cpus: tuple[int, ...] | None = None
    port: int = 0
    """0: any free one."""
    binary: str | None = None
    """A llama-server to run in place of the wheel's."""


def find_engine(engine: str | None) -> str | None:
    """The llama-server binary to run; None for the one of the xllamacpp wheel.

    Raises MissingExtra when neither is there, UsageError when the named one is not.
    """
    if engine is not None:
        found = shutil.which(engine)
        if found is None:
            raise UsageError(
                f"no program {engine!r}", "give the path of a llama-server binary"
            )
        return found
    if importlib.util.find_spec("xllamacpp") is not None:
        return None
    on_path = shutil.which(BINARY)
    if on_path is None:
        raise MissingExtra("xllamacpp", "embedded", "the embedded engine")
    return on_path


def read_version(binary: str | None) -> str | None:
    """The engine's version: the wheel's, or what the binary says of itself."""
    if binary is None:
        return f"xllamacpp {version('xllamacpp')}"
    with _quiet():
        said = subprocess.run(
            [binary, "--version"], capture_output=True, timeout=30, check=False
        )
        for line in (said.stderr + said.stdout).decode("utf-8", "replace").splitlines():
            if line.startswith("version:"):
                return one_line(f"llama-server {line.removeprefix('version:')}")
    return None


class EngineProcess:
    """One running server process and what it told about itself."""

    def __init__(self, settings: EngineSettings) -> None:
        """Start the server and wait until it answers. Raises EngineFailure."""
        self.settings = settings
        handle, name = tempfile.mkstemp(prefix="orket-engine-", suffix=".log")
        self._log_path, self._log = Path(name), os.fdopen(handle, "rb")
        # Opened anew, to append: reading it must not move where the engine writes.
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(_CHILD)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                **_own_session(),
            )
        with _quiet():
            # Gone with the last process that holds it; Windows refuses until then.
            self._log_path.unlink()
        try:
            said = self._hear()
        except BaseException:
            self.stop()
            raise
        self.address = str(said["address"])
        self.load_ns = nanoseconds(said.get("load_ns"))
        devices = said.get("devices")
        self.cpu_only = None if devices is None else _is_cpu_only(sequence(devices))

    @property
    def pid(self) -> int:
        """The process that owns the server."""
        return self._process.pid

    def pids(self) -> list[int]:
        """The processes the engine computes in: this one, or the binary below it."""
        if self.settings.binary is None:
            return [self.pid]
        import psutil

        try:
            below = psutil.Process(self.pid).children(recursive=True)
        except psutil.Error:
            return []
        return [process.pid for process in below]

    def is_alive(self, wait_seconds: float = 0.0) -> bool:
        """Whether the process still runs, waiting a moment for a dying one."""
        try:
            self._process.wait(wait_seconds)
        except subprocess.TimeoutExpired:
            return True
        return False

    def explain_death(self) -> str:
        """How the process ended, in a line."""
        code = self._process.returncode
        if code is not None and code < 0:
            return f"killed by {_signal_name(-code)}"
        cause = self._cause()
        return f"exit code {code}: {cause}" if cause else f"exit code {code}"

    def threads(self) -> int | None:
        """The threads it computes with, as its log says.

        The engine logs from a thread of its own: on a busy machine the line comes
        after the answer to the call that started the threads.
        """
        deadline = time.monotonic() + LOG_SECONDS
        while True:
            if found := _LOG_THREADS.search(self._read_log()):
                return int(found.group(1))
            if time.monotonic() > deadline or not self.is_alive():
                return None
            time.sleep(LOG_POLL_SECONDS)

    def kv_cache(self) -> str | None:
        """The type of its KV cache, as its log says; None where it does not."""
        return read_kv_log(self._read_log())

    def stop(self) -> None:
        """End the process. Raises EngineFailure when it cannot be ended."""
        if self._process.stdin is not None:
            with _quiet():
                self._process.stdin.close()
        if self.is_alive(STOP_SECONDS):
            self._end_session()
        gone = not self.is_alive(STOP_SECONDS)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.close()
        with _quiet():
            self._log_path.unlink(missing_ok=True)
        if not gone:
            raise EngineFailure(
                f"the engine process {self.pid} does not end", "end it by hand"
            )

    def _hear(self) -> dict[str, Any]:
        """The line by which the child says that it is ready."""
        assert self._process.stdin is not None and self._process.stdout is not None
        line = json.dumps(asdict(self.settings)).encode() + b"\n"
        late = threading.Timer(START_SECONDS, self._process.kill)
        late.daemon = True
        late.start()
        try:
            with _quiet():
                self._process.stdin.write(line)
                self._process.stdin.flush()
            said = self._process.stdout.readline()
        finally:
            late.cancel()
        try:
            document = mapping(json.loads(said))
        except ValueError:
            document = {}
        if text(document.get("address")) is None:
            self.is_alive(STOP_SECONDS)
            raise EngineFailure(
                f"the engine did not start with {self.settings.model}: "
                f"{self._cause() or self.explain_death()}",
                "check the file and the controls, or try another one",
                "ENGINE_NOT_STARTED",
            )
        return dict(document)

    def _cause(self) -> str | None:
        """The first error in the engine's log, else its last line."""
        log = self._read_log()
        found = _LOG_ERROR.search(log)
        if found:
            return one_line(found.group(1))
        lines = [line for line in log.splitlines() if line.strip()]
        return one_line(lines[-1]) if lines else None

    def _read_log(self) -> str:
        """The beginning and the end of the engine's log."""
        with _quiet():
            self._log.seek(0)
            head = self._log.read(LOG_BYTES)
            self._log.seek(max(len(head), self._log.seek(0, os.SEEK_END) - LOG_BYTES))
            return (head + self._log.read(LOG_BYTES)).decode("utf-8", "replace")
        return ""

    def _end_session(self) -> None:
        with _quiet():
            if sys.platform == "win32":
                self._process.kill()
            else:
                os.killpg(self._process.pid, signal.SIGKILL)


def read_kv_log(log: str) -> str | None:
    """The type of the KV cache in a log of llama.cpp's; None where it tells none.

    A model with a sliding window has two caches; they have to agree.
    """
    told = {f"{keys}/{values}" for keys, values in _LOG_KV.findall(log)}
    return read_kv(told.pop()) if len(told) == 1 else None


def _own_session() -> dict[str, Any]:
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def _is_cpu_only(devices: list[Any]) -> bool:
    return all(str(device).endswith(("_CPU", "_ACCEL")) for device in devices)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class _quiet:  # noqa: N801
    """A process or a file that is gone already is as good as ended."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> bool:
        return kind is not None and issubclass(
            kind, (OSError, ValueError, subprocess.SubprocessError)
        )
