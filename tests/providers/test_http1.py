"""What is read of a response over a timed connection, held against h11."""

from __future__ import annotations

import random
from typing import Any

import h11
import httpcore
import pytest

from orket.providers.http import http1

CHUNKED = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    b"Transfer-Encoding: chunked\r\nX-Twice: a\r\nx-twice: b\r\n\r\n"
    b"6\r\ndata: \r\n2;name=value\r\n\n\n\r\n00B\r\nhello world\r\n0\r\nX: y\r\n\r\n"
)
COUNTED = b"HTTP/1.1 404 Not Found\r\nContent-Length: 7\r\nX: \xff\r\n\r\nmissing"
UNTIL_CLOSE = b"HTTP/1.0 200\r\nServer:  old\r\n folded\r\n\r\nall of it\r\n\r\n"
EMPTY = b"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n"
BARE = b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok"
WHOLE = (CHUNKED, COUNTED, UNTIL_CLOSE, EMPTY, INTERIM + COUNTED, BARE)


class Wire(httpcore.NetworkStream):
    """A connection whose other side says these pieces and hangs up."""

    def __init__(self, *pieces: bytes, breaks_at: int | None = None) -> None:
        self.pieces = [piece for piece in pieces if piece]
        self.breaks_at = breaks_at
        self.written = b""
        self.is_closed = False

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if not self.pieces:
            return b""
        said, self.pieces[0] = self.pieces[0][:max_bytes], self.pieces[0][max_bytes:]
        if not self.pieces[0]:
            del self.pieces[0]
        return said

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.written += buffer[: self.breaks_at]
        if self.breaks_at is not None:
            raise httpcore.WriteError("broken pipe")

    def close(self) -> None:
        self.is_closed = True


def ask(wire: Wire) -> http1.Response:
    return http1.send(wire, "POST", "/", {"Host": "a"}, b"{}")


def ours(*pieces: bytes) -> Any:
    """Status, headers and body, or None where it is refused."""
    try:
        response = ask(Wire(*pieces))
        body = b"".join(response.iter_bytes())
    except httpcore.RemoteProtocolError:
        return None
    return response.status_code, response.headers, body


def by_h11(said: bytes) -> Any:
    """The same by h11."""
    reader = h11.Connection(h11.CLIENT, max_incomplete_event_size=100 * 1024)
    reader.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    reader.send(h11.EndOfMessage())
    reader.receive_data(said)
    reader.receive_data(b"")
    status, headers, body = 0, dict[str, str](), b""
    try:
        while True:
            event = reader.next_event()
            if isinstance(event, h11.Response):
                status = event.status_code
                for raw_name, raw_value in event.headers:
                    name, value = raw_name.decode(), raw_value.decode("latin-1")
                    known = headers.get(name)
                    headers[name] = value if known is None else f"{known}, {value}"
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return status, headers, body
            elif isinstance(event, h11.ConnectionClosed):
                return None
    except h11.RemoteProtocolError:
        return None


@pytest.mark.parametrize("said", WHOLE)
def test_a_response_is_the_same_wherever_it_is_cut(said):
    found = ours(said)
    assert found is not None and found == by_h11(said)
    for place in range(1, len(said)):
        assert ours(said[:place], said[place:]) == found
    assert ours(*(said[place : place + 1] for place in range(len(said)))) == found


@pytest.mark.parametrize("said", [CHUNKED, COUNTED, INTERIM])
def test_a_response_that_breaks_off_is_none(said):
    for place in range(len(said)):
        assert ours(said[:place]) is None


def test_what_breaks_off_says_so_as_a_lost_connection():
    for said, words in (
        (b"", "Server disconnected without sending a response"),
        (CHUNKED[:-20], "peer closed connection"),
        (COUNTED[:-3], "peer closed connection"),
    ):
        with pytest.raises(httpcore.RemoteProtocolError, match=words):
            list(ask(Wire(said)).iter_bytes())


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"+OK ready\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 1\r\n\r\na",
        b"HTTP/1.1 200 OK\r\nName : a\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\na\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"a" * (101 * 1024),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"a" * 103_000,
    ],
)
def test_what_is_not_http_as_it_should_be_is_refused(said):
    assert by_h11(said) is None
    assert ours(said) is None


def test_what_h11_reads_of_a_damaged_response_is_read_the_same():
    chance = random.Random(1)
    signs = bytes(range(256)) + b"\r\n\r\n\r\n :;,0123456789abcdef" * 8
    compared = 0
    for _ in range(4000):
        said = bytearray(chance.choice(WHOLE))
        for _ in range(chance.randint(1, 3)):
            place = chance.randrange(len(said))
            said[place : place + chance.randint(0, 2)] = bytes(
                chance.choices(signs, k=chance.randint(0, 2))
            )
        expected, found = by_h11(bytes(said)), ours(bytes(said))
        if expected is not None and found is not None:
            compared += 1
            assert found[::2] == expected[::2], bytes(said)
    assert compared > 800


def test_a_server_that_refuses_before_it_has_read_all_is_heard():
    wire = Wire(COUNTED, breaks_at=3)
    response = ask(wire)
    assert wire.written == b"POS" and response.status_code == 404
    assert b"".join(response.iter_bytes()) == b"missing"
    response.close()
    assert wire.is_closed
