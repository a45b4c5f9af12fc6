"""A server that answers each route with the same bytes: for recorded payloads."""

from __future__ import annotations

import json
import socket
from typing import Any

from tests.fixture_files import Payload
from tests.scripted import ScriptedServer, respond


class ReplayServer(ScriptedServer):
    """Answers by `METHOD path`; a route may be a list, answered in turn."""

    def __init__(self) -> None:
        super().__init__(self._replay)
        self.routes: dict[str, Payload | list[Payload]] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        """Each request so far: route and JSON body."""

    def answer(self, route: str) -> Payload:
        found = self.routes.get(route)
        if isinstance(found, list):
            return found.pop(0) if len(found) > 1 else found[0]
        return found or Payload(b'{"error":"no such route"}', status=404)

    def last_body(self, path: str) -> dict[str, Any]:
        """Body of the last request to `path`."""
        return next(body for route, body in reversed(self.asked) if path in route)

    def _replay(self, connection: socket.socket, request: bytes) -> None:
        head, _, raw = request.partition(b"\r\n\r\n")
        method, path, _ = head.decode().split(" ", 2)
        route = f"{method} {path}"
        self.asked.append((route, json.loads(raw) if raw else {}))
        found = self.answer(route)
        answer = respond(found.status, found.body, found.content_type, **found.headers)
        connection.sendall(answer)
