"""Sockets with a stop-watch: when the request was written, when the last byte came.

The times are taken where the bytes pass, so that neither connecting nor the client's
own work counts as the server's; and every read is bounded by what is left of the
call's deadline, so that a server dripping bytes cannot hold a call for ever.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

import httpcore
import httpx

from orket.providers.http import http1
from orket.providers.http.proxy import Proxy

DEFAULT_PORTS = {"http": 80, "https": 443}


class WallClock(Protocol):
    """The two clocks a call is timed with."""

    def monotonic_ns(self) -> int: ...

    def realtime_ns(self) -> int: ...


class Exchange:
    """The moments of one request and its response, and its deadline."""

    def __init__(self, clock: WallClock, timeout_ns: int) -> None:
        self._clock = clock
        self.begun_ns = clock.monotonic_ns()
        self.deadline_ns = self.begun_ns + timeout_ns
        self.written: tuple[int, int] | None = None
        """First byte of the request: monotonic and real time."""
        self.last_byte: tuple[int, int] | None = None
        self._watch: tuple[Callable[[], bool], float] | None = None

    def watch(self, is_there: Callable[[], bool], every_seconds: float) -> None:
        """While nothing comes, ask so often whether the server is still there."""
        self._watch = is_there, every_seconds

    def read(self, inner: httpcore.NetworkStream, max_bytes: int) -> bytes:
        """What comes next, within what is left. Raises httpcore.ReadTimeout."""
        while self._watch is not None:
            is_there, seconds = self._watch
            left = self.bound(None)
            try:
                return inner.read(max_bytes, min(left, seconds))
            except httpcore.ReadTimeout:
                if left <= seconds or not is_there():
                    raise
        return inner.read(max_bytes, self.bound(None))

    def mark_written(self) -> None:
        if self.written is None:
            self.written = self._clock.monotonic_ns(), self._clock.realtime_ns()

    def mark_read(self) -> None:
        self.last_byte = self._clock.monotonic_ns(), self._clock.realtime_ns()

    def mark_failed(self) -> None:
        """A call that fails lasts until it is known to have failed."""
        self.mark_read()

    def forget_written(self) -> None:
        """What was written until now opened a tunnel and was not the request."""
        self.written = None

    def bound(self, timeout: float | None) -> float:
        """Seconds the next step may take. Raises httpcore.ReadTimeout at none."""
        left = (self.deadline_ns - self._clock.monotonic_ns()) / 1e9
        if left <= 0:
            raise httpcore.ReadTimeout("deadline")
        return left if timeout is None else min(left, timeout)


class TimedBackend(httpcore.NetworkBackend):
    """Opens connections that keep the times of this thread's current exchange."""

    def __init__(self) -> None:
        self._inner = httpcore.SyncBackend()
        self._current = threading.local()

    def begin(self, exchange: Exchange) -> None:
        """Name the exchange that the next connection of this thread belongs to."""
        self._current.exchange = exchange

    @property
    def exchange(self) -> Exchange:
        """The one that this thread has begun."""
        current: Exchange = self._current.exchange
        return current

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        exchange = self.exchange
        stream = self._inner.connect_tcp(
            host, port, exchange.bound(timeout), local_address, socket_options
        )
        return TimedStream(stream, exchange)

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(seconds)


class TimedStream(httpcore.NetworkStream):
    """One connection; it belongs to one exchange, for none is used twice."""

    def __init__(self, inner: httpcore.NetworkStream, exchange: Exchange) -> None:
        self._inner = inner
        self._exchange = exchange

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        # The client's own limit is that of the whole call, and the deadline is sooner.
        data = self._exchange.read(self._inner, max_bytes)
        if data:
            self._exchange.mark_read()
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._exchange.mark_written()
        self._inner.write(buffer, self._exchange.bound(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        self._exchange.forget_written()
        secured = self._inner.start_tls(
            ssl_context, server_hostname, self._exchange.bound(timeout)
        )
        return TimedStream(secured, self._exchange)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class Answer(Protocol):
    """A response whose head has come in."""

    @property
    def status_code(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    def iter_bytes(self) -> Iterator[bytes]: ...
    def close(self) -> None: ...


class Way(Protocol):
    """How requests get to a server; each has a connection of its own.

    A kept connection that the server closes after a stream loses the next call; a
    new one costs a fraction of a millisecond on loopback.
    """

    def send(
        self, method: str, path: str, body: bytes | None, connect_seconds: float
    ) -> Answer:
        """Put a request and read the head of its response; a body is JSON.

        Raises what `failures.NETWORK_ERRORS` names.
        """
        ...

    def close(self) -> None: ...


class Direct:
    """Straight to the server."""

    def __init__(
        self,
        backend: TimedBackend,
        context: ssl.SSLContext | None,
        url: str,
        headers: Mapping[str, str],
    ) -> None:
        self._backend = backend
        self._context = context
        if context is not None:
            context.set_alpn_protocols(["http/1.1"])
        self._url = url
        self._headers = {"Accept": "*/*", "Connection": "keep-alive", **headers}
        self._addresses: dict[str, httpx.URL] = {}

    def send(
        self, method: str, path: str, body: bytes | None, connect_seconds: float
    ) -> Answer:
        address = self._address(path)
        stream = self._connect(address, connect_seconds)
        try:
            target, headers = self._request(address, body)
            answer = http1.send(stream, method, target, headers, body)
        except BaseException:
            stream.close()
            raise
        return _decoded(answer) if "content-encoding" in answer.headers else answer

    def _address(self, path: str) -> httpx.URL:
        """Of the few paths that are asked for, each is read once."""
        if path not in self._addresses:
            self._addresses[path] = httpx.URL(self._url + path)
        return self._addresses[path]

    def _connect(self, address: httpx.URL, seconds: float) -> httpcore.NetworkStream:
        host = address.raw_host.decode("ascii")
        port = address.port or DEFAULT_PORTS[address.scheme]
        stream = self._backend.connect_tcp(host, port, seconds)
        if self._context is None:
            return stream
        try:
            return stream.start_tls(self._context, host, seconds)
        except BaseException:
            stream.close()
            raise

    def _request(
        self, address: httpx.URL, body: bytes | None
    ) -> tuple[str, dict[str, str]]:
        """What is asked for, and the headers to ask with."""
        headers = {"Host": address.netloc.decode("ascii"), **self._headers}
        if body is not None:
            headers["Content-Type"] = "application/json"
        return address.raw_path.decode("ascii"), headers

    def close(self) -> None:
        """Nothing is kept open."""


def _decoded(answer: http1.Response) -> httpx.Response:
    """What a server packed although nobody asked it to."""
    return httpx.Response(
        status_code=answer.status_code,
        headers=answer.headers,
        stream=_Body(answer.iter_bytes, answer.close),
    )


class Proxied:
    """Through the proxy that the environment names."""

    def __init__(
        self,
        backend: TimedBackend,
        context: ssl.SSLContext | None,
        url: str,
        headers: Mapping[str, str],
        proxy: Proxy,
    ) -> None:
        self._url = url
        self._client = httpx.Client(
            transport=TimedPool(backend, context, proxy),
            headers=headers,
            trust_env=False,
            follow_redirects=False,
        )

    def send(
        self, method: str, path: str, body: bytes | None, connect_seconds: float
    ) -> Answer:
        request = self._client.build_request(
            method,
            self._url + path,
            content=body,
            headers=None if body is None else {"Content-Type": "application/json"},
            # Whatever comes after connecting is bounded by the deadline of the call.
            timeout=httpx.Timeout(None, connect=connect_seconds),
        )
        return self._client.send(request, stream=True)

    def close(self) -> None:
        """Close the client."""
        self._client.close()


class TimedPool(httpx.BaseTransport):
    """The connections to one proxy as an httpx transport: none is kept alive."""

    def __init__(
        self, backend: TimedBackend, context: ssl.SSLContext | None, proxy: Proxy
    ) -> None:
        options: dict[str, Any] = {
            "ssl_context": context,
            "max_keepalive_connections": 0,
            "retries": 0,
            "network_backend": backend,
        }
        self._backend = backend
        self._proxy = proxy
        kind = httpcore.SOCKSProxy if proxy.speaks_socks else httpcore.HTTPProxy
        self._pool: httpcore.ConnectionPool = kind(
            proxy_url=proxy.url, proxy_auth=proxy.login, **options
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if not self._proxy.speaks_socks:
            return self._handle(request)
        handshake = Handshake(self._backend.exchange)
        request.extensions = {**request.extensions, "trace": handshake}
        try:
            return self._handle(request)
        except Exception as error:
            if handshake.is_over:
                raise
            handshake.close()
            if isinstance(error, _SAID_BY_HTTPCORE):
                raise
            # socksio reads a reply by its places: what is none breaks it anyhow.
            raise httpcore.ProxyError("the proxy does not speak SOCKS5") from error

    def _handle(self, request: httpx.Request) -> httpx.Response:
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
            stream=_Body(response.iter_stream, response.close),
            extensions=response.extensions,
        )

    def close(self) -> None:
        self._pool.close()


_SAID_BY_HTTPCORE = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProxyError,
)


class Handshake:
    """Hears from httpcore when a SOCKS proxy is through to the server."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._stream: httpcore.NetworkStream | None = None
        self.is_over = False

    def close(self) -> None:
        """Close the connection to the proxy: httpcore leaves one that failed open."""
        if self._stream is not None:
            self._stream.close()

    def __call__(self, event: str, told: Mapping[str, Any]) -> None:
        if event == "socks.connect_tcp.complete":
            self._stream = told["return_value"]
        elif event == "socks.setup_socks5_connection.complete":
            self._exchange.forget_written()
            self.is_over = True


class _Body(httpx.SyncByteStream):
    def __init__(
        self, read: Callable[[], Iterable[bytes]], close: Callable[[], None]
    ) -> None:
        self._read = read
        self._close = close

    def __iter__(self) -> Iterator[bytes]:
        yield from self._read()

    def close(self) -> None:
        self._close()
