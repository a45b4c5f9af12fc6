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
    ServerOptions,
)
from orket.providers.http.problems import IdentityMismatch
from orket.providers.http_adapter import HttpAdapter, unswitched_cache
from orket.providers.identity import listed_model, named_quant, require_named
from orket.providers.reading import figures
from orket.providers.reading.chat import (
    CHAT_PATH,
    ChatCall,
    ask_chat,
    chat_payload,
    with_usage,
)
from orket.providers.reading.facts import USAGE_NOT_OFFERED
from orket.providers.reading.own_answer import (
    read_chat_answer,
    score_own_answer,
    with_logprobs,
)
from orket.records import CallFacts, Capabilities, Controls, ScoreFacts

SETTABLE = ("seed", "temperature_milli")
"""Controls the protocol has; every other one that is asked for is unsupported."""


class OpenAiAdapter(HttpAdapter):
    """A server known only by its OpenAI-style routes."""

    name = "openai"

    def __init__(self, options: ServerOptions) -> None:
        super().__init__(options)
        self._offers_usage = True

    def describe(self) -> ServerInfo:
        """List its models and try with one call of one token what it tells."""
        names = self._list_models()
        return self._info(None, self._probe(names))

    def load(self, model: ModelRef, controls: Controls) -> LoadedModel:
        """Verify that the server lists the model. Raises ProviderError.

        The protocol cannot say which quant it is: a name that has one is all there is.
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
                f"the server at {self._http.endpoint.url} has no model {model.name}",
                f"name one of its own in the preset{_listing(names)}",
            )
        named = named_quant(model.name)
        require_named(model, named, f"the server at {self._http.endpoint.url}")
        asked = msgspec.structs.asdict(controls)
        return LoadedModel(
            model=model,
            reported_quant=named,
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
        call = self._ask(request)
        figures = replace(call.figures(), engine=_engine(call))
        return call.facts(figures, unswitched_cache(request))

    def score_answer(self, request: Generation, k: int) -> ScoreFacts:
        """The greedy answer to a prompt, with its likeliest tokens."""
        payload = with_logprobs(chat_payload(request, stream=False), k)
        return score_own_answer(
            self._http, CHAT_PATH, payload, request, k, read_chat_answer
        )

    def score_along(
        self, request: Generation, k: int, answer: ScoreFacts
    ) -> ScoreFacts:
        """The same: this protocol cannot lead a model along an answer."""
        return self.score_answer(request, k)

    def installed_models(self) -> list[ModelRef]:
        """The models the server lists; a quant only where a name has one in it."""
        return [listed_model(name) for name in self._list_models()]

    def _ask(self, request: Generation) -> ChatCall:
        """Ask with token counts for a stream, and without where that is rejected."""
        payload = chat_payload(request, self._streams(request))
        if not payload["stream"]:
            return ask_chat(self._http, request, payload)
        if self._offers_usage:
            call = ask_chat(self._http, request, with_usage(payload))
            if not _rejects_usage(call):
                return call
        call = ask_chat(self._http, request, payload)
        call.notes.add(USAGE_NOT_OFFERED)
        if call.problem is None:
            self._offers_usage = False
        return call

    def _list_models(self) -> list[str]:
        """Names of the models; none where the server has no such list."""
        reply = self._http.get("/v1/models")
        if reply.status in (404, 405, 501):
            return []
        listed = figures.mapping(self._http.require(reply, "asking for the models"))
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
                timeout_seconds=self._trial_seconds,
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


def _rejects_usage(call: ChatCall) -> bool:
    """Whether a server refused a stream because it does not know `stream_options`.

    Servers word it differently; a request that is wrong otherwise fails again
    without it.
    """
    problem = call.problem
    return problem is not None and problem.error_class in ("HTTP_400", "HTTP_422")


def _listing(names: list[str]) -> str:
    shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
    return f" ({shown})" if names else ""


def _engine(call: ChatCall) -> str | None:
    """The engine, where the server's header names it."""
    server = call.headers.get("server", "").lower()
    return "llama.cpp" if server.startswith("llama.cpp") else None
