"""Fixes where the proofs start, before the first task is asked."""

from __future__ import annotations

from orket.records import EventRow
from orket.sweep.context import Context
from orket.sweep.judge import Judge
from orket.sweep.resume import Progress
from orket.warehouse import Warehouse
from orket.warehouse.parts import time_ordered_id

START_FIXED = "START_FIXED"


def fix_starts(
    context: Context, warehouse: Warehouse, judge: Judge, progress: Progress
) -> None:
    """Keep the view's word on it as an event, once and for all.

    A model whose tasks were asked before has its start: answers must not choose it.
    """
    begun = {
        run.model_id
        for run in context.plan.runs
        if run.phase == "matrix" and run.run_id in progress.tried
    }
    rows = [
        EventRow(
            event_id=time_ordered_id(),
            recorded_at=context.clock.now(),
            event=START_FIXED,
            sweep_id=context.plan.sweep_id,
            model_id=start["model_id"],
            quant_tag=start["quant_tag"],
            reason=start["named_by"],
        )
        for start in judge.read_starts()
        if start["model_id"] not in begun
    ]
    if rows:
        warehouse.append("events", rows)
