"""Names what went wrong on the network, and says what to do about it."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpcore
import httpx

from orket.providers.http.endpoint import Endpoint
from orket.providers.http.problems import Problem, ProviderError, http_problem, one_line


class BodyTooLong(Exception):
    """A body went on beyond its limit; the message says which."""


NETWORK_ERRORS = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.StreamError,
    OSError,
)


def name_failure(error: Exception, url: str, proxy_url: str | None = None) -> Problem:
    """The class and the line of a failure of the network.

    What does not answer is the proxy, where there is one on the way.
    """
    said = one_line(str(error)) or type(error).__name__
    if isinstance(error, httpcore.ConnectTimeout):
        first = f"the proxy {proxy_url}" if proxy_url else url
        return Problem("TIMEOUT", f"no connection to {first} in time")
    if isinstance(error, (httpcore.TimeoutException, TimeoutError)):
        return Problem("TIMEOUT", "the server did not finish in time")
    if isinstance(error, (httpcore.ConnectError, httpcore.ProxyError)):
        return _name_connect_failure(error, url, proxy_url, said)
    if isinstance(error, httpcore.RemoteProtocolError):
        if "disconnected" in said or "closed" in said:
            return Problem("CONNECTION_LOST", f"the server hung up: {said}")
        return Problem("PROTOCOL_ERROR", f"not HTTP as it should be: {said}")
    if isinstance(error, (httpx.DecodingError, httpx.InvalidURL)):
        return Problem("PROTOCOL_ERROR", said)
    return Problem("CONNECTION_LOST", f"the connection broke: {said}")


def _name_connect_failure(
    error: Exception, url: str, proxy_url: str | None, said: str
) -> Problem:
    causes = [error.__cause__, error.__context__]
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return Problem("TLS_ERROR", f"no trusted connection to {url}: {said}")
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        first = f"the proxy {proxy_url}" if proxy_url else url
        return Problem("CONNECTION_REFUSED", f"nothing answers at {first}")
    by = f" by the proxy {proxy_url}" if proxy_url else ""
    return Problem("CONNECTION_FAILED", f"no connection to {url}{by}: {said}")


_ADVICE = {
    "CONNECTION_REFUSED": "start the server, or give another URL",
    "CONNECTION_FAILED": "check the URL and the network",
    "TLS_ERROR": "install its certificate authority, or pass --insecure",
    "TIMEOUT": "check that the server is alive and not busy",
    "HTTP_401": "name the environment variable or the file that holds its API key",
    "HTTP_403": "the API key may not do this",
    "HTTP_404": "check that provider, URL and the model's name fit this server",
    "HTTP_429": "wait, or ask for fewer calls",
    "HTTP_503": "wait until it has loaded its model",
}


def advise(problem: Problem) -> str:
    """What a person can do about a problem."""
    return _ADVICE.get(problem.error_class, "check the URL and the server's log")


class Judge:
    """Makes problems of one server's failures, without the secrets of its endpoint."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def problem(self, error_class: str, message: str, status: int | None) -> Problem:
        """A problem found by reading."""
        return Problem(error_class, one_line(self._endpoint.redact(message)), status)

    def clean(self, said: Any) -> Any:
        """What a server said, JSON or headers, without the endpoint's secrets."""
        return self._endpoint.scrub(said)

    def response(self, status: int, headers: dict[str, str], body: bytes) -> Problem:
        """The problem of a response that is not 200."""
        redact = self._endpoint.redact
        shown = {name: redact(value) for name, value in headers.items()}
        # Before a long message is cut: half a secret would not be found any more.
        plain = redact(body.decode("utf-8", "replace")).encode()
        found = http_problem(status, shown, plain)
        return replace(found, message=redact(found.message))

    def page(self, headers: dict[str, str], body: bytes) -> Problem:
        """The problem that a page for people is."""
        found = self.response(200, headers, body)
        return Problem("PROTOCOL_ERROR", found.message, 200)

    def error(self, problem: Problem, purpose: str) -> ProviderError:
        """A problem as an error for a person."""
        url = self._endpoint.url
        place = "" if url in problem.message else f" at {url}"
        return ProviderError(
            f"{purpose}{place}: {problem.message}",
            advise(problem),
            problem.error_class,
        )

    @contextmanager
    def guarded(
        self, report: Callable[[Problem], None], status: int | None
    ) -> Iterator[None]:
        """Report every failure of the network inside the block as a problem."""
        try:
            yield
        except NETWORK_ERRORS as error:
            found = name_failure(error, self._endpoint.url, self._endpoint.proxy_url)
            report(self.problem(found.error_class, found.message, status))
        except BodyTooLong as error:
            report(self.problem("RESPONSE_TOO_LONG", str(error), status))
