"""Text Generation Inference: counts in details and headers, times in Prometheus sums.

`/generate` takes text as it is: the server's own template is applied to it first, by
`/chat_tokenize`, outside the timed call.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from orket.providers.contract import (
    Generation,
    LoadedModel,
    ModelRef,
    ServerInfo,
    ServerLoad,
    ServerOptions,
)
from orket.providers.http.problems import IdentityMismatch, Problem
from orket.providers.http_adapter import HttpAdapter, unswitched_cache
from orket.providers.identity import (
    find_unsupported,
    listed_model,
    named_quant,
    require_named,
    same_name,
)
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
    whole,
)
from orket.providers.tgi import path
from orket.providers.tgi.call import TgiCall
from orket.records import CallFacts, Capabilities, Controls, ScoreFacts

FORWARD = "tgi_batch_forward_duration"

NO_TEMPLATE = "NO_CHAT_TEMPLATE"
"""The server has no chat template: the prompt went to the model as it is."""

_TOO_LONG = re.compile(r"must have less than|must be <=|tokens? \+ .?max_new_tokens")


class TgiAdapter(HttpAdapter):
    """One TGI server. It was started for one model and holds it until it ends."""

    name = "tgi"
    ready_route = "/health"

    def __init__(self, options: ServerOptions) -> None:
        super().__init__(options)
        self._bos: str | None = None
        """Beginning-of-sequence text that `/generate` would put there twice."""

    def describe(self) -> ServerInfo:
        info = self._ask_info()
        exported = read_samples(self._http)
        return self._info(
            text(info.get("version")),
            Capabilities(
                streaming=True,
                token_counts=True,
                cached_counts=False,
                internal_timings=exported is not None,
                seed=True,
                context_control=False,
                thread_control=False,
                batch_control=False,
                quant_identity=False,
                memory_report=False,
                cache_control=False,
            ),
            (
                "the quant is not told by the server: it is the preset's word",
                "times are read as differences of /metrics",
            ),
        )

    def load(self, model: ModelRef, controls: Controls) -> LoadedModel:
        """Nothing is loaded: the server is checked for serving this model."""
        info = self._ask_info()
        served = text(info.get("model_id"))
        if served is not None and not model.name:
            model = replace(model, name=served)
        if served is None or not same_name(model.name, served):
            raise IdentityMismatch(
                f"TGI at {self._http.endpoint.url} serves {served or 'nothing'}, not"
                f" {model.name}",
                "name the served model in the preset, or start TGI for this one",
            )
        named = named_quant(served)
        require_named(model, named, f"TGI at {self._http.endpoint.url}")
        self._bos = self._find_doubled_bos()
        revision = text(info.get("model_sha"))
        return LoadedModel(
            model=model,
            effective=Controls(context_tokens=count(info.get("max_total_tokens"))),
            unsupported=find_unsupported(
                controls,
                ("affinity", "batch_tokens", "kv_cache", "thinking", "threads"),
            ),
            digest=f"revision:{revision}" if revision else None,
            reported_quant=named,
        )

    def generate(self, request: Generation) -> CallFacts:
        inputs, notes = self._apply_template(request)
        payload = {"inputs": inputs, "parameters": _parameters(request)}
        before = read_samples(self._http)
        call = TgiCall(request, self._http)
        call.notes.update(notes)
        if self._streams(request):
            call.stream("/generate_stream", payload)
        else:
            call.post("/generate", payload)
        call.problem = _name_overlong(call.problem)
        figures = call.figures()
        if call.problem is None and before is not None:
            figures = self._read_difference(before, figures)
        return call.facts(figures, unswitched_cache(request))

    def score_answer(self, request: Generation, k: int) -> ScoreFacts:
        """The greedy answer to a prompt: its own tokens' log-probabilities alone."""
        inputs, _ = self._apply_template(request)
        return path.score_answer(self._http, inputs, request, k)

    def score_along(
        self, request: Generation, k: int, answer: ScoreFacts
    ) -> ScoreFacts:
        """Another model's answer, given as text: the same of its tokens."""
        inputs, _ = self._apply_template(request)
        return path.score_along(self._http, inputs, request, k, answer)

    def other_models(self) -> list[str] | None:
        return []

    def server_load(self) -> ServerLoad | None:
        return read_load(
            self._http,
            running="tgi_batch_current_size",
            waiting="tgi_queue_size",
            generated="tgi_request_generated_tokens_sum",
        )

    def installed_models(self) -> list[ModelRef]:
        """The served model; a quant only where its name has one in it."""
        name = text(self._ask_info().get("model_id"))
        return [] if name is None else [listed_model(name)]

    def _ask_info(self) -> Mapping[str, Any]:
        reply = self._http.get("/info")
        return mapping(self._http.require(reply, "asking TGI for its model"))

    def _apply_template(self, request: Generation) -> tuple[str, list[str]]:
        templated = self._templated(request.messages)
        if templated is None:
            system = f"{request.system}\n\n" if request.system else ""
            return system + request.prompt, [NO_TEMPLATE]
        return templated.removeprefix(self._bos or ""), []

    def _templated(self, messages: list[dict[str, str]]) -> str | None:
        payload = {"model": "tgi", "messages": messages}
        reply = self._http.post("/chat_tokenize", payload)
        return text(mapping(reply.json).get("templated_text")) if reply.ok else None

    def _find_doubled_bos(self) -> str | None:
        """The text of a first token that tokenizing the template's text doubles."""
        templated = self._templated([{"role": "user", "content": "Hi"}])
        if templated is None:
            return None
        reply = self._http.post("/tokenize", {"inputs": templated})
        tokens = [mapping(token) for token in sequence(reply.json)]
        if len(tokens) < 2 or tokens[0].get("id") != tokens[1].get("id"):
            return None
        first = text(tokens[0].get("text")) or ""
        return first if first and templated.startswith(first) else None

    def _read_difference(self, before: Samples, figures: Figures) -> Figures:
        """The figures with the times that the call added to the server's sums.

        The prefill makes the first token and every forward pass of the decoding one
        more: other numbers of passes mean that another request was served.
        """
        generated = figures.completion_tokens
        if generated is None or generated < 1:
            return figures
        after = read_settled(
            self._http, lambda now: _passes(before, now) == (1, generated - 1)
        )
        if after is None:
            return figures
        prefill = grown(before, after, f"{FORWARD}_sum", method="prefill")
        decode = grown(before, after, f"{FORWARD}_sum", method="decode") or 0.0
        difference = {"prefill_seconds": prefill, "decode_seconds": decode}
        said = {"said": figures.raw_figures, "metrics_difference": difference}
        prefill_ns = nanoseconds_from_seconds(prefill)
        return replace(
            figures,
            formula_id="tgi.prometheus-delta.v1",
            raw_figures=raw_json(said),
            prefill_ns=prefill_ns,
            decode_ns=nanoseconds_from_seconds(decode),
            prefill_kind=None if prefill_ns is None else "internal",
        )


def _parameters(request: Generation) -> dict[str, Any]:
    parameters: dict[str, Any] = {
        "max_new_tokens": request.max_tokens,
        "details": True,
        "decoder_input_details": False,
        "return_full_text": False,
        "do_sample": False,
    }
    temperature = request.controls.temperature_milli
    if temperature:
        # Greedy is `do_sample: false`; a temperature of 0 is refused.
        parameters |= {"do_sample": True, "temperature": temperature / 1000}
    seed = request.controls.seed
    if seed is not None and seed >= 0:
        parameters["seed"] = seed
    return parameters


def _passes(before: Samples, after: Samples) -> tuple[int | None, int | None]:
    """Forward passes between two readings: prefill, decode."""
    prefill = grown_count(before, after, f"{FORWARD}_count", method="prefill")
    decode = grown_count(before, after, f"{FORWARD}_count", method="decode")
    if prefill is None and before.total(f"{FORWARD}_count", method="prefill") is None:
        # A series appears with its first observation.
        prefill = whole(after.total(f"{FORWARD}_count", method="prefill"))
    if decode is None and before.total(f"{FORWARD}_count", method="decode") is None:
        decode = whole(after.total(f"{FORWARD}_count", method="decode")) or 0
    return prefill, decode


def _name_overlong(problem: Problem | None) -> Problem | None:
    """TGI refuses a prompt that is too long with 422, as any other bad input."""
    if problem and problem.http_status == 422 and _TOO_LONG.search(problem.message):
        return replace(problem, error_class="CONTEXT_EXCEEDED")
    return problem
