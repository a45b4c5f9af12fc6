"""A server that says exactly what a test tells it to, bytes, pauses and breaks."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterable
from typing import Any

from tests.loopback import LoopbackServer

SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
Script = Callable[[socket.socket, bytes], None]


def respond(
    status: int,
    body: bytes | dict[str, Any],
    media: str = "application/json",
    **headers: str,
) -> bytes:
    """A whole HTTP response."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [
        f"HTTP/1.1 {status} Said",
        f"Content-Type: {media}",
        f"Content-Length: {len(content)}",
        "Connection: close",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def stream(*events: dict[str, Any] | str, done: bool = True) -> bytes:
    """A whole SSE response of these events."""
    said = [event if isinstance(event, str) else json.dumps(event) for event in events]
    lines = [f"data: {event}\n\n".encode() for event in said]
    return SSE + b"".join(lines) + (b"data: [DONE]\n\n" if done else b"")


class ScriptedServer(LoopbackServer):
    """Each connection gets the next answer.

    The last answer is given again and again. An answer is bytes to send, or a
    function of the connection and the request.
    """

    def __init__(self, *answers: bytes | Script) -> None:
        super().__init__()
        self._answers = list(answers)
        self.requests: list[bytes] = []

    def bodies(self) -> list[Any]:
        """The JSON bodies of the requests so far."""
        return [
            json.loads(request.partition(b"\r\n\r\n")[2]) for request in self.requests
        ]

    def handle(self, connection: socket.socket) -> None:
        request = read_request(connection)
        self.requests.append(request)
        answer = self._answers[0] if len(self._answers) == 1 else self._answers.pop(0)
        if isinstance(answer, bytes):
            connection.sendall(answer)
        else:
            answer(connection, request)


def read_request(connection: socket.socket) -> bytes:
    """The whole request, so that closing does not reset the connection."""
    connection.settimeout(5)
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65_536)
        if not part or part.startswith(b"\x16"):
            return data  # gone again, or a TLS greeting: no request will come
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            missing = int(line.partition(b":")[2]) - len(body)
            while missing > 0:
                part = connection.recv(missing)
                missing -= len(part)
                data += part
    return data


def reset(connection: socket.socket) -> None:
    """Close with RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def drip(parts: Iterable[bytes], stop: threading.Event, seconds: float) -> Script:
    """Send the parts one by one, with a pause after each."""

    def script(connection: socket.socket, request: bytes) -> None:
        for part in parts:
            connection.sendall(part)
            if stop.wait(seconds):
                return

    return script
