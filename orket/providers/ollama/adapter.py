"""Ollama's native API: counts and times in nanoseconds on the last record."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from orket.providers.contract import (
    Generation,
    LoadedModel,
    ModelRef,
    Offers,
    Resident,
    ServerInfo,
    ServerOptions,
)
from orket.providers.http.problems import (
    IdentityMismatch,
    ProviderError,
)
from orket.providers.http_adapter import HttpAdapter, unswitched_cache
from orket.providers.identity import (
    find_unsupported,
    listed_model,
    require_bits,
    require_quant,
    same_name,
)
from orket.providers.kinds import refuse_other_kind
from orket.providers.ollama.call import OllamaCall, runner_options, sampling_options
from orket.providers.ollama.eras import Era, find_era, parse_version
from orket.providers.ollama.tags import (
    find_offers,
    same_repository,
    says_quant,
    whole_model,
)
from orket.providers.reading.figures import count, mapping, sequence, size_bytes, text
from orket.providers.reading.own_answer import score_own_answer, with_logprobs
from orket.providers.reading.scores import Place, read_tokens
from orket.quants import canonical_tag, split_name
from orket.records import CallFacts, Capabilities, Controls, ScoreFacts

KEEP_ALIVE = "15m"
"""Long enough for one call at its slowest; a killed sweep holds the model no longer."""
LOAD_SECONDS = 600.0
UNLOAD_SECONDS = 30.0
POLL_SECONDS = 0.1
PARAMETERS_KEY = "general.parameter_count"
ARCHITECTURE_KEY = "general.architecture"

DECLARE = (
    "not visible to Orket: OLLAMA_KV_CACHE_TYPE, OLLAMA_FLASH_ATTENTION, "
    "OLLAMA_NUM_PARALLEL; note them in the sweep's labels"
)


class OllamaAdapter(HttpAdapter):
    """One Ollama server at `/api`."""

    name = "ollama"
    ready_route = "/api/version"

    def __init__(self, options: ServerOptions) -> None:
        super().__init__(options)
        self._version: str | None = None
        self._asked_version = False
        self._held: ModelRef | None = None
        self._owned: list[str] = []
        self._format: str | None = None

    def describe(self) -> ServerInfo:
        refuse_other_kind(self._http, "Ollama")
        reply = self._http.get("/api/version")
        body = self._http.require(reply, "asking for Ollama's version")
        self._version, self._asked_version = text(mapping(body).get("version")), True
        notes = [DECLARE]
        if parse_version(self._version) is None:
            notes.append(f"unknown version {self._version!r}: figures are kept raw")
        era = find_era(self._version, None)
        return self._info(
            self._version,
            Capabilities(
                streaming=True,
                token_counts=True,
                cached_counts=era.reports_cached,
                internal_timings=True,
                seed=True,
                context_control=True,
                thread_control=True,
                batch_control=True,
                quant_identity=self._tells_quants(),
                memory_report=True,
                cache_control=False,
            ),
            notes,
        )

    def load(self, model: ModelRef, controls: Controls) -> LoadedModel:
        self._ask_version()
        listed = self._find_listed(model)
        shown = self._show(model)
        details = {**mapping(shown.get("details")), **mapping(listed.get("details"))}
        parameters = count(mapping(shown.get("model_info")).get(PARAMETERS_KEY))
        weights_bytes = size_bytes(listed.get("size"))
        reported = text(details.get("quantization_level"))
        if canonical_tag(reported) is None:
            reported = text(mapping(shown.get("details")).get("quantization_level"))
        self._require_local(model, {**shown, **listed})
        self._check_identity(model, reported, weights_bytes, parameters)
        self._format = text(details.get("format"))
        self._unload_owned(keep=model.name)
        before = self._resident()
        if self._options.unload_others:
            self._unload_others(model, before)
        was_resident = any(same_name(model.name, _name_of(row)) for row in before)
        if not was_resident and model.name not in self._owned:
            # Named as ours before it is loaded: a load that fails half-way may hold.
            self._owned.append(model.name)
        load_ns = self._preload(model, controls)
        row = self._find_resident(model)
        if row is None:
            raise ProviderError(
                f"Ollama at {self._http.endpoint.url} does not hold {model.name} after"
                " loading it",
                "look at Ollama's log: there may be too little memory",
                "MODEL_NOT_RESIDENT",
            )
        self._check_digest(model, listed, row)
        resident = mapping(row.get("details"))
        self._check_identity(
            model, text(resident.get("quantization_level")), weights_bytes, parameters
        )
        self._held = model
        in_vram = size_bytes(row.get("size_vram"))
        return LoadedModel(
            model=model,
            load_ns=None if was_resident else load_ns,
            effective=Controls(
                context_tokens=count(row.get("context_length")),
                thinking=_known_thinking(shown),
            ),
            unsupported=find_unsupported(controls, ("affinity", "kv_cache")),
            digest=_digest(row) or _digest(listed),
            model_bytes=weights_bytes,
            parameters=parameters,
            reported_quant=reported,
            tensor_types=_tensor_types(shown),
            publisher=_publisher(model.name),
            reported_memory_bytes=size_bytes(row.get("size")),
            reported_gpu_bytes=in_vram,
            cpu_only=None if in_vram is None else in_vram == 0,
        )

    def identify(self, model: ModelRef) -> LoadedModel:
        """What Ollama knows of an installed model without loading it.

        Raises ProviderError where it is not installed here.
        """
        listed = self._find_listed(model)
        shown = self._show(model)
        # What stands for a model of another host has a size and a digest of its own.
        self._require_local(model, {**shown, **listed})
        details = {**mapping(shown.get("details")), **mapping(listed.get("details"))}
        told = mapping(shown.get("model_info"))
        architecture = text(told.get(ARCHITECTURE_KEY))
        return LoadedModel(
            model=model,
            digest=_digest(listed),
            model_bytes=size_bytes(listed.get("size")),
            parameters=count(told.get(PARAMETERS_KEY)),
            reported_quant=text(details.get("quantization_level")),
            tensor_types=_tensor_types(shown),
            publisher=_publisher(model.name),
            metadata=told,
            context_limit=count(told.get(f"{architecture}.context_length")),
        )

    def resident_models(self) -> list[Resident]:
        """What is loaded now, in all and in VRAM; Ollama unloads what is idle."""
        return [
            Resident(
                _name_of(row),
                size_bytes(row.get("size")) or 0,
                size_bytes(row.get("size_vram")) or 0,
            )
            for row in self._resident()
        ]

    def offers(self, model: ModelRef) -> Offers:
        """The usual quants of this very model by the library's rule for its tags."""
        return find_offers(model.name, mapping(self._show(model).get("model_info")))

    def generate(self, request: Generation) -> CallFacts:
        payload = self._payload(request)
        call = OllamaCall(request, self._http, self._era(request))
        if self._streams(request):
            call.stream("/api/chat", {**payload, "stream": True}, "ndjson")
        else:
            call.post("/api/chat", {**payload, "stream": False})
        return call.facts(prompt_cache=unswitched_cache(request))

    def score_answer(self, request: Generation, k: int) -> ScoreFacts:
        """The greedy answer to a prompt, with its likeliest tokens; 20 at most."""
        payload = with_logprobs(self._payload(request), k)
        del payload["temperature"]
        payload["options"] = {**payload["options"], "temperature": 0}
        return score_own_answer(
            self._http, "/api/chat", payload, request, k, _read_scores
        )

    def score_along(
        self, request: Generation, k: int, answer: ScoreFacts
    ) -> ScoreFacts:
        """The same: led along a text, Ollama would make tokens of its own of it."""
        return self.score_answer(request, k)

    def other_models(self) -> list[str] | None:
        reply = self._http.get("/api/ps")
        if not reply.ok:
            return None
        names = [_name_of(row) for row in _rows(reply.json)]
        held = self._held.name if self._held else ""
        return sorted(name for name in names if name and not same_name(held, name))

    def installed_models(self) -> list[ModelRef]:
        """Every installed model with its quant, by name: what a ladder is built of."""
        reply = self._http.get("/api/tags")
        found = []
        for row in _rows(self._http.require(reply, "listing Ollama's models")):
            name = _name_of(row)
            level = text(mapping(row.get("details")).get("quantization_level"))
            if name:
                ref = listed_model(name, level, _say_elsewhere(row))
                found.append(replace(ref, digest=_digest(row)))
        return sorted(map(self._told_apart(found), found), key=lambda ref: ref.name)

    def _told_apart(self, found: list[ModelRef]) -> Callable[[ModelRef], ModelRef]:
        """Gives a short name the model of the longer names that mean the same one.

        `llama3.1:8b` and `llama3.1:8b-instruct-q8_0` are two quants of one model where
        the header says Instruct.
        """

        def meant(ref: ModelRef) -> ModelRef:
            longer = {
                other.model_id
                for other in found
                if says_quant(other.name) and same_repository(ref.name, other.name)
            }
            if not longer or says_quant(ref.name) or ref.barred:
                return ref
            shown = mapping(self._show(ref).get("model_info"))
            whole = whole_model(ref.name, shown)
            return replace(ref, model_id=whole) if whole in longer else ref

        return meant

    def unload(self) -> None:
        self._unload_owned()
        self._held = None

    def _unload_owned(self, keep: str | None = None) -> None:
        for name in list(self._owned):
            if keep is None or not same_name(keep, name):
                self._unload(name)
                self._owned.remove(name)

    def _payload(self, request: Generation) -> dict[str, Any]:
        messages = []
        if request.system:
            messages.append({"role": "system", "content": request.system})
        messages.append({"role": "user", "content": request.prompt})
        return {
            "model": request.model.name,
            "messages": messages,
            # Unset, a thinking model thinks, and its tokens land in eval_count.
            "think": bool(request.controls.thinking),
            # Unset, a prompt that is too long is cut in silence.
            "truncate": False,
            "shift": False,
            "keep_alive": KEEP_ALIVE,
            "options": {
                **runner_options(request.controls),
                **sampling_options(request.controls),
                "num_predict": request.max_tokens,
            },
        }

    def _era(self, request: Generation) -> Era:
        self._ask_version()
        held = self._held is not None and self._held.name == request.model.name
        return find_era(self._version, self._format if held else None)

    def _ask_version(self) -> None:
        if not self._asked_version:
            reply = self._http.get("/api/version")
            self._version = text(mapping(reply.json).get("version"))
            self._asked_version = reply.ok

    def _find_listed(self, model: ModelRef) -> Mapping[str, Any]:
        reply = self._http.get("/api/tags")
        for row in _rows(self._http.require(reply, "listing Ollama's models")):
            if same_name(model.name, _name_of(row)):
                return row
        raise ProviderError(
            f"Ollama at {self._http.endpoint.url} has no model {model.name}",
            f"fetch it with: ollama pull {model.name}",
            "MODEL_NOT_FOUND",
        )

    def _show(self, model: ModelRef) -> Mapping[str, Any]:
        reply = self._http.post("/api/show", {"model": model.name})
        return mapping(reply.json) if reply.ok else {}

    def _check_identity(
        self,
        model: ModelRef,
        reported: str | None,
        weights_bytes: int | None,
        parameters: int | None,
    ) -> None:
        server = f"Ollama at {self._http.endpoint.url}"
        require_quant(model, reported, server)
        if canonical_tag(reported) is None:
            # The name is weaker evidence than the server's word, the size weaker still.
            named = split_name(model.name)[1]
            require_quant(model, named, server)
            if named is None:
                require_bits(model, weights_bytes, parameters, server)

    def _require_local(self, model: ModelRef, row: Mapping[str, Any]) -> None:
        if elsewhere := _say_elsewhere(row):
            raise IdentityMismatch(
                f"{model.name} of Ollama at {self._http.endpoint.url} is no quant of"
                f" this machine: {elsewhere}",
                "name a model whose weights are installed",
            )

    def _tells_quants(self) -> bool | None:
        """Whether every installed model's level is told; None where none is listed."""
        reply = self._http.get("/api/tags")
        local = [row for row in _rows(reply.json) if not _say_elsewhere(row)]
        levels = [
            mapping(row.get("details")).get("quantization_level") for row in local
        ]
        return all(map(canonical_tag, map(text, levels))) if levels else None

    def _check_digest(
        self, model: ModelRef, listed: Mapping[str, Any], row: Mapping[str, Any]
    ) -> None:
        installed, resident = _digest(listed), _digest(row)
        if installed and resident and installed != resident:
            raise IdentityMismatch(
                f"Ollama at {self._http.endpoint.url} holds other weights under the"
                f" name {model.name} than the installed ones",
                f"unload it with: ollama stop {model.name}",
            )

    def _preload(self, model: ModelRef, controls: Controls) -> int | None:
        """Load without a prompt; nanoseconds it took."""
        reply = self._http.post_task(
            "/api/generate",
            {
                "model": model.name,
                "keep_alive": KEEP_ALIVE,
                "stream": False,
                "options": runner_options(controls),
            },
            LOAD_SECONDS,
            self.ready_route,
        )
        self._http.require(reply, f"loading {model.name}")
        return reply.timing.wall_ns

    def _resident(self) -> list[Mapping[str, Any]]:
        reply = self._http.get("/api/ps")
        return _rows(self._http.require(reply, "asking which models are loaded"))

    def _find_resident(self, model: ModelRef) -> Mapping[str, Any] | None:
        rows = self._resident()
        return next((r for r in rows if same_name(model.name, _name_of(r))), None)

    def _unload_others(
        self, model: ModelRef, resident: list[Mapping[str, Any]]
    ) -> None:
        for row in resident:
            name = _name_of(row)
            if name and not same_name(model.name, name):
                self._unload(name)

    def _unload(self, name: str) -> None:
        """Unload and prove it gone. Raises ProviderError when it stays."""
        reply = self._http.ask(
            "POST",
            "/api/generate",
            {"model": name, "keep_alive": 0, "stream": False},
            UNLOAD_SECONDS,
        )
        if reply.status == 404:
            # Removed from the library meanwhile: what is left of it cannot be named any
            # more, and is told as another model beside the one that is measured.
            return
        self._http.require(reply, f"unloading {name}")
        deadline = time.monotonic() + UNLOAD_SECONDS
        while any(same_name(name, _name_of(row)) for row in self._resident()):
            if time.monotonic() > deadline:
                raise ProviderError(
                    f"Ollama at {self._http.endpoint.url} still holds {name}"
                    f" {UNLOAD_SECONDS:.0f} s after unloading it",
                    f"unload it with: ollama stop {name}",
                    "MODEL_STILL_RESIDENT",
                )
            time.sleep(POLL_SECONDS)


def _read_scores(reply: Mapping[str, Any], k: int) -> tuple[list[Place], bool]:
    answer = mapping(reply.get("message")).get("content")
    places = read_tokens(reply.get("logprobs"), k, answer)
    return places, reply.get("done_reason") == "stop"


def _known_thinking(shown: Mapping[str, Any]) -> bool | None:
    """False for a model that cannot think; whether another does, its answers say."""
    capabilities = shown.get("capabilities")
    if isinstance(capabilities, list) and "thinking" not in capabilities:
        return False
    return None


def _rows(body: Any) -> list[Mapping[str, Any]]:
    return [mapping(row) for row in sequence(mapping(body).get("models"))]


def _publisher(name: str) -> str | None:
    """The namespace in a name: `hf.co/<publisher>/<repository>:<tag>`."""
    parts = name.split("/")
    return parts[-2] if len(parts) > 1 else None


def _tensor_types(shown: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    """Tensors by type, where the version lists them."""
    rows = map(mapping, sequence(shown.get("tensors")))
    types = [name for row in rows if (name := text(row.get("type")))]
    return tuple(sorted(Counter(types).items()))


def _say_elsewhere(row: Mapping[str, Any]) -> str | None:
    """Where a model runs that is listed here and runs on another host."""
    host, remote = text(row.get("remote_host")), text(row.get("remote_model"))
    # Without either: Ollama's own name for such a model, and no weights of any format.
    is_named = re.search(r"[:-]cloud$", _name_of(row)) is not None
    is_empty = text(mapping(row.get("details")).get("format")) is None
    if host is None and remote is None and not (is_named and is_empty):
        return None
    return f"it runs elsewhere, at {host or 'a host that is not told'}"


def _name_of(row: Mapping[str, Any]) -> str:
    return text(row.get("name")) or text(row.get("model")) or ""


def _digest(row: Mapping[str, Any]) -> str | None:
    digest = text(row.get("digest"))
    return f"sha256:{digest.removeprefix('sha256:')}" if digest else None
