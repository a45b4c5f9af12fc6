"""The chat completion of the OpenAI schema, which several servers share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from orket.mockserver.engine import Engine, Work
from orket.mockserver.replies import MOMENT_UNIX, Event, Request
from orket.mockserver.scores import EOS, as_entry


def usage_of(work: Work, *, cached: bool, reasoning: bool = False) -> dict[str, Any]:
    """The usage object; `cached` adds prompt_tokens_details."""
    usage: dict[str, Any] = {
        "prompt_tokens": work.prompt_tokens,
        "completion_tokens": work.generated,
        "total_tokens": work.prompt_tokens + work.generated,
    }
    if cached:
        usage["prompt_tokens_details"] = {"cached_tokens": work.cached_tokens}
    if reasoning:
        details = {"reasoning_tokens": len(work.reasoning)}
        usage["completion_tokens_details"] = details
    return usage


def chat_body(
    work: Work,
    model: str,
    serial: int,
    *,
    usage: dict[str, Any],
    reasoning_key: str = "reasoning_content",
    extra: dict[str, Any] | None = None,
    logprobs: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """A whole chat completion; `logprobs` as `chat_logprobs` made them."""
    message: dict[str, Any] = {"role": "assistant", "content": work.text}
    if work.reasoning:
        message[reasoning_key] = work.thought
    return {
        "id": f"chatcmpl-mock{serial}",
        "object": "chat.completion",
        "created": MOMENT_UNIX,
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": message,
                **({} if logprobs is None else {"logprobs": logprobs["logprobs"]}),
                "finish_reason": work.stop_reason,
            }
        ],
        "usage": usage,
        **(extra or {}),
    }


def chat_logprobs(
    request: Request, engine: Engine, work: Work, prompt: str, ids: bool = False
) -> dict[str, Any] | None:
    """The `logprobs` of a whole chat completion, where they are asked for.

    As in the OpenAI schema, the end of the answer is no place of it; with `ids` it is,
    and tokens have ids, as llama.cpp tells them.
    """
    if not request.flag("logprobs", False):
        return None
    pieces = [*work.pieces, *([EOS] if ids and work.eos else [])]
    k = request.number("top_logprobs", 0)
    places = engine.weigh(work.model, prompt, pieces, k, request.struck)
    if places is None:
        return {"logprobs": None}
    return {"logprobs": {"content": [as_entry(place, ids) for place in places]}}


def chat_events(
    work: Work,
    model: str,
    serial: int,
    *,
    usage: dict[str, Any] | None,
    reasoning_key: str = "reasoning_content",
    extra: dict[str, Any] | None = None,
    extra_on_last_delta: bool = False,
    finished: Callable[[], None] = lambda: None,
) -> Iterator[Event]:
    """The same as a stream: role, deltas, finish reason, usage chunk, [DONE].

    `extra` rides on the usage chunk, or on the last delta where there is no usage
    chunk and the server puts it there.
    """
    head = {
        "id": f"chatcmpl-mock{serial}",
        "object": "chat.completion.chunk",
        "created": MOMENT_UNIX,
        "model": model,
    }

    def chunk(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return {**head, "choices": [choice]}

    yield Event(chunk({"role": "assistant", "content": ""}), work.first_token_at)
    for kind, piece, due in work.deltas():
        key = "content" if kind == "text" else reasoning_key
        yield Event(chunk({key: piece}), due, shows_text=True)
    last = chunk({}, work.stop_reason)
    if usage is None and extra_on_last_delta:
        last.update(extra or {})
    yield Event(last, work.ended_at, final=True)
    finished()
    if usage is not None:
        body = {**head, "choices": [], "usage": usage, **(extra or {})}
        yield Event(body, final=True)
    yield Event(b"[DONE]", final=True)
