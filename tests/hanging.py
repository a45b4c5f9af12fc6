"""A proxy before a server that lets it hang from some call on, in several ways."""

from __future__ import annotations

import socket
import threading
from types import TracebackType

from tests.scripted import read_request

SILENT, HEADERS, HALF, TRICKLE = "silent", "headers", "half", "trickle"
GENERATES = (b" /api/chat ", b" /v1/chat/completions ", b" /completion ")


class HangingProxy:
    """Passes requests on to `url` up to call `at`; from then on calls hang.

    `silent` accepts and never answers, `headers` stops behind the headers, `half` in
    the middle of the body, and `trickle` sends a byte now and then. With `everything`
    no other question is answered any more either.
    """

    def __init__(self, url: str, how: str, at: int, everything: bool = False) -> None:
        self._port = int(url.rpartition(":")[2])
        self._how, self._at, self._everything = how, at, everything
        self.calls = 0
        self.questions = 0
        """Since the first call that hung, calls apart."""
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> HangingProxy:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        with socket.create_connection(self._listener.getsockname()):
            pass
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while not self._over.is_set():
            connection, _ = self._listener.accept()
            threading.Thread(
                target=self._pass_on, args=(connection,), daemon=True
            ).start()

    def _pass_on(self, connection: socket.socket) -> None:
        with connection:
            try:
                request = read_request(connection)
                if request:
                    self._answer(connection, request)
            except OSError:
                return  # the client gave up, as it should

    def _answer(self, connection: socket.socket, request: bytes) -> None:
        line = request.partition(b"\r\n")[0]
        is_call = any(route in line for route in GENERATES)
        self.calls += is_call
        hangs = self.calls >= self._at and (is_call or self._everything)
        if self.calls >= self._at and not is_call:
            self.questions += 1
        if hangs and self._how == SILENT:
            self._over.wait()
            return
        answer = self._ask(request)
        head = answer.index(b"\r\n\r\n") + 4
        if not hangs:
            connection.sendall(answer)
        elif self._how == TRICKLE:
            for byte in answer:
                connection.sendall(bytes([byte]))
                if self._over.wait(0.05):
                    return
        else:
            half = head if self._how == HEADERS else (head + len(answer)) // 2
            connection.sendall(answer[:half])
            self._over.wait()

    def _ask(self, request: bytes) -> bytes:
        plain = request.replace(b"Connection: keep-alive", b"Connection: close")
        answer = b""
        with socket.create_connection(("127.0.0.1", self._port)) as server:
            server.sendall(plain)
            while part := server.recv(65_536):
                answer += part
        return answer
