"""Text Generation Inference: figures in headers, split times only in Prometheus."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from orket.mockserver.dialects.base import OneModelDialect, user_prompt
from orket.mockserver.dialects.chat_shape import chat_body, chat_events, usage_of
from orket.mockserver.engine import NS, ContextExceeded, Engine, Work
from orket.mockserver.faults import FigureNames
from orket.mockserver.replies import Event, Reply, Request, Stream
from orket.mockserver.scores import ASSISTANT, EOS, own_answer
from orket.mockserver.tokens import split_tokens


class TGIDialect(OneModelDialect):
    """`/generate` and `/generate_stream`, and the chat route."""

    name = "tgi"
    default_port = 3000
    newest_version = "3.3.7"
    figures = FigureNames(
        prompt_counts=frozenset({"x-prompt-tokens", "input_length", "prompt_tokens"}),
        completion_counts=frozenset(
            {"x-generated-tokens", "generated_tokens", "completion_tokens"}
        ),
        other_counts=frozenset({"total_tokens"}),
        prefill_timings=frozenset({"x-queue-time", "x-validation-time"}),
        decode_timings=frozenset({"x-time-per-token"}),
        other_timings=frozenset({"x-inference-time", "x-total-time", "x-compute-time"}),
    )
    generating = frozenset({"/generate", "/generate_stream", "/v1/chat/completions"})

    def error(self, status: int, message: str) -> dict[str, Any]:
        kind = {422: "validation", 429: "overloaded", 503: "healthcheck"}.get(
            status, "generation"
        )
        return {"error": message, "error_type": kind}

    def respond(self, request: Request, engine: Engine) -> Reply | Stream:
        match request.method, request.path:
            case "GET", "/health":
                return Reply(b"")
            case "GET", "/info":
                return Reply(self._info(engine))
            case "GET", "/metrics" if engine.profile.prometheus:
                return Reply(_metrics(engine), content_type="text/plain")
            case "POST", "/chat_tokenize":
                asked = user_prompt(request.body.get("messages"))[0]
                text = f"<bos>{asked}{ASSISTANT}"
                return Reply(
                    {"tokenize_response": _tokens(text), "templated_text": text}
                )
            case "POST", "/tokenize":
                return Reply(_tokens("<bos>" + str(request.body.get("inputs", ""))))
            case "POST", ("/generate" | "/generate_stream"):
                return self._generate(request, engine)
            case "POST", "/v1/chat/completions":
                return self._chat(request, engine)
        return self.not_found(request)

    def _info(self, engine: Engine) -> dict[str, Any]:
        model = self.served(engine)
        context = engine.resident[engine.profile.models[0].name].context_tokens
        return {
            "model_id": model.name,
            "model_sha": model.digest[:40],
            "model_pipeline_tag": "text-generation",
            "max_concurrent_requests": 128,
            "max_best_of": 2,
            "max_stop_sequences": 4,
            "max_input_tokens": context - 1,
            "max_total_tokens": context,
            "validation_workers": 2,
            "max_client_batch_size": 4,
            "router": "text-generation-router",
            "version": self.version(engine),
            "sha": None,
            "docker_label": None,
        }

    def _work(
        self,
        request: Request,
        engine: Engine,
        prompt: str,
        last: str,
        limit: int,
        pieces: Sequence[str] | None = None,
    ) -> Work | Reply:
        try:
            return engine.generate(
                engine.profile.models[0],
                prompt,
                shown_prompt=last,
                max_tokens=limit,
                template_tokens=1,
                struck=request.struck,
                pieces=pieces,
            )
        except ContextExceeded as error:
            message = (
                f"Input validation error: `inputs` must have less than"
                f" {error.context_tokens} tokens. Given: {error.prompt_tokens}"
            )
            return Reply(self.error(422, message), 422)

    def _generate(self, request: Request, engine: Engine) -> Reply | Stream:
        given = request.body.get("parameters")
        parameters = given if isinstance(given, dict) else {}
        temperature = parameters.get("temperature")
        if temperature is not None and not temperature > 0:
            message = "Input validation error: `temperature` must be strictly positive"
            return Reply(self.error(422, message), 422)
        prompt = str(request.body.get("inputs", ""))
        last = prompt.removeprefix("<bos>")
        limit = parameters.get("max_new_tokens", 100)
        asked, _, given = last.partition(ASSISTANT)
        rest = None
        if given:
            own = own_answer(engine.profile, engine.profile.models[0], asked)
            rest = own[len(split_tokens(given)) :] or [EOS]
        work = self._work(request, engine, prompt, asked, limit, rest)
        if isinstance(work, Reply):
            return work
        details: dict[str, Any] = {
            "finish_reason": "eos_token" if work.eos else "length",
            "generated_tokens": work.generated,
            "seed": parameters.get("seed"),
        }
        wanted = parameters.get("details") is True
        if request.path == "/generate":
            told = {**details, "prefill": [], "tokens": []} if wanted else None
            if told and parameters.get("decoder_input_details") is True:
                told |= _scores(engine, work, asked, given, request.struck)
            body: dict[str, Any] = {"generated_text": work.text}
            if told:
                body["details"] = told
            return Reply(body, 200, _headers(work, prompt), due_ns=work.ended_at)
        details["input_length"] = work.prompt_tokens
        return Stream(_events(work, details if wanted else None), "sse")

    def _chat(self, request: Request, engine: Engine) -> Reply | Stream:
        prompt, last = user_prompt(request.body.get("messages"))
        limit = request.number("max_tokens", 100)
        work = self._work(request, engine, prompt, last, limit)
        if isinstance(work, Reply):
            return work
        usage, serial = usage_of(work, cached=False), engine.next_serial()
        if not request.flag("stream", False):
            body = chat_body(work, work.model.name, serial, usage=usage)
            return Reply(body, 200, _headers(work, prompt), due_ns=work.ended_at)
        options = request.body.get("stream_options")
        asked = isinstance(options, dict) and options.get("include_usage") is True
        told = usage if asked else None
        return Stream(chat_events(work, work.model.name, serial, usage=told), "sse")


def _scores(
    engine: Engine, work: Work, asked: str, given: str, struck: frozenset[str]
) -> dict[str, Any]:
    """Each token of the input and of the answer with its own log-probability."""
    words, read = engine.vocabulary, split_tokens(given)
    answered = [*work.pieces, *([EOS] if work.eos else [])]
    before = engine.weigh(work.model, asked, read, 0, struck) or []
    after = engine.weigh(work.model, asked, answered, 0, struck, len(read)) or []
    first = {"id": words.number(asked), "text": asked, "logprob": None}
    told = [
        {"id": place.said.id, "text": place.said.text, "logprob": place.said.logprob}
        for place in (*before, *after)
    ]
    for token in told:
        token["special"] = token["text"] == EOS
    if "missing-logprobs" in struck:
        return {"prefill": [], "tokens": told[len(before) :]}
    return {"prefill": [first, *told[: len(before)]], "tokens": told[len(before) :]}


def _headers(work: Work, prompt: str) -> dict[str, str]:
    inference = work.prefill_ns + work.decode_ns
    per_token = inference // work.generated if work.generated else 0
    return {
        "x-compute-type": "cpu",
        "x-compute-time": str(work.total_ns / NS),
        "x-compute-characters": str(len(prompt)),
        "x-total-time": str(work.total_ns // 1_000_000),
        "x-validation-time": "0",
        "x-queue-time": str(work.latency_ns // 1_000_000),
        "x-inference-time": str(inference // 1_000_000),
        "x-time-per-token": str(per_token // 1_000_000),
        "x-prompt-tokens": str(work.prompt_tokens),
        "x-generated-tokens": str(work.generated),
    }


def _events(work: Work, details: dict[str, Any] | None) -> Iterator[Event]:
    """One event a token; the last one carries the whole text and the details."""
    pieces = [*work.reasoning, *work.pieces]
    if work.eos or not pieces:
        pieces.append("<eos>")
    due = work.first_token_at
    for index, piece in enumerate(pieces, 1):
        last = index == len(pieces)
        token = {
            "id": index,
            "text": piece,
            "logprob": -0.1,
            "special": piece == "<eos>",
        }
        yield Event(
            {
                "index": index,
                "token": token,
                "generated_text": work.text if last else None,
                "details": details if last else None,
            },
            due,
            final=last,
            shows_text=piece != "<eos>",
        )
        due += work.step_ns


def _tokens(text: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    start = 0
    while text.startswith("<bos>", start):
        rows.append({"id": 1, "text": "<bos>", "start": start, "stop": start + 5})
        start += 5
    for piece in split_tokens(text[start:]):
        stop = start + len(piece)
        rows.append(
            {"id": len(rows) + 100, "text": piece, "start": start, "stop": stop}
        )
        start = stop
    return rows


def _metrics(engine: Engine) -> str:
    totals = engine.totals
    rows = []
    for method, spent, count in (
        ("prefill", totals.prefill_ns, totals.requests),
        ("decode", totals.decode_ns, totals.decode_steps),
    ):
        label = f'{{method="{method}"}}'
        rows.append(f"tgi_batch_forward_duration_sum{label} {spent / NS}")
        rows.append(f"tgi_batch_forward_duration_count{label} {count}")
    rows.append(f"tgi_request_count {totals.requests}")
    rows.append(f"tgi_queue_size {0}")
    return "\n".join(rows) + "\n"
