"""LM Studio: REST v1 and its named events; REST v0 where a seed is asked for.

v1 takes no seed and v0 streams no figures, so that a seeded call is made whole by v0.
Neither tells what it took from its prompt cache, which is always on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from orket.providers.contract import (
    Generation,
    LoadedModel,
    ModelRef,
    ServerInfo,
    ServerLoad,
)
from orket.providers.discover import split_name
from orket.providers.http.endpoint import read_endpoint
from orket.providers.http.problems import Problem, ProviderError
from orket.providers.http.redaction import redact_problem
from orket.providers.http.transport import Transport
from orket.providers.identity import (
    find_unsupported,
    fits_quant,
    require_quant,
    same_name,
)
from orket.providers.lmstudio.call import V1Call, read_v1_stats
from orket.providers.lmstudio.models import (
    LmStudioModels,
    fitting_instance,
    instance_names,
    quant_of,
    resident_names,
)
from orket.providers.reading.calls import (
    INVALID_UTF8,
    NOT_STREAMED,
    build_facts,
)
from orket.providers.reading.chat import ask_chat, chat_payload
from orket.providers.reading.counts import drop_default_zeros
from orket.providers.reading.dialects import read_figures
from orket.providers.reading.figures import (
    count,
    mapping,
    sequence,
    size_bytes,
    text,
)
from orket.providers.registry import DEFAULT_URLS, ServerOptions
from orket.records import CallFacts, Capabilities, Controls

V1_CHAT = "/api/v1/chat"
V0_CHAT = "/api/v0/chat/completions"
TRY_SECONDS = 60.0

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
        self._models = LmStudioModels(self._http)
        self._held: ModelRef | None = None
        self._instance: str | None = None
        self._reasoning: dict[tuple[str, str], bool] = {}
        """Whether a model takes a reasoning setting, by name and setting."""

    def describe(self) -> ServerInfo:
        has_v1, has_v0 = self._models.has_v1, self._models.has_route("v0")
        if not has_v1 and not has_v0:
            raise ProviderError(
                f"{self._models.server} has no REST API",
                "is this LM Studio, and 0.3.6 or newer?",
                "PROTOCOL_ERROR",
            )
        routes = [name for name in ("v1", "v0") if self._models.has_route(name)]
        return ServerInfo(
            provider=self.name,
            version=None,
            endpoint=self._http.endpoint.url,
            locality=self._http.endpoint.locality,
            capabilities=Capabilities(
                streaming=has_v1,
                token_counts=True,
                cached_counts=False,
                internal_timings=True,
                seed=has_v0,
                context_control=has_v1,
                thread_control=False,
                batch_control=has_v1,
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
        row = self._models.find(model)
        reported = quant_of(row)
        require_quant(model, reported, self._models.server)
        if not self._models.has_v1:
            # v0 cannot load: the server does at the first call.
            self._held, self._instance = model, model.name
            return LoadedModel(
                model=model,
                unsupported=self._unsupported(controls),
                reported_quant=reported,
            )
        self._models.unload_owned(keep=instance_names(row))
        if self._options.unload_others:
            self._models.unload_others(model)
        instance, load_ns = fitting_instance(row, controls), None
        if instance is None:
            instance, load_ns = self._models.load(model, controls)
        config = self._models.find_config(model, instance)
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
        seeded = request.controls.seed is not None and self._models.offers("v0")
        if seeded or self._models.offers("v1") is False:
            return self._generate_v0(request)
        payload = self._payload_v1(request)
        if request.stream and self._options.streaming:
            return self._stream_v1(request, payload)
        reply = self._http.post(
            V1_CHAT, {**payload, "stream": False}, request.timeout_seconds
        )
        call = V1Call(timing=reply.timing, http_status=reply.status, streamed=False)
        call.problem = reply.problem
        if not reply.valid_utf8:
            call.notes.append(INVALID_UTF8)
        if call.problem is None:
            call.take_result(reply.json)
        return self._facts(request, call)

    def other_models(self) -> list[str] | None:
        try:
            names = resident_names(self._models.list_rows())
        except ProviderError:
            return None
        return sorted(name for name in names if not self._is_held(name))

    def server_load(self) -> ServerLoad | None:
        return None

    def installed_models(self) -> list[ModelRef]:
        """Every installed language model with its quant, by name."""
        found = []
        for row in self._models.list_rows():
            name = text(row.get("key")) or text(row.get("id"))
            quant = quant_of(row)
            if name and quant and row.get("type") != "embedding":
                found.append(ModelRef(split_name(name)[0], quant, name))
        return sorted(found, key=lambda ref: ref.name)

    def unload(self) -> None:
        self._models.unload_owned()
        self._held = self._instance = None

    def close(self) -> None:
        try:
            self.unload()
        finally:
            self._http.close()

    def _unsupported(self, controls: Controls) -> tuple[str, ...]:
        lacking = ["affinity", "threads"]
        if not self._models.has_route("v0"):
            lacking.append("seed")
        if not self._models.has_v1:
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
            TRY_SECONDS,
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
        call = V1Call()
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

    def _facts(self, request: Generation, call: V1Call) -> CallFacts:
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


def _reasoning_setting(controls: Controls) -> str:
    return "on" if controls.thinking else "off"


def _prompt_cache(request: Generation) -> str:
    return "nonce" if request.prompt_cache == "nonce" else "uncontrolled"
