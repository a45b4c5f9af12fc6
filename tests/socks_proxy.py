"""A SOCKS5 proxy of the tests' own: it leads every name to one server."""

from __future__ import annotations

import socket

from tests.loopback import LoopbackServer
from tests.scripted import ScriptedServer, read_request

GRANTED = b"\x05\x00\x00\x01" + bytes(6)


class SocksProxy(LoopbackServer):
    """Listens on loopback; whatever is asked for, `server` is what answers.

    `login` is the user and password that it asks for, `replies` what it says instead of
    what is right, one a step.
    """

    def __init__(
        self,
        server: ScriptedServer,
        login: tuple[str, str] | None = None,
        replies: tuple[bytes, ...] = (),
    ) -> None:
        super().__init__()
        self._server = server
        self._login = login
        self._replies = replies
        self.asked_for: list[tuple[str, int]] = []
        """Host, as it was said, and port of each connection that was asked for."""

    def handle(self, connection: socket.socket) -> None:
        said = list(self._replies)
        connection.recv(512)
        connection.sendall(said.pop(0) if said else self._method())
        if self._login is not None:
            user, password = (word.encode() for word in self._login)
            right = bytes([1, len(user), *user, len(password), *password])
            given = connection.recv(512)
            connection.sendall(b"\x01\x00" if given == right else b"\x01\x01")
        asked = connection.recv(512)
        if len(asked) < 7 or asked[3] != 3:
            return
        host = asked[5 : 5 + asked[4]].decode()
        self.asked_for.append((host, int.from_bytes(asked[-2:])))
        if said:
            connection.sendall(said.pop(0))
            return
        connection.sendall(GRANTED)
        request = read_request(connection)
        port = int(self._server.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as server:
            server.sendall(request)
            while answer := server.recv(4096):
                connection.sendall(answer)

    def _method(self) -> bytes:
        return b"\x05\x00" if self._login is None else b"\x05\x02"
