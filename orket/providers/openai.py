"""Any OpenAI-compatible server: counts from `usage`, and what its dialect adds."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from orket.errors import UsageError
from orket.providers.contract import (
    Generation,
    LoadedModel,
    ModelRef,
    ServerInfo,
    ServerLoad,
)
from orket.providers.discover import UNKNOWN_QUANT, split_name
from orket.providers.http.endpoint import read_endpoint, without_version
from orket.providers.http.problems import IdentityMismatch
from orket.providers.http.transport import Transport
from orket.providers.reading import figures
from orket.providers.reading.calls import USAGE_NOT_OFFERED, build_facts
from orket.providers.reading.chat import (
    ChatResult,
    ask_chat,
    chat_payload,
    with_usage,
)
from orket.providers.reading.dialects import read_figures
from orket.providers.registry import DEFAULT_URLS, ServerOptions
from orket.records import CallFacts, Capabilities, Controls

PROBE_SECONDS = 60.0
SETTABLE = ("seed", "temperature_milli")
"""Controls the protocol has; every other one that is asked for is unsupported."""


class OpenAiAdapter:
    """A server known only by its OpenAI-style routes."""

    name = "openai"

    def __init__(self, options: ServerOptions) -> None:
        endpoint = read_endpoint(
            without_version(options.url or DEFAULT_URLS[self.name]),
            options.api_key_env,
            options.api_key_file,
        )
        self._options = options
        self._transport = Transport(endpoint, options.insecure, options.clock)
        self._offers_usage = True

    def describe(self) -> ServerInfo:
        """List its models and try with one call of one token what it tells."""
        names = self._list_models()
        endpoint = self._transport.endpoint
        return ServerInfo(
            provider=self.name,
            version=None,
            endpoint=endpoint.url,
            locality=endpoint.locality,
            capabilities=self._probe(names),
            tls_verified=self._transport.tls_verified,
        )

    def load(self, model: ModelRef, controls: Controls) -> LoadedModel:
        """Verify that the server lists the model. Raises ProviderError.

        The protocol cannot say which quant it is: that stays unverified.
        """
        names = self._list_models()
        if not model.name and len(names) == 1:
            model = replace(model, name=names[0])
        if not model.name:
            raise UsageError(
                f"{model.model_id} has no name for the provider {self.name}",
                f"name it in the preset as the server does{_listing(names)}",
            )
        if names and model.name not in names:
            raise IdentityMismatch(
                f"the server at {self._transport.endpoint.url} has no model "
                f"{model.name}",
                f"name one of its own in the preset{_listing(names)}",
            )
        asked = msgspec.structs.asdict(controls)
        return LoadedModel(
            model=model,
            unsupported=tuple(
                sorted(
                    name
                    for name, value in asked.items()
                    if value not in (None, "server", "none")
                    and name not in (*SETTABLE, "warmup")
                )
            ),
        )

    def generate(self, request: Generation) -> CallFacts:
        """Make one model call."""
        stream = request.stream and self._options.streaming
        result = self._ask(request, stream)
        facts = build_facts(
            request,
            result.answer,
            read_figures(result.figures),
            result.timing,
            result.problem,
            result.http_status,
            result.streamed,
            _cache_met(request),
            result.notes,
        )
        return _with_engine(facts, result)

    def other_models(self) -> list[str] | None:
        """Unknown: the list of models does not say which are loaded."""
        return None

    def installed_models(self) -> list[ModelRef]:
        """The models the server lists; a quant only where a name has one in it."""
        found = [(*split_name(name), name) for name in self._list_models()]
        return [
            ModelRef(model_id, tag or UNKNOWN_QUANT, name)
            for model_id, tag, name in found
        ]

    def server_load(self) -> ServerLoad | None:
        """Unknown."""
        return None

    def unload(self) -> None:
        """Nothing: the protocol can neither load nor unload."""

    def close(self) -> None:
        """Close the client."""
        self._transport.close()

    def _ask(self, request: Generation, stream: bool) -> ChatResult:
        """Ask with token counts for a stream, and without where that is rejected."""
        payload = chat_payload(request, stream)
        if not stream:
            return ask_chat(self._transport, payload, request.timeout_seconds)
        if self._offers_usage:
            counted = with_usage(payload)
            result = ask_chat(self._transport, counted, request.timeout_seconds)
            if not _rejects_usage(result):
                return result
        result = ask_chat(self._transport, payload, request.timeout_seconds)
        result.notes.add(USAGE_NOT_OFFERED)
        if result.problem is None:
            self._offers_usage = False
        return result

    def _list_models(self) -> list[str]:
        """Names of the models; none where the server has no such list."""
        reply = self._transport.get("/v1/models")
        if reply.status in (404, 405, 501):
            return []
        listed = figures.mapping(
            self._transport.require(reply, "asking for the models")
        )
        entries = map(figures.mapping, figures.sequence(listed.get("data")))
        return [name for entry in entries if (name := figures.text(entry.get("id")))]

    def _probe(self, names: list[str]) -> Capabilities:
        """What one streamed call of one token tells; nothing when it fails.

        A server that holds many models might load one for it, and is not asked.
        """
        if len(names) != 1:
            return Capabilities(
                context_control=False,
                thread_control=False,
                batch_control=False,
                memory_report=False,
                cache_control=False,
                quant_identity=False,
            )
        facts = self.generate(
            Generation(
                model=ModelRef("", "", names[0]),
                prompt="Say yes.",
                max_tokens=1,
                controls=Controls(seed=7, temperature_milli=0),
                timeout_seconds=PROBE_SECONDS,
            )
        )
        answered = facts.outcome == "OK"
        return Capabilities(
            streaming=facts.streamed if answered else None,
            token_counts=facts.completion_tokens is not None if answered else None,
            cached_counts=facts.cached_prompt_tokens is not None if answered else None,
            internal_timings=facts.prefill_ns is not None if answered else None,
            context_control=False,
            thread_control=False,
            batch_control=False,
            quant_identity=False,
            memory_report=False,
            cache_control=False,
        )


def _rejects_usage(result: ChatResult) -> bool:
    """Whether a server refused a stream because it does not know `stream_options`.

    Servers word it differently; a request that is wrong otherwise fails again
    without it.
    """
    problem = result.problem
    return problem is not None and problem.error_class in ("HTTP_400", "HTTP_422")


def _listing(names: list[str]) -> str:
    shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
    return f" ({shown})" if names else ""


def _cache_met(request: Generation) -> str:
    """The protocol cannot switch a prompt cache off."""
    return (
        "uncontrolled" if request.prompt_cache == "disabled" else request.prompt_cache
    )


def _with_engine(facts: CallFacts, result: ChatResult) -> CallFacts:
    """Name the engine, where the server's header does."""
    server = result.headers.get("server", "").lower()
    engine = "llama.cpp" if server.startswith("llama.cpp") else facts.engine
    return msgspec.structs.replace(facts, engine=engine)
