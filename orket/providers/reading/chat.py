"""The OpenAI chat protocol, streamed or whole, as most servers speak it.

One call gives an answer, the figures that came with it and the reason why not. What
the figures mean is for `dialects` to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orket.providers.contract import Generation
from orket.providers.http.framing import Event
from orket.providers.http.problems import Problem, stream_problem
from orket.providers.http.redaction import redact_problem
from orket.providers.http.transport import Stream, Timing, Transport
from orket.providers.reading import calls
from orket.providers.reading.calls import Answer
from orket.providers.reading.dialects import FIGURE_KEYS
from orket.providers.reading.figures import mapping, sequence, text

CHAT_PATH = "/v1/chat/completions"


@dataclass
class ChatResult:
    """What one chat call gave."""

    answer: Answer = field(default_factory=Answer)
    figures: dict[str, Any] = field(default_factory=dict)
    """usage, timings, metrics, stats: the last word on each."""
    timing: Timing = Timing()
    problem: Problem | None = None
    http_status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    streamed: bool = True
    notes: set[str] = field(default_factory=set)
    document: dict[str, Any] = field(default_factory=dict)
    """The whole response, or the first event of a stream."""
    saw_text: bool = False
    """Whether the response had a place for the answer's text at all."""


def chat_payload(request: Generation, stream: bool) -> dict[str, Any]:
    """The request body that every OpenAI-style server understands."""
    messages = [{"role": "user", "content": request.prompt}]
    if request.system is not None:
        messages.insert(0, {"role": "system", "content": request.system})
    payload: dict[str, Any] = {
        "model": request.model.name,
        "messages": messages,
        "max_tokens": request.max_tokens,
        "stream": stream,
    }
    if request.controls.temperature_milli is not None:
        payload["temperature"] = request.controls.temperature_milli / 1000
    if request.controls.seed is not None:
        payload["seed"] = request.controls.seed
    return payload


def with_usage(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The payload of a stream that asks for a last event with the token counts."""
    return {**payload, "stream_options": {"include_usage": True}}


def ask_chat(
    transport: Transport,
    payload: Mapping[str, Any],
    timeout_seconds: float,
    path: str = CHAT_PATH,
) -> ChatResult:
    """Make one chat call, streamed when the payload says so."""
    if payload.get("stream"):
        return _ask_streamed(transport, payload, timeout_seconds, path)
    return _ask_whole(transport, payload, timeout_seconds, path)


def _ask_whole(
    transport: Transport, payload: Mapping[str, Any], timeout_seconds: float, path: str
) -> ChatResult:
    reply = transport.post(path, dict(payload), timeout_seconds)
    result = ChatResult(
        timing=reply.timing,
        problem=reply.problem,
        http_status=reply.status,
        headers=reply.headers,
        streamed=False,
    )
    if not reply.valid_utf8:
        result.notes.add(calls.INVALID_UTF8)
    if result.problem is None:
        read_document(result, reply.json)
    result.problem = redact_problem(transport.endpoint, result.problem)
    return result


def read_document(result: ChatResult, body: Any) -> None:
    """Take all that a whole response says, or why it is no answer."""
    status = result.http_status
    if not isinstance(body, dict):
        problem = Problem("PROTOCOL_ERROR", "the answer is not a JSON object", status)
        result.problem = problem
        return
    result.problem = stream_problem(body, status)
    if result.problem is not None:
        return
    _take(result, body, "message")
    if not result.saw_text:
        problem = Problem("PROTOCOL_ERROR", "the response has no answer in it", status)
        result.problem = problem


def _ask_streamed(
    transport: Transport, payload: Mapping[str, Any], timeout_seconds: float, path: str
) -> ChatResult:
    result = ChatResult()
    with transport.stream(path, dict(payload), timeout_seconds) as stream:
        _read_stream(result, stream)
        result.problem = redact_problem(transport.endpoint, stream.problem)
        result.timing = stream.timing
        result.http_status = stream.status
        result.headers = stream.headers
        result.streamed = stream.streamed
        if not stream.valid_utf8:
            result.notes.add(calls.INVALID_UTF8)
        if not stream.streamed:
            result.notes.add(calls.NOT_STREAMED)
    return result


def _read_stream(result: ChatResult, stream: Stream) -> None:
    done = False
    for event in stream:
        if event.done:
            done = True
            break
        if not _read_event(result, stream, event):
            return
    if stream.problem is not None:
        return
    ended = done or (result.answer.stop_reason is not None and bool(result.figures))
    if not stream.streamed:
        ended = result.saw_text
    if not ended:
        stream.fail("STREAM_INCOMPLETE", "the stream ended without its final record")


def _read_event(result: ChatResult, stream: Stream, event: Event) -> bool:
    """Take what an event says; False when the call failed with it."""
    try:
        body = event.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        if event.complete:
            stream.fail("PROTOCOL_ERROR", "a stream event is not a JSON object")
        else:
            stream.fail("STREAM_INCOMPLETE", "the stream broke off inside an event")
        return False
    if event.name == "error" and "error" not in body:
        body = {"error": body}
    problem = stream_problem(body, stream.status)
    if problem is not None:
        stream.set_problem(problem)
        return False
    if _take(result, body, "delta" if stream.streamed else "message"):
        stream.mark_token(event)
    return True


def _take(result: ChatResult, body: dict[str, Any], part: str) -> bool:
    """Take the answer and the figures of one document; whether it bore a token."""
    answer = result.answer
    if not result.document:
        result.document = body
    for key in FIGURE_KEYS:
        if body.get(key) is not None:
            result.figures[key] = body[key]
    answer.model = text(body.get("model")) or answer.model
    choices = sequence(body.get("choices"))
    if not choices:
        return False
    choice = mapping(choices[0])
    answer.stop_reason = text(choice.get("finish_reason")) or answer.stop_reason
    said = mapping(choice.get(part))
    return _take_text(result, said)


def _take_text(result: ChatResult, said: Mapping[str, Any]) -> bool:
    content = text(said.get("content"))
    reasoning = text(said.get("reasoning_content")) or text(said.get("reasoning"))
    tools = bool(sequence(said.get("tool_calls")))
    if content is not None:
        result.answer.parts.append(str(said["content"]))
    if reasoning is not None:
        key = (
            "reasoning_content" if text(said.get("reasoning_content")) else "reasoning"
        )
        result.answer.reasoning.append(str(said[key]))
    told = "content" in said and isinstance(said["content"], (str, type(None)))
    result.saw_text |= told or reasoning is not None or tools
    return content is not None or reasoning is not None or tools
