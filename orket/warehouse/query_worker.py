"""A process of its own for queries: it can be ended where DuckDB does not listen.

Inside one function of DuckDB's (`repeat('x', 1000000000)`) no interrupt is heard and no
memory is counted. So a query runs in a child, which the system ends for good. Both talk
in pickled tuples over its stdin and stdout; `query_child` says which.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import weakref
from pathlib import Path
from typing import IO, Any

POLL_SECONDS = 0.02
"""So often the memory of a query is looked at; at most this late it is ended."""
_END_SECONDS = 10.0
_START = (
    "import sys; sys.path[:] = sys.argv[1:]; "
    "from orket.warehouse.query_child import main; main()"
)
_ENDED = ("ended",)


class QueryWorker:
    """One child process, and the private folder in which it may spill."""

    def __init__(self) -> None:
        """Start it; it imports what it needs while others go on."""
        self.owner = os.getpid()
        self._folder = Path(tempfile.mkdtemp(prefix="orket-query-"))
        self._errors = self._folder / "stderr"
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _START, *_search_path()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                **_own_session(),
            )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._said: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
        threading.Thread(
            target=_listen, args=(self._process.stdout, self._said), daemon=True
        ).start()
        self._finalize = weakref.finalize(
            self, _end, self.owner, self._process, self._folder
        )
        self.tell("folder", str(self._folder))

    @property
    def is_alive(self) -> bool:
        """Whether it can be asked, and by this process: a fork shares its pipes."""
        return self.owner == os.getpid() and self._process.poll() is None

    def tell(self, *message: object) -> None:
        """Send it a message; one that has ended says so by what is heard next."""
        stdin = self._process.stdin
        assert stdin is not None
        with contextlib.suppress(OSError, ValueError):
            pickle.dump(message, stdin)
            stdin.flush()

    def hear(self, seconds: float) -> tuple[Any, ...] | None:
        """The next message, `("ended",)` from one that ended; None: none in time."""
        try:
            return self._said.get(timeout=max(seconds, 0.0))
        except queue.Empty:
            return None

    def resident_bytes(self) -> int:
        """What it holds in memory now; 0 where it ended."""
        return _resident_bytes(self._process.pid)

    def end(self) -> None:
        """End it at once, with whatever it does, and take its folder away."""
        self._finalize()

    def explain_end(self) -> str:
        """How it ended by itself, in a few words."""
        code = self._process.wait(_END_SECONDS)
        if code < 0:
            with contextlib.suppress(ValueError):
                return f"it was killed by {signal.Signals(-code).name}"
        with contextlib.suppress(OSError):
            lines = self._errors.read_text("utf-8", "replace").split("\n")
            if said := [line.strip() for line in lines if line.strip()]:
                return said[-1]
        return f"exit code {code}"


def _search_path() -> list[str]:
    """Where modules are found here; what a folder of the user's holds is none of it."""
    own = str(Path(__file__).parents[2])
    return list(dict.fromkeys([own, *(path for path in sys.path if path)]))


def _own_session() -> dict[str, Any]:
    """Ctrl-C in the terminal is for the process that asks; it ends the query."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def _listen(stdout: IO[bytes], said: queue.SimpleQueue[tuple[Any, ...]]) -> None:
    """Pass on what the child says, until it says no more."""
    with stdout:
        while True:
            try:
                said.put(pickle.load(stdout))
            except (EOFError, OSError, pickle.UnpicklingError):
                # A process that is killed breaks off anywhere.
                said.put(_ENDED)
                return


def _end(owner: int, process: subprocess.Popen[bytes], folder: Path) -> None:
    if owner != os.getpid():
        # A fork of its parent ends: the parent goes on.
        return
    process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_END_SECONDS)
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
    shutil.rmtree(folder, ignore_errors=True)


def _resident_bytes(pid: int) -> int:
    if sys.platform == "linux":
        try:
            pages = Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]
        except (OSError, IndexError):
            return 0
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0
