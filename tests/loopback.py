"""What the small servers of the tests share: a socket on loopback and a thread."""

from __future__ import annotations

import socket
import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class LoopbackServer(ABC):
    """Listens on a free port of loopback while it is open.

    Each connection is handled and closed; one after the other, or side by side.
    """

    def __init__(self, *, side_by_side: bool = False) -> None:
        self._side_by_side = side_by_side
        self._stopped = threading.Event()
        """Set when it is closed: whoever waits for a client should end."""
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.netloc = f"127.0.0.1:{self._listener.getsockname()[1]}"
        """Host and port, also once it is closed."""
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def url(self) -> str:
        return f"http://{self.netloc}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopped.set()
        with socket.create_connection(self._listener.getsockname()):
            pass
        self._thread.join()
        self._listener.close()

    @abstractmethod
    def handle(self, connection: socket.socket) -> None:
        """Speak with a client. An OSError means that it hung up, as some tests want."""

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._stopped.is_set():
                connection.close()
                return
            if self._side_by_side:
                threading.Thread(
                    target=self._handle, args=(connection,), daemon=True
                ).start()
            else:
                self._handle(connection)

    def _handle(self, connection: socket.socket) -> None:
        with connection:
            try:
                self.handle(connection)
            except OSError:
                return
