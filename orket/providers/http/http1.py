"""HTTP/1.1 over a timed connection, written and read by the standard library.

httpx takes half as much again of a processor's time for a call, on a machine that is
being measured. What `http.client` lets pass and no server should say is refused here,
and every failure has the words of httpcore.
"""

from __future__ import annotations

import http.client
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import httpcore

READ_BYTES = 65_536
_SWITCHING_PROTOCOLS = 101


class Response:
    """A response whose head has come in; its body comes as it is asked for."""

    def __init__(self, link: Link, read: http.client.HTTPResponse) -> None:
        self._link = link
        self._read = read
        self.status_code = read.status
        self.headers = _headers(read)
        """By lower-case name; what is said twice is joined by a comma."""

    def iter_bytes(self) -> Iterator[bytes]:
        """The body in the pieces in which it comes, up to its end.

        Raises what the connection raises, and RemoteProtocolError where it ends early.
        """
        while True:
            with _worded():
                piece = self._read.read1(READ_BYTES)
                if not piece and self._is_cut_short():
                    raise http.client.IncompleteRead(b"")
            if not piece:
                return
            yield piece

    def close(self) -> None:
        """Close the connection."""
        self._read.close()
        self._link.close()

    def _is_cut_short(self) -> bool:
        """Whether the other side hung up before the end that it said there would be."""
        left = self._read.length  # None where the end of the connection is the end.
        return self._link.is_over if self._read.chunked else bool(left)


def send(
    stream: httpcore.NetworkStream,
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: bytes | None,
) -> Response:
    """Send a request, `Host` among its headers, and read the head of its response.

    Raises what the connection raises, and RemoteProtocolError for what is not HTTP.
    """
    link = Link(stream)
    connection = http.client.HTTPConnection("named.in.headers")
    connection.sock = link
    with suppress(httpcore.WriteError):
        # A server may refuse a request before it has read all of it, and say why.
        connection.request(method, target, body, headers)
        link.flush()
    with _worded():
        while True:
            read = http.client.HTTPResponse(link, method=method)  # type: ignore[arg-type]
            read.begin()
            if link.is_over:
                raise http.client.RemoteDisconnected("in the head")
            if not 100 <= read.status < 200 or read.status == _SWITCHING_PROTOCOLS:
                break
            read.fp = None  # type: ignore[assignment]  # Else it closes what goes on.
        _require_one_end(read)
    return Response(link, read)


class Link:
    """As much of a socket as `http.client` uses."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream
        self._raw = _Incoming(stream)
        self._outgoing: list[bytes] = []
        self._incoming: io.BufferedReader = io.BufferedReader(self._raw, READ_BYTES)

    @property
    def is_over(self) -> bool:
        """Whether the other side was found to have hung up."""
        return self._raw.is_over

    def close(self) -> None:
        self._stream.close()

    def sendall(self, data: bytes) -> None:
        """Keep it: head and body go out together, and wake the server once."""
        self._outgoing.append(data)

    def flush(self) -> None:
        self._stream.write(b"".join(self._outgoing))
        self._outgoing.clear()

    def makefile(self, mode: str) -> io.BufferedReader:
        """What comes in; one reader for all that does."""
        return self._incoming


class _Incoming(io.RawIOBase):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream
        self.is_over = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        data = self._stream.read(len(view))
        view[: len(data)] = data
        self.is_over = not data
        return len(data)


@contextmanager
def _worded() -> Iterator[None]:
    """Say in the words of httpcore what the standard library finds wrong."""
    try:
        yield
    except http.client.RemoteDisconnected as error:
        raise httpcore.RemoteProtocolError(
            "Server disconnected without sending a response."
        ) from error
    except http.client.IncompleteRead as error:
        raise httpcore.RemoteProtocolError(
            "peer closed connection without sending complete message body"
        ) from error
    except http.client.HTTPException as error:
        said = str(error)[:80]
        raise httpcore.RemoteProtocolError(
            f"{type(error).__name__}: {said}" if said else type(error).__name__
        ) from error


def _require_one_end(read: http.client.HTTPResponse) -> None:
    """Refuse a head that tells the end of its body in two ways, or in a wrong one.

    A line that is no header ends the head for `http.client`, and what follows is lost.
    """
    if read.headers.defects:
        raise http.client.HTTPException(f"illegal header: {read.headers.defects[0]}")
    codings = read.headers.get_all("transfer-encoding", [])
    lengths = set(read.headers.get_all("content-length", []))
    if codings and not (len(codings) == 1 and read.chunked):
        raise http.client.HTTPException(f"unasked transfer encoding {codings}")
    if not codings and lengths and (len(lengths) > 1 or read.length is None):
        raise http.client.HTTPException(f"bad Content-Length {sorted(lengths)}")


def _headers(read: http.client.HTTPResponse) -> dict[str, str]:
    headers: dict[str, str] = {}
    for spelt, folded in read.headers.items():
        name, value = spelt.lower(), " ".join(map(str.strip, folded.splitlines()))
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
