"""Speaks HTTP/1.1 over one connection: a request goes out, its response comes in.

A general client takes more time of a processor for a call than all else that Orket does
for it, on a machine that is being measured. Here is what a call needs and no more: one
request on a connection of its own, and a response that is read as it comes. What is not
HTTP as it should be is refused, in the words of httpcore.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

import httpcore

MAX_HEAD_BYTES = 100 * 1024
"""Longest head of a response, and longest line between its chunks."""
READ_BYTES = 65_536
_HEAD_END = re.compile(rb"\n\r?\n")
_STATUS = re.compile(rb"HTTP/[0-9]\.[0-9] ([1-9][0-9]{2})(?: (?:[ \t]|[^\x00\s])*)?")
_HEADER = re.compile(
    rb"([-!#$%&'*+.^_`|~0-9a-zA-Z]+):[ \t]*([^\x00\s]+(?:[ \t]+[^\x00\s]+)*)?[ \t]*"
)
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,20})(?:;.*)?[ \t]*")
_NO_BODY = frozenset({204, 304})
_SWITCHING_PROTOCOLS = 101
_GONE = "Server disconnected without sending a response."


class Head(NamedTuple):
    """What stands in front of the body of a response."""

    status: int
    headers: dict[str, str]
    """By lower-case name; what is said twice is joined by a comma."""


class Response:
    """A response whose head has come in; its body comes as it is asked for."""

    def __init__(self, stream: httpcore.NetworkStream, head: Head, rest: bytes) -> None:
        """`rest` came in together with the head. Raises RemoteProtocolError."""
        self.status_code = head.status
        self.headers = head.headers
        self._stream = stream
        self._rest = rest
        self._body = _framing(head)

    def iter_bytes(self) -> Iterator[bytes]:
        """The body in the pieces in which it comes, up to its end.

        Raises what the connection raises, and RemoteProtocolError where it ends early.
        """
        body, data = self._body, self._rest
        self._rest = b""
        while True:
            piece = body.feed(data)
            if piece:
                yield piece
            if body.is_over:
                return
            data = self._stream.read(READ_BYTES)
            if not data:
                body.end()
                return

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()


def send(stream: httpcore.NetworkStream, request: bytes) -> Response:
    """Send a request and read the head of its response.

    Raises what the connection raises, and RemoteProtocolError for what is not HTTP.
    """
    with suppress(httpcore.WriteError):
        # A server may refuse a request before it has read all of it, and say why.
        stream.write(request)
    buffer = b""
    while True:
        found = _HEAD_END.search(buffer)
        if found is None:
            if len(buffer) > MAX_HEAD_BYTES:
                raise httpcore.RemoteProtocolError("the head of a response is too long")
            data = stream.read(READ_BYTES)
            if not data:
                raise httpcore.RemoteProtocolError(_GONE)
            buffer += data
            continue
        head = read_head(buffer[: found.start()])
        buffer = buffer[found.end() :]
        if not 100 <= head.status < 200 or head.status == _SWITCHING_PROTOCOLS:
            return Response(stream, head, buffer)


def read_head(block: bytes) -> Head:
    """A head without the empty line behind it. Raises RemoteProtocolError."""
    first, *lines = _lines(block)
    status = _STATUS.fullmatch(first)
    if status is None:
        raise httpcore.RemoteProtocolError(f"illegal status line: {first[:80]!r}")
    return Head(int(status[1]), _read_headers(lines))


def _lines(block: bytes) -> list[bytes]:
    return [line.removesuffix(b"\r") for line in block.split(b"\n")]


def _read_headers(lines: Sequence[bytes]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in _unfold(lines):
        header = _HEADER.fullmatch(line)
        if header is None:
            raise httpcore.RemoteProtocolError(f"illegal header line: {line[:80]!r}")
        name, value = _text(header[1]).lower(), _text(header[2] or b"")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _unfold(lines: Sequence[bytes]) -> list[bytes]:
    """Headers of one line each: one that begins with a space goes on with the last."""
    whole: list[bytes] = []
    for line in lines:
        if line[:1] in (b" ", b"\t") and whole:
            whole[-1] += b" " + line.lstrip(b" \t")
        else:
            whole.append(line)
    return whole


def _text(word: bytes) -> str:
    try:
        return word.decode("utf-8")
    except UnicodeDecodeError:
        return word.decode("latin-1")


class _Empty:
    """The body of a response that has none."""

    is_over = True

    def feed(self, data: bytes) -> bytes:
        del data
        return b""

    def end(self) -> None:
        return


class _Counted:
    """A body of a length that was said."""

    def __init__(self, length: int) -> None:
        self._length = self._left = length

    @property
    def is_over(self) -> bool:
        return self._left == 0

    def feed(self, data: bytes) -> bytes:
        piece = data[: self._left]
        self._left -= len(piece)
        return piece

    def end(self) -> None:
        raise httpcore.RemoteProtocolError(
            "peer closed connection without sending complete message body (received "
            f"{self._length - self._left} bytes, expected {self._length})"
        )


class _UntilClose:
    """A body that ends with its connection."""

    is_over = False

    def feed(self, data: bytes) -> bytes:
        return data

    def end(self) -> None:
        return


class _Chunked:
    """A body in chunks, each behind a line with its length."""

    def __init__(self) -> None:
        self.is_over = False
        self._held = b""
        self._left = 0
        """Bytes of this chunk that are still to come."""
        self._is_break_due = False
        self._is_last = False
        """The last chunk has come, and headers may follow it."""

    def feed(self, data: bytes) -> bytes:
        """The content of what came in. Raises RemoteProtocolError."""
        buffer = self._held + data
        content: list[bytes] = []
        place = 0
        while not self._is_last:
            if self._left:
                piece = buffer[place : place + self._left]
                place += len(piece)
                self._left -= len(piece)
                content.append(piece)
                if self._left:
                    break
                self._is_break_due = True
            end = buffer.find(b"\r\n", place)
            if end < 0:
                break
            self._take_line(buffer[place:end])
            place = end + 2
        self._held = buffer[place:]
        if self._is_last:
            self._take_trailer(self._held)
        if not self.is_over and len(self._held) > MAX_HEAD_BYTES:
            raise httpcore.RemoteProtocolError("what is between chunks is too long")
        return b"".join(content)

    def end(self) -> None:
        raise httpcore.RemoteProtocolError(
            "peer closed connection without sending complete message body "
            "(incomplete chunked read)"
        )

    def _take_line(self, line: bytes) -> None:
        if self._is_break_due:
            if line:
                raise httpcore.RemoteProtocolError(
                    f"a chunk is longer than it says: {line[:80]!r}"
                )
            self._is_break_due = False
            return
        size = _CHUNK_SIZE.fullmatch(line)
        if size is None:
            raise httpcore.RemoteProtocolError(f"illegal chunk header: {line[:80]!r}")
        self._left = int(size[1], 16)
        self._is_last = self._left == 0

    def _take_trailer(self, block: bytes) -> None:
        """The end of the body, once it is there; headers in it say nothing here."""
        found = _HEAD_END.search(block)
        if block.startswith((b"\r\n", b"\n")):
            self.is_over = True
        elif found is not None:
            _read_headers(_lines(block[: found.start()]))
            self.is_over = True


def _framing(head: Head) -> _Empty | _Counted | _UntilClose | _Chunked:
    """How the end of a body is told. Raises RemoteProtocolError where it is not."""
    coding = head.headers.get("transfer-encoding")
    if coding is not None and coding.lower() != "chunked":
        raise httpcore.RemoteProtocolError(
            f"a transfer encoding that was not asked for: {coding[:80]}"
        )
    said = head.headers.get("content-length")
    length = None if said is None else _read_length(said)
    if head.status in _NO_BODY:
        return _Empty()
    if coding is not None:
        return _Chunked()
    return _UntilClose() if length is None else _Counted(length)


def _read_length(said: str) -> int:
    lengths = {length.strip(" \t") for length in said.split(",")}
    length = lengths.pop()
    if lengths or not re.fullmatch("[0-9]{1,20}", length):
        raise httpcore.RemoteProtocolError(f"bad Content-Length: {said[:80]}")
    return int(length)
