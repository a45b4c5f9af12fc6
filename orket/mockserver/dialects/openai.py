"""A plain OpenAI-compatible server: counts in `usage`, nothing of time."""

from __future__ import annotations

from typing import Any

from orket.mockserver.dialects.base import OneModelDialect, user_prompt
from orket.mockserver.dialects.chat_shape import (
    chat_body,
    chat_events,
    chat_logprobs,
    usage_of,
)
from orket.mockserver.engine import ContextExceeded, Engine
from orket.mockserver.faults import FigureNames
from orket.mockserver.replies import MOMENT_UNIX, Reply, Request, Stream


class OpenAIDialect(OneModelDialect):
    """Only what the schema promises."""

    name = "openai"
    default_port = 8000
    newest_version = ""
    figures = FigureNames(
        prompt_counts=frozenset({"prompt_tokens"}),
        completion_counts=frozenset({"completion_tokens"}),
        other_counts=frozenset({"total_tokens", "cached_tokens", "reasoning_tokens"}),
        prefill_timings=frozenset(),
        decode_timings=frozenset(),
    )
    generating = frozenset({"/v1/chat/completions"})

    def error(self, status: int, message: str) -> dict[str, Any]:
        kind = "invalid_request_error" if status < 500 else "server_error"
        return {
            "error": {"message": message, "type": kind, "param": None, "code": None}
        }

    def respond(self, request: Request, engine: Engine) -> Reply | Stream:
        match request.method, request.path:
            case "GET", "/v1/models":
                rows = [
                    {
                        "id": model.name,
                        "object": "model",
                        "created": MOMENT_UNIX,
                        "owned_by": "mock",
                    }
                    for model in engine.profile.models
                ]
                return Reply({"object": "list", "data": rows})
            case "POST", "/v1/chat/completions":
                return self._chat(request, engine)
        return self.not_found(request)

    def _chat(self, request: Request, engine: Engine) -> Reply | Stream:
        body = request.body
        model = engine.profile.model(str(body.get("model", "")))
        if model is None:
            return Reply(self.error(404, self.complaint(404, request)), 404)
        prompt, last = user_prompt(body.get("messages"))
        limit = body.get("max_completion_tokens", body.get("max_tokens", -1))
        try:
            work = engine.generate(
                model,
                prompt,
                shown_prompt=last,
                max_tokens=limit if type(limit) is int else -1,
                think=body.get("reasoning_effort") != "none",
                struck=request.struck,
            )
        except ContextExceeded as error:
            message = (
                f"maximum context length is {error.context_tokens} tokens, the prompt"
                f" has {error.prompt_tokens}"
            )
            return Reply(self.error(400, message), 400)
        serial = engine.next_serial()
        usage = usage_of(work, cached=engine.profile.cached_details, reasoning=True)
        if not request.flag("stream", False):
            told = chat_logprobs(request, engine, work, last)
            whole = chat_body(work, model.name, serial, usage=usage, logprobs=told)
            return Reply(whole, due_ns=work.ended_at)
        options = body.get("stream_options")
        asked = isinstance(options, dict) and options.get("include_usage") is True
        counted = usage if asked else None
        return Stream(chat_events(work, model.name, serial, usage=counted), "sse")
