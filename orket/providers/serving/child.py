"""A process that Orket starts and ends, with its output in a file.

It leads its own session, so that Ctrl-C in the terminal ends Orket's run in an orderly
way and not the server under it, and it ends when its stdin closes.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from orket.providers.http.problems import EngineFailure, one_line
from orket.providers.reading.figures import mapping

STOP_SECONDS = 12.0
"""Longer than a keeper takes to end a server that does not want to."""
LOG_BYTES = 65_536
LAST_LINES = 3


class ChildProcess:
    """One running child and what it wrote."""

    def __init__(self, script: Path, log_path: Path | None = None) -> None:
        """Start a script of Python's; it waits for its settings.

        Without a path, its output goes to a file that is gone with it.
        """
        is_kept = log_path is not None
        if log_path is None:
            handle, name = tempfile.mkstemp(prefix="orket-engine-", suffix=".log")
            self._log_path, self._log = Path(name), os.fdopen(handle, "rb")
        else:
            log_path.parent.mkdir(parents=True, exist_ok=True)
            log_path.touch()
            self._log_path, self._log = log_path, log_path.open("rb")
        # Opened anew, to append: reading it must not move where the child writes.
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(script)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                **_own_session(),
            )
        self._is_kept = is_kept
        if not is_kept:
            with quiet():
                # Gone with the last process that holds it; Windows refuses until then.
                self._log_path.unlink()

    @property
    def pid(self) -> int:
        """The process that was started."""
        return self._process.pid

    def hear(self, settings: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """Tell the child its settings, and hear the line by which it says it is ready.

        Empty where it ended, or said nothing in time.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        line = json.dumps(dict(settings)).encode() + b"\n"
        late = threading.Timer(seconds, self._process.kill)
        late.daemon = True
        late.start()
        try:
            with quiet():
                stdin.write(line)
                stdin.flush()
            said = stdout.readline()
        finally:
            late.cancel()
        try:
            return dict(mapping(json.loads(said)))
        except ValueError:
            self.is_alive(STOP_SECONDS)
            return {}

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
        cause = self.cause()
        return f"exit code {code}: {cause}" if cause else f"exit code {code}"

    def cause(self) -> str | None:
        """Why it ended, by its log: the last line."""
        lines = self.last_lines(1)
        return lines[-1] if lines else None

    def last_lines(self, count: int = LAST_LINES) -> list[str]:
        """The end of what it wrote, fit to be shown."""
        lines = [line for line in self.read_log().splitlines() if line.strip()]
        return [one_line(line) for line in lines[-count:]]

    def read_log(self) -> str:
        """The beginning and the end of what it wrote."""
        with quiet():
            self._log.seek(0)
            head = self._log.read(LOG_BYTES)
            self._log.seek(max(len(head), self._log.seek(0, os.SEEK_END) - LOG_BYTES))
            return (head + self._log.read(LOG_BYTES)).decode("utf-8", "replace")
        return ""

    def stop(self) -> None:
        """End the process. Raises EngineFailure when it cannot be ended."""
        _close(self._process.stdin)
        if self.is_alive(STOP_SECONDS) or (self._process.returncode or 0) < 0:
            # What was killed could not end what it had started.
            self._end_session()
        gone = not self.is_alive(STOP_SECONDS)
        _close(self._process.stdout)
        self._log.close()
        if not self._is_kept:
            with quiet():
                self._log_path.unlink(missing_ok=True)
        if not gone:
            raise EngineFailure(
                f"the engine process {self.pid} does not end", "end it by hand"
            )

    def _end_session(self) -> None:
        with quiet():
            if sys.platform == "win32":
                self._process.kill()
            else:
                os.killpg(self._process.pid, signal.SIGKILL)


def _close(pipe: IO[bytes] | None) -> None:
    if pipe is not None:
        with quiet():
            pipe.close()


def _own_session() -> dict[str, Any]:
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class quiet:  # noqa: N801
    """A process or a file that is gone already is as good as ended."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> bool:
        return kind is not None and issubclass(
            kind, (OSError, ValueError, subprocess.SubprocessError)
        )
