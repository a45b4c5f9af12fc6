"""The default: a llama.cpp engine that Orket starts itself, one GGUF file at a time."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from orket.errors import UsageError
from orket.gguf import (
    BadGguf,
    GgufHeader,
    file_parts,
    hash_model,
    read_header,
)
from orket.levels import kv_types
from orket.machine.affinity import describe_affinity, resolve_affinity
from orket.providers.contract import (
    Generation,
    LoadedModel,
    ModelRef,
    ServerInfo,
    ServerLoad,
    ServerOptions,
)
from orket.providers.http.endpoint import read_endpoint
from orket.providers.http.problems import EngineFailure
from orket.providers.http.transport import Transport
from orket.providers.llamacpp.engine import (
    EngineProcess,
    EngineSettings,
    find_engine,
    read_version,
)
from orket.providers.llamacpp.protocol import LlamaCppServer, require_quant
from orket.records import CallFacts, Capabilities, Controls, ScoreFacts
from orket.text import whole_number

DEFAULT_CONTEXT_TOKENS = 4096
"""Where no context is asked for: a long trained context would fill the memory."""
KV_TYPES = frozenset(
    {"f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"}
)
"""What llama.cpp can keep a KV cache in."""
DYING_SECONDS = 1.0
"""A server that broke a connection may take a moment to be gone."""

CAPABILITIES = Capabilities(
    streaming=True,
    token_counts=True,
    cached_counts=True,
    internal_timings=True,
    seed=True,
    context_control=True,
    thread_control=True,
    batch_control=True,
    quant_identity=True,
    memory_report=False,
    cache_control=True,
)
_LOST = frozenset({"CONNECTION_REFUSED", "CONNECTION_FAILED", "CONNECTION_LOST"})


class EmbeddedAdapter:
    """A llama.cpp server in a child process, started anew for each model."""

    name = "embedded"

    def __init__(self, options: ServerOptions) -> None:
        self._options = options
        self._port = _read_port(options.url)
        self._engine: EngineProcess | None = None
        self._server: LlamaCppServer | None = None

    def describe(self) -> ServerInfo:
        """Find the engine. Raises MissingExtra or UsageError where there is none."""
        binary = find_engine(self._options.engine)
        return ServerInfo(
            provider=self.name,
            version=read_version(binary),
            endpoint=None,
            locality="child",
            capabilities=CAPABILITIES,
        )

    def load(self, model: ModelRef, controls: Controls) -> LoadedModel:
        """Start the engine on the model's file and verify what it holds and does.

        Raises EngineError, also for a file that is missing or broken, and
        IdentityMismatch for one of another quant.
        """
        self.unload()
        path, header = _check_file(model)
        settings = self._settings(model, path, controls, header.context_tokens)
        self._engine = EngineProcess(settings)
        self._server = LlamaCppServer(
            Transport(
                read_endpoint(self._engine.address),
                clock=self._options.clock,
                call_seconds=self._options.call_seconds,
            )
        )
        try:
            return self._verify(model, header, controls)
        except BaseException:
            self.unload()
            raise

    def generate(self, request: Generation) -> CallFacts:
        """Make one model call; a dead engine is a failed call."""
        if self._server is None or self._engine is None:
            raise UsageError("no model is loaded", "load one first")
        facts = self._server.generate(
            request, request.stream and self._options.streaming
        )
        if facts.error_class in _LOST and not self._engine.is_alive(DYING_SECONDS):
            return _died(facts, self._engine)
        return facts

    def score_answer(self, request: Generation, k: int) -> ScoreFacts:
        """The greedy answer to a prompt, with its likeliest tokens."""
        return self._held_server().path.score_answer(request, k)

    def score_along(
        self, request: Generation, k: int, answer: ScoreFacts
    ) -> ScoreFacts:
        """The likeliest tokens along another model's answer."""
        return self._held_server().path.score_along(request, k, answer)

    def other_models(self) -> list[str] | None:
        """None but the loaded one can be in an engine of its own."""
        return []

    def server_load(self) -> ServerLoad | None:
        """The engine's counters; None while none runs."""
        return self._server.server_load() if self._server else None

    def unload(self) -> None:
        """End the engine and prove it gone. Raises EngineError when it stays."""
        engine, server = self._engine, self._server
        self._engine = self._server = None
        if engine is None:
            return
        try:
            engine.stop()
            if server is not None and server.transport.get("/health", 2.0).ok:
                raise EngineFailure(
                    f"something still answers at {engine.address}", "end it by hand"
                )
        finally:
            if server is not None:
                server.transport.close()

    def close(self) -> None:
        """End the engine."""
        self.unload()

    def _held_server(self) -> LlamaCppServer:
        if self._server is None:
            raise UsageError("no model is loaded", "load one first")
        return self._server

    def _settings(
        self,
        model: ModelRef,
        path: Path,
        controls: Controls,
        trained_tokens: int | None,
    ) -> EngineSettings:
        threads = _read_threads(controls.threads)
        return EngineSettings(
            model=str(path),
            alias=model.name or path.stem,
            context_tokens=given_context(controls.context_tokens, trained_tokens),
            threads=threads,
            batch_tokens=controls.batch_tokens,
            kv_cache=read_kv_type(controls.kv_cache),
            cpus=resolve_affinity(controls.affinity or "none", threads),
            port=self._port,
            binary=find_engine(self._options.engine),
        )

    def _verify(
        self, model: ModelRef, header: GgufHeader, controls: Controls
    ) -> LoadedModel:
        engine, server = self._engine, self._server
        assert engine is not None and server is not None
        held = server.held_model()
        require_quant(model, held, str(header.path))
        echoed = server.echoed_controls(controls)
        # Read after that call: only now have all the engine's threads been started.
        threads = engine.threads()
        # Held against the CPUs it was started on: those follow the threads asked for.
        asked = _read_threads(controls.threads)
        placed = engine.placement()
        affinity = describe_affinity(controls.affinity, engine.pids(), asked)
        return LoadedModel(
            model=model,
            load_ns=engine.load_ns,
            effective=Controls(
                seed=echoed.seed,
                temperature_milli=echoed.temperature_milli,
                thinking=echoed.thinking,
                threads=None if threads is None else str(threads),
                affinity=affinity,
                context_tokens=held.context_tokens,
                kv_cache=engine.kv_cache() if controls.kv_cache else None,
            ),
            digest=hash_model(header.path),
            model_bytes=sum(part.stat().st_size for part in file_parts(header.path)),
            parameters=held.parameters or header.parameters,
            reported_quant=held.ftype,
            tensor_types=header.tensor_types,
            publisher=header.publisher,
            reported_memory_bytes=placed.total_bytes if placed else None,
            reported_gpu_bytes=placed.gpu_bytes if placed else None,
            cpu_only=engine.cpu_only if placed is None else placed.gpu_bytes == 0,
            compute_threads=threads,
            pids=(engine.pid,),
        )


def given_context(asked: int | None, trained: int | None) -> int:
    """Tokens of context that the engine gives: no more than a model was made for."""
    wanted = asked or DEFAULT_CONTEXT_TOKENS
    return min(wanted, trained) if trained else wanted


def _read_port(url: str | None) -> int:
    """The port an URL asks the engine to listen on; 0, any free one, without."""
    if url is None:
        return 0
    endpoint = read_endpoint(url)
    if endpoint.locality != "loopback":
        raise UsageError(
            f"the embedded engine runs on this machine, not at {endpoint.url}",
            "leave the URL out, or name the provider llama-server",
        )
    return urlsplit(endpoint.url).port or 0


def _read_threads(threads: str | None) -> int | None:
    if threads is None or threads in ("server", "none"):
        return None
    number = whole_number(threads)
    if not number:
        raise UsageError(f"threads {threads!r} is no number", "give one, or `server`")
    return number


def read_kv_type(kv: str | None) -> str | None:
    """A type of the KV cache that llama.cpp has. Raises UsageError."""
    if kv is None:
        return None
    if unknown := sorted({*kv_types(kv)} - KV_TYPES):
        raise UsageError(
            f"llama.cpp keeps no KV cache as {unknown[0]}",
            f"it has {', '.join(sorted(KV_TYPES))}",
        )
    return kv


def _check_file(model: ModelRef) -> tuple[Path, GgufHeader]:
    if model.path is None:
        raise EngineFailure(
            f"{model.model_id} {model.quant_tag} names no GGUF file",
            "name one in the preset",
            "ENGINE_NOT_STARTED",
        )
    try:
        return model.path, read_header(model.path)
    except BadGguf as error:
        reason, hint = str(error), "download or export it again"
    except FileNotFoundError:
        reason, hint = "there is no such file", "check the path in the preset"
    except OSError as error:
        reason, hint = error.strerror or str(error), "check the path and its rights"
    raise EngineFailure(
        f"{model.model_id} {model.quant_tag}: {model.path}: {reason}",
        hint,
        "ENGINE_NOT_STARTED",
    )


def _died(facts: CallFacts, engine: EngineProcess) -> CallFacts:
    return msgspec.structs.replace(
        facts,
        error_class="SERVER_DIED",
        error_message=f"the engine died: {engine.explain_death()}",
    )
