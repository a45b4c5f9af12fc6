"""One query after another, each within its time and memory, whatever it calls."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self

from orket import errors
from orket.errors import LimitReached, OrketError
from orket.warehouse.query import Answer, Over, out_of_memory, too_late
from orket.warehouse.query_worker import POLL_SECONDS, QueryWorker
from orket.warehouse.view_files import view_files

if TYPE_CHECKING:
    import polars as pl

    from orket.warehouse.tolerance import LeftOut

STOP_SECONDS = 1.0
"""So long a query is waited for that was told to stop; then its process is ended."""
_ROOM_BYTES = 256 << 20
_NEVER = float("inf")
_ENDS = ("done", "error", "fault", "ended")


class BoundedSession:
    """One SELECT after another over copies of the views, in a process of its own.

    DuckDB is told to stop first, and keeps what it has computed; where it does not hear
    that, its process is ended, and the next query starts another.
    """

    def __init__(
        self,
        over: Over,
        left_out: LeftOut | None = None,
        idle: list[QueryWorker] | None = None,
    ) -> None:
        """`left_out` gets what could not be read; `idle` lends and keeps a process.

        Raises OSError where no process can be started.
        """
        self._over, self._left_out, self._idle = over, left_out, idle
        self._worker: QueryWorker | None = None
        self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process, or give it back."""
        worker, self._worker = self._worker, None
        if worker is None:
            return
        if self._idle is not None and not self._idle and worker.is_alive:
            worker.tell("close")
            self._idle.append(worker)
        else:
            worker.end()

    def view_names(self) -> list[str]:
        """The views, in dependency order."""
        return list(view_files())

    def answer(self, text: str) -> Answer:
        """The rows of a single SELECT as Python values.

        Raises UsageError for anything else, LimitReached where it takes too much.
        """
        answer = Answer([], [])
        for kind, piece in self._pieces("rows", text):
            if kind == "columns":
                # Said again where values turn out to be none of Python's.
                answer = Answer(piece, [])
            else:
                answer.rows.extend(piece)
        return answer

    def query(self, text: str) -> pl.DataFrame:
        """The rows of a single SELECT as a Polars frame; errors as of `answer`."""
        batches: list[bytes] = []
        schema = b""
        for kind, piece in self._pieces("batches", text):
            if kind == "columns":
                schema, batches = piece, []
            else:
                batches.append(piece)
        return _frame(schema, batches)

    def _start(self) -> QueryWorker:
        if self._worker is None or not self._worker.is_alive:
            if self._worker is not None:
                self._worker.end()
            idle = self._idle.pop() if self._idle else None
            self._worker = idle if idle and idle.is_alive else QueryWorker()
            self._worker.tell("open", self._over)
        return self._worker

    def _pieces(self, way: str, text: str) -> Iterator[tuple[str, Any]]:
        worker = self._start()
        try:
            worker.tell("ask", way, text)
            for message in self._heard(worker):
                if message[0] in ("columns", "piece"):
                    yield message[0], message[1]
                elif message[0] == "left_out" and self._left_out is not None:
                    self._left_out.damages += message[1]
                elif message[0] == "error":
                    _raise_again(*message[1:])
                elif message[0] == "fault":
                    _raise_fault(message[1])
                elif message[0] == "ended":
                    raise LimitReached(
                        f"the process of the query ended ({worker.explain_end()})",
                        "ask for less; where the machine has no more memory, "
                        f"give the query less with {self._over.limits.more_memory}",
                    )
        except KeyboardInterrupt:
            self._stop(worker)
            raise
        except OrketError:
            raise
        except BaseException:
            # Given up in the middle: what it still says is of no use to anybody.
            worker.end()
            raise

    def _heard(self, worker: QueryWorker) -> Iterator[tuple[Any, ...]]:
        """What it says until the query ends. Raises LimitReached where it has to."""
        limits = self._over.limits
        at_rest = worker.resident_bytes()
        most = limits.memory_bytes + limits.memory_bytes // 4 + _ROOM_BYTES
        # Its own start and the views of Orket's are not what the query takes.
        end = _NEVER
        while True:
            message = worker.hear(POLL_SECONDS)
            if message is not None and message[0] != "clock":
                yield message
                if message[0] in _ENDS:
                    return
            elif message is not None:
                end = time.monotonic() + limits.seconds if message[1] else _NEVER
                at_rest = worker.resident_bytes()
            if time.monotonic() > end:
                self._stop(worker)
                raise too_late(limits)
            if end != _NEVER and worker.resident_bytes() - at_rest > most:
                worker.end()
                raise out_of_memory(limits)

    def _stop(self, worker: QueryWorker) -> None:
        """Have the query end: by DuckDB itself, else with its process."""
        try:
            worker.tell("stop")
            end = time.monotonic() + STOP_SECONDS
            while (left := end - time.monotonic()) > 0:
                message = worker.hear(left)
                if message is not None and message[0] in _ENDS:
                    return
        except BaseException:
            worker.end()
            raise
        worker.end()


def _raise_again(kind: str, message: str, hint: str | None, cause: str) -> NoReturn:
    """Raise what was raised in the child, with the words of what was behind it."""
    error_type: type[OrketError] = getattr(errors, kind)
    error = error_type.__new__(error_type)
    OrketError.__init__(error, message, hint)
    raise error from (RuntimeError(cause) if cause else None)


def _raise_fault(trace: str) -> NoReturn:
    """Raise a fault of the child with its last line, and all of it behind."""
    last = trace.strip().rpartition("\n")[2]
    raise RuntimeError(f"in a query's process: {last}") from RuntimeError(trace)


def _frame(schema: bytes, batches: list[bytes]) -> pl.DataFrame:
    import polars as pl
    import pyarrow as pa

    kind = pa.ipc.read_schema(pa.py_buffer(schema))
    found = [
        batch for piece in batches for batch in pa.ipc.open_stream(pa.py_buffer(piece))
    ]
    frame = pl.from_arrow(pa.Table.from_batches(found, kind))
    assert isinstance(frame, pl.DataFrame)
    return frame
