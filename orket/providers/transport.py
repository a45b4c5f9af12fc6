"""The one way Orket speaks HTTP to a model server.

A failure never raises here: it is a `Problem`, so that it can become a row. A call
has one deadline from its first to its last byte, is never redirected and never
repeated behind the caller's back.
"""

from __future__ import annotations

import ssl
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any

import httpcore
import httpx

from orket import __version__
from orket.machine.clock import SystemClock
from orket.providers.endpoint import Endpoint
from orket.providers.framing import (
    FRAMINGS,
    MAX_LINE_BYTES,
    Event,
    LineSplitter,
    LineTooLong,
    read_json,
)
from orket.providers.problems import (
    Problem,
    ProviderError,
    http_problem,
    looks_like_html,
    one_line,
)
from orket.providers.wire import Exchange, PoolTransport, TimedBackend, WallClock

MAX_BODY_BYTES = 16 * 1024 * 1024
"""Largest whole response accepted."""
MAX_STREAM_BYTES = 256 * 1024 * 1024
"""Largest stream accepted, all its events together."""
MAX_ERROR_BYTES = 65_536
"""Read of the body of an error."""
CONNECT_SECONDS = 10.0
ASK_SECONDS = 10.0
"""Deadline of a question that makes the server generate nothing."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long one call took, by the client's clocks."""

    wall_ns: int | None = None
    """Request written to last byte, or to the failure, monotonic."""
    realtime_ns: int | None = None
    """The same span by the wall clock."""
    ttft_ns: int | None = None
    """Request written to the first chunk that carried a token; streamed only."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole response, or why there is none."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    json: Any = None
    """The body as JSON; None where it is not JSON."""
    valid_utf8: bool = True
    problem: Problem | None = None
    timing: Timing = Timing()

    @property
    def ok(self) -> bool:
        return self.problem is None

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


class Stream:
    """A streamed response: iterate its events, then read `problem` and `timing`.

    Iteration ends at the end of the stream or at the first failure; nothing raises.
    """

    def __init__(self, transport: Transport, framing: str, exchange: Exchange) -> None:
        self._transport = transport
        self._framing = FRAMINGS[framing](MAX_LINE_BYTES)
        self._exchange = exchange
        self._response: httpx.Response | None = None
        self._first_token_ns: int | None = None
        self.problem: Problem | None = None
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.valid_utf8 = True
        self.streamed = True
        """False when the server sent one whole JSON document instead of a stream."""

    def fail(self, error_class: str, message: str) -> None:
        """Record why the stream is no answer; the first reason stands."""
        text = self._transport.endpoint.redact(message)
        self.set_problem(Problem(error_class, one_line(text), self.status))

    def mark_token(self, event: Event) -> None:
        """Say that this event carried a token; the first one counts."""
        if self._first_token_ns is None:
            self._first_token_ns = event.arrived_ns

    @property
    def timing(self) -> Timing:
        """The call's times so far; TTFT only of a true stream."""
        first = self._first_token_ns if self.streamed else None
        return read_timing(self._exchange, first)

    def __iter__(self) -> Iterator[Event]:
        if self.problem is not None or self._response is None:
            return
        with self._transport.guarded(self.set_problem, self.status):
            try:
                yield from self._events(self._response)
            except LineTooLong:
                limit = MAX_LINE_BYTES // (1024 * 1024)
                self.fail("LINE_TOO_LONG", f"a line of more than {limit} MiB")

    def set_problem(self, problem: Problem) -> None:
        """Record the first failure; the call ends there."""
        if self.problem is None:
            self.problem = problem
            self._exchange.mark_failed()

    def opened(self, response: httpx.Response) -> None:
        """Take over a response whose headers have come in."""
        self._response = response
        self.status = response.status_code
        self.headers = lower_headers(response)
        if response.status_code != 200:
            body = read_error_body(response)
            self.set_problem(self._transport.judge(self.status, self.headers, body))
        elif looks_like_html(self.headers, b""):
            body = read_error_body(response)
            self.set_problem(self._transport.judge_html(self.headers, body))

    def _events(self, response: httpx.Response) -> Iterator[Event]:
        if self._is_whole_document():
            self.streamed = False
            yield from self._whole(response)
            return
        splitter, seen = LineSplitter(), 0
        for chunk in response.iter_bytes():
            arrived_ns = self._arrived_ns()
            seen += len(chunk)
            if seen > MAX_STREAM_BYTES:
                self.fail("RESPONSE_TOO_LONG", "the stream does not end")
                return
            for line in splitter.feed(chunk):
                yield from self._note(self._framing.line(line, arrived_ns))
        rest, arrived_ns = splitter.rest(), self._arrived_ns()
        if rest:
            last = self._framing.line(rest, arrived_ns)
            yield from self._note(last and replace(last, complete=False))
        yield from self._note(self._framing.end(arrived_ns))

    def _whole(self, response: httpx.Response) -> Iterator[Event]:
        body = read_body(response, MAX_BODY_BYTES)
        text = body.decode("utf-8", "replace")
        valid = is_utf8(body)
        yield from self._note(Event(text, None, self._arrived_ns(), valid))

    def _note(self, event: Event | None) -> Iterator[Event]:
        if event is not None:
            self.valid_utf8 &= event.valid_utf8
            yield event

    def _is_whole_document(self) -> bool:
        media = self.headers.get("content-type", "").partition(";")[0].strip()
        return (
            self._framing.media_type == "text/event-stream"
            and media == "application/json"
        )

    def _arrived_ns(self) -> int:
        last = self._exchange.last_byte
        return last[0] if last else self._exchange.begun_ns


class Transport:
    """One server's address, one client, one clock."""

    def __init__(
        self,
        endpoint: Endpoint,
        insecure: bool = False,
        clock: WallClock | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.clock = clock or SystemClock()
        self.tls_verified = (not insecure) if endpoint.secure else None
        self._backend = TimedBackend()
        headers = {
            "Accept-Encoding": "identity",
            "User-Agent": f"orket/{__version__}",
        }
        if endpoint.authorization:
            headers["Authorization"] = endpoint.authorization
        context = (
            httpx.create_ssl_context(verify=not insecure) if endpoint.secure else None
        )
        pool = PoolTransport.open(self._backend, context, find_proxy(endpoint))
        self._client = httpx.Client(
            transport=_Pool(pool),
            headers=headers,
            trust_env=False,
            follow_redirects=False,
        )

    def get(self, path: str, timeout_seconds: float = ASK_SECONDS) -> Reply:
        """Ask for `path`."""
        return self._whole("GET", path, None, timeout_seconds)

    def post(
        self, path: str, payload: Any, timeout_seconds: float = ASK_SECONDS
    ) -> Reply:
        """Post `payload` as JSON and read the whole response."""
        return self._whole("POST", path, payload, timeout_seconds)

    def delete(
        self, path: str, payload: Any = None, timeout_seconds: float = ASK_SECONDS
    ) -> Reply:
        """Delete `path`."""
        return self._whole("DELETE", path, payload, timeout_seconds)

    @contextmanager
    def stream(
        self, path: str, payload: Any, timeout_seconds: float, framing: str = "sse"
    ) -> Iterator[Stream]:
        """Post `payload` and open the response as a stream: `sse` or `ndjson`."""
        exchange = self._begin(timeout_seconds)
        stream = Stream(self, framing, exchange)
        response: httpx.Response | None = None
        with self.guarded(stream.set_problem, None):
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
            problem = Problem("PROTOCOL_ERROR", "the answer is not JSON", reply.status)
        if problem is None:
            return reply.json
        raise self.error(problem, purpose)

    def error(self, problem: Problem, purpose: str) -> ProviderError:
        """The problem as an error for a person."""
        return ProviderError(
            f"{purpose} at {self.endpoint.url}: {problem.message}",
            advise(problem),
            problem.error_class,
        )

    def close(self) -> None:
        """Close the client."""
        self._client.close()

    def __enter__(self) -> Transport:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def judge(self, status: int, headers: dict[str, str], body: bytes) -> Problem:
        """The problem of a response that is not 200, secrets removed."""
        found = http_problem(status, self._redacted(headers), self._redact_bytes(body))
        return replace(found, message=self.endpoint.redact(found.message))

    def judge_html(self, headers: dict[str, str], body: bytes) -> Problem:
        """The problem that a page for people is."""
        found = self.judge(200, headers, body)
        return Problem("PROTOCOL_ERROR", found.message, 200)

    def _redacted(self, headers: dict[str, str]) -> dict[str, str]:
        return {name: self.endpoint.redact(value) for name, value in headers.items()}

    def _redact_bytes(self, body: bytes) -> bytes:
        # Before a long message is cut: half a secret would not be found any more.
        return self.endpoint.redact(body.decode("utf-8", "replace")).encode()

    @contextmanager
    def guarded(
        self, report: Callable[[Problem], None], status: int | None
    ) -> Iterator[None]:
        """Turn every failure of the network inside the block into a problem."""
        try:
            yield
        except _NETWORK_ERRORS as error:
            found = name_failure(error, self.endpoint.url)
            message = self.endpoint.redact(found.message)
            report(replace(found, message=message, http_status=status))
        except _BodyTooLong:
            limit = MAX_BODY_BYTES // (1024 * 1024)
            message = f"a response of more than {limit} MiB"
            report(Problem("RESPONSE_TOO_LONG", message, status))

    def _whole(
        self, method: str, path: str, payload: Any, timeout_seconds: float
    ) -> Reply:
        exchange = self._begin(timeout_seconds)
        found = [Reply()]
        status: int | None = None

        def report(problem: Problem) -> None:
            exchange.mark_failed()
            found[0] = Reply(status, problem=replace(problem, http_status=status))

        with self.guarded(report, None):
            response = self._send(method, path, payload, timeout_seconds)
            status = response.status_code
            try:
                found[0] = self._read_reply(response)
            finally:
                response.close()
        return replace(found[0], timing=read_timing(exchange, None))

    def _read_reply(self, response: httpx.Response) -> Reply:
        status, headers = response.status_code, lower_headers(response)
        if not 200 <= status < 300:
            body = read_error_body(response)
            problem = self.judge(status, headers, body)
            return Reply(status, headers, body, _json_or_none(body), True, problem)
        body = read_body(response, MAX_BODY_BYTES)
        if looks_like_html(headers, body):
            return Reply(status, headers, body, problem=self.judge_html(headers, body))
        return Reply(status, headers, body, _json_or_none(body), is_utf8(body))

    def _begin(self, timeout_seconds: float) -> Exchange:
        exchange = Exchange(self.clock, int(timeout_seconds * 1e9))
        self._backend.begin(exchange)
        return exchange

    def _send(
        self, method: str, path: str, payload: Any, timeout_seconds: float
    ) -> httpx.Response:
        request = self._client.build_request(
            method,
            self.endpoint.url + path,
            json=payload,
            timeout=httpx.Timeout(
                timeout_seconds, connect=min(CONNECT_SECONDS, timeout_seconds)
            ),
        )
        return self._client.send(request, stream=True)


class _Pool(httpx.BaseTransport):
    """The timed connection pool as an httpx transport."""

    def __init__(self, pool: httpcore.ConnectionPool) -> None:
        self._pool = pool

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._pool.handle_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(
                    scheme=request.url.raw_scheme,
                    host=request.url.raw_host,
                    port=request.url.port,
                    target=request.url.raw_path,
                ),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx.Response(
            status_code=response.status,
            headers=response.headers,
            stream=_Body(response),
            extensions=response.extensions,
        )

    def close(self) -> None:
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        yield from self._response.iter_stream()

    def close(self) -> None:
        self._response.close()


class _BodyTooLong(Exception):
    pass


_NETWORK_ERRORS = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.StreamError,
    OSError,
)


def name_failure(error: Exception, url: str) -> Problem:
    """The class and the line of a failure of the network."""
    said = one_line(str(error)) or type(error).__name__
    if isinstance(error, httpcore.ConnectTimeout):
        return Problem("TIMEOUT", f"no connection to {url} in time")
    if isinstance(error, (httpcore.TimeoutException, TimeoutError)):
        return Problem("TIMEOUT", "the server did not finish in time")
    if isinstance(error, (httpcore.ConnectError, httpcore.ProxyError)):
        return _name_connect_failure(error, url, said)
    if isinstance(error, httpcore.RemoteProtocolError):
        if "disconnected" in said or "closed" in said:
            return Problem("CONNECTION_LOST", f"the server hung up: {said}")
        return Problem("PROTOCOL_ERROR", f"not HTTP as it should be: {said}")
    if isinstance(error, (httpx.DecodingError, httpx.InvalidURL)):
        return Problem("PROTOCOL_ERROR", said)
    return Problem("CONNECTION_LOST", f"the connection broke: {said}")


def _name_connect_failure(error: Exception, url: str, said: str) -> Problem:
    causes = [error.__cause__, error.__context__]
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return Problem("TLS_ERROR", f"no trusted connection to {url}: {said}")
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return Problem("CONNECTION_REFUSED", f"nothing answers at {url}")
    return Problem("CONNECTION_FAILED", f"no connection to {url}: {said}")


_ADVICE = {
    "CONNECTION_REFUSED": "start the server, or give its URL",
    "CONNECTION_FAILED": "check the URL and the network",
    "TLS_ERROR": "install its certificate authority, or pass --insecure",
    "TIMEOUT": "check that the server is alive and not busy",
    "HTTP_401": "name the environment variable or the file that holds its API key",
    "HTTP_403": "the API key may not do this",
    "HTTP_429": "wait, or ask for fewer calls",
    "HTTP_503": "wait until it has loaded its model",
}


def advise(problem: Problem) -> str:
    """What a person can do about a problem."""
    return _ADVICE.get(problem.error_class, "check the URL and the server's log")


def read_timing(exchange: Exchange, first_token_ns: int | None) -> Timing:
    """The times of an exchange; None where it did not come that far."""
    written, last = exchange.written, exchange.last_byte
    if written is None or last is None:
        return Timing()
    ttft_ns = None if first_token_ns is None else max(0, first_token_ns - written[0])
    return Timing(max(0, last[0] - written[0]), last[1] - written[1], ttft_ns)


def read_body(response: httpx.Response, limit_bytes: int) -> bytes:
    """The whole body; refused beyond the limit."""
    parts, seen = [], 0
    for chunk in response.iter_bytes():
        parts.append(chunk)
        seen += len(chunk)
        if seen > limit_bytes:
            raise _BodyTooLong
    return b"".join(parts)


def read_error_body(response: httpx.Response) -> bytes:
    """As much of an error's body as there is: its status says enough."""
    parts, seen = [], 0
    try:
        for chunk in response.iter_bytes():
            parts.append(chunk)
            seen += len(chunk)
            if seen > MAX_ERROR_BYTES:
                break
    except _NETWORK_ERRORS:
        return b"".join(parts)
    return b"".join(parts)[:MAX_ERROR_BYTES]


def lower_headers(response: httpx.Response) -> dict[str, str]:
    """The headers by lower-case name."""
    return {name.lower(): value for name, value in response.headers.items()}


def is_utf8(body: bytes) -> bool:
    """Whether the bytes are valid UTF-8."""
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def find_proxy(endpoint: Endpoint) -> str | None:
    """The proxy that the environment names for this server; never one for loopback."""
    if endpoint.locality == "loopback" or urllib.request.proxy_bypass(endpoint.host):
        return None
    scheme = "https" if endpoint.secure else "http"
    proxies = urllib.request.getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    return proxy if proxy and proxy.startswith(("http://", "https://")) else None


def _json_or_none(body: bytes) -> Any:
    try:
        return read_json(body.decode("utf-8", "replace"))
    except ValueError:
        return None
