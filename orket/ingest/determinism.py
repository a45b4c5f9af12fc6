"""Determinism reports of the earlier Orket (schema 1.1.3 and before) -> runs.

Its score of 1.0 is what it wrote for a program that ended well, its memory of 0.0 what
it wrote when it had measured none: the one is kept as it stands, the other is NULL.
Its own judgements (run quality, rates, vibe metrics) are kept as text, not as facts.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from orket.identity import content_id
from orket.ingest.fields import MIB, SCORE_SCALE, BadField, Fields, dump_json
from orket.ingest.origin import UNKNOWN, Origin, SourceOptions, modified_at
from orket.ingest.parsed import Item, Parsed, imported_run
from orket.ingest.reading import BadDocument, read_json, read_text
from orket.ingest.rejection import Rejection, shorten
from orket.records import CallFacts, CheckFacts, Controls

_NS = 1_000_000_000
_NS_OF_MS = 1_000_000
_FORMULA = "determinism-report-1"


def parse_determinism(path: Path, options: SourceOptions) -> Parsed:
    """The runs of one report. Raises BadDocument when it is none."""
    document = read_json(read_text(path))
    if not isinstance(document, dict):
        raise BadDocument("a report is an object")
    report = Fields(document)
    try:
        at = report.moment("report_generated_at") or report.moment("generated_at_utc")
        details = report.group("details")
        tiers = tuple(_tiers(details))
        version = report.text("schema_version") or UNKNOWN
        if not details.values and not report.items("test_runs"):
            raise BadDocument("neither details nor test_runs", field="details")
    except BadField as error:
        raise BadDocument(error.reason, field=error.field) from None
    model_id = options.model_id or UNKNOWN
    quant_tag = options.quant_tag or UNKNOWN
    sweep_id = f"determinism-{content_id(dump_json(document), model_id, quant_tag)}"
    origin = Origin(
        preset=f"ingest:determinism-report-{version}", provider="orket", tiers=tiers
    )
    walk = _walk(report, sweep_id, model_id, quant_tag, at or modified_at(path))
    return Parsed(walk, origin)


def _tiers(details: Fields) -> Iterator[tuple[str, int]]:
    for test_id in details.values:
        tier = details.group(test_id).count("tier")
        if tier is not None:
            yield test_id, tier


def _walk(
    report: Fields, sweep_id: str, model_id: str, quant_tag: str, at: datetime
) -> Iterator[Item]:
    """Every run once: from `details`, which say more, else from `test_runs`."""
    order = 0
    seen: dict[str, int] = {}
    for test_id, repetition, run, fallback in _runs(report):
        if isinstance(run, BadField):
            yield 1, Rejection(1, run.field, run.reason)
            continue
        try:
            run.require_characters()
            number = repetition or seen.get(test_id, 0) + 1
            seen[test_id] = number
            telemetry = run.group("telemetry")
            row = imported_run(
                sweep_id=sweep_id,
                model_id=model_id,
                quant_tag=quant_tag,
                test_id=test_id,
                repetition=number,
                order_index=order,
                at=at,
                call=_call(run, telemetry, fallback),
                checks=_checks(telemetry),
                requested=_controls(telemetry),
                peak_server_rss_bytes=telemetry.scaled("peak_memory_rss", MIB) or None,
            )
        except BadField as error:
            yield 1, Rejection(1, error.field, error.reason, shorten(run.as_json()))
            continue
        order += 1
        yield 1, row


def _runs(
    report: Fields,
) -> Iterator[tuple[str, int | None, Fields | BadField, str | None]]:
    """Test, repetition, run and answer hash of each run in the report."""
    details = report.group("details")
    told: set[str] = set()
    for test_id in details.values:
        try:
            detail = details.group(test_id)
            hashes = detail.items("hashes")
            runs = list(detail.groups("runs"))
        except BadField as error:
            yield test_id, None, error, None
            continue
        for place, run in enumerate(runs):
            told.add(test_id)
            fallback = hashes[place] if place < len(hashes) else None
            repetition = run.values.get("run_index")
            number = repetition if isinstance(repetition, int) else place + 1
            yield test_id, number, run, fallback if isinstance(fallback, str) else None
    try:
        for run in report.groups("test_runs"):
            test_id = run.known("test_id") or UNKNOWN
            if test_id not in told:
                yield test_id, None, run, None
    except BadField as error:
        yield UNKNOWN, None, error, None


def _call(run: Fields, telemetry: Fields, fallback: str | None) -> CallFacts:
    exit_code = run.values.get("exit_code")
    outcome = run.text("outcome")
    is_good = outcome == "pass" if outcome is not None else exit_code == 0
    wall_ns = telemetry.scaled("total_latency", _NS)
    if wall_ns is None:
        wall_ns = run.scaled("duration_ms", _NS_OF_MS)
    tokens = telemetry.group("token_metrics")
    counts, latencies = tokens.group("counts"), tokens.group("latencies")
    return CallFacts(
        outcome="OK" if is_good else "FAILED",
        error_class=None if is_good else "RUNNER_FAILED",
        error_message=None if is_good else f"outcome {outcome}, exit code {exit_code}",
        answer_hash=run.known("hash") or fallback,
        prompt_tokens=counts.count("prompt_tokens"),
        completion_tokens=counts.count("output_tokens"),
        prefill_ns=latencies.scaled("prefill_seconds", _NS),
        decode_ns=latencies.scaled("decode_seconds", _NS),
        formula_id=_FORMULA,
        raw_figures=telemetry.as_json() if telemetry.values else None,
        wall_ns=wall_ns,
        generation_retries=telemetry.group("vibe_metrics").count("gen_retries") or 0,
    )


def _checks(telemetry: Fields) -> CheckFacts | None:
    score = telemetry.score("adherence_score")
    if score is None:
        return None
    return CheckFacts(
        checks_passed=score, checks_total=SCORE_SCALE, checker_version="imported-score"
    )


def _controls(telemetry: Fields) -> Controls:
    controls = telemetry.group("experimental_controls")
    threads, warmup = controls.count("threads"), controls.count("warmup_steps")
    return Controls(
        seed=controls.count("seed"),
        threads=str(threads) if threads else None,
        affinity=controls.known("affinity_policy"),
        warmup=str(warmup) if warmup is not None else None,
    )
