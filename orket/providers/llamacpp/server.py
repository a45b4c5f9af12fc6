"""Any llama-server by URL: what it holds is verified, nothing of it is changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from orket.gguf import file_parts, hash_model
from orket.machine.clock import SystemClock
from orket.providers.contract import (
    Generation,
    LoadedModel,
    ModelRef,
    Placement,
    ServerInfo,
    ServerLoad,
    ServerOptions,
)
from orket.providers.http_adapter import HttpAdapter
from orket.providers.identity import listed_model, require_bits
from orket.providers.kinds import refuse_other_kind
from orket.providers.llamacpp.engine import (
    read_kv_log,
    read_placement_log,
    read_threads_log,
)
from orket.providers.llamacpp.protocol import (
    HeldModel,
    LlamaCppServer,
    held_quant,
    list_entries,
    read_router,
    require_name,
    require_quant,
)
from orket.quants import file_name, quant_of_words
from orket.records import CallFacts, Capabilities, Controls, ScoreFacts

READY_SECONDS = 30
"""How long a server may go on loading its model before it is called not ready."""
NOT_LOADED = "the router has not loaded it"


class LlamaServerAdapter(HttpAdapter):
    """A llama-server that somebody else started."""

    name = "llama-server"
    ready_route = "/health"

    def __init__(self, options: ServerOptions) -> None:
        super().__init__(options)
        self._clock = options.clock or SystemClock()
        self._server = LlamaCppServer(self._http)
        self._held = HeldModel()

    def describe(self) -> ServerInfo:
        """Ask what it is, and try with two calls of one token what it tells."""
        refuse_other_kind(self._http, "llama-server")
        held = self._await_model()
        return self._info(held.build, self._probe(held), self._notes(held))

    def load(self, model: ModelRef, controls: Controls) -> LoadedModel:
        """Verify that the server holds this model. Raises ProviderError."""
        held = self._held = self._await_model(model.name)
        if held.router is not None:
            # A router finds a model by its own name alone.
            model = replace(model, name=held.names[0])
        where = f"the server at {self._http.endpoint.url}"
        require_name(model, held, where)
        require_quant(model, held, where)
        if held_quant(held) is None:
            # Weak evidence: mixtures keep most of their weights in another type.
            require_bits(model, held.model_bytes, held.parameters, where)
        echoed = self._server.echoed_controls(controls)
        return LoadedModel(
            model=model,
            effective=Controls(
                seed=echoed.seed,
                temperature_milli=echoed.temperature_milli,
                thinking=echoed.thinking,
                context_tokens=held.context_tokens,
            ),
            unsupported=_unsupported(controls, held),
            digest=self._digest(held),
            model_bytes=held.model_bytes,
            parameters=held.parameters,
            reported_quant=held.ftype,
        )

    def identify(self, model: ModelRef) -> LoadedModel:
        """What the server says of a model that it holds; no file is hashed for it.

        Raises ProviderError where it holds another one.
        """
        held = self._server.held_model(model.name)
        where = f"the server at {self._http.endpoint.url}"
        if held.router is None:
            require_name(model, held, where)
        require_quant(model, held, where)
        return LoadedModel(
            model=model,
            effective=Controls(context_tokens=held.context_tokens),
            model_bytes=held.model_bytes,
            parameters=held.parameters,
            reported_quant=held.ftype,
        )

    def generate(self, request: Generation) -> CallFacts:
        """Make one model call."""
        return self._server.generate(
            request, self._streams(request), self._held.router is not None
        )

    def score_answer(self, request: Generation, k: int) -> ScoreFacts:
        """The greedy answer to a prompt, with its likeliest tokens."""
        return self._server.path.score_answer(request, k)

    def score_along(
        self, request: Generation, k: int, answer: ScoreFacts
    ) -> ScoreFacts:
        """The likeliest tokens along another model's answer."""
        return self._server.path.score_along(request, k, answer)

    def other_models(self) -> list[str] | None:
        """Other models a router holds loaded; a plain server holds one."""
        reply = self._http.get("/v1/models")
        if not reply.ok:
            return None
        router = read_router(list_entries(reply.json), {})
        return sorted(set(router.loaded if router else ()) - set(self._held.names))

    def installed_models(self) -> list[ModelRef]:
        """The model this server holds, or each of a router: what it has loaded is one
        that can be measured."""
        held = self._await_model()
        if held.router is None:
            return self._listed(held)
        loaded = map(self._server.held_model, held.router.loaded)
        resting = [name for name in held.router.names if name not in held.router.loaded]
        return [
            *(ref for each in loaded for ref in self._listed(each)),
            *(listed_model(name, barred=NOT_LOADED) for name in resting),
        ]

    def _listed(self, held: HeldModel) -> list[ModelRef]:
        """A held model in the quant of the server's word."""
        if not held.names:
            return []
        name = held.names[0]
        shown = file_name(name) if "/" in name or "\\" in name else name
        ref = listed_model(shown, quant_of_words(held.ftype) or held_quant(held))
        return [replace(ref, name=name)]

    def read_log(self, log: str) -> Controls:
        """What its log tells that its routes do not: threads and KV cache."""
        threads = read_threads_log(log)
        return Controls(
            threads=None if threads is None else str(threads),
            kv_cache=read_kv_log(log),
        )

    def read_placement(self, log: str) -> Placement | None:
        """Where the weights lie, by the buffers that its log names."""
        return read_placement_log(log)

    def server_load(self) -> ServerLoad | None:
        """The server's counters; None when it shows none."""
        return self._server.server_load()

    def _await_model(self, name: str | None = None) -> HeldModel:
        """The held model, once the server has loaded it."""
        for _ in range(READY_SECONDS):
            if self._http.get("/health").status != 503:
                break
            self._clock.sleep(1.0)
        return self._server.held_model(name)

    def _probe(self, held: HeldModel) -> Capabilities:
        if held.router is not None and not held.names:
            # It would load a model to answer.
            return Capabilities(
                context_control=False,
                thread_control=False,
                batch_control=False,
                memory_report=False,
            )
        request = Generation(
            model=ModelRef("", "", held.names[0] if held.names else ""),
            prompt="Say yes.",
            max_tokens=1,
            controls=Controls(seed=7, temperature_milli=0),
            timeout_seconds=self._trial_seconds,
        )
        whole = self._server.generate(request, stream=False)
        if whole.outcome == "TIMEOUT":
            # What hangs on one token is not waited for twice.
            return Capabilities(
                context_control=False,
                thread_control=False,
                batch_control=False,
                quant_identity=held.ftype is not None,
                memory_report=False,
            )
        streamed = self._server.generate(request, stream=True)
        answered = whole.outcome == "OK"
        cached = streamed.cached_prompt_tokens
        return Capabilities(
            streaming=streamed.streamed if streamed.outcome == "OK" else None,
            token_counts=whole.completion_tokens is not None if answered else None,
            cached_counts=whole.cached_prompt_tokens is not None if answered else None,
            internal_timings=whole.prefill_ns is not None if answered else None,
            seed=True if answered else None,
            context_control=False,
            thread_control=False,
            batch_control=False,
            quant_identity=held.ftype is not None,
            memory_report=False,
            # The second call of the same prompt would have found the first one's.
            cache_control=None if cached is None else cached == 0,
        )

    def _notes(self, held: HeldModel) -> tuple[str, ...]:
        notes = []
        if held.router is not None:
            known, loaded = len(held.router.names), len(held.router.loaded)
            notes.append(
                f"a router of {known} models, {loaded} loaded: one is picked by name"
            )
        if self._server.server_load() is None:
            notes.append("started without --metrics: other clients cannot be seen")
        if held.slots is not None and held.slots > 1:
            notes.append(f"{held.slots} slots share the context and the processor")
        return tuple(notes)

    def _digest(self, held: HeldModel) -> str | None:
        """The file's hash, where the server's path is a file of this machine."""
        if held.path is None or self._http.endpoint.locality != "loopback":
            return None
        path = Path(held.path)
        try:
            size = sum(part.stat().st_size for part in file_parts(path))
            if path.is_absolute() and size >= (held.model_bytes or 0):
                return hash_model(path)
        except OSError:
            return None
        return None


def _unsupported(controls: Controls, held: HeldModel) -> tuple[str, ...]:
    """Requested controls that a running server cannot be told."""
    missing = []
    for name in ("affinity", "threads"):
        if getattr(controls, name) not in (None, "server", "none"):
            missing.append(name)
    for name in ("batch_tokens", "kv_cache"):
        if getattr(controls, name) is not None:
            missing.append(name)
    if controls.context_tokens is not None and held.context_tokens is None:
        missing.append("context_tokens")
    return tuple(sorted(missing))
