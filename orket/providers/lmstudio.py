"""LM Studio: REST v1 and its named events; REST v0 where a seed is asked for.

v1 takes no seed and v0 streams no figures, so that a seeded call is made whole by v0.
Neither tells what it took from its prompt cache, which is always on.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from orket.providers.calls import (
    INVALID_UTF8,
    NOT_STREAMED,
    Answer,
    Figures,
    build_facts,
)
from orket.providers.chat import ask_chat, chat_payload
from orket.providers.contract import (
    Generation,
    LoadedModel,
    ModelRef,
    ServerInfo,
    ServerLoad,
)
from orket.providers.counts import drop_default_zeros
from orket.providers.dialects import read_figures
from orket.providers.discover import split_name
from orket.providers.endpoint import read_endpoint
from orket.providers.figures import (
    count,
    mapping,
    nanoseconds_from_seconds,
    rate,
    raw_json,
    sequence,
    size_bytes,
    text,
)
from orket.providers.identity import (
    find_unsupported,
    fits_quant,
    require_quant,
    same_name,
)
from orket.providers.problems import Problem, ProviderError, stream_problem
from orket.providers.redaction import redact_problem
from orket.providers.registry import DEFAULT_URLS, ServerOptions
from orket.providers.transport import Stream, Timing, Transport
from orket.records import CallFacts, Capabilities, Controls

V1_CHAT = "/api/v1/chat"
V0_CHAT = "/api/v0/chat/completions"
LOAD_SECONDS = 600.0
UNLOAD_SECONDS = 30.0
POLL_SECONDS = 0.1
MAX_RATE = 1e7
"""Tokens per second above this are a defect of the server, not a figure."""

SEEDED_BY_V0 = "SEEDED_BY_V0"
"""Made whole by REST v0, since v1 takes no seed and v0 streams no figures."""


class LmStudioAdapter:
    """One LM Studio server."""

    name = "lmstudio"

    def __init__(self, options: ServerOptions) -> None:
        self._options = options
        endpoint = read_endpoint(
            options.url or DEFAULT_URLS[self.name],
            options.api_key_env,
            options.api_key_file,
        )
        self._http = Transport(endpoint, options.insecure, options.clock)
        self._has: dict[str, bool] = {}
        self._held: ModelRef | None = None
        self._instance: str | None = None
        self._owned: list[str] = []
        self._reasoning: dict[tuple[str, str], bool] = {}
        """Whether a model takes a reasoning setting, by name and setting."""

    def describe(self) -> ServerInfo:
        if not self._has_v1():
            self._http.require(
                self._http.get("/api/v0/models"), "listing LM Studio's models"
            )
        routes = [name for name in ("v1", "v0") if self._has_route(name)]
        return ServerInfo(
            provider=self.name,
            version=None,
            endpoint=self._http.endpoint.url,
            locality=self._http.endpoint.locality,
            capabilities=Capabilities(
                streaming=self._has_v1(),
                token_counts=True,
                cached_counts=False,
                internal_timings=True,
                seed=self._has_route("v0"),
                context_control=self._has_v1(),
                thread_control=False,
                batch_control=self._has_v1(),
                quant_identity=True,
                memory_report=False,
                cache_control=False,
            ),
            tls_verified=self._http.tls_verified,
            notes=(
                f"REST routes: {', '.join(routes)}",
                "prefill is the time to the first token; the prompt cache is on and"
                " never told",
            ),
        )

    def load(self, model: ModelRef, controls: Controls) -> LoadedModel:
        if not self._has_v1():
            return self._load_v0(model, controls)
        row = self._find_v1(model)
        quantization = mapping(row.get("quantization"))
        reported = text(quantization.get("name"))
        require_quant(model, reported, self._server())
        self._unload_owned(keep=_instances(row))
        if self._options.unload_others:
            self._unload_others(model)
        instance = self._fitting_instance(row, controls)
        load_ns = None
        if instance is None:
            instance, load_ns = self._load_v1(model, controls)
        config = self._find_config(model, instance)
        self._held, self._instance = model, instance
        effective = Controls(
            context_tokens=count(config.get("context_length")),
            batch_tokens=count(config.get("eval_batch_size")),
            thinking=self._switch_thinking(model, row, controls),
        )
        return LoadedModel(
            model=model,
            load_ns=load_ns,
            effective=effective,
            unsupported=self._unsupported(controls),
            model_bytes=size_bytes(row.get("size_bytes")),
            reported_quant=reported,
        )

    def generate(self, request: Generation) -> CallFacts:
        if request.controls.seed is not None and self._has_route("v0"):
            return self._generate_v0(request)
        if not self._has_v1():
            return self._generate_v0(request)
        payload = self._payload_v1(request)
        if request.stream and self._options.streaming:
            return self._stream_v1(request, payload)
        reply = self._http.post(
            V1_CHAT, {**payload, "stream": False}, request.timeout_seconds
        )
        call = _Call(timing=reply.timing, http_status=reply.status, streamed=False)
        call.problem = reply.problem
        if not reply.valid_utf8:
            call.notes.append(INVALID_UTF8)
        if call.problem is None:
            call.take_result(reply.json)
        return self._facts(request, call)

    def other_models(self) -> list[str] | None:
        rows = self._list_v1() if self._has_v1() else self._list_v0()
        if rows is None:
            return None
        return sorted(name for name in _resident_names(rows) if not self._is_held(name))

    def server_load(self) -> ServerLoad | None:
        return None

    def installed_models(self) -> list[ModelRef]:
        """Every installed language model with its quant, by name."""
        rows = self._list_v1() if self._has_v1() else self._list_v0()
        found = []
        for row in rows or []:
            name = text(row.get("key")) or text(row.get("id"))
            quant = _quant_of(row)
            if name and quant and row.get("type") != "embedding":
                found.append(ModelRef(split_name(name)[0], quant, name))
        return sorted(found, key=lambda ref: ref.name)

    def unload(self) -> None:
        self._unload_owned()
        self._held = self._instance = None

    def close(self) -> None:
        try:
            self.unload()
        finally:
            self._http.close()

    def _unload_owned(self, keep: Collection[str] = ()) -> None:
        for instance in list(self._owned):
            if instance not in keep:
                self._unload(instance)
                self._owned.remove(instance)

    def _server(self) -> str:
        return f"LM Studio at {self._http.endpoint.url}"

    def _has_v1(self) -> bool:
        return self._has_route("v1")

    def _has_route(self, version: str) -> bool:
        """Whether this REST version answers; a server that is down has none yet."""
        if version not in self._has:
            reply = self._http.get(f"/api/{version}/models")
            if reply.status is None:
                self._http.require(reply, "listing LM Studio's models")
            if reply.status in (401, 403):
                self._http.require(reply, "listing LM Studio's models")
            self._has[version] = reply.ok
        return self._has[version]

    def _list_v1(self) -> list[Mapping[str, Any]] | None:
        reply = self._http.get("/api/v1/models")
        if not reply.ok:
            return None
        return [mapping(row) for row in sequence(mapping(reply.json).get("models"))]

    def _list_v0(self) -> list[Mapping[str, Any]] | None:
        reply = self._http.get("/api/v0/models")
        if not reply.ok:
            return None
        return [mapping(row) for row in sequence(mapping(reply.json).get("data"))]

    def _find_v1(self, model: ModelRef) -> Mapping[str, Any]:
        for row in self._list_v1() or []:
            names = [text(row.get("key")), text(row.get("selected_variant"))]
            if any(name and same_name(model.name, name) for name in names):
                return row
        raise self._missing(model)

    def _missing(self, model: ModelRef) -> ProviderError:
        return ProviderError(
            f"{self._server()} has no model {model.name}",
            f"fetch it with: lms get {model.name}",
            "MODEL_NOT_FOUND",
        )

    def _fitting_instance(
        self, row: Mapping[str, Any], controls: Controls
    ) -> str | None:
        """An instance that is loaded as the controls ask, if there is one."""
        for item in sequence(row.get("loaded_instances")):
            config = mapping(mapping(item).get("config"))
            instance = text(mapping(item).get("id"))
            wanted = (
                (controls.context_tokens, config.get("context_length")),
                (controls.batch_tokens, config.get("eval_batch_size")),
            )
            if instance and all(ask in (None, has) for ask, has in wanted):
                return instance
        return None

    def _load_v1(self, model: ModelRef, controls: Controls) -> tuple[str, int | None]:
        config: dict[str, Any] = {}
        if controls.context_tokens is not None:
            config["context_length"] = controls.context_tokens
        if controls.batch_tokens is not None:
            config["eval_batch_size"] = controls.batch_tokens
        reply = self._http.post(
            "/api/v1/models/load",
            {"model": model.name, **config, "echo_load_config": True},
            LOAD_SECONDS,
        )
        if reply.status == 400:
            # The first documents of this route have the settings one level deeper.
            nested = {"model": model.name, "config": config}
            reply = self._http.post("/api/v1/models/load", nested, LOAD_SECONDS)
        body = mapping(self._http.require(reply, f"loading {model.name}"))
        instance = (
            text(body.get("instance_id"))
            or text(body.get("model_instance_id"))
            or model.name
        )
        self._owned.append(instance)
        told = nanoseconds_from_seconds(body.get("load_time_seconds"))
        return instance, told if told is not None else reply.timing.wall_ns

    def _find_config(self, model: ModelRef, instance: str) -> Mapping[str, Any]:
        """The configuration the instance really has; its presence is the proof."""
        for item in sequence(self._find_v1(model).get("loaded_instances")):
            if text(mapping(item).get("id")) == instance:
                return mapping(mapping(item).get("config"))
        raise ProviderError(
            f"{self._server()} does not hold {model.name} after loading it",
            "look at LM Studio's log: there may be too little memory",
            "MODEL_NOT_RESIDENT",
        )

    def _load_v0(self, model: ModelRef, controls: Controls) -> LoadedModel:
        """v0 cannot load: the server does at the first call."""
        rows = self._list_v0() or []
        row = next(
            (r for r in rows if same_name(model.name, text(r.get("id")) or "")), None
        )
        if row is None:
            raise self._missing(model)
        reported = text(row.get("quantization"))
        require_quant(model, reported, self._server())
        self._held, self._instance = model, model.name
        return LoadedModel(
            model=model,
            unsupported=self._unsupported(controls),
            reported_quant=reported,
        )

    def _unsupported(self, controls: Controls) -> tuple[str, ...]:
        lacking = ["affinity", "threads"]
        if not self._has_route("v0"):
            lacking.append("seed")
        if not self._has_v1():
            lacking += ["context_tokens", "batch_tokens"]
        return find_unsupported(controls, lacking)

    def _switch_thinking(
        self, model: ModelRef, row: Mapping[str, Any], controls: Controls
    ) -> bool | None:
        """Find the setting that thinking is asked for by; what it comes to, if known.

        The setting is refused where a model has none, and not every version says
        which has: it is tried once, outside any timed run.
        """
        wanted = _reasoning_setting(controls)
        reasoning = mapping(mapping(row.get("capabilities")).get("reasoning"))
        options = sequence(reasoning.get("allowed_options"))
        key = model.name, wanted
        if key not in self._reasoning:
            accepted = wanted in options if options else self._try_reasoning(wanted)
            self._reasoning[key] = accepted
        return wanted == "on" if self._reasoning[key] else None

    def _try_reasoning(self, wanted: str) -> bool:
        reply = self._http.post(
            V1_CHAT,
            {
                "model": self._instance,
                "input": "Hi",
                "reasoning": wanted,
                "max_output_tokens": 1,
                "store": False,
                "stream": False,
            },
            LOAD_SECONDS,
        )
        return reply.ok

    def _payload_v1(self, request: Generation) -> dict[str, Any]:
        payload: dict[str, Any] = {
            "model": self._model_name(request),
            "input": request.prompt,
            "max_output_tokens": request.max_tokens,
            # Unset, every prompt of a sweep would be kept as a chat of the user's.
            "store": False,
        }
        if request.system is not None:
            payload["system_prompt"] = request.system
        if request.controls.temperature_milli is not None:
            payload["temperature"] = request.controls.temperature_milli / 1000
        setting = _reasoning_setting(request.controls)
        if self._reasoning.get((request.model.name, setting)):
            payload["reasoning"] = setting
        return payload

    def _model_name(self, request: Generation) -> str:
        held = self._held is not None and self._held.name == request.model.name
        return (self._instance if held else None) or request.model.name

    def _stream_v1(self, request: Generation, payload: dict[str, Any]) -> CallFacts:
        call = _Call()
        with self._http.stream(
            V1_CHAT, {**payload, "stream": True}, request.timeout_seconds
        ) as stream:
            call.read(stream)
            call.timing, call.problem = stream.timing, stream.problem
            call.http_status, call.streamed = stream.status, stream.streamed
        if not stream.valid_utf8:
            call.notes.append(INVALID_UTF8)
        if not stream.streamed:
            call.notes.append(NOT_STREAMED)
        return self._facts(request, call)

    def _facts(self, request: Generation, call: _Call) -> CallFacts:
        problem = call.problem or self._mismatch(
            request, call.answer.model, call.http_status
        )
        return build_facts(
            request,
            call.answer,
            read_v1_stats(call.stats, not call.said_tokens),
            call.timing,
            redact_problem(self._http.endpoint, problem),
            call.http_status,
            call.streamed,
            _prompt_cache(request),
            call.notes,
        )

    def _mismatch(
        self, request: Generation, reported: str | None, http_status: int | None
    ) -> Problem | None:
        """An instance is named after its model, with a number where there are more."""
        asked = self._model_name(request)
        names = {asked, request.model.name, request.model.name.partition("@")[0]}
        if reported is None or any(same_name(name, reported) for name in names):
            return None
        if reported.rpartition(":")[0] in names:
            return None
        return Problem(
            "IDENTITY_MISMATCH",
            f"asked for {asked}, answered by {reported}",
            http_status,
        )

    def _generate_v0(self, request: Generation) -> CallFacts:
        payload = chat_payload(request, stream=False)
        payload["model"] = self._model_name(request)
        result = ask_chat(self._http, payload, request.timeout_seconds, V0_CHAT)
        problem = result.problem or self._mismatch(
            request, result.answer.model, result.http_status
        )
        told = text(mapping(result.document.get("model_info")).get("quant"))
        if problem is None and not fits_quant(request.model, told):
            problem = Problem(
                "IDENTITY_MISMATCH",
                f"asked for {request.model.quant_tag}, answered by {told}",
                result.http_status,
            )
        runtime = mapping(result.document.get("runtime"))
        engine = " ".join(
            part for key in ("name", "version") if (part := text(runtime.get(key)))
        )
        empty = not result.answer.parts and not result.answer.reasoning
        figures = read_figures(result.figures)
        prompt, completion = drop_default_zeros(
            figures.prompt_tokens, figures.completion_tokens, empty
        )
        figures = replace(
            figures,
            engine=engine or None,
            prompt_tokens=prompt,
            completion_tokens=completion,
        )
        return build_facts(
            request,
            result.answer,
            figures,
            result.timing,
            problem,
            result.http_status,
            False,
            _prompt_cache(request),
            {*result.notes, *((SEEDED_BY_V0,) if request.stream else ())},
        )

    def _is_held(self, name: str) -> bool:
        held = (self._instance, self._held.name if self._held else None)
        return any(item is not None and same_name(item, name) for item in held)

    def _unload_others(self, model: ModelRef) -> None:
        for row in self._list_v1() or []:
            if same_name(model.name, text(row.get("key")) or ""):
                continue
            for instance in filter(None, _instances(row)):
                self._unload(instance)

    def _unload(self, instance: str) -> None:
        """Unload and prove it gone. Raises ProviderError when it stays."""
        reply = self._http.post(
            "/api/v1/models/unload", {"instance_id": instance}, UNLOAD_SECONDS
        )
        if reply.status != 404:
            self._http.require(reply, f"unloading {instance}")
        deadline = time.monotonic() + UNLOAD_SECONDS
        while instance in _resident_names(self._list_v1() or []):
            if time.monotonic() > deadline:
                raise ProviderError(
                    f"{self._server()} still holds {instance} {UNLOAD_SECONDS:.0f} s"
                    " after unloading it",
                    f"unload it with: lms unload {instance}",
                    "MODEL_STILL_RESIDENT",
                )
            time.sleep(POLL_SECONDS)


@dataclass
class _Call:
    """One v1 answer as it comes in."""

    answer: Answer = field(default_factory=Answer)
    stats: Mapping[str, Any] = field(default_factory=dict)
    timing: Timing = Timing()
    problem: Problem | None = None
    http_status: int | None = None
    streamed: bool = True
    notes: list[str] = field(default_factory=list)
    said_tokens: bool = False

    def read(self, stream: Stream) -> None:
        """Read named events up to chat.end; what is wrong is told to the stream."""
        for event in stream:
            try:
                body = event.json()
            except ValueError:
                body = None
            if not isinstance(body, dict):
                kind = "PROTOCOL_ERROR" if event.complete else "STREAM_INCOMPLETE"
                stream.fail(kind, "a stream event is not a JSON object")
                return
            failure = stream_problem(body, stream.status)
            if failure is not None:
                stream.set_problem(failure)
                return
            if not stream.streamed:
                self.take_result(body)
                if self.problem is not None:
                    stream.set_problem(self.problem)
                return
            kind = text(body.get("type")) or event.name or ""
            if self._take_delta(kind, body):
                stream.mark_token(event)
            if kind == "chat.end":
                self._finish(mapping(body.get("result")))
                return
        if stream.problem is None:
            stream.fail("STREAM_INCOMPLETE", "the stream ended without chat.end")

    def take_result(self, body: Any) -> None:
        """Take a whole answer."""
        failure = stream_problem(body, self.http_status)
        if failure is not None:
            self.problem = failure
            return
        if not isinstance(mapping(body).get("output"), list):
            self.problem = Problem(
                "PROTOCOL_ERROR", "the response has no answer in it", self.http_status
            )
            return
        for item in sequence(body["output"]):
            kind = {"message": "message.delta", "reasoning": "reasoning.delta"}.get(
                text(mapping(item).get("type")) or "", ""
            )
            self._take_delta(kind, mapping(item))
        self._finish(body)

    def _take_delta(self, kind: str, body: Mapping[str, Any]) -> bool:
        """Keep what an event says; whether it carried a token."""
        parts = {
            "message.delta": self.answer.parts,
            "reasoning.delta": self.answer.reasoning,
        }.get(kind)
        piece = body.get("content")
        if parts is None or not isinstance(piece, str) or not piece:
            return False
        parts.append(piece)
        self.said_tokens = True
        return True

    def _finish(self, result: Mapping[str, Any]) -> None:
        self.answer.model = text(result.get("model_instance_id"))
        self.stats = mapping(result.get("stats"))


def read_v1_stats(stats: Mapping[str, Any], empty_answer: bool) -> Figures:
    """The figures of REST v1: seconds and a rate.

    Prefill is the time to the first token. The decode time is worked out from the
    rate, (n - 1) / rate: the server tells no time of its own for it.
    """
    prompt, completion = drop_default_zeros(
        count(stats.get("input_tokens")),
        count(stats.get("total_output_tokens")),
        empty_answer,
    )
    speed = rate(stats.get("tokens_per_second"))
    decode_ns = None
    if speed is not None and speed > MAX_RATE:
        speed = None
    if speed is not None and completion is not None and completion > 1:
        decode_ns = nanoseconds_from_seconds((completion - 1) / speed)
    prefill_ns = nanoseconds_from_seconds(stats.get("time_to_first_token_seconds"))
    return Figures(
        formula_id="lmstudio.v1_stats.v1" if stats else None,
        raw_figures=raw_json(stats),
        prompt_tokens=prompt,
        completion_tokens=completion,
        reasoning_tokens=count(stats.get("reasoning_output_tokens")),
        prefill_ns=prefill_ns,
        decode_ns=decode_ns,
        load_ns=nanoseconds_from_seconds(stats.get("model_load_time_seconds")),
        decode_clock="first_token",
        prefill_kind=None if prefill_ns is None else "ttft_proxy",
    )


def _reasoning_setting(controls: Controls) -> str:
    return "on" if controls.thinking else "off"


def _prompt_cache(request: Generation) -> str:
    return "nonce" if request.prompt_cache == "nonce" else "uncontrolled"


def _instances(row: Mapping[str, Any]) -> list[str]:
    items = sequence(row.get("loaded_instances"))
    return [text(mapping(item).get("id")) or "" for item in items]


def _quant_of(row: Mapping[str, Any]) -> str | None:
    value = row.get("quantization")
    if isinstance(value, dict):
        value = value.get("name")
    return text(value)


def _resident_names(rows: list[Mapping[str, Any]]) -> list[str]:
    """Instances of v1, or loaded models of v0."""
    names = []
    for row in rows:
        names += _instances(row)
        if row.get("state") == "loaded":
            names.append(text(row.get("id")) or "")
    return [name for name in names if name]
