"""One call to a server: its records as they come in, what is wrong with it, its facts.

Everything that holds for every protocol is here. A subclass says how one record of its
protocol is read, and what its figures mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from orket.providers.contract import Generation
from orket.providers.http.framing import Event, RepeatedKey, read_json
from orket.providers.http.problems import Problem, one_line, stream_problem
from orket.providers.http.transport import Reply, Stream, Timing, Transport
from orket.providers.reading.content import (
    THOUGHT,
    UnreadableContent,
    read_content,
    read_thought,
    split_thought,
)
from orket.providers.reading.facts import (
    INVALID_UTF8,
    NOT_STREAMED,
    SECRET_REMOVED,
    THOUGHT_IN_ANSWER,
    Answer,
    Figures,
    drop_default_zeros,
)
from orket.records import CallFacts

Record = Mapping[str, Any]


class Call:
    """What one call gave. Ask with `post` or `stream`, then read `facts`."""

    incomplete = "the stream ended without its final record"

    def __init__(self, request: Generation, transport: Transport) -> None:
        self.request = request
        self.answer = Answer()
        self.timing = Timing()
        self.problem: Problem | None = None
        self.status: int | None = None
        self.streamed = True
        self.headers: Mapping[str, str] = {}
        self.notes: set[str] = set()
        self.final = False
        """Whether the record that ends the answer has come in."""
        self._transport = transport
        self._heard = 0

    # What a protocol is: for subclasses to say.

    def read_record(self, record: Record, name: str | None) -> None:
        """Take one record of a stream; `name` is that of its event, if it has one."""
        raise NotImplementedError

    def read_document(self, document: Record) -> None:
        """Take a whole answer."""
        raise NotImplementedError

    def read_figures(self) -> Figures:
        """What the server said in numbers, as it said it."""
        raise NotImplementedError

    def read_end(self) -> None:
        """Take the mark `[DONE]`, which ends some streams."""

    def unpack(self, body: Any) -> Any:
        """The document in a whole response."""
        return body

    def has_ended(self) -> bool:
        """Whether a stream that stopped here was complete."""
        return self.final

    # What subclasses say of an answer.

    def say(self, content: object) -> None:
        """Add what a content says, text and thought apart; see `content`."""
        self._add(content, read_content)

    def think(self, thought: object) -> None:
        """Add what a field for thought says."""
        self._add(thought, read_thought)

    def fail(self, error_class: str, message: str) -> None:
        """Say why this is no answer; the first reason stands."""
        if self.problem is None:
            line = one_line(self._transport.endpoint.redact(message))
            self.problem = Problem(error_class, line, self.status)

    # The same for all.

    def post(self, path: str, payload: Any) -> None:
        """Ask for a whole answer."""
        seconds = self.request.timeout_seconds
        self.take(self._transport.post(path, payload, seconds))

    def stream(self, path: str, payload: Any, framing: str = "sse") -> None:
        """Ask for a streamed answer: `sse` or `ndjson`."""
        seconds = self.request.timeout_seconds
        with self._transport.stream(path, payload, seconds, framing) as stream:
            self.follow(stream)

    def follow(self, stream: Stream) -> None:
        """Read a stream up to its final record, and take over its times."""
        self.status = stream.status
        for event in stream:
            self._hear(event, stream)
            if self.problem is not None:
                stream.set_problem(self.problem)
            if self.final or stream.problem is not None:
                break
        if stream.problem is None and not self.has_ended():
            stream.fail("STREAM_INCOMPLETE", self.incomplete)
        if stream.problem is None and not self.answer.readable:
            stream.fail("PROTOCOL_ERROR", "the response has no answer in it")
        stream.streamed &= self.streamed
        self.problem, self.timing = stream.problem, stream.timing
        self.status, self.headers = stream.status, stream.headers
        self.streamed = stream.streamed
        if not stream.valid_utf8:
            self.notes.add(INVALID_UTF8)
        if not stream.streamed:
            self.notes.add(NOT_STREAMED)

    def take(self, reply: Reply) -> None:
        """Take a whole response."""
        self.timing, self.problem = reply.timing, reply.problem
        self.status, self.headers = reply.status, reply.headers
        self.streamed = False
        if not reply.valid_utf8:
            self.notes.add(INVALID_UTF8)
        if reply.secret_removed:
            self.notes.add(SECRET_REMOVED)
        if self.problem is None:
            self._take_document(reply.json, reply.flaw)

    def figures(self) -> Figures:
        """What the server said in numbers, without what it only filled in."""
        return drop_default_zeros(self.read_figures(), self.answer)

    def facts(
        self, figures: Figures | None = None, prompt_cache: str | None = None
    ) -> CallFacts:
        """The facts of the call. A failed one keeps what came in before it failed."""
        figures = figures or self.figures()
        problem, answer, timing = self.problem, self.answer, self.timing
        whole, thought = answer.text(), answer.reasoning_text()
        if thought is None and (parted := split_thought(whole)):
            thought, whole = parted
            self.notes.add(THOUGHT_IN_ANSWER)
        text = self._clean(whole) or ""
        reasoning = self._clean(thought)
        message = self._clean(problem.message) if problem else None
        return CallFacts(
            outcome=problem.outcome if problem else "OK",
            error_class=problem.error_class if problem else None,
            error_message=message,
            http_status=problem.http_status if problem else self.status,
            retry_after_ns=problem.retry_after_ns if problem else None,
            answer_text=text if text or problem is None else None,
            reasoning_text=reasoning,
            stop_reason=self._clean(answer.stop_reason),
            reported_model=self._clean(answer.model),
            prompt_cache=prompt_cache or self.request.prompt_cache,
            streamed=self.streamed,
            wall_ns=timing.wall_ns,
            realtime_ns=timing.realtime_ns,
            ttft_ns=timing.ttft_ns if self.streamed else None,
            last_token_ns=timing.last_token_ns if self.streamed else None,
            call_notes=sorted(self.notes),
            **self._figures_of(figures),
        )

    def _figures_of(self, figures: Figures) -> dict[str, Any]:
        """Every figure under its name in the row; words may be a server's own."""
        said = {each.name: getattr(figures, each.name) for each in fields(figures)}
        return {
            name: self._clean(value) if isinstance(value, str) else value
            for name, value in said.items()
        }

    def _hear(self, event: Event, stream: Stream) -> None:
        if event.done:
            self.read_end()
            return
        try:
            body = event.json()
        except ValueError as error:
            self._misread(event, stream, error)
            return
        self._heard += 1
        clean = self._transport.endpoint.scrub(body)
        if clean != body:
            self.notes.add(SECRET_REMOVED)
        if not stream.streamed:
            self._take_document(clean)
            return
        if not isinstance(clean, dict):
            self.fail("PROTOCOL_ERROR", "a record of the stream is no JSON object")
            return
        if event.name == "error" and "error" not in clean:
            clean = {"error": clean}
        self.problem = stream_problem(clean, stream.status)
        if self.problem is None:
            seen = self.answer.tokens_seen
            self.read_record(clean, event.name)
            if self.answer.tokens_seen > seen:
                stream.mark_token(event)

    def _misread(self, event: Event, stream: Stream, error: ValueError) -> None:
        if isinstance(error, RepeatedKey):
            self.fail("PROTOCOL_ERROR", f"a record of the stream is unclear: {error}")
        elif stream.is_sse and _are_records(event.data.splitlines()):
            self.fail("STREAM_INCOMPLETE", "no empty line ends the records of a stream")
        elif not event.complete and (self._heard or stream.is_sse):
            # What never was a record did not break off inside one.
            self.fail("STREAM_INCOMPLETE", "the stream broke off inside a record")
        else:
            self.fail("PROTOCOL_ERROR", "a record of the stream is not JSON")

    def _take_document(self, body: Any, flaw: str | None = None) -> None:
        document = self.unpack(body)
        if not isinstance(document, dict):
            reason = flaw or "the answer is not a JSON object"
            self.fail("PROTOCOL_ERROR", reason)
            return
        self.problem = stream_problem(document, self.status)
        if self.problem is not None:
            return
        self.read_document(document)
        self.final = True
        if not self.answer.readable:
            self.fail("PROTOCOL_ERROR", "the response has no answer in it")

    def _add(self, content: object, read: Any) -> None:
        try:
            pieces: Iterator[tuple[str, str]] = read(content)
            for kind, piece in pieces:
                thought = kind == THOUGHT
                (self.answer.reasoning if thought else self.answer.parts).append(piece)
        except UnreadableContent as error:
            self.fail("PROTOCOL_ERROR", f"the answer has {error}")
        else:
            self.answer.readable = True

    def _clean(self, text: str | None) -> str | None:
        """The text without a secret that the server said."""
        if text is None:
            return None
        clean = self._transport.endpoint.redact(text)
        if clean != text:
            self.notes.add(SECRET_REMOVED)
        return clean


def _are_records(lines: list[str]) -> bool:
    """Whether what came as one event is several, each a record by itself."""
    try:
        records = [read_json(line) for line in lines if line.strip() != "[DONE]"]
    except ValueError:
        return False
    return len(lines) > 1 and all(isinstance(record, dict) for record in records)
