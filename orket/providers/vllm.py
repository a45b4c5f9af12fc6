"""vLLM: per-request metrics where it was started with them, else Prometheus sums."""

from __future__ import annotations

import time
import uuid
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
from orket.providers.discover import UNKNOWN_QUANT, split_name
from orket.providers.http.endpoint import read_endpoint
from orket.providers.http.problems import IdentityMismatch
from orket.providers.http.transport import Transport
from orket.providers.identity import find_unsupported, model_mismatch
from orket.providers.reading.calls import Figures, build_facts
from orket.providers.reading.chat import ask_chat, chat_payload, with_usage
from orket.providers.reading.counts import drop_default_zeros
from orket.providers.reading.dialects import read_figures
from orket.providers.reading.figures import (
    count,
    mapping,
    nanoseconds_from_seconds,
    raw_json,
    sequence,
    text,
)
from orket.providers.reading.prometheus import Samples, grown, grown_count, whole
from orket.providers.registry import DEFAULT_URLS, ServerOptions
from orket.records import CallFacts, Capabilities, Controls

FORMULA = "vllm.prometheus-delta.v1"
PREFILL = "vllm:request_prefill_time_seconds"
DECODE = "vllm:request_decode_time_seconds"
READ_TRIES = 5
READ_PAUSE_SECONDS = 0.02
"""The counters are written shortly after the last byte of the answer."""


class VllmAdapter:
    """One vLLM server. It was started for one model and holds it until it ends."""

    name = "vllm"

    def __init__(self, options: ServerOptions) -> None:
        self._options = options
        endpoint = read_endpoint(
            options.url or DEFAULT_URLS[self.name],
            options.api_key_env,
            options.api_key_file,
        )
        self._http = Transport(endpoint, options.insecure, options.clock)
        self._served = ""
        self._says_times = False
        """Whether a response carried per-request metrics."""

    def describe(self) -> ServerInfo:
        self._list()
        version = self._http.get("/version")
        exported = self._read_metrics()
        has_sums = exported is not None and exported.total(f"{PREFILL}_sum") is not None
        notes = ["the quant is not told by the server: it is the preset's word"]
        if has_sums:
            notes.append(
                "without --enable-per-request-metrics, times are read as differences"
                " of /metrics"
            )
        return ServerInfo(
            provider=self.name,
            version=text(mapping(version.json).get("version")),
            endpoint=self._http.endpoint.url,
            locality=self._http.endpoint.locality,
            capabilities=Capabilities(
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
            tls_verified=self._http.tls_verified,
            notes=tuple(notes),
        )

    def load(self, model: ModelRef, controls: Controls) -> LoadedModel:
        """Nothing is loaded: the server is checked for serving this model."""
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
        self._served = model.name
        return LoadedModel(
            model=model,
            effective=Controls(context_tokens=count(card.get("max_model_len"))),
            unsupported=find_unsupported(
                controls, ("affinity", "batch_tokens", "threads")
            ),
        )

    def generate(self, request: Generation) -> CallFacts:
        stream = request.stream and self._options.streaming
        payload = self._payload(request, stream)
        before = None if self._says_times else self._read_metrics()
        result = ask_chat(self._http, payload, request.timeout_seconds)
        problem = result.problem or model_mismatch(
            request.model.name or self._served, result.answer.model, result.http_status
        )
        figures = read_figures(result.figures)
        self._says_times |= figures.prefill_ns is not None
        empty = not result.answer.parts and not result.answer.reasoning
        prompt, completion = drop_default_zeros(
            figures.prompt_tokens, figures.completion_tokens, empty
        )
        figures = replace(
            figures, prompt_tokens=prompt, completion_tokens=completion, engine="vllm"
        )
        untimed = figures.prefill_ns is None and figures.decode_ns is None
        if problem is None and untimed and before is not None:
            figures = self._read_difference(before, figures, result.figures)
        return build_facts(
            request,
            result.answer,
            figures,
            result.timing,
            problem,
            result.http_status,
            result.streamed,
            request.prompt_cache,
            result.notes,
        )

    def other_models(self) -> list[str] | None:
        return []

    def server_load(self) -> ServerLoad | None:
        samples = self._read_metrics()
        if samples is None:
            return None
        running = whole(samples.total("vllm:num_requests_running"))
        waiting = whole(samples.total("vllm:num_requests_waiting"))
        busy = None if running is None else running + (waiting or 0)
        generated = whole(samples.total("vllm:generation_tokens"))
        return ServerLoad(requests_processing=busy, tokens_generated=generated)

    def installed_models(self) -> list[ModelRef]:
        """The served model; a quant only where its name has one in it."""
        names = [name for card in self._list() if (name := _id_of(card))]
        found = [(*split_name(name), name) for name in names]
        return [
            ModelRef(model_id, tag or UNKNOWN_QUANT, name)
            for model_id, tag, name in found
        ]

    def unload(self) -> None:
        """Nothing to do: the model leaves with its server."""

    def close(self) -> None:
        self._http.close()

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

    def _read_metrics(self) -> Samples | None:
        reply = self._http.get("/metrics")
        return Samples(reply.text) if reply.ok else None

    def _read_difference(
        self, before: Samples, figures: Figures, said: Mapping[str, Any]
    ) -> Figures:
        """The figures with the times that the call added to the server's sums.

        Only where exactly one request ended between the two readings, and the tokens
        it added are this call's.
        """
        after = None
        for attempt in range(READ_TRIES):
            if attempt:
                time.sleep(READ_PAUSE_SECONDS)
            after = self._read_metrics()
            if after is None or grown_count(before, after, f"{DECODE}_count"):
                break
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
