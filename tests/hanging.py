"""A proxy before a server that lets it hang from some call on, in several ways."""

from __future__ import annotations

import socket

from tests.loopback import LoopbackServer
from tests.scripted import read_request

SILENT, HEADERS, HALF, TRICKLE = "silent", "headers", "half", "trickle"
GENERATES = (b" /api/chat ", b" /v1/chat/completions ", b" /completion ")


class HangingProxy(LoopbackServer):
    """Passes requests on to `url` up to call `at`; from then on calls hang.

    `silent` accepts and never answers, `headers` stops behind the headers, `half` in
    the middle of the body, and `trickle` sends a byte now and then. With `everything`
    no other question is answered any more either.
    """

    def __init__(self, url: str, how: str, at: int, everything: bool = False) -> None:
        super().__init__(side_by_side=True)
        self._port = int(url.rpartition(":")[2])
        self._how, self._at, self._everything = how, at, everything
        self.calls = 0
        self.questions = 0
        """Since the first call that hung, calls apart."""

    def handle(self, connection: socket.socket) -> None:
        request = read_request(connection)
        if request:
            self._answer(connection, request)

    def _answer(self, connection: socket.socket, request: bytes) -> None:
        line = request.partition(b"\r\n")[0]
        is_call = any(route in line for route in GENERATES)
        self.calls += is_call
        hangs = self.calls >= self._at and (is_call or self._everything)
        if self.calls >= self._at and not is_call:
            self.questions += 1
        if hangs and self._how == SILENT:
            self._stopped.wait()
            return
        answer = self._ask(request)
        head = answer.index(b"\r\n\r\n") + 4
        if not hangs:
            connection.sendall(answer)
        elif self._how == TRICKLE:
            for byte in answer:
                connection.sendall(bytes([byte]))
                if self._stopped.wait(0.05):
                    return
        else:
            half = head if self._how == HEADERS else (head + len(answer)) // 2
            connection.sendall(answer[:half])
            self._stopped.wait()

    def _ask(self, request: bytes) -> bytes:
        plain = request.replace(b"Connection: keep-alive", b"Connection: close")
        answer = b""
        with socket.create_connection(("127.0.0.1", self._port)) as server:
            server.sendall(plain)
            while part := server.recv(65_536):
                answer += part
        return answer
