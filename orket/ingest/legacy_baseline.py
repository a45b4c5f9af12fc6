"""Baseline files of the earlier Orket, `{test_id}.json` -> baseline events."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from orket.identity import content_id, dated_content_id
from orket.ingest.fields import MIB, SCORE_SCALE, BadField, Fields
from orket.ingest.origin import Origin, SourceOptions
from orket.ingest.parsed import Item, Parsed
from orket.ingest.reading import BadDocument, read_json, read_text
from orket.ingest.rejection import Rejection, shorten
from orket.records import BASELINE_IDENTITY, EventRow

LEGACY_VERSION = "legacy"
"""The fingerprint recipe of earlier files: `os-release|cpu|Nc|Ngb|gpu`. Never ours."""

_NS = 1_000_000_000


def parse_baselines(path: Path, options: SourceOptions) -> Parsed:
    """The history of one test: an object with `history`, or a bare list.

    Raises BadDocument when it is neither.
    """
    document = read_json(read_text(path))
    test_id: str | None = None
    history = document
    try:
        if isinstance(document, dict):
            test_id = Fields(document).known("test_id")
            history = Fields(document).items("history")
    except BadField as error:
        raise BadDocument(error.reason, field=error.field) from None
    if not isinstance(history, list):
        raise BadDocument("a list of baselines is expected")
    return Parsed(_walk(history, test_id or path.stem, path.name, options), Origin())


def _walk(
    history: list[object], test_id: str, file_name: str, options: SourceOptions
) -> Iterator[Item]:
    for place, entry in enumerate(history):
        name = f"history[{place}]"
        if not isinstance(entry, dict):
            yield 1, Rejection(1, name, "an object is expected", shorten(repr(entry)))
            continue
        try:
            yield from _events(Fields(entry, name), test_id, file_name, options)
        except BadField as error:
            raw = shorten(Fields(entry).as_json())
            yield 1, Rejection(1, error.field, error.reason, raw)


def _events(
    entry: Fields, test_id: str, file_name: str, options: SourceOptions
) -> Iterator[Item]:
    entry.require_characters()
    meta, gold = entry.group("baseline_metadata"), entry.group("gold_telemetry")
    if not meta.values:
        raise BadField(entry.where("baseline_metadata"), "missing")
    measured_at = meta.moment("created_at")
    run = meta.known("test_run_id")
    score = gold.score("adherence_score")
    identity = ("baseline", test_id, run, entry.as_json())
    append = EventRow(
        event_id=dated_content_id(measured_at, *identity)
        if measured_at
        else content_id(*identity),
        recorded_at=options.now,
        event="BASELINE_APPEND",
        test_id=test_id,
        model_id=meta.known("model_id"),
        model_digest=meta.known("model_hash"),
        quant_tag=meta.known("quant_tag"),
        task_revision=meta.known("task_revision"),
        hardware_fingerprint=meta.known("hardware_fingerprint"),
        fingerprint_version=LEGACY_VERSION,
        measured_at=measured_at,
        source_run_ids=[run] if run else None,
        runs=1,
        checks_passed=score,
        checks_total=SCORE_SCALE if score is not None else None,
        latency_median_ns=gold.scaled("total_latency", _NS) or None,
        memory_bytes=gold.scaled("peak_memory_rss", MIB) or None,
        imported_from=file_name,
    )
    pinned = meta.flag("pinned")
    yield 1, append
    if pinned:
        yield 1, pin_event(append, options)


def pin_event(append: EventRow, options: SourceOptions) -> EventRow:
    """The pin an earlier file carried as a flag."""
    return EventRow(
        event_id=content_id("pin", append.event_id),
        recorded_at=options.now,
        event="BASELINE_PIN",
        target_event_id=append.event_id,
        reason="pinned in the imported file",
        **{name: getattr(append, name) for name in BASELINE_IDENTITY},
    )
