"""The process in which queries run; `query_worker` starts and ends it.

It hears on stdin   ("folder", path) once; ("open", Over); ("ask", "rows" or "batches",
                    query); ("stop",) while one runs; ("close",)
and says on stdout  ("clock", runs) when a query's own time begins or rests;
                    ("columns", what) and then ("piece", what): a list of names and
                    lists of rows, or Arrow's schema and batches, in Arrow's own format;
                    ("left_out", damages); and, at the end of each query, one of
                    ("done",), ("error", class, message, hint, cause), ("fault", trace).
Without its parent it ends: its stdin closes.
"""

from __future__ import annotations

import os
import pickle
import queue
import shutil
import sys
import tempfile
import threading
import traceback
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from orket.errors import OrketError
from orket.warehouse.locked import LockedSession
from orket.warehouse.query import Over
from orket.warehouse.store import Warehouse

_AGAIN_SECONDS = 0.05
"""An interrupt between two statements is lost: it is sent until the query has ended."""


class _Child:
    def __init__(self, stdin: IO[bytes], stdout: IO[bytes]) -> None:
        self._stdin, self._stdout = stdin, stdout
        self._orders: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
        self._is_at_rest = threading.Event()
        self._is_at_rest.set()
        self._folder = ""
        self._warehouse: Warehouse | None = None
        self._session: LockedSession | None = None
        self._told = 0

    def serve(self) -> None:
        threading.Thread(target=self._hear, daemon=True).start()
        while True:
            order, *rest = self._orders.get()
            if order == "open":
                self._open(*rest)
            elif order == "close":
                self._close()
            elif order == "ask":
                self._ask(*rest)
                self._is_at_rest.set()

    def _hear(self) -> None:
        """Take orders while a query runs; without a parent, end with everything."""
        while True:
            try:
                order: tuple[Any, ...] = pickle.load(self._stdin)
            except (EOFError, OSError, pickle.UnpicklingError):
                shutil.rmtree(self._folder, ignore_errors=True)
                os._exit(0)
            if order[0] == "folder":
                self._folder = tempfile.tempdir = order[1]
            elif order[0] == "stop":
                self._stop()
            else:
                if order[0] == "ask":
                    self._is_at_rest.clear()
                self._orders.put(order)

    def _stop(self) -> None:
        while not self._is_at_rest.is_set():
            if self._session is not None:
                self._session.interrupt()
            self._is_at_rest.wait(_AGAIN_SECONDS)

    def _say(self, *message: object) -> None:
        pickle.dump(message, self._stdout)
        self._stdout.flush()

    def _open(self, over: Over) -> None:
        self._close()
        self._over = over

    def _close(self) -> None:
        if self._session is not None:
            self._session.close()
        self._session = None
        self._warehouse, self._told = None, 0

    def _ask(self, way: str, text: str) -> None:
        try:
            session = self._opened()
            pieces = session.rows_of if way == "rows" else session.batches_of
            for kind, piece in pieces(text):
                self._say(kind, piece)
            end: tuple[object, ...] = ("done",)
        except OrketError as error:
            cause = error.__cause__ and str(error.__cause__)
            kind = type(error).__name__
            end = ("error", kind, error.message, error.hint, cause)
        except Exception:
            end = ("fault", traceback.format_exc())
        self._tell_left_out()
        self._say(*end)

    def _opened(self) -> LockedSession:
        if self._session is None:
            over = self._over
            self._warehouse = Warehouse.open(over.warehouse, tolerance=over.tolerance)
            self._session = self._warehouse.unbounded_session(
                over.sweep_id, over.limits, lambda runs: self._say("clock", runs)
            )
        return self._session

    def _tell_left_out(self) -> None:
        known = self._warehouse.left_out.damages if self._warehouse else []
        left_out = known[self._told :]
        if left_out:
            self._told += len(left_out)
            self._say("left_out", left_out)


def main() -> None:
    """Serve one parent. What else is written to stdout goes to stderr."""
    with suppress(OSError):
        # Where the machine has no more memory, it ends this, and not what asked.
        Path("/proc/self/oom_score_adj").write_text("1000", "ascii")
    stdout = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with suppress(BrokenPipeError):
        _Child(sys.stdin.buffer, stdout).serve()
