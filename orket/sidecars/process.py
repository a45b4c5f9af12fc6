"""Runs one foreign program: time limit, bounded output, and no way to hang us."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO

_KEPT_BYTES = 16 * 1024 * 1024
"""Of each stream; what a program prints beyond is read and dropped."""
_GRACE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended. `exit_code` is None when it ran into the time limit."""

    exit_code: int | None
    stdout: str
    stderr: str


def run_program(
    command: Sequence[str],
    timeout_seconds: float,
    environment: Mapping[str, str] | None = None,
) -> Finished:
    """Run `command` to its end or its time limit, and end all that it started.

    Raises OSError when it cannot be started.
    """
    process = subprocess.Popen(
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **(environment or {})},
        # A group of its own: ending it ends its children, and Ctrl-C does not reach it.
        start_new_session=True,
    )
    assert process.stdout is not None and process.stderr is not None
    streams = (_Drain(process.stdout), _Drain(process.stderr))
    exit_code: int | None = None
    try:
        exit_code = process.wait(timeout_seconds)
    except subprocess.TimeoutExpired:
        _end_group(process)
    except BaseException:
        _end_group(process)
        raise
    for stream in streams:
        stream.join(_GRACE_SECONDS)
    if any(stream.is_alive() for stream in streams):
        # A child it left behind still holds the pipe.
        _end_group(process)
    return Finished(exit_code, streams[0].text(), streams[1].text())


class _Drain(threading.Thread):
    """Reads a stream to its end, so that the program never blocks on a full pipe."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._stream = stream
        self._kept = bytearray()
        self.start()

    def run(self) -> None:
        with self._stream as stream:
            while chunk := stream.read1(65536):  # type: ignore[attr-defined]
                room = _KEPT_BYTES - len(self._kept)
                self._kept += chunk[:room]

    def text(self) -> str:
        return bytes(self._kept).decode("utf-8", errors="replace")


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End what is left of the program's process group; all gone is fine too."""
    try:
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    except (ProcessLookupError, PermissionError):
        # Nobody of the group is left, or only a zombie that wait() collects (macOS).
        pass
    process.wait()
