"""vLLM: OpenAI routes, per-request metrics where switched on, Prometheus counters."""

from __future__ import annotations

from typing import Any

from orket.mockserver.dialects.base import OneModelDialect, user_prompt
from orket.mockserver.dialects.chat_shape import (
    chat_body,
    chat_events,
    chat_logprobs,
    usage_of,
)
from orket.mockserver.engine import NS, ContextExceeded, Engine, Work
from orket.mockserver.faults import FigureNames
from orket.mockserver.replies import MOMENT_UNIX, Reply, Request, Stream
from orket.mockserver.scores import (
    ASSISTANT,
    EOS,
    UNHEARD_RANK,
    Place,
    own_answer,
)

MAX_LOGPROBS = 20
"""Unless it is started with another --max-logprobs."""


class VLLMDialect(OneModelDialect):
    """Says nothing of time unless started with --enable-per-request-metrics."""

    name = "vllm"
    default_port = 8000
    newest_version = "0.19.0"
    figures = FigureNames(
        prompt_counts=frozenset({"prompt_tokens"}),
        completion_counts=frozenset({"completion_tokens"}),
        other_counts=frozenset({"total_tokens", "cached_tokens"}),
        prefill_timings=frozenset({"time_to_first_token_ms"}),
        decode_timings=frozenset({"generation_time_ms"}),
        other_timings=frozenset({"queue_time_ms", "mean_itl_ms", "tokens_per_second"}),
    )
    generating = frozenset({"/v1/chat/completions", "/v1/completions"})

    def error(self, status: int, message: str) -> dict[str, Any]:
        kind = {400: "BadRequestError", 404: "NotFoundError"}.get(
            status, "InternalServerError"
        )
        return {
            "error": {"message": message, "type": kind, "param": None, "code": status}
        }

    def respond(self, request: Request, engine: Engine) -> Reply | Stream:
        match request.method, request.path:
            case "GET", "/health":
                return Reply(b"")
            case "GET", "/version":
                return Reply({"version": self.version(engine)})
            case "GET", "/v1/models":
                return Reply({"object": "list", "data": [self._card(engine)]})
            case "GET", "/metrics" if engine.profile.prometheus:
                return Reply(_metrics(engine), content_type="text/plain; version=0.0.4")
            case "POST", "/v1/chat/completions":
                return self._chat(request, engine)
            case "POST", "/tokenize":
                return self._tokenize(request, engine)
            case "POST", "/v1/completions":
                return self._completion(request, engine)
        return self.not_found(request)

    def _tokenize(self, request: Request, engine: Engine) -> Reply:
        text = str(request.body.get("prompt", ""))
        if "messages" in request.body:
            text = user_prompt(request.body["messages"])[0] + ASSISTANT
        ids = engine.vocabulary.encode(text)
        limit = self._card(engine)["max_model_len"]
        return Reply({"count": len(ids), "max_model_len": limit, "tokens": ids})

    def _completion(self, request: Request, engine: Engine) -> Reply:
        """A completion of ids: the answer's ids, and scores of the prompt's."""
        body, model = request.body, engine.profile.models[0]
        given = body.get("prompt")
        if not isinstance(given, list):
            return Reply(self.error(400, "only a prompt of ids is served here"), 400)
        k = body.get("prompt_logprobs")
        if type(k) is int and k > MAX_LOGPROBS:
            message = f"Requested prompt logprobs of {k}, which is greater than max"
            return Reply(self.error(400, f"{message} allowed: {MAX_LOGPROBS}"), 400)
        words = engine.vocabulary
        pieces = words.decode(given)
        asked = "".join(pieces).partition(ASSISTANT)[0]
        start = pieces.index(ASSISTANT) + 1 if ASSISTANT in pieces else len(pieces)
        rest = own_answer(engine.profile, model, asked)[len(pieces) - start :] or [EOS]
        limit = request.number("max_tokens", 16)
        work = engine.generate(
            model, asked, max_tokens=limit, pieces=rest, struck=request.struck
        )
        told = [words.number(piece) for piece in rest[:limit]]
        choice: dict[str, Any] = {
            "index": 0,
            "text": work.text,
            "finish_reason": work.stop_reason,
        }
        if request.flag("return_token_ids", False):
            choice["token_ids"] = told
        if type(k) is int:
            path = pieces[start:]
            places = engine.weigh(model, asked, path, k, request.struck)
            choice["prompt_logprobs"] = _ranks(places, start)
        reply = {"object": "text_completion", "model": model.name, "choices": [choice]}
        return Reply(
            {**reply, "usage": usage_of(work, cached=False)}, due_ns=work.ended_at
        )

    def _card(self, engine: Engine) -> dict[str, Any]:
        model = self.served(engine)
        return {
            "id": model.name,
            "object": "model",
            "created": MOMENT_UNIX,
            "owned_by": "vllm",
            "root": model.name,
            "parent": None,
            "max_model_len": engine.resident[
                engine.profile.models[0].name
            ].context_tokens,
        }

    def _chat(self, request: Request, engine: Engine) -> Reply | Stream:
        body, profile = request.body, engine.profile
        name = str(body.get("model", ""))
        if name != profile.models[0].name:
            message = f"The model `{name}` does not exist."
            return Reply(self.error(404, message), 404)
        prompt, last = user_prompt(body.get("messages"))
        kwargs = body.get("chat_template_kwargs")
        think = not (
            isinstance(kwargs, dict) and kwargs.get("enable_thinking") is False
        )
        limit = body.get("max_completion_tokens", body.get("max_tokens", -1))
        try:
            work = engine.generate(
                profile.models[0],
                prompt,
                shown_prompt=last,
                max_tokens=limit if type(limit) is int else -1,
                salt=str(body.get("cache_salt", "")),
                think=think,
                struck=request.struck,
            )
        except ContextExceeded as error:
            message = (
                f"This model's maximum context length is {error.context_tokens} tokens."
                f" However, your prompt has {error.prompt_tokens} tokens."
            )
            return Reply(self.error(400, message), 400)
        usage = usage_of(work, cached=profile.cached_details)
        extra = {"metrics": _request_metrics(work)} if profile.request_metrics else {}
        serial = engine.next_serial()
        if not request.flag("stream", False):
            whole = chat_body(
                work,
                name,
                serial,
                usage=usage,
                reasoning_key="reasoning",
                extra=extra,
                logprobs=chat_logprobs(request, engine, work, last),
            )
            return Reply(whole, due_ns=work.ended_at)
        options = body.get("stream_options")
        asked = isinstance(options, dict) and options.get("include_usage") is True
        events = chat_events(
            work,
            name,
            serial,
            usage=usage if asked else None,
            reasoning_key="reasoning",
            extra=extra,
        )
        return Stream(events, "sse")


def _ranks(places: list[Place] | None, before: int) -> list[Any] | None:
    """One entry a token of the prompt: {id: {logprob, rank}}; the first has none.

    The token that stands there is told too where it is none of the likeliest.
    """
    if places is None:
        return None
    plain = {"1": {"logprob": -0.5, "rank": 1, "decoded_token": "?"}}
    entries: list[Any] = [None, *([plain] * (before - 1))]
    for place in places:
        entry = {
            str(said.id): {"logprob": said.logprob, "rank": rank}
            for rank, said in enumerate(place.top, 1)
        }
        said = place.said
        own = {"logprob": said.logprob, "rank": UNHEARD_RANK + 1}
        entry.setdefault(str(said.id), own)
        entries.append(entry)
    return entries


def _request_metrics(work: Work) -> dict[str, Any]:
    steps = max(0, work.generated - 1)
    decode_ms = work.decode_ns / 1e6
    inference = (work.prefill_ns + work.decode_ns) / NS
    return {
        "time_to_first_token_ms": work.prefill_ns / 1e6,
        "generation_time_ms": decode_ms,
        "queue_time_ms": work.latency_ns / 1e6,
        "mean_itl_ms": decode_ms / steps if steps else None,
        "tokens_per_second": work.generated / inference if inference else None,
    }


def _metrics(engine: Engine) -> str:
    totals, model = engine.totals, engine.profile.models[0].name
    labels = f'{{engine="0",model_name="{model}"}}'
    rows: dict[str, int | float] = {
        "num_requests_running": totals.running,
        "num_requests_waiting": 0,
        "prompt_tokens_total": totals.prompt_tokens,
        "generation_tokens_total": totals.generated_tokens,
        "prefix_cache_queries_total": totals.prompt_tokens,
        "prefix_cache_hits_total": totals.cached_tokens,
        "request_prefill_time_seconds_sum": totals.prefill_ns / NS,
        "request_prefill_time_seconds_count": totals.requests,
        "request_decode_time_seconds_sum": totals.decode_ns / NS,
        "request_decode_time_seconds_count": totals.requests,
    }
    lines = ["# HELP vllm:num_requests_running Number of requests running."]
    lines += [f"vllm:{name}{labels} {value}" for name, value in rows.items()]
    return "\n".join(lines) + "\n"
