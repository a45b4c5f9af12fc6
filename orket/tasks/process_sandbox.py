"""The opt-in sandbox: a separate CPython behind whatever walls this machine has.

    rlimits     CPU time, memory, file size, processes, open files      (not Windows)
    seccomp     no process, no network, no signal, no file written      (Linux)
    landlock    no file read but Python's own library                   (Linux 5.13+)
    bwrap       no network, own processes, own empty file system        (if installed)

Always: an empty temporary directory, an environment without a single variable of the
user's, nothing on stdin, a wall clock limit and a capped output. The label names the
walls that stand; where all of the last three are missing, code can read files.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from orket.tasks.sandbox import (
    ANSWER_SECONDS,
    FROZEN_EPOCH_SECONDS,
    RAISED,
    STOPPED,
    UNSUPPORTED,
    Outcome,
)
from orket.tasks.values import ENCODE, ENCODER, read_value

_RUNNER = Path(__file__).with_name("process_runner.py")

_OUTPUT_BYTES = 4 * 1024 * 1024
_LIMITS = {
    "RLIMIT_AS": 256 * 1024 * 1024,
    "RLIMIT_FSIZE": _OUTPUT_BYTES,
    "RLIMIT_NPROC": 1,
    "RLIMIT_NOFILE": 32,
    "RLIMIT_CORE": 0,
}
# SIGXCPU and SIGKILL, as Python and as bwrap tells them.
_KILLED_FOR_TIME = (-24, -9, 152, 137)
_ENVIRONMENT = {"PYTHONHASHSEED": "0"}
if sys.platform == "win32":
    _ENVIRONMENT["SYSTEMROOT"] = os.environ.get("SYSTEMROOT", r"C:\Windows")
_WALLS = ("rlimits", "seccomp", "landlock")


class ProcessSandbox:
    """One fresh interpreter per answer."""

    name = "process"

    def __init__(
        self,
        bwrap: str | None = None,
        fences: bool = True,
        seconds: float = ANSWER_SECONDS,
    ) -> None:
        """`bwrap` is its path; by default it is looked for on PATH.

        `fences` off leaves seccomp and landlock out, for kernels that mishandle them.
        """
        self._fences = fences
        self._seconds = seconds
        self._bwrap = _find_bwrap(bwrap or shutil.which("bwrap"))

    @cached_property
    def walls(self) -> tuple[str, ...]:
        """The walls that stand, found out by running an empty answer."""
        lines, _ = self._start("", [])
        found = lines[0].get("walls", {}) if lines else {}
        standing = [wall for wall in _WALLS if found.get(wall)]
        return (*(["bwrap"] if self._bwrap else []), *standing)

    @property
    def label(self) -> str:
        """The name and the walls; a missing protection is named too."""
        lacking = []
        if not {"bwrap", "landlock"} & set(self.walls):
            lacking.append("files can be read")
        if not {"bwrap", "seccomp"} & set(self.walls):
            lacking.append("the network can be reached")
        said = ", ".join((*self.walls, *lacking))
        return f"process ({said})"

    def run(self, code: str, calls: Sequence[str]) -> list[Outcome]:
        """Run the code, then each call, in one fresh interpreter."""
        try:
            lines, reason = self._start(code, calls)
        except OSError as error:
            failed = Outcome(UNSUPPORTED, reason=f"SANDBOX_FAILED: {error.strerror}")
            return [failed] * len(calls)
        if not lines or "walls" not in lines[0]:
            return [Outcome(UNSUPPORTED, reason="SANDBOX_FAILED")] * len(calls)
        outcomes = [_read_outcome(line) for line in lines[1 : len(calls) + 2]]
        # The code itself is the first action; if it did not end well no call was made.
        if outcomes and outcomes[0].kind == RAISED:
            return [outcomes[0]] * len(calls)
        results = outcomes[1:]
        stopped = Outcome(STOPPED, reason=reason)
        return results + [stopped] * (len(calls) - len(results))

    def close(self) -> None:
        """Nothing outlives a run."""

    def _start(
        self, code: str, calls: Sequence[str]
    ) -> tuple[list[dict[str, Any]], str]:
        """Run the interpreter: the lines it wrote, and why there are no more."""
        request = json.dumps(
            {
                "encoder": ENCODER,
                "encode": ENCODE,
                "code": code,
                "calls": list(calls),
                "limits": {**_LIMITS, "RLIMIT_CPU": max(1, int(self._seconds * 0.7))},
                "epoch": FROZEN_EPOCH_SECONDS,
                "fences": self._fences,
            }
        )
        # A file and not a pipe takes the output: the kernel then caps it.
        with (
            tempfile.TemporaryDirectory(prefix="orket-sandbox-") as folder,
            tempfile.TemporaryFile() as request_file,
            tempfile.TemporaryFile() as output,
        ):
            request_file.write(request.encode("utf-8", "surrogatepass"))
            request_file.seek(0)
            command = self._command(folder)
            reason = _run_child(command, folder, request_file, output, self._seconds)
            output.seek(0)
            return _read_lines(output.read(_OUTPUT_BYTES)), reason

    def _command(self, folder: str) -> list[str]:
        """The interpreter, inside bwrap where there is one.

        Not -I, which would ignore the fixed hash seed: without it the order of a set
        would differ from run to run. The other flags add up to the same.
        """
        executable = os.path.realpath(sys.executable)
        python = [executable, "-s", "-S", "-P", "-B", "-X", "utf8", "-c"]
        python.append(_RUNNER.read_text(encoding="utf-8"))
        return [*_wrap(self._bwrap, folder), *python] if self._bwrap else python


def _find_bwrap(path: str | None) -> str | None:
    """The path, if bwrap works here: containers often forbid what it needs."""
    if path is None:
        return None
    executable = os.path.realpath(sys.executable)
    try:
        with tempfile.TemporaryDirectory(prefix="orket-sandbox-") as folder:
            command = [*_wrap(path, folder), executable, "-I", "-S", "-c", "pass"]
            done = subprocess.run(command, capture_output=True, timeout=10, env={})
    except (OSError, subprocess.TimeoutExpired):
        return None
    return path if done.returncode == 0 else None


def _wrap(bwrap: str, folder: str) -> list[str]:
    """A file system of Python alone, and namespaces of its own."""
    # Without a reaper of its own: bwrap would leave that one behind, unwaited for.
    command = [bwrap, "--unshare-all", "--as-pid-1"]
    command += ["--die-with-parent", "--new-session"]
    command += ["--cap-drop", "ALL", "--clearenv", "--setenv", "PYTHONHASHSEED", "0"]
    for place in _readable():
        command += ["--ro-bind-try", place, place]
    command += ["--dev", "/dev", "--tmpfs", "/tmp"]
    command += ["--bind", folder, "/tmp/answer", "--chdir", "/tmp/answer"]
    return command


def _readable() -> list[str]:
    """What an interpreter needs to start: its prefix, its libraries, the linker's."""
    places = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache"]
    places += [os.path.realpath(sys.executable), sysconfig.get_path("stdlib")]
    places += [str(sysconfig.get_config_var("LIBDIR") or "/usr/lib")]
    return list(dict.fromkeys(place for place in places if os.path.exists(place)))


def _run_child(
    command: Sequence[str],
    folder: str,
    request: IO[bytes],
    output: IO[bytes],
    seconds: float,
) -> str:
    """Run to the end or to the time limit; then end its whole process group.

    Gives the reason code of an answer that did not do all it should.
    """
    try:
        child = subprocess.Popen(
            command,
            stdin=request,
            stdout=output,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env=_ENVIRONMENT,
            start_new_session=True,
        )
    except OSError:
        return "SANDBOX_FAILED"
    try:
        status = child.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return "TIME_LIMIT"
    finally:
        _end_group(child)
    return "TIME_LIMIT" if status in _KILLED_FOR_TIME else "STOPPED"


def _end_group(child: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the child and its children."""
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
    else:
        child.kill()
    child.wait()


def _read_lines(output: bytes) -> list[dict[str, Any]]:
    """The JSON objects of the output, up to the first line that is none."""
    lines = []
    for line in output.split(b"\n"):
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not isinstance(found, dict):
            break
        lines.append(found)
    return lines


def _read_outcome(line: dict[str, Any]) -> Outcome:
    """An outcome from a line that the answer may have forged."""
    error = line.get("error")
    if isinstance(error, list) and error and all(isinstance(e, str) for e in error):
        return Outcome(RAISED, error=tuple(error))
    return read_value(line.get("value"))
