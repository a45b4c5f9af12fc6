"""GuideLLM benchmark reports (`benchmarks.json`, all versions since 0.2) -> runs.

Each request is a run: its wall time, time to first token and token counts fit. What
GuideLLM does not look at is NULL: adherence, prefill and decode time. Its requests may
overlap, and then their latency is that of a loaded server.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from orket.identity import content_id
from orket.ingest.fields import BadField, Fields, dump_json, moment_at
from orket.ingest.origin import (
    Origin,
    SourceOptions,
    identity_of,
    modified_at,
    split_source_name,
)
from orket.ingest.parsed import Item, Parsed, imported_run
from orket.ingest.reading import BadDocument, read_json, read_text
from orket.ingest.rejection import Rejection, shorten
from orket.records import CallFacts, RunRecord

_NS = 1_000_000_000
_NS_OF_MS = 1_000_000
_OUTCOMES = {"successful": "OK", "errored": "FAILED", "incomplete": "CANCELLED"}


def parse_guidellm(path: Path, options: SourceOptions) -> Parsed:
    """The requests of one report. Raises BadDocument when it is none."""
    document = read_json(read_text(path))
    if not isinstance(document, dict):
        raise BadDocument("a report is an object")
    report = Fields(document)
    try:
        benchmarks = list(report.groups("benchmarks"))
        name = _model_name(report, benchmarks)
        version = report.group("metadata").text("guidellm_version")
    except BadField as error:
        raise BadDocument(error.reason, field=error.field) from None
    if not benchmarks:
        raise BadDocument("no benchmark in the report", field="benchmarks")
    if not any(True for benchmark in benchmarks for _ in _requests(benchmark)):
        raise BadDocument(
            "the report holds no requests, only sums over them: let guidellm write "
            "them (--sample-requests: how many of each kind)",
            field="benchmarks[0].requests",
        )
    model, quant = split_source_name(name)
    model_id, quant_tag = identity_of(model, [quant], options.naming(path, name))
    sweep_id = f"guidellm-{content_id(dump_json(document), model_id, quant_tag)}"
    walk = _walk(benchmarks, sweep_id, model_id, quant_tag, modified_at(path))
    origin = Origin(
        preset="ingest:guidellm", provider="guidellm", provider_version=version
    )
    return Parsed(walk, origin)


def _model_name(report: Fields, benchmarks: list[Fields]) -> str | None:
    """The model, wherever the report's version says it."""
    places = [report.group("args"), report.group("args").group("backend")]
    for benchmark in benchmarks[:1]:
        places.append(benchmark.group("worker").group("backend"))
        places.append(benchmark.group("worker"))
        config = benchmark.group("config")
        places += [config.group("backend"), config, benchmark.group("benchmarker")]
        places.append(benchmark.group("benchmarker").group("backend"))
    for place in places:
        for key in ("model", "backend_model", "target_model"):
            value = place.values.get(key)
            if isinstance(value, str) and value:
                return value
    return None


def _walk(
    benchmarks: list[Fields],
    sweep_id: str,
    model_id: str,
    quant_tag: str,
    written_at: datetime,
) -> Iterator[Item]:
    order = 0
    for index, benchmark in enumerate(benchmarks):
        repetition = 0
        for status, request in _requests(benchmark):
            if isinstance(request, BadField):
                yield 1, Rejection(1, request.field, request.reason)
                continue
            try:
                row = _run(
                    request,
                    status,
                    sweep_id=sweep_id,
                    model_id=model_id,
                    quant_tag=quant_tag,
                    test_id=f"guidellm/{_strategy(benchmark)}-{index + 1}",
                    repetition=repetition + 1,
                    order_index=order,
                    written_at=written_at,
                )
            except BadField as error:
                raw = shorten(request.as_json())
                yield 1, Rejection(1, error.field, error.reason, raw)
                continue
            repetition += 1
            order += 1
            yield 1, row


def _requests(benchmark: Fields) -> Iterator[tuple[str, Fields | BadField]]:
    try:
        requests = benchmark.group("requests")
        for status in _OUTCOMES:
            for request in requests.groups(status):
                yield status, request
    except BadField as error:
        yield "errored", error


def _strategy(benchmark: Fields) -> str:
    """The kind of load: synchronous, concurrent, constant, poisson, throughput."""
    for place in (
        benchmark.group("args").group("strategy"),
        benchmark.group("scheduler").group("strategy"),
        benchmark.group("config").group("strategy"),
    ):
        kind = place.values.get("type_")
        if isinstance(kind, str) and kind:
            return kind
    return "benchmark"


def _run(
    request: Fields,
    status: str,
    *,
    sweep_id: str,
    model_id: str,
    quant_tag: str,
    test_id: str,
    repetition: int,
    order_index: int,
    written_at: datetime,
) -> RunRecord:
    request.require_characters()
    start, first, end = _times(request)
    wall_ns = _span(request, "request_latency", start, end)
    prompt = request.text("prompt")
    outcome = _OUTCOMES[status]
    sent_at = _moment(request, "start_time", start) or written_at
    return imported_run(
        sweep_id=sweep_id,
        model_id=model_id,
        quant_tag=quant_tag,
        test_id=test_id,
        repetition=repetition,
        order_index=order_index,
        at=_moment(request, "end_time", end) or written_at,
        started_at=sent_at,
        prompt_sha256=_sha256(prompt) if prompt else None,
        call=CallFacts(
            outcome=outcome,
            error_class=None if outcome == "OK" else f"GUIDELLM_{status.upper()}",
            error_message=request.text("error") or request.group("info").text("error"),
            answer_text=request.text("output"),
            prompt_tokens=_tokens(request, "prompt_tokens", "input_metrics"),
            completion_tokens=_tokens(request, "output_tokens", "output_metrics"),
            formula_id="guidellm",
            streamed=True if first is not None else None,
            wall_ns=wall_ns,
            ttft_ns=_first_token(request, start, first),
        ),
    )


def _times(request: Fields) -> tuple[Decimal | None, ...]:
    """Start, first token and end in seconds since 1970, wherever a version has them."""
    timings = request.group("info").group("timings")
    scheduler = request.group("scheduler_info")
    timings = timings if timings.values else scheduler.group("request_timings")
    names = (
        ("request_start", "start_time"),
        ("first_token_iteration", "first_iteration", "first_token_time"),
        ("request_end", "end_time"),
    )
    return tuple(_first_number((timings, request, scheduler), each) for each in names)


def _first_number(places: tuple[Fields, ...], names: tuple[str, ...]) -> Decimal | None:
    """The first figure that is there; earlier versions write -1 for none."""
    for place in places:
        for name in names:
            number = place.number(name)
            if number is not None and number > 0:
                return number
    return None


def _span(
    request: Fields, name: str, start: Decimal | None, end: Decimal | None
) -> int | None:
    if start is not None and end is not None:
        if end < start:
            raise BadField(request.where(name), "a negative duration")
        return int((end - start) * _NS)
    return request.scaled(name, _NS)


def _first_token(
    request: Fields, start: Decimal | None, first: Decimal | None
) -> int | None:
    if start is not None and first is not None:
        if first < start:
            raise BadField(
                request.where("time_to_first_token_ms"), "a negative duration"
            )
        return int((first - start) * _NS)
    return request.scaled("time_to_first_token_ms", _NS_OF_MS)


def _tokens(request: Fields, name: str, group: str) -> int | None:
    """The server's count where it gave one, else GuideLLM's own."""
    metrics = request.group(group)
    for place, key in ((metrics, "total_tokens"), (metrics, "text_tokens")):
        count = place.count(key)
        if count is not None:
            return count
    return request.count(name)


def _moment(request: Fields, name: str, seconds: Decimal | None) -> datetime | None:
    try:
        return None if seconds is None else moment_at(seconds)
    except ValueError as error:
        raise BadField(request.where(name), f"{error}: {seconds:.12g}") from None


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
