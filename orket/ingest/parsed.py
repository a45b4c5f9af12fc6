"""What a parser of a foreign file gives: rows and rejections, and the file's origin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from orket.identity import content_id
from orket.ingest.origin import UNKNOWN, Origin
from orket.ingest.rejection import Rejection
from orket.records import CallFacts, CheckFacts, Controls, Record, RunRecord

Item = tuple[int, Record | Rejection]
"""Line in the file, from 1, and the row that stands there or why there is none."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """One file, read. `items` is used up by the first walk over it."""

    items: Iterator[Item]
    origin: Origin


def imported_run(
    *,
    sweep_id: str,
    model_id: str,
    quant_tag: str,
    test_id: str,
    repetition: int,
    order_index: int,
    at: datetime,
    call: CallFacts,
    checks: CheckFacts | None = None,
    started_at: datetime | None = None,
    task_revision: str = UNKNOWN,
    bucket: str = UNKNOWN,
    prompt_sha256: str | None = None,
    max_tokens: int | None = None,
    requested: Controls | None = None,
    peak_server_rss_bytes: int | None = None,
) -> RunRecord:
    """A run that another tool made: one attempt, no counters, no monotonic clock.

    Its ids follow from what it is, so that the same file twice counts once.
    """
    run_id = content_id(sweep_id, model_id, quant_tag, test_id, repetition)
    return RunRecord(
        sweep_id=sweep_id,
        run_id=run_id,
        attempt_id=content_id(run_id, 1),
        attempt_number=1,
        executor_started_at=at,
        recorded_at=at,
        phase="matrix",
        model_id=model_id,
        quant_tag=quant_tag,
        test_id=test_id,
        bucket=bucket,
        task_revision=task_revision,
        repetition=repetition,
        order_index=order_index,
        block_index=0,
        started_at=started_at or at,
        started_ns=None,
        ended_ns=None,
        prompt_sha256=prompt_sha256,
        max_tokens=max_tokens,
        requested=requested or Controls(),
        effective=Controls(),
        call=call,
        checks=checks,
        peak_server_rss_bytes=peak_server_rss_bytes,
    )
