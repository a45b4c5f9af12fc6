"""vLLM: per-request metrics where it was started with them, else Prometheus sums."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from orket.providers import vllm_path
from orket.providers.contract import (
    Generation,
    LoadedModel,
    ModelRef,
    ServerInfo,
    ServerLoad,
    ServerOptions,
)
from orket.providers.http.problems import IdentityMismatch
from orket.providers.http_adapter import HttpAdapter
from orket.providers.identity import (
    find_unsupported,
    listed_model,
    model_mismatch,
    named_quant,
    require_named,
)
from orket.providers.kinds import refuse_other_kind
from orket.providers.reading.chat import ask_chat, chat_payload, with_usage
from orket.providers.reading.facts import Figures
from orket.providers.reading.figures import (
    count,
    mapping,
    nanoseconds_from_seconds,
    raw_json,
    sequence,
    text,
)
from orket.providers.reading.prometheus import (
    Samples,
    grown,
    grown_count,
    read_load,
    read_samples,
    read_settled,
)
from orket.records import CallFacts, Capabilities, Controls, ScoreFacts

FORMULA = "vllm.prometheus-delta.v1"
PREFILL = "vllm:request_prefill_time_seconds"
DECODE = "vllm:request_decode_time_seconds"


class VllmAdapter(HttpAdapter):
    """One vLLM server. It was started for one model and holds it until it ends."""

    name = "vllm"
    ready_route = "/health"

    def __init__(self, options: ServerOptions) -> None:
        super().__init__(options)
        self._served = ""
        self._says_times = False
        """Whether a response carried per-request metrics."""

    def describe(self) -> ServerInfo:
        refuse_other_kind(self._http, "vLLM")
        self._list()
        version = self._http.get("/version")
        exported = read_samples(self._http)
        has_sums = exported is not None and exported.total(f"{PREFILL}_sum") is not None
        notes = ["the quant is told by the name of the weights alone"]
        if has_sums:
            notes.append(
                "without --enable-per-request-metrics, times are read as differences"
                " of /metrics"
            )
        return self._info(
            text(mapping(version.json).get("version")),
            Capabilities(
                streaming=True,
                token_counts=True,
                cached_counts=True if has_sums else None,
                internal_timings=True if has_sums else None,
                seed=True,
                context_control=False,
                thread_control=False,
                batch_control=False,
                quant_identity=False,
                memory_report=False,
                cache_control=True,
            ),
            notes,
        )

    def load(self, model: ModelRef, controls: Controls) -> LoadedModel:
        """Nothing is loaded: the server is checked for serving this model."""
        found = self._find(model)
        self._served = found.model.name
        lacking = ("affinity", "batch_tokens", "kv_cache", "threads")
        return replace(found, unsupported=find_unsupported(controls, lacking))

    def identify(self, model: ModelRef) -> LoadedModel:
        """What vLLM says of a model that it serves: its context, and nothing more.

        Raises ProviderError where it serves another one.
        """
        return replace(self._find(model), model=model)

    def _find(self, model: ModelRef) -> LoadedModel:
        cards = self._list()
        if not model.name and len(cards) == 1:
            model = replace(model, name=_id_of(cards[0]))
        card = next((c for c in cards if _id_of(c) == model.name), None)
        if card is None:
            served = ", ".join(_id_of(c) for c in cards) or "nothing"
            raise IdentityMismatch(
                f"vLLM at {self._http.endpoint.url} serves {served}, not {model.name}",
                "name the served model in the preset, or start vLLM for this one",
            )
        # The path or repository that it was started with, then the name it goes by.
        named = named_quant(text(card.get("root")), model.name)
        require_named(model, named, f"vLLM at {self._http.endpoint.url}")
        context = count(card.get("max_model_len"))
        return LoadedModel(
            model, effective=Controls(context_tokens=context), reported_quant=named
        )

    def generate(self, request: Generation) -> CallFacts:
        before = None if self._says_times else read_samples(self._http)
        payload = self._payload(request, self._streams(request))
        call = ask_chat(self._http, request, payload)
        wrong = model_mismatch(
            request.model.name or self._served, call.answer.model, call.status
        )
        if wrong is not None:
            call.fail(wrong.error_class, wrong.message)
        figures = replace(call.figures(), engine="vllm")
        self._says_times |= figures.prefill_ns is not None
        untimed = figures.prefill_ns is None and figures.decode_ns is None
        if call.problem is None and untimed and before is not None:
            figures = self._read_difference(before, figures, call.said)
        return call.facts(figures)

    def score_answer(self, request: Generation, k: int) -> ScoreFacts:
        """The greedy answer to a prompt, with its likeliest tokens."""
        model = request.model.name or self._served
        return vllm_path.score_answer(self._http, model, request, k)

    def score_along(
        self, request: Generation, k: int, answer: ScoreFacts
    ) -> ScoreFacts:
        """The likeliest tokens along another model's answer."""
        model = request.model.name or self._served
        return vllm_path.score_along(self._http, model, request, k, answer)

    def other_models(self) -> list[str] | None:
        return []

    def server_load(self) -> ServerLoad | None:
        return read_load(
            self._http,
            running="vllm:num_requests_running",
            waiting="vllm:num_requests_waiting",
            generated="vllm:generation_tokens",
        )

    def installed_models(self) -> list[ModelRef]:
        """The served model; a quant only where a name of its weights has one."""
        return [
            listed_model(name, named_quant(text(card.get("root"))))
            for card in self._list()
            if (name := _id_of(card))
        ]

    def _payload(self, request: Generation, stream: bool) -> dict[str, Any]:
        payload = chat_payload(request, stream)
        payload["model"] = request.model.name or self._served
        thinking = bool(request.controls.thinking)
        payload["chat_template_kwargs"] = {"enable_thinking": thinking}
        if request.prompt_cache == "disabled":
            # Prefixes are shared only within one salt.
            payload["cache_salt"] = uuid.uuid4().hex
        return with_usage(payload) if stream else payload

    def _list(self) -> list[Mapping[str, Any]]:
        reply = self._http.get("/v1/models")
        body = self._http.require(reply, "asking which model vLLM serves")
        return [mapping(card) for card in sequence(mapping(body).get("data"))]

    def _read_difference(
        self, before: Samples, figures: Figures, said: Mapping[str, Any]
    ) -> Figures:
        """The figures with the times that the call added to the server's sums.

        Only where exactly one request ended between the two readings, and the tokens
        it added are this call's.
        """
        after = read_settled(
            self._http,
            lambda now: bool(grown_count(before, now, f"{DECODE}_count")),
        )
        if after is None or not _is_one_call(before, after, figures):
            return figures
        prefill = grown(before, after, f"{PREFILL}_sum")
        decode = grown(before, after, f"{DECODE}_sum")
        queried = grown_count(before, after, "vllm:prefix_cache_queries")
        hits = grown_count(before, after, "vllm:prefix_cache_hits")
        cached = figures.cached_prompt_tokens
        if cached is None and queried is not None and queried == figures.prompt_tokens:
            cached = count(hits)
        difference = {
            "prefill_seconds": prefill,
            "decode_seconds": decode,
            "prefix_cache_queries": queried,
            "prefix_cache_hits": hits,
        }
        prefill_ns = nanoseconds_from_seconds(prefill)
        return replace(
            figures,
            formula_id=FORMULA,
            raw_figures=raw_json({**said, "metrics_difference": difference}),
            prefill_ns=prefill_ns,
            decode_ns=nanoseconds_from_seconds(decode),
            cached_prompt_tokens=cached,
            decode_clock="first_token",
            prefill_kind=None if prefill_ns is None else "internal",
        )


def _is_one_call(before: Samples, after: Samples, figures: Figures) -> bool:
    ended = [grown_count(before, after, f"{name}_count") for name in (PREFILL, DECODE)]
    generated = grown_count(before, after, "vllm:generation_tokens")
    same = generated in (None, figures.completion_tokens)
    return ended == [1, 1] and same and figures.completion_tokens is not None


def _id_of(card: Mapping[str, Any]) -> str:
    return text(card.get("id")) or ""
