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
    ServerOptions,
)
from orket.providers.http.problems import ProviderError
from orket.providers.http_adapter import HttpAdapter, unswitched_cache
from orket.providers.identity import (
    find_unsupported,
    fits_quant,
    listed_model,
    require_quant,
    same_name,
)
from orket.providers.kinds import refuse_other_kind
from orket.providers.lmstudio.call import V1Call
from orket.providers.lmstudio.models import (
    LmStudioModels,
    fitting_instance,
    instance_names,
    quant_of,
    resident_context,
    resident_names,
)
from orket.providers.reading.call import Call
from orket.providers.reading.chat import ask_chat, chat_payload
from orket.providers.reading.figures import (
    count,
    mapping,
    sequence,
    size_bytes,
    text,
)
from orket.records import CallFacts, Capabilities, Controls

V1_CHAT = "/api/v1/chat"
V0_CHAT = "/api/v0/chat/completions"

SEEDED_BY_V0 = "SEEDED_BY_V0"
"""Made whole by REST v0, since v1 takes no seed and v0 streams no figures."""


class LmStudioAdapter(HttpAdapter):
    """One LM Studio server."""

    name = "lmstudio"

    def __init__(self, options: ServerOptions) -> None:
        super().__init__(options)
        self._models = LmStudioModels(self._http)
        self._held: ModelRef | None = None
        self._instance: str | None = None
        self._reasoning: dict[tuple[str, str], bool] = {}
        """Whether a model takes a reasoning setting, by name and setting."""

    def describe(self) -> ServerInfo:
        refuse_other_kind(self._http, "LM Studio")
        has_v1, has_v0 = self._models.has_v1, self._models.has_route("v0")
        if not has_v1 and not has_v0:
            raise ProviderError(
                f"{self._models.server} has no REST API",
                "is this LM Studio, and 0.3.6 or newer?",
                "PROTOCOL_ERROR",
            )
        routes = [name for name in ("v1", "v0") if self._models.has_route(name)]
        return self._info(
            None,
            Capabilities(
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
            (
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
            return replace(
                self.identify(model), unsupported=self._unsupported(controls)
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
            publisher=text(row.get("publisher")),
        )

    def identify(self, model: ModelRef) -> LoadedModel:
        """What LM Studio knows of an installed model without loading it.

        Raises ProviderError where it is not installed.
        """
        row = self._models.find(model)
        return LoadedModel(
            model=model,
            effective=Controls(context_tokens=resident_context(row)),
            model_bytes=size_bytes(row.get("size_bytes")),
            reported_quant=quant_of(row),
            publisher=text(row.get("publisher")),
            context_limit=count(row.get("max_context_length")),
        )

    def generate(self, request: Generation) -> CallFacts:
        seeded = request.controls.seed is not None and self._models.offers("v0")
        if seeded or self._models.offers("v1") is False:
            return self._generate_v0(request)
        payload = self._payload_v1(request)
        call = V1Call(request, self._http)
        if self._streams(request):
            call.stream(V1_CHAT, {**payload, "stream": True})
        else:
            call.post(V1_CHAT, {**payload, "stream": False})
        self._check_model(call)
        return call.facts(prompt_cache=unswitched_cache(request))

    def other_models(self) -> list[str] | None:
        try:
            names = resident_names(self._models.list_rows())
        except ProviderError:
            return None
        return sorted(name for name in names if not self._is_held(name))

    def installed_models(self) -> list[ModelRef]:
        """Every installed model with its quant, by name; what writes no text barred."""
        found = []
        for row in self._models.list_rows():
            name = text(row.get("key")) or text(row.get("id"))
            if name:
                kind = text(row.get("type")) or ""
                barred = "it writes no text: an embedding model"
                is_embedding = kind.startswith("embedding")
                found.append(
                    listed_model(name, quant_of(row), barred if is_embedding else None)
                )
        return sorted(found, key=lambda ref: ref.name)

    def unload(self) -> None:
        self._models.unload_owned()
        self._held = self._instance = None

    def _unsupported(self, controls: Controls) -> tuple[str, ...]:
        lacking = ["affinity", "kv_cache", "threads"]
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
            self._trial_seconds,
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

    def _check_model(self, call: Call) -> None:
        """An instance is named after its model, with a number where there are more."""
        reported, wanted = call.answer.model, call.request.model.name
        asked = self._model_name(call.request)
        names = {asked, wanted, wanted.partition("@")[0]}
        if reported is None or any(same_name(name, reported) for name in names):
            return
        if reported.rpartition(":")[0] not in names:
            call.fail("IDENTITY_MISMATCH", f"asked for {asked}, answered by {reported}")

    def _generate_v0(self, request: Generation) -> CallFacts:
        payload = chat_payload(request, stream=False)
        payload["model"] = self._model_name(request)
        call = ask_chat(self._http, request, payload, V0_CHAT)
        self._check_model(call)
        told = text(mapping(call.document.get("model_info")).get("quant"))
        if not fits_quant(request.model, told):
            wanted = request.model.quant_tag
            call.fail("IDENTITY_MISMATCH", f"asked for {wanted}, answered by {told}")
        if request.stream:
            call.notes.add(SEEDED_BY_V0)
        runtime = mapping(call.document.get("runtime"))
        engine = " ".join(
            part for key in ("name", "version") if (part := text(runtime.get(key)))
        )
        figures = replace(call.figures(), engine=engine or None)
        return call.facts(figures, unswitched_cache(request))

    def _is_held(self, name: str) -> bool:
        held = (self._instance, self._held.name if self._held else None)
        return any(item is not None and same_name(item, name) for item in held)


def _reasoning_setting(controls: Controls) -> str:
    return "on" if controls.thinking else "off"
