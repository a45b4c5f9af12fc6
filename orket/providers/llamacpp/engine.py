"""A llama.cpp server in a process of its own, started and stopped by Orket.

Its CPU time and memory are its own, and a crash of it is an error row. The process
leads its own session, so that Ctrl-C in the terminal ends Orket's run in an orderly
way and not the server under it.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

from orket.errors import MissingExtra, UsageError
from orket.levels import kv_types, read_kv
from orket.providers.contract import Placement
from orket.providers.http.endpoint import read_endpoint
from orket.providers.http.problems import EngineFailure, one_line
from orket.providers.http.transport import Transport
from orket.providers.llamacpp.engine_child import has_gpu
from orket.providers.reading.figures import nanoseconds, sequence, text
from orket.providers.serving.child import STOP_SECONDS, ChildProcess, quiet
from orket.providers.serving.ports import KEEPER, LOOPBACK, find_free_port

START_SECONDS = 1800.0
"""A very large model on a slow disk loads for many minutes."""
HEALTH_SECONDS = 2.0
HEALTH_POLL_SECONDS = 0.05
LOG_SECONDS = 1.0
LOG_POLL_SECONDS = 0.01
LOG_OF_CACHE = "4"
"""Verbosity at which the KV cache is logged when it is made."""
BINARY = "llama-server"

_LOG_ERROR = re.compile(r"^\d[\d.]* E \s*(.*)$", re.MULTILINE)
_LOG_THREADS = re.compile(r"n_threads = (\d+)")
_LOG_BUFFER = re.compile(
    r"load_tensors: +(\S+)(?: model)? buffer size = +(\d{1,9}\.\d\d) MiB"
)
_LOG_LOAD = "loaded meta data with"
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
    with quiet():
        said = subprocess.run(
            [binary, "--version"], capture_output=True, timeout=30, check=False
        )
        for line in (said.stderr + said.stdout).decode("utf-8", "replace").splitlines():
            if line.startswith("version:"):
                return one_line(f"llama-server {line.removeprefix('version:')}")
    return None


class EngineProcess(ChildProcess):
    """One running server process and what it told about itself."""

    def __init__(self, settings: EngineSettings) -> None:
        """Start the server and wait until it answers. Raises EngineFailure."""
        super().__init__(_CHILD if settings.binary is None else KEEPER)
        self.settings = settings
        began_ns = time.perf_counter_ns()
        try:
            if settings.binary is None:
                said = self.hear(asdict(settings), START_SECONDS)
                self.address = text(said.get("address")) or ""
                self.load_ns = nanoseconds(said.get("load_ns"))
            else:
                said = self._serve_binary(settings.binary)
                self.load_ns = time.perf_counter_ns() - began_ns
            if not self.address:
                self._refuse()
        except BaseException:
            self.stop()
            raise
        devices = said.get("devices")
        self.cpu_only = (
            None if devices is None else not has_gpu(map(str, sequence(devices)))
        )

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

    def threads(self) -> int | None:
        """The threads it computes with, as its log says.

        The engine logs from a thread of its own: on a busy machine the line comes
        after the answer to the call that started the threads.
        """
        deadline = time.monotonic() + LOG_SECONDS
        while True:
            if (found := read_threads_log(self.read_log())) is not None:
                return found
            if time.monotonic() > deadline or not self.is_alive():
                return None
            time.sleep(LOG_POLL_SECONDS)

    def placement(self) -> Placement | None:
        """Where the weights lie, as its log says; None where it does not."""
        return read_placement_log(self.read_log())

    def kv_cache(self) -> str | None:
        """The type of its KV cache, as its log says; None where it does not."""
        return read_kv_log(self.read_log())

    def cause(self) -> str | None:
        """The first error in the engine's log, else its last line."""
        found = _LOG_ERROR.search(self.read_log())
        return one_line(found.group(1)) if found else super().cause()

    def _serve_binary(self, binary: str) -> dict[str, Any]:
        """Start the binary and wait until it has loaded its model."""
        port = self.settings.port or find_free_port()
        self.address = ""
        argv = binary_command(self.settings, binary, port)
        keep = {"argv": argv, "cpus": self.settings.cpus, "secrets": []}
        if not self.hear(keep, START_SECONDS):
            return {}
        address = f"http://{LOOPBACK}:{port}"
        deadline = time.monotonic() + START_SECONDS
        with closing(Transport(read_endpoint(address))) as transport:
            while self.is_alive() and time.monotonic() < deadline:
                if transport.get("/health", HEALTH_SECONDS).ok:
                    self.address = address
                    return {}
                time.sleep(HEALTH_POLL_SECONDS)
        return {}

    def _refuse(self) -> NoReturn:
        self.is_alive(STOP_SECONDS)
        raise EngineFailure(
            f"the engine did not start with {self.settings.model}: "
            f"{self.cause() or self.explain_death()}",
            "check the file and the controls, or try another one",
            "ENGINE_NOT_STARTED",
        )


def binary_command(settings: EngineSettings, binary: str, port: int) -> list[str]:
    """The command line of a llama-server; what its build does not know is left out.

    But for the type of the KV cache: another one would be measured under this name.
    """
    listed = subprocess.run(
        [binary, "--help"],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    known = listed.stdout + listed.stderr
    wanted: list[list[str]] = [
        ["--model", settings.model],
        ["--alias", settings.alias],
        ["--host", LOOPBACK],
        ["--port", str(port)],
        ["--parallel", "1"],
        ["--ctx-size", str(settings.context_tokens)],
        ["--metrics"],
        ["--slots"],
        ["--cache-ram", "0"],
        ["--fit", "off"],
        ["--no-webui"],
    ]
    if settings.threads is not None:
        threads = str(settings.threads)
        wanted += [["--threads", threads], ["--threads-batch", threads]]
    if settings.batch_tokens is not None:
        batch = settings.batch_tokens
        wanted += [
            ["--batch-size", str(batch)],
            ["--ubatch-size", str(min(batch, 512))],
        ]
    flags = [flag for flag in wanted if flag[0] in known]
    if settings.kv_cache is not None:
        keys, values = kv_types(settings.kv_cache)
        flags += [["--cache-type-k", keys], ["--cache-type-v", values]]
        flags += [["--verbosity", LOG_OF_CACHE]] if "--verbosity" in known else []
    return [binary, *(word for flag in flags for word in flag)]


def read_threads_log(log: str) -> int | None:
    """The threads that a log of llama.cpp's names; None where it names none."""
    found = _LOG_THREADS.search(log)
    return int(found.group(1)) if found else None


def read_kv_log(log: str) -> str | None:
    """The type of the KV cache in a log of llama.cpp's; None where it tells none.

    A model with a sliding window has two caches; they have to agree.
    """
    told = {f"{keys}/{values}" for keys, values in _LOG_KV.findall(log)}
    return read_kv(told.pop()) if len(told) == 1 else None


def read_placement_log(log: str) -> Placement | None:
    """Where the weights lie by a log of llama.cpp's; None where it does not tell.

    It names a buffer for each device, load by load: the largest model is the one that
    is measured, whatever drafts for it. A buffer of the host is called CPU or CPU_...,
    or CUDA_Host and the like: memory of the host that a GPU can read.
    """
    loads = [_placed(load) for load in log.split(_LOG_LOAD)]
    total, on_gpus = max(loads)
    return Placement(total, on_gpus) if total else None


def _placed(log: str) -> tuple[int, int]:
    """Bytes of the weights that one load names, and of these on GPUs."""
    sizes = [
        (name, int(Decimal(size) * 2**20)) for name, size in _LOG_BUFFER.findall(log)
    ]
    total = sum(size for _, size in sizes)
    return total, total - sum(size for name, size in sizes if _is_host(name))


def _is_host(buffer: str) -> bool:
    return buffer.split("_")[0] in ("CPU", "AMX", "BLAS") or buffer.endswith("_Host")
