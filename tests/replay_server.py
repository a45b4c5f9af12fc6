"""A server that answers each route with the same bytes: for recorded payloads."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from tests.fixture_files import Payload


class ReplayServer:
    """Answers by `METHOD path`; a route may be a list, answered in turn."""

    def __init__(self) -> None:
        self.routes: dict[str, Payload | list[Payload]] = {}
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self._http = _Listener(("127.0.0.1", 0), _Handler)
        self._http.replay = self

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def answer(self, route: str) -> Payload:
        found = self.routes.get(route)
        if isinstance(found, list):
            return found.pop(0) if len(found) > 1 else found[0]
        return found or Payload(b'{"error":"no such route"}', status=404)

    def last_body(self, path: str) -> dict[str, Any]:
        """Body of the last request to `path`."""
        return next(body for route, body in reversed(self.requests) if path in route)

    def __enter__(self) -> ReplayServer:
        serve: Callable[[], None] = lambda: self._http.serve_forever(0.02)  # noqa: E731
        threading.Thread(target=serve, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.shutdown()
        self._http.server_close()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    replay: ReplayServer


class _Handler(BaseHTTPRequestHandler):
    server: _Listener

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Quiet."""

    def _answer(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        route = f"{self.command} {self.path}"
        self.server.replay.requests.append((route, json.loads(raw) if raw else {}))
        payload = self.server.replay.answer(route)
        self.send_response(payload.status)
        self.send_header("Content-Type", payload.content_type)
        self.send_header("Content-Length", str(len(payload.body)))
        for name, value in payload.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(payload.body)
