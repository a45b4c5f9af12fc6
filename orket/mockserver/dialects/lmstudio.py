"""LM Studio: REST v1 with its named events, REST v0, and the OpenAI routes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from orket.mockserver.dialects.base import Dialect, user_prompt
from orket.mockserver.dialects.chat_shape import chat_body, chat_events, usage_of
from orket.mockserver.engine import NS, ContextExceeded, Engine, Work
from orket.mockserver.faults import FigureNames
from orket.mockserver.profile import MockModel
from orket.mockserver.replies import Event, Reply, Request, Stream


class LMStudioDialect(Dialect):
    """Seconds as floats; cached tokens are used and never told."""

    name = "lmstudio"
    default_port = 1234
    ends_after_error = True
    newest_version = "0.4.0"
    figures = FigureNames(
        prompt_counts=frozenset({"input_tokens", "prompt_tokens"}),
        completion_counts=frozenset({"total_output_tokens", "completion_tokens"}),
        other_counts=frozenset({"reasoning_output_tokens", "total_tokens"}),
        prefill_timings=frozenset(
            {"time_to_first_token_seconds", "time_to_first_token"}
        ),
        decode_timings=frozenset({"tokens_per_second", "generation_time"}),
        other_timings=frozenset({"model_load_time_seconds"}),
    )
    generating = frozenset(
        {"/api/v1/chat", "/api/v0/chat/completions", "/v1/chat/completions"}
    )

    def error(self, status: int, message: str) -> dict[str, Any]:
        kind = {400: "invalid_request", 404: "model_not_found"}.get(
            status, "internal_error"
        )
        return {"error": {"type": kind, "message": message}}

    def stream_error(self, message: str) -> Event:
        body = {"type": "error", **self.error(500, message)}
        return Event(body, name="error", final=True)

    def respond(self, request: Request, engine: Engine) -> Reply | Stream:
        models = engine.profile.models
        match request.method, request.path:
            case "GET", "/api/v1/models":
                return Reply({"models": _listing(engine)})
            case "GET", "/api/v0/models":
                rows = [_listing_v0(engine, m) for m in models]
                return Reply({"object": "list", "data": rows})
            case "GET", "/v1/models":
                rows = [
                    {"id": m.name, "object": "model", "owned_by": "organization_owner"}
                    for m in models
                ]
                return Reply({"object": "list", "data": rows})
            case "POST", "/api/v1/models/load":
                return self._load(request, engine)
            case "POST", "/api/v1/models/unload":
                return self._unload(request, engine)
            case "POST", "/api/v1/chat":
                return self._chat_v1(request, engine)
            case "POST", ("/api/v0/chat/completions" | "/v1/chat/completions"):
                return self._chat(request, engine)
        return self.not_found(request)

    def _load(self, request: Request, engine: Engine) -> Reply:
        model = engine.profile.model(str(request.body.get("model", "")))
        if model is None:
            return Reply(self.error(404, self.complaint(404, request)), 404)
        given = request.body.get("config", request.body)
        asked = given.get("context_length") if isinstance(given, dict) else None
        waited = engine.load(model, asked if type(asked) is int else None)
        held = engine.resident[model.name]
        config = _config(held.context_tokens)
        seconds = waited / NS
        if "config" in request.body:
            # The shape of the first documents of this route.
            body = {
                "model_instance_id": held.instance,
                "config": config,
                "load_time_seconds": seconds,
            }
        else:
            body = {
                "type": "llm",
                "instance_id": held.instance,
                "load_time_seconds": seconds,
                "status": "loaded",
            }
            if request.flag("echo_load_config", False):
                body["load_config"] = config
        return Reply(body, due_ns=time.monotonic_ns() + waited)

    def _unload(self, request: Request, engine: Engine) -> Reply:
        name = str(request.body.get("instance_id", ""))
        if not engine.unload(name):
            return Reply(self.error(404, f"no instance {name!r} is loaded"), 404)
        return Reply({"instance_id": name})

    def _chat_v1(self, request: Request, engine: Engine) -> Reply | Stream:
        body = request.body
        model = engine.profile.model(str(body.get("model", "")))
        if model is None:
            return Reply(self.error(404, self.complaint(404, request)), 404)
        reasoning = body.get("reasoning")
        if reasoning is not None and not engine.profile.thinking:
            message = f"the model does not support the reasoning setting '{reasoning}'"
            return Reply(self.error(400, message), 400)
        text = str(body.get("input", ""))
        system = body.get("system_prompt")
        prompt = f"{system}\n{text}" if isinstance(system, str) else text
        context = body.get("context_length")
        was_resident = model.name in engine.resident
        try:
            work = engine.generate(
                model,
                prompt,
                shown_prompt=text,
                max_tokens=request.number("max_output_tokens", -1),
                think=reasoning != "off",
                context_tokens=context if type(context) is int else None,
                struck=request.struck,
            )
        except ContextExceeded as error:
            return Reply(self.error(400, _too_long(error)), 400)
        result = _result(work, loaded=not was_resident)
        if body.get("store", True) is True:
            result["response_id"] = f"resp_mock{engine.next_serial()}"
        if not request.flag("stream", False):
            return Reply(result, due_ns=work.ended_at)
        return Stream(_events(work, result, loaded=not was_resident), "sse")

    def _chat(self, request: Request, engine: Engine) -> Reply | Stream:
        body = request.body
        model = engine.profile.model(str(body.get("model", "")))
        if model is None:
            return Reply(self.error(404, self.complaint(404, request)), 404)
        prompt, last = user_prompt(body.get("messages"))
        try:
            work = engine.generate(
                model,
                prompt,
                shown_prompt=last,
                max_tokens=request.number("max_tokens", -1),
                struck=request.struck,
            )
        except ContextExceeded as error:
            return Reply(self.error(400, _too_long(error)), 400)
        serial, usage = engine.next_serial(), usage_of(work, cached=False)
        v0 = request.path.startswith("/api/v0")
        if not request.flag("stream", False):
            extra = _stats_v0(work, engine) if v0 else None
            whole = chat_body(work, model.name, serial, usage=usage, extra=extra)
            return Reply(whole, due_ns=work.ended_at)
        options = body.get("stream_options")
        asked = isinstance(options, dict) and options.get("include_usage") is True
        told = usage if asked and not v0 else None
        return Stream(chat_events(work, model.name, serial, usage=told), "sse")


def _result(work: Work, loaded: bool) -> dict[str, Any]:
    output = []
    if work.reasoning:
        output.append({"type": "reasoning", "content": work.thought})
    output.append({"type": "message", "content": work.text})
    stats: dict[str, Any] = {
        "input_tokens": work.prompt_tokens,
        "total_output_tokens": work.generated,
        "reasoning_output_tokens": len(work.reasoning),
        "tokens_per_second": _rate(work),
        "time_to_first_token_seconds": (work.latency_ns + work.prefill_ns) / NS,
    }
    if loaded:
        stats["model_load_time_seconds"] = work.load_ns / NS
    return {"model_instance_id": work.model.name, "output": output, "stats": stats}


def _rate(work: Work) -> float:
    if not work.decode_ns:
        return 0.0
    return (work.generated - 1) * NS / work.decode_ns


def _events(work: Work, result: dict[str, Any], loaded: bool) -> Iterator[Event]:
    instance = work.model.name

    def event(kind: str, due: int, **values: Any) -> Event:
        shows = kind.endswith(".delta")
        return Event({"type": kind, **values}, due, name=kind, shows_text=shows)

    due = work.started_ns
    yield event("chat.start", due, model_instance_id=instance)
    if loaded:
        yield event("model_load.start", due, model_instance_id=instance)
        due += work.load_ns
        seconds = work.load_ns / NS
        yield event(
            "model_load.end", due, model_instance_id=instance, load_time_seconds=seconds
        )
    yield event("prompt_processing.start", due + work.latency_ns)
    yield event("prompt_processing.progress", work.first_token_at, progress=1.0)
    yield event("prompt_processing.end", work.first_token_at)
    part = None
    for kind, piece, moment in work.deltas():
        name = "message" if kind == "text" else "reasoning"
        if name != part:
            if part:
                yield event(f"{part}.end", moment)
            yield event(f"{name}.start", moment)
            part = name
        yield event(f"{name}.delta", moment, content=piece)
    if part:
        yield event(f"{part}.end", work.ended_at)
    last = {"type": "chat.end", "result": result}
    yield Event(last, work.ended_at, name="chat.end", final=True)


def _stats_v0(work: Work, engine: Engine) -> dict[str, Any]:
    model = engine.shown(work.model)
    held = engine.resident[model.name]
    return {
        "stats": {
            "tokens_per_second": _rate(work),
            "time_to_first_token": (work.latency_ns + work.prefill_ns) / NS,
            "generation_time": work.decode_ns / NS,
            "stop_reason": "eosFound" if work.eos else "maxPredictedTokensReached",
        },
        "model_info": {
            "arch": "llama",
            "quant": model.quant,
            "format": model.file_format,
            "context_length": held.context_tokens,
        },
        "runtime": {
            "name": "llama.cpp-mock",
            "version": "1.0.0",
            "supported_formats": ["gguf"],
        },
    }


def _config(context_tokens: int) -> dict[str, Any]:
    return {
        "context_length": context_tokens,
        "eval_batch_size": 512,
        "flash_attention": True,
        "num_experts": 0,
        "offload_kv_cache_to_gpu": True,
    }


def _listing(engine: Engine) -> list[dict[str, Any]]:
    rows = []
    listed = list(engine.profile.models)
    stranger = MockModel("somebody-else", "Q8_0")
    if engine.faults.holds("other-model"):
        listed.append(stranger)
    for item in listed:
        model = engine.shown(item)
        held = engine.resident.get(item.name)
        instances = []
        if held:
            config = _config(held.context_tokens)
            instances.append({"id": held.instance, "config": config})
        elif item is stranger:
            instances.append({"id": item.name, "config": _config(4096)})
        rows.append(
            {
                "type": "llm",
                "publisher": "mock",
                "key": model.name,
                "display_name": model.name,
                "architecture": "llama",
                "quantization": {
                    "name": model.quant,
                    "bits_per_weight": 8 * model.bytes / model.parameters,
                },
                "size_bytes": model.bytes,
                "params_string": f"{model.parameters / 1e9:g}B",
                "loaded_instances": instances,
                "max_context_length": engine.profile.context_tokens,
                "format": model.file_format,
                "capabilities": {"vision": False, "trained_for_tool_use": False},
                "description": None,
            }
        )
    return rows


def _listing_v0(engine: Engine, item: MockModel) -> dict[str, Any]:
    model = engine.shown(item)
    return {
        "id": model.name,
        "object": "model",
        "type": "llm",
        "publisher": "mock",
        "arch": "llama",
        "compatibility_type": model.file_format,
        "quantization": model.quant,
        "state": "loaded" if model.name in engine.resident else "not-loaded",
        "max_context_length": engine.profile.context_tokens,
    }


def _too_long(error: ContextExceeded) -> str:
    return (
        f"the prompt of {error.prompt_tokens} tokens exceeds the context length of"
        f" {error.context_tokens}"
    )
