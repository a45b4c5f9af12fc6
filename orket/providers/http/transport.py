"""The one way Orket speaks HTTP to a model server.

A failure never raises here: it is a `Problem`, so that it can become a row. A call
has one deadline from its first to its last byte, is never redirected and never
repeated behind the caller's back.
"""

from __future__ import annotations

import json
import math
import os
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import TracebackType
from typing import Any

import httpx

from orket import __version__
from orket.errors import UsageError
from orket.machine.clock import SystemClock
from orket.providers.http.endpoint import Endpoint
from orket.providers.http.failures import Judge
from orket.providers.http.problems import Problem, ProviderError
from orket.providers.http.proxy import behind, find_proxy
from orket.providers.http.responses import (
    Reply,
    Stream,
    Timing,
    read_reply,
    read_timing,
)
from orket.providers.http.wire import (
    Answer,
    Direct,
    Exchange,
    Proxied,
    TimedBackend,
    WallClock,
    Way,
)

__all__ = ["Reply", "Stream", "Timing", "Transport"]

CONNECT_SECONDS = 10.0
ASK_SECONDS = 10.0
"""Deadline of a question that makes the server generate nothing."""
SILENT_SECONDS = 1.0
"""The same at a server that kept silent when it was asked last."""
WATCH_SECONDS = 5.0
"""How often a server that is busy with a long task is asked whether it is there."""
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


class Transport:
    """One server's address, one client, one clock.

    Raises UsageError where the environment names a proxy that cannot be used.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        insecure: bool = False,
        clock: WallClock | None = None,
        call_seconds: float | None = None,
    ) -> None:
        """`call_seconds`: how long a call may take; no question takes longer."""
        proxy = find_proxy(endpoint)
        self.endpoint = endpoint = behind(endpoint, proxy)
        self.clock = clock or SystemClock()
        self.tls_verified = (not insecure) if endpoint.secure else None
        self._judge = Judge(endpoint)
        self._call_seconds = math.inf if call_seconds is None else call_seconds
        self._is_silent = False
        self._backend = TimedBackend()
        headers = {
            "Accept-Encoding": "identity",
            "User-Agent": f"orket/{__version__}",
        }
        if endpoint.authorization:
            headers["Authorization"] = endpoint.authorization
        context = _trust(insecure) if endpoint.secure else None
        way = self._backend, context, endpoint.url, headers
        self._way: Way = Direct(*way) if proxy is None else Proxied(*way, proxy)

    def get(self, path: str, timeout_seconds: float = ASK_SECONDS) -> Reply:
        """Ask for `path`, within what a question may take."""
        return self.ask("GET", path, None, timeout_seconds)

    def post(
        self, path: str, payload: Any, timeout_seconds: float | None = None
    ) -> Reply:
        """Post `payload` as JSON and read the whole response; a question without a
        timeout of its own."""
        if timeout_seconds is None:
            return self.ask("POST", path, payload)
        return self._whole("POST", path, payload, timeout_seconds)

    def ask(
        self,
        method: str,
        path: str,
        payload: Any = None,
        timeout_seconds: float = ASK_SECONDS,
    ) -> Reply:
        """Put a question: it takes no longer than a call may.

        A server that keeps silent is asked again, and then waited for shortly.
        """
        seconds = min(timeout_seconds, self._call_seconds)
        if self._is_silent:
            seconds = min(seconds, SILENT_SECONDS)
        reply = self._whole(method, path, payload, seconds)
        problem = reply.problem
        self._is_silent = problem is not None and problem.outcome == "TIMEOUT"
        return reply

    def post_task(
        self, path: str, payload: Any, timeout_seconds: float, alive: str
    ) -> Reply:
        """Post what may take long and says nothing meanwhile, as loading a model does.

        It is given up once the server does not answer the route `alive` any more.
        """

        def is_there() -> bool:
            return self.get(alive, WATCH_SECONDS).status is not None

        return self._whole("POST", path, payload, timeout_seconds, is_there)

    @contextmanager
    def stream(
        self, path: str, payload: Any, timeout_seconds: float, framing: str = "sse"
    ) -> Iterator[Stream]:
        """Post `payload` and open the response as a stream: `sse` or `ndjson`."""
        exchange = self._begin(timeout_seconds)
        stream = Stream(self._judge, framing, exchange)
        response: Answer | None = None
        with self._judge.guarded(stream.set_problem, None):
            response = self._send("POST", path, payload, timeout_seconds)
            stream.opened(response)
        try:
            yield stream
        finally:
            if response is not None:
                response.close()

    def require(self, reply: Reply, purpose: str) -> Any:
        """The reply's JSON. Raises ProviderError naming the server and `purpose`."""
        problem = reply.problem
        if problem is None and reply.json is None:
            flaw = reply.flaw or "the answer is not JSON"
            problem = Problem("PROTOCOL_ERROR", flaw, reply.status)
        if problem is None:
            return reply.json
        raise self.error(problem, purpose)

    def error(self, problem: Problem, purpose: str) -> ProviderError:
        """The problem as an error for a person."""
        return self._judge.error(problem, purpose)

    def close(self) -> None:
        """Let go of what is held open."""
        self._way.close()

    def __enter__(self) -> Transport:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _whole(
        self,
        method: str,
        path: str,
        payload: Any,
        timeout_seconds: float,
        is_there: Callable[[], bool] | None = None,
    ) -> Reply:
        exchange = self._begin(timeout_seconds)
        if is_there is not None:
            exchange.watch(is_there, WATCH_SECONDS)
        found = [Reply()]
        status: int | None = None

        def report(problem: Problem) -> None:
            exchange.mark_failed()
            found[0] = Reply(status, problem=replace(problem, http_status=status))

        with self._judge.guarded(report, None):
            response = self._send(method, path, payload, timeout_seconds)
            status = response.status_code
            try:
                found[0] = read_reply(response, self._judge)
            finally:
                response.close()
        return replace(found[0], timing=read_timing(exchange))

    def _begin(self, timeout_seconds: float) -> Exchange:
        exchange = Exchange(self.clock, int(timeout_seconds * 1e9))
        self._backend.begin(exchange)
        return exchange

    def _send(
        self, method: str, path: str, payload: Any, timeout_seconds: float
    ) -> Answer:
        body = None if payload is None else _JSON.encode(payload).encode("utf-8")
        connect_seconds = min(CONNECT_SECONDS, timeout_seconds)
        return self._way.send(method, path, body, connect_seconds)


def _trust(insecure: bool) -> ssl.SSLContext:
    """Whom TLS believes: the certificates shipped, or those that SSL_CERT_FILE names.

    Raises UsageError where that file cannot be read.
    """
    try:
        return httpx.create_ssl_context(verify=not insecure)
    except OSError as failure:
        named = os.environ.get("SSL_CERT_FILE")
        raise UsageError(
            f"the certificates of SSL_CERT_FILE={named} cannot be read: "
            f"{failure.strerror or failure}",
            "name a file of certificates in PEM, or unset the variable",
        ) from failure
