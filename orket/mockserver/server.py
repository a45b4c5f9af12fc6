"""The HTTP side of the mock server: routes a request, injects faults, keeps time."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import sys
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from orket.errors import ServerError, UsageError
from orket.mockserver.dialects import DIALECTS, Dialect
from orket.mockserver.engine import Engine
from orket.mockserver.faults import HTTP_STATUS, Fault, FaultPlan, damage_figures
from orket.mockserver.profile import Profile
from orket.mockserver.replies import Event, Reply, Request, Stream

HOST = "127.0.0.1"
FAULT_HEADER = "X-Orket-Fault"
HTML_PAGE = (
    b"<html><head><title>502 Bad Gateway</title></head>"
    b"<body><h1>502 Bad Gateway</h1></body></html>"
)
FIGURE_FAULTS = frozenset(
    {
        "missing-counts",
        "missing-prompt-count",
        "missing-completion-count",
        "missing-timings",
        "partial-timings",
        "no-metadata",
        "zero-usage",
        "nan",
        "negative",
        "huge",
        "string-numbers",
        "unknown-fields",
    }
)


class MockServer:
    """A mock server on loopback; a context manager that listens while it is open."""

    def __init__(
        self,
        dialect: str,
        profile: Profile | None = None,
        faults: Sequence[Fault] = (),
        port: int = 0,
    ) -> None:
        if dialect not in DIALECTS:
            raise UsageError(
                f"unknown dialect {dialect!r}", f"use one of {', '.join(DIALECTS)}"
            )
        self.profile = profile or Profile()
        self.dialect: Dialect = DIALECTS[dialect]()
        self.plan = FaultPlan(faults)
        self.engine = Engine(self.profile, self.plan)
        self.requests: list[Request] = []
        """Every request so far, in order of arrival."""
        self.dialect.start(self.engine)
        try:
            self._http = _Listener((HOST, port), _Handler)
        except OSError as error:
            raise ServerError(
                f"cannot listen on {HOST}:{port}: {error.strerror}",
                "choose another --port, or 0 for any free one",
            ) from error
        self._http.mock = self
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._http.server_address[1]}"

    def set_faults(self, *faults: Fault | str) -> None:
        """Replace the faults; their counts start anew."""
        self.plan = FaultPlan(
            [Fault(f) if isinstance(f, str) else f for f in faults],
        )
        self.engine.faults = self.plan

    def serve(self) -> None:
        """Answer until `close` or an interrupt."""
        self._http.serve_forever(poll_interval=0.05)

    def close(self) -> None:
        """End a server that serves in another thread."""
        self._http.shutdown()
        self.release()

    def release(self) -> None:
        """Give the port back."""
        self._http.server_close()

    def __enter__(self) -> MockServer:
        self._thread = threading.Thread(target=self.serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
        if self._thread is not None:
            self._thread.join()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    mock: MockServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news; anything else is printed as usual."""
        if isinstance(sys.exception(), (ConnectionError, TimeoutError)):
            return
        super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Each event goes out when it is due: a kept connection would hold it for 40 ms.
    disable_nagle_algorithm = True
    server: _Listener

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Requests are kept in `MockServer.requests`, not printed."""

    def _answer(self) -> None:
        mock = self.server.mock
        path, _, query = self.path.partition("?")
        dialect = mock.dialect
        try:
            length = int(self.headers.get("Content-Length") or 0)
            raw = self.rfile.read(length)
            body = json.loads(raw) if raw else {}
        except ValueError:
            self._send(Reply(dialect.error(400, "invalid JSON in the body"), 400))
            return
        if not isinstance(body, dict):
            self._send(Reply(dialect.error(400, "the body must be an object"), 400))
            return
        generates = self.command == "POST" and dialect.generates(path, body)
        try:
            struck = mock.plan.strike(generates, self.headers.get(FAULT_HEADER))
        except UsageError as error:
            self._send(Reply(dialect.error(400, str(error)), 400))
            return
        request = Request(
            self.command,
            path,
            body,
            dict(self.headers),
            struck,
            dict(parse_qsl(query)),
        )
        mock.requests.append(request)
        if self._refuse(request):
            return
        with mock.engine.running() if generates else contextlib.nullcontext():
            reply = dialect.respond(request, mock.engine)
            if isinstance(reply, Stream):
                self._send_stream(reply, request)
            else:
                self._send(self._damaged(reply, request), request)

    def _refuse(self, request: Request) -> bool:
        """Answer for the faults that come before any work; True where one did."""
        mock, struck = self.server.mock, request.struck
        key = mock.profile.api_key
        if key is not None and request.headers.get("Authorization") != f"Bearer {key}":
            struck = struck | {"http-401"}
        if "reset" in struck:
            self._reset()
        for name, status in HTTP_STATUS.items():
            if name in struck:
                message = mock.dialect.complaint(status, request)
                headers = {"Retry-After": "1"} if status in (429, 503) else {}
                body = mock.dialect.error(status, message)
                self._send(Reply(body, status, headers))
                return True
        if "redirect" in struck:
            self._send(Reply(b"", 302, {"Location": "http://192.0.2.1/"}))
            return True
        if "html-error" in struck:
            self._send(Reply(HTML_PAGE, 502, content_type="text/html"))
            return True
        if "not-json" in struck:
            self._send(Reply(b"{'not': json"))
            return True
        return False

    def _damaged(self, reply: Reply, request: Request) -> Reply:
        dialect, struck = self.server.mock.dialect, request.struck
        if reply.status != 200:
            return reply
        if "stream-error" in struck:
            return Reply(dialect.error(500, "the runner has stopped"), 500)
        faults = sorted(struck & FIGURE_FAULTS)
        body, headers = reply.body, dict(reply.headers)
        if isinstance(body, dict):
            body = damage_figures(body, faults, dialect.figures)
            damaged = damage_figures(headers, faults, dialect.figures)
            headers = {
                key: str(value)
                for key, value in damaged.items()
                if isinstance(value, (str, int, float))
            }
        if "truncated-stream" in struck:
            whole = Reply(body).encode()
            body = whole[: len(whole) // 2]
        return Reply(body, reply.status, headers, reply.content_type, reply.due_ns)

    def _send(self, reply: Reply, request: Request | None = None) -> None:
        struck = request.struck if request else frozenset()
        _wait_until(reply.due_ns)
        body = reply.encode()
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if "cut" in struck:
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
        elif "slow-drip" in struck:
            self._drip([bytes([byte]) for byte in body])
        else:
            self.wfile.write(body)

    def _send_stream(self, stream: Stream, request: Request) -> None:
        dialect, struck = self.server.mock.dialect, request.struck
        self.send_response(200)
        self.send_header("Content-Type", stream.content_type)
        self.send_header("Transfer-Encoding", "chunked")
        for name, value in stream.headers.items():
            self.send_header(name, value)
        self.end_headers()
        shown = 0
        failed = False
        for event in stream.events:
            if event.final and "truncated-stream" in struck:
                break
            if failed and not event.final:
                continue
            _wait_until(event.due_ns)
            data = event.data
            if isinstance(data, dict):
                faults = sorted(struck & FIGURE_FAULTS)
                data = damage_figures(data, faults, dialect.figures)
            encoded = stream.encode(Event(data, name=event.name))
            if "slow-drip" in struck:
                self._drip([_chunk(bytes([byte])) for byte in encoded])
            else:
                self.wfile.write(_chunk(encoded))
                self.wfile.flush()
            shown += event.shows_text
            if "cut" in struck and shown >= 2:
                self.close_connection = True
                return
            if "stream-error" in struck and shown >= 2:
                failure = dialect.stream_error("the runner has stopped")
                self.wfile.write(_chunk(stream.encode(failure)))
                failed = True
                if not dialect.ends_after_error:
                    break
        self.wfile.write(b"0\r\n\r\n")

    def _drip(self, parts: list[bytes]) -> None:
        for part in parts:
            self.wfile.write(part)
            self.wfile.flush()
            time.sleep(self.server.mock.profile.drip_seconds)

    def _reset(self) -> NoReturn:
        """Close with RST: the client reads a lost connection, not an end."""
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        with contextlib.suppress(OSError):
            self.rfile.close()
            self.wfile.close()
            self.connection.close()
        raise ConnectionResetError


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _wait_until(due_ns: int) -> None:
    """Sleep until a monotonic moment; never less, so reported time fits the wall."""
    while (left := due_ns - time.monotonic_ns()) > 0:
        time.sleep(left / 1e9)
