"""llama.cpp's llama-server: the native completion and the OpenAI routes."""

from __future__ import annotations

import re
from collections.abc import Iterator
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
from orket.mockserver.profile import MockModel
from orket.mockserver.replies import MOMENT_UNIX, Event, Reply, Request, Stream
from orket.mockserver.scores import ASSISTANT, EOS, as_entry, own_answer

_NAMED = re.compile(r"<\[(\d{1,12})\]>")
"""A token by its id, as a grammar names it."""
ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    500: "server_error",
    501: "not_supported_error",
    503: "unavailable_error",
}


class LlamaServerDialect(OneModelDialect):
    """Times in float milliseconds; the decode clock starts at the first token."""

    name = "llama-server"
    tells_quant = True
    default_port = 8080
    newest_version = "b1-0c1e570"
    figures = FigureNames(
        prompt_counts=frozenset({"prompt_n", "prompt_tokens", "tokens_evaluated"}),
        completion_counts=frozenset(
            {"predicted_n", "completion_tokens", "tokens_predicted"}
        ),
        other_counts=frozenset(
            {"cache_n", "total_tokens", "cached_tokens", "tokens_cached"}
        ),
        prefill_timings=frozenset(
            {"prompt_ms", "prompt_per_token_ms", "prompt_per_second"}
        ),
        decode_timings=frozenset(
            {"predicted_ms", "predicted_per_token_ms", "predicted_per_second"}
        ),
    )
    generating = frozenset({"/completion", "/v1/completions", "/v1/chat/completions"})

    def error(self, status: int, message: str) -> dict[str, Any]:
        kind = ERROR_TYPES.get(status, "server_error")
        return {"error": {"code": status, "message": message, "type": kind}}

    def respond(self, request: Request, engine: Engine) -> Reply | Stream:
        match request.method, request.path:
            case "GET", "/health":
                return Reply({"status": "ok"})
            case "GET", "/props":
                return Reply(self._props(request, engine))
            case "GET", ("/v1/models" | "/models"):
                return Reply(self._models(engine))
            case "GET", "/slots":
                return Reply(self._slots(engine))
            case "GET", "/metrics":
                return Reply(_metrics(engine), content_type="text/plain; version=0.0.4")
            case "POST", "/tokenize":
                return self._tokenize(request, engine)
            case "POST", "/apply-template":
                prompt, _ = user_prompt(request.body.get("messages"))
                return Reply({"prompt": prompt + ASSISTANT})
            case "POST", "/completion":
                return self._completion(request, engine)
            case "POST", "/v1/chat/completions":
                return self._chat(request, engine)
        return self.not_found(request)

    def _tokenize(self, request: Request, engine: Engine) -> Reply:
        text = str(request.body.get("content", ""))
        return Reply({"tokens": engine.vocabulary.encode(text)})

    def start(self, engine: Engine) -> None:
        """A router has all its models loaded."""
        held = engine.profile.models if engine.profile.router else ()
        for model in held or engine.profile.models[:1]:
            engine.load(model)

    def _context(self, engine: Engine) -> int:
        return engine.resident[engine.profile.models[0].name].context_tokens

    def _asked(self, name: object, engine: Engine) -> MockModel:
        """The model of a router that a request names; else the only one."""
        named = engine.profile.model(str(name)) if engine.profile.router else None
        return engine.shown(named) if named else self.served(engine)

    def _props(self, request: Request, engine: Engine) -> dict[str, Any]:
        model = self._asked(request.query.get("model"), engine)
        if engine.profile.router and "model" not in request.query:
            return {
                "role": "router",
                "max_instances": len(engine.profile.models),
                "model_alias": "llama-server",
                "model_path": "none",
                "default_generation_settings": {"params": {}, "n_ctx": 0},
                "build_info": self.version(engine),
            }
        params = {"seed": 4294967295, "temperature": 0.8, "n_predict": -1}
        return {
            "default_generation_settings": {
                "params": params,
                "n_ctx": self._context(engine),
            },
            "total_slots": 1,
            "model_alias": model.name,
            "model_ftype": model.quant,
            "model_path": f"models/{model.name.replace(':', '-')}.gguf",
            "modalities": {"vision": False, "audio": False},
            "endpoint_slots": True,
            "endpoint_props": False,
            "endpoint_metrics": True,
            "chat_template": "{{ messages }}",
            "bos_token": "<bos>",
            "eos_token": "<eos>",
            "build_info": self.version(engine),
            "is_sleeping": False,
        }

    def _models(self, engine: Engine) -> dict[str, Any]:
        if engine.profile.router:
            rows = [self._row(engine.shown(m), engine) for m in engine.profile.models]
            status = {"value": "loaded", "args": []}
            return {
                "object": "list",
                "data": [{**row, "status": status, "in_cache": False} for row in rows],
            }
        model = self.served(engine)
        details = {"format": "gguf", "quantization_level": ""}
        listed = {"name": model.name, "model": model.name, "digest": ""}
        return {
            "models": [{**listed, "details": details}],
            "object": "list",
            "data": [self._row(model, engine)],
        }

    def _row(self, model: MockModel, engine: Engine) -> dict[str, Any]:
        meta = {
            "vocab_type": 2,
            "n_vocab": 32000,
            "n_ctx": self._context(engine),
            "n_ctx_train": engine.profile.context_tokens,
            "n_embd": 2048,
            "n_params": model.parameters,
            "size": model.bytes,
            "ftype": model.quant,
        }
        return {
            "id": model.name,
            "aliases": [model.name],
            "object": "model",
            "created": MOMENT_UNIX,
            "owned_by": "llamacpp",
            "meta": meta,
        }

    def _slots(self, engine: Engine) -> list[dict[str, Any]]:
        busy = engine.totals.running > 0
        return [{"id": 0, "n_ctx": self._context(engine), "is_processing": busy}]

    def _work(
        self, request: Request, engine: Engine, prompt: str, last: str, limit: int
    ) -> Work:
        body = request.body
        kwargs = body.get("chat_template_kwargs")
        think = not (
            isinstance(kwargs, dict) and kwargs.get("enable_thinking") is False
        )
        asked = self._asked(body.get("model"), engine)
        return engine.generate(
            engine.profile.model(asked.name) or engine.profile.models[0],
            prompt,
            shown_prompt=last,
            max_tokens=limit,
            use_cache=request.flag("cache_prompt", True),
            think=think,
            struck=request.struck,
        )

    def _too_long(self, error: ContextExceeded) -> Reply:
        message = (
            f"request ({error.prompt_tokens} tokens) exceeds the available context"
            f" size ({error.context_tokens} tokens), try increasing it"
        )
        body = self.error(400, message)
        body["error"] |= {
            "type": "exceed_context_size_error",
            "n_prompt_tokens": error.prompt_tokens,
            "n_ctx": error.context_tokens,
        }
        return Reply(body, 400)

    def _completion(self, request: Request, engine: Engine) -> Reply | Stream:
        if isinstance(request.body.get("prompt"), list):
            return self._follow(request, engine)
        prompt = str(request.body.get("prompt", ""))
        limit = request.number("n_predict", -1)
        try:
            work = self._work(request, engine, prompt, prompt, limit)
        except ContextExceeded as error:
            return self._too_long(error)
        settings = {
            key: request.body[key]
            for key in ("seed", "temperature", "n_predict", "cache_prompt")
            if key in request.body
        }
        final = {
            "index": 0,
            "content": "",
            "tokens": [],
            "id_slot": 0,
            "stop": True,
            "model": work.model.name,
            "tokens_predicted": work.generated,
            "tokens_evaluated": work.prompt_tokens,
            "generation_settings": settings,
            "prompt": prompt,
            "has_new_line": False,
            "truncated": False,
            "stop_type": "eos" if work.eos else "limit",
            "stopping_word": "",
            "tokens_cached": work.prompt_tokens + work.generated - 1,
            "timings": _timings(work),
        }
        if not request.flag("stream", False):
            return Reply({**final, "content": work.text}, due_ns=work.ended_at)
        return Stream(_completion_events(work, final), "sse")

    def _follow(self, request: Request, engine: Engine) -> Reply:
        """A completion of ids, free or led by a grammar of ids, with its places."""
        asked_for = self._asked(request.body.get("model"), engine)
        model = engine.profile.model(asked_for.name) or engine.profile.models[0]
        words = engine.vocabulary
        pieces = words.decode(request.body["prompt"])
        asked = "".join(pieces).partition(ASSISTANT)[0]
        start = len(pieces) - pieces.index(ASSISTANT) - 1 if ASSISTANT in pieces else 0
        rest = own_answer(engine.profile, model, asked)[start:] or [EOS]
        grammar = str(request.body.get("grammar", ""))
        if grammar and engine.faults.holds("no-token-grammar"):
            message = "Failed to initialize samplers: failed to parse grammar"
            return Reply(self.error(400, message), 400)
        if grammar and not engine.faults.holds("grammar-ignored"):
            led = words.decode([int(found) for found in _NAMED.findall(grammar)])
            if EOS in led:
                message = "Unexpected empty grammar stack after accepting piece"
                return Reply(self.error(500, message), 500)
            rest = [*led, EOS]
        limit = request.number("n_predict", -1)
        rest = rest[:limit] if limit >= 0 else rest
        work = engine.generate(
            model,
            "".join(pieces),
            max_tokens=len(rest),
            use_cache=request.flag("cache_prompt", True),
            struck=request.struck,
            pieces=rest,
        )
        body: dict[str, Any] = {
            "index": 0,
            "content": work.text,
            "tokens": [words.number(piece) for piece in rest if piece != EOS],
            "stop": True,
            "model": model.name,
            "tokens_predicted": work.generated,
            "tokens_evaluated": work.prompt_tokens,
            "generation_settings": {"speculative.types": "none"},
            "truncated": False,
            "stop_type": "eos" if work.eos else "limit",
            "timings": _timings(work),
        }
        k = request.number("n_probs", 0)
        places = engine.weigh(model, asked, rest, k, request.struck, start)
        if k and places is not None:
            told = [as_entry(place, ids=True) for place in places]
            body["completion_probabilities"] = told
        return Reply(body, due_ns=work.ended_at)

    def _chat(self, request: Request, engine: Engine) -> Reply | Stream:
        if "messages" not in request.body:
            return Reply(self.error(400, "'messages' is required"), 400)
        prompt, last = user_prompt(request.body["messages"])
        limit = request.number("max_tokens", -1)
        try:
            work = self._work(request, engine, prompt, last, limit)
        except ContextExceeded as error:
            return self._too_long(error)
        name, serial = work.model.name, engine.next_serial()
        usage = usage_of(work, cached=True)
        extra = {
            "system_fingerprint": self.version(engine),
            "timings": _timings(work),
        }
        if not request.flag("stream", False):
            told = chat_logprobs(request, engine, work, last, ids=True)
            body = chat_body(
                work, name, serial, usage=usage, extra=extra, logprobs=told
            )
            return Reply(body, due_ns=work.ended_at)
        options = request.body.get("stream_options")
        asked = isinstance(options, dict) and options.get("include_usage") is True
        events = chat_events(
            work,
            name,
            serial,
            usage=usage if asked else None,
            extra=extra,
            extra_on_last_delta=True,
        )
        return Stream(events, "sse")


def _completion_events(work: Work, final: dict[str, Any]) -> Iterator[Event]:
    for sent, (_, piece, due) in enumerate(work.deltas(), 1):
        part = {
            "index": 0,
            "content": piece,
            "tokens": [sent],
            "stop": False,
            "id_slot": -1,
            "tokens_predicted": sent,
            "tokens_evaluated": work.prompt_tokens,
        }
        yield Event(part, due, shows_text=True)
    yield Event(final, work.ended_at, final=True)


def _timings(work: Work) -> dict[str, Any]:
    prompt_ms, predicted_ms = work.prefill_ns / 1e6, work.decode_ns / 1e6
    steps = max(0, work.generated - 1)
    return {
        "cache_n": work.cached_tokens,
        "prompt_n": work.new_tokens,
        "prompt_ms": prompt_ms,
        "prompt_per_token_ms": prompt_ms / work.new_tokens,
        "prompt_per_second": 1e3 * work.new_tokens / prompt_ms if prompt_ms else 0.0,
        "predicted_n": work.generated,
        "predicted_ms": predicted_ms,
        "predicted_per_token_ms": predicted_ms / steps if steps else 0.0,
        "predicted_per_second": 1e3 * steps / predicted_ms if predicted_ms else 0.0,
    }


def _metrics(engine: Engine) -> str:
    totals = engine.totals
    new = totals.prompt_tokens - totals.cached_tokens
    rows = {
        "prompt_tokens_total": new,
        "prompt_tokens_cached_total": totals.cached_tokens,
        "prompt_seconds_total": totals.prefill_ns / NS,
        "tokens_predicted_total": totals.generated_tokens,
        "tokens_predicted_seconds_total": totals.decode_ns / NS,
        "requests_processing": totals.running,
        "requests_deferred": 0,
    }
    return "".join(f"llamacpp:{name} {value}\n" for name, value in rows.items())
