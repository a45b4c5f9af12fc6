"""Ollama's native API, with the meaning its figures had in each version."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from orket.mockserver.dialects.base import Dialect, parse_version, user_prompt
from orket.mockserver.dialects.chat_shape import (
    chat_body,
    chat_events,
    chat_logprobs,
    usage_of,
)
from orket.mockserver.engine import ContextExceeded, Engine, Resident, Work
from orket.mockserver.faults import FigureNames
from orket.mockserver.profile import MockModel
from orket.mockserver.replies import MOMENT, Event, Reply, Request, Stream
from orket.mockserver.scores import as_entry
from orket.quants import find_quant

SCHEDULING_NS = 1_000_000
"""Part of load_duration even when the model is resident."""


class OllamaDialect(Dialect):
    """`/api/*`. Every field whose value is 0 is left out, as Go's omitempty does."""

    name = "ollama"
    default_port = 11434
    newest_version = "0.34.0"
    figures = FigureNames(
        prompt_counts=frozenset({"prompt_eval_count", "prompt_tokens"}),
        completion_counts=frozenset({"eval_count", "completion_tokens"}),
        other_counts=frozenset(
            {"prompt_eval_cached_count", "total_tokens", "cached_tokens"}
        ),
        prefill_timings=frozenset({"prompt_eval_duration"}),
        decode_timings=frozenset({"eval_duration"}),
        other_timings=frozenset({"total_duration", "load_duration"}),
    )
    generating = frozenset({"/api/chat", "/api/generate", "/v1/chat/completions"})

    def generates(self, path: str, body: dict[str, Any]) -> bool:
        asked = body.get("prompt" if path == "/api/generate" else "messages")
        return path in self.generating and bool(asked)

    def error(self, status: int, message: str) -> dict[str, Any]:
        return {"error": message}

    def respond(self, request: Request, engine: Engine) -> Reply | Stream:
        match request.method, request.path:
            case "GET", "/":
                return Reply("Ollama is running", content_type="text/plain")
            case "GET", "/api/version":
                return Reply({"version": self.version(engine)})
            case "GET", "/api/tags":
                listed = [_listing(engine.shown(m)) for m in engine.profile.models]
                return Reply({"models": listed})
            case "GET", "/api/ps":
                return Reply({"models": self._resident(engine)})
            case "POST", "/api/show":
                return self._show(request, engine)
            case "POST", ("/api/chat" | "/api/generate"):
                return self._generate(request, engine)
            case "GET", "/v1/models":
                cards = [
                    {"id": m.name, "object": "model", "owned_by": "library"}
                    for m in engine.profile.models
                ]
                return Reply({"object": "list", "data": cards})
            case "POST", "/v1/chat/completions":
                return self._chat_openai(request, engine)
        return self.not_found(request)

    def _show(self, request: Request, engine: Engine) -> Reply:
        model = engine.profile.model(str(request.body.get("model", "")))
        if model is None:
            return Reply(self.error(404, self.complaint(404, request)), 404)
        model = engine.shown(model)
        capabilities = ["completion"]
        if engine.profile.thinking:
            capabilities.append("thinking")
        return Reply(
            {
                "modelfile": "# made by the mock server\n",
                "parameters": "",
                "template": "{{ .Prompt }}",
                "details": _details(model),
                "model_info": _model_info(model, engine.profile.context_tokens),
                "capabilities": capabilities,
                "modified_at": MOMENT,
            }
        )

    def _resident(self, engine: Engine) -> list[dict[str, Any]]:
        held = list(engine.resident.values())
        if engine.faults.holds("other-model"):
            other = MockModel("somebody-else:latest", "Q8_0")
            held.append(Resident(other, engine.profile.context_tokens, other.name))
        rows = []
        for item in held:
            row = _listing(engine.shown(item.model))
            del row["modified_at"]
            row |= {
                "expires_at": "2318-01-01T00:00:00Z",
                "size_vram": round(row["size"] * engine.profile.vram_share),
                "context_length": item.context_tokens,
            }
            rows.append(row)
        return rows

    def _generate(self, request: Request, engine: Engine) -> Reply | Stream:
        body, chat = request.body, request.path == "/api/chat"
        model = engine.profile.model(str(body.get("model", "")))
        if model is None:
            return Reply(self.error(404, self.complaint(404, request)), 404)
        if body.get("think") is True and not engine.profile.thinking:
            message = f'"{model.name}" does not support thinking'
            return Reply(self.error(400, message), 400)
        options = body.get("options")
        options = options if isinstance(options, dict) else {}
        context = options.get("num_ctx")
        context = context if type(context) is int else None
        if not self.generates(request.path, body):
            return self._load_or_unload(model, body, chat, context, engine)
        if chat:
            prompt, last = user_prompt(body.get("messages"))
        else:
            prompt = last = str(body.get("prompt", ""))
        limit = options.get("num_predict", -1)
        try:
            work = engine.generate(
                model,
                prompt,
                shown_prompt=last,
                max_tokens=limit if type(limit) is int else -1,
                think=body.get("think", True) is not False,
                context_tokens=context,
                refuse_overlong=not request.flag("truncate", True),
                scheduling_ns=SCHEDULING_NS,
                struck=request.struck,
            )
        except ContextExceeded as error:
            message = (
                f"the input length ({error.prompt_tokens}) exceeds the context length"
                f" ({error.context_tokens})"
            )
            return Reply(self.error(400, message), 400)
        if body.get("keep_alive") == 0:
            engine.unload(model.name)
        final = {
            "done": True,
            "done_reason": work.stop_reason,
            **self._metrics(work, engine),
        }
        if not request.flag("stream", True):
            shown = _shown(chat, work.thought, work.text)
            shown |= _logprobs(request, engine, work, last)
            return Reply({**_head(model), **shown, **final}, due_ns=work.ended_at)
        return Stream(_events(work, chat, final), "ndjson")

    def _chat_openai(self, request: Request, engine: Engine) -> Reply | Stream:
        """The OpenAI route: counts only, and a prompt that is too long is cut."""
        body = request.body
        model = engine.profile.model(str(body.get("model", "")))
        if model is None:
            message = {"message": self.complaint(404, request), "type": "not_found"}
            return Reply({"error": message}, 404)
        prompt, last = user_prompt(body.get("messages"))
        work = engine.generate(
            model,
            prompt,
            shown_prompt=last,
            max_tokens=request.number("max_tokens", -1),
            think=body.get("reasoning_effort") != "none",
            refuse_overlong=False,
            struck=request.struck,
        )
        tells_cached = parse_version(self.version(engine)) >= (0, 34)
        usage, serial = usage_of(work, cached=tells_cached), engine.next_serial()
        if not request.flag("stream", False):
            whole = chat_body(
                work,
                model.name,
                serial,
                usage=usage,
                reasoning_key="reasoning",
                logprobs=chat_logprobs(request, engine, work, last),
            )
            return Reply(whole, due_ns=work.ended_at)
        options = body.get("stream_options")
        asked = isinstance(options, dict) and options.get("include_usage") is True
        events = chat_events(
            work,
            model.name,
            serial,
            usage=usage if asked else None,
            reasoning_key="reasoning",
        )
        return Stream(events, "sse")

    def _load_or_unload(
        self,
        model: MockModel,
        body: dict[str, Any],
        chat: bool,
        context: int | None,
        engine: Engine,
    ) -> Reply:
        if body.get("keep_alive") == 0:
            engine.unload(model.name)
            reason, waited = "unload", 0
        else:
            waited = engine.load(model, context)
            reason = "load"
        final = {**_head(model), **_shown(chat, "", ""), "done": True}
        final["done_reason"] = reason
        return Reply(final, due_ns=time.monotonic_ns() + waited)

    def _metrics(self, work: Work, engine: Engine) -> dict[str, int]:
        """The final record's figures by version and engine; zeros are left out."""
        version = parse_version(self.version(engine))
        generated, decode_ns = work.generated, work.decode_ns
        prompt, prefill_ns = work.prompt_tokens, work.prefill_ns
        cached: int | None = None
        if work.model.file_format == "safetensors":
            # The first token falls inside the decode clock and the end of sequence
            # is not counted.
            decode_ns = work.generated * work.step_ns
            generated -= 1 if work.eos else 0
            prefill_ns = max(0, prefill_ns - work.step_ns)
        elif version >= (0, 34):
            cached = work.cached_tokens
        elif version[:3] == (0, 30, 0):
            prompt = work.new_tokens
        elif version < (0, 5) and work.cached_tokens:
            prompt = 0
        metrics = {
            "total_duration": work.total_ns,
            "load_duration": work.load_ns,
            "prompt_eval_count": prompt,
            "prompt_eval_duration": prefill_ns,
            "eval_count": generated,
            "eval_duration": decode_ns,
        }
        shown = {key: value for key, value in metrics.items() if value}
        if cached is not None:
            # A pointer in Go: left out where unknown, not where it is 0.
            shown["prompt_eval_cached_count"] = cached
        return shown


def _events(work: Work, chat: bool, final: dict[str, Any]) -> Iterator[Event]:
    head = _head(work.model)
    for kind, piece, due in work.deltas():
        shown = _shown(chat, *((piece, "") if kind == "reasoning" else ("", piece)))
        yield Event({**head, **shown, "done": False}, due, shows_text=True)
    shown = _shown(chat, "", "")
    yield Event({**head, **shown, **final}, work.ended_at, final=True)


def _logprobs(
    request: Request, engine: Engine, work: Work, prompt: str
) -> dict[str, Any]:
    """`logprobs` beside the answer, where they are asked for; 20 at most."""
    if not request.flag("logprobs", False):
        return {}
    k = min(20, request.number("top_logprobs", 0))
    places = engine.weigh(work.model, prompt, work.pieces, k, request.struck)
    if places is None:
        return {}
    return {"logprobs": [as_entry(place, ids=False) for place in places]}


def _shown(chat: bool, thought: str, text: str) -> dict[str, Any]:
    if not chat:
        return {"response": text, **({"thinking": thought} if thought else {})}
    message = {"role": "assistant", "content": text}
    return {"message": message | ({"thinking": thought} if thought else {})}


def _head(model: MockModel) -> dict[str, Any]:
    return {"model": model.name, "created_at": MOMENT}


def _model_info(model: MockModel, context_tokens: int) -> dict[str, Any]:
    """The keys of the header that say what the model is; empty ones are left out."""
    told = {
        "general.architecture": "llama",
        **_file_type(model),
        "general.finetune": model.finetune,
        "general.parameter_count": model.parameters,
        "general.quantization_version": 2,
        "general.size_label": _size_label(model),
        "llama.attention.head_count": model.heads,
        "llama.attention.head_count_kv": model.kv_heads,
        "llama.block_count": model.layers,
        "llama.context_length": context_tokens,
        "llama.embedding_length": model.width,
    }
    return {key: value for key, value in told.items() if value != ""}


def _size_label(model: MockModel) -> str:
    return f"{model.parameters / 1e9:.0f}B"


def _file_type(model: MockModel) -> dict[str, int]:
    """The number that GGUF gives the quant; nothing for what is no type of its own."""
    known = find_quant(model.quant)
    number = known.file_type if known else None
    return {} if number is None else {"general.file_type": number}


def _details(model: MockModel) -> dict[str, Any]:
    return {
        "parent_model": "",
        "format": model.file_format,
        "family": "llama",
        "families": ["llama"],
        "parameter_size": f"{model.parameters / 1e9:.1f}B",
        "quantization_level": model.quant,
    }


def _listing(model: MockModel) -> dict[str, Any]:
    return {
        "name": model.name,
        "model": model.name,
        "modified_at": MOMENT,
        "size": model.bytes,
        "digest": model.digest,
        "details": _details(model),
    }
