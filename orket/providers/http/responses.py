"""Responses, whole or streamed, read within bounds and timed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from orket.providers.http.failures import NETWORK_ERRORS, BodyTooLong, Judge
from orket.providers.http.framing import (
    BYTE_ORDER_MARK,
    FRAMINGS,
    MAX_LINE_BYTES,
    Event,
    LineSplitter,
    LineTooLong,
    RepeatedKey,
    SseFraming,
    read_json,
)
from orket.providers.http.problems import Problem, looks_like_html
from orket.providers.http.wire import Answer, Exchange

MAX_BODY_BYTES = 16 * 1024 * 1024
"""Largest whole response accepted."""
MAX_STREAM_BYTES = 256 * 1024 * 1024
"""Largest stream accepted, all its events together."""
MAX_ERROR_BYTES = 65_536
"""Read of the body of an error."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long one call took, by the client's clocks."""

    wall_ns: int | None = None
    """Request written to last byte, or to the failure, monotonic."""
    realtime_ns: int | None = None
    """The same span by the wall clock."""
    ttft_ns: int | None = None
    """Request written to the first chunk that carried a token; streamed only."""
    last_token_ns: int | None = None
    """Request written to the last chunk that carried a token; streamed only."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole response, or why there is none."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    json: Any = None
    """The body as JSON without secrets; None where it is not JSON."""
    flaw: str | None = None
    """Why the body could not be read as JSON."""
    secret_removed: bool = False
    """Whether the body said a secret of the endpoint."""
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

    def __init__(self, judge: Judge, framing: str, exchange: Exchange) -> None:
        self._judge = judge
        self._framing = FRAMINGS[framing](MAX_LINE_BYTES)
        self._exchange = exchange
        self._response: Answer | None = None
        self._first_token_ns: int | None = None
        self._last_token_ns: int | None = None
        self.problem: Problem | None = None
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.valid_utf8 = True
        self.streamed = True
        """False when the server sent one whole JSON document instead of a stream."""

    def fail(self, error_class: str, message: str) -> None:
        """Record why the stream is no answer; the first reason stands."""
        self.set_problem(self._judge.problem(error_class, message, self.status))

    def mark_token(self, event: Event) -> None:
        """Say that this event carried a token; the first and the last are timed."""
        if self._first_token_ns is None:
            self._first_token_ns = event.arrived_ns
        self._last_token_ns = event.arrived_ns

    @property
    def timing(self) -> Timing:
        """The call's times so far; those of tokens only of a true stream."""
        if not self.streamed:
            return read_timing(self._exchange)
        return read_timing(self._exchange, self._first_token_ns, self._last_token_ns)

    @property
    def is_sse(self) -> bool:
        """Whether events are framed, so that what is no event is left out."""
        return isinstance(self._framing, SseFraming)

    def __iter__(self) -> Iterator[Event]:
        if self.problem is not None or self._response is None:
            return
        with self._judge.guarded(self.set_problem, self.status):
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

    def opened(self, response: Answer) -> None:
        """Take over a response whose headers have come in."""
        self._response = response
        self.status = response.status_code
        self.headers = self._judge.clean(lower_headers(response))
        if response.status_code != 200:
            body = read_error_body(response)
            self.set_problem(self._judge.response(self.status, self.headers, body))
        elif looks_like_html(self.headers, b""):
            body = read_error_body(response)
            self.set_problem(self._judge.page(self.headers, body))

    def _events(self, response: Answer) -> Iterator[Event]:
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

    def _whole(self, response: Answer) -> Iterator[Event]:
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


def read_reply(response: Answer, judge: Judge) -> Reply:
    """The whole response as a reply, its timing still to be set."""
    status, headers = response.status_code, judge.clean(lower_headers(response))
    failed = not 200 <= status < 300
    if failed:
        body = read_error_body(response)
        problem: Problem | None = judge.response(status, headers, body)
    else:
        body = read_body(response, MAX_BODY_BYTES)
        page = looks_like_html(headers, body)
        problem = judge.page(headers, body) if page else None
    said, flaw = _read_json(body)
    clean = judge.clean(said)
    return Reply(
        status,
        headers,
        body,
        clean,
        flaw,
        secret_removed=clean != said,
        valid_utf8=failed or is_utf8(body),
        problem=problem,
    )


def read_timing(
    exchange: Exchange,
    first_token_ns: int | None = None,
    last_token_ns: int | None = None,
) -> Timing:
    """The times of an exchange; None where it did not come that far."""
    written, last = exchange.written, exchange.last_byte
    if written is None or last is None:
        return Timing()
    tokens = (
        None if moment is None else max(0, moment - written[0])
        for moment in (first_token_ns, last_token_ns)
    )
    return Timing(max(0, last[0] - written[0]), last[1] - written[1], *tokens)


def read_body(response: Answer, limit_bytes: int) -> bytes:
    """The whole body; refused beyond the limit."""
    parts, seen = [], 0
    for chunk in response.iter_bytes():
        parts.append(chunk)
        seen += len(chunk)
        if seen > limit_bytes:
            limit_mib = limit_bytes // (1024 * 1024)
            raise BodyTooLong(f"a response of more than {limit_mib} MiB")
    return b"".join(parts)


def read_error_body(response: Answer) -> bytes:
    """As much of an error's body as there is: its status says enough."""
    parts, seen = [], 0
    try:
        for chunk in response.iter_bytes():
            parts.append(chunk)
            seen += len(chunk)
            if seen > MAX_ERROR_BYTES:
                break
    except NETWORK_ERRORS:
        return b"".join(parts)
    return b"".join(parts)[:MAX_ERROR_BYTES]


def lower_headers(response: Answer) -> dict[str, str]:
    """The headers by lower-case name."""
    return {name.lower(): value for name, value in response.headers.items()}


def is_utf8(body: bytes) -> bool:
    """Whether the bytes are valid UTF-8."""
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _read_json(body: bytes) -> tuple[Any, str | None]:
    """The body as JSON, or why it is none."""
    try:
        plain = body.removeprefix(BYTE_ORDER_MARK)
        return read_json(plain.decode("utf-8", "replace")), None
    except RepeatedKey as error:
        return None, f"the answer is unclear: {error}"
    except ValueError:
        return None, "the answer is not JSON"
