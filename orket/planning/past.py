"""What earlier sweeps of this machine tell of the speed of a plan's quants."""

from __future__ import annotations

from collections.abc import Mapping

from orket.machine.fingerprint import read_fingerprint
from orket.planning.estimate import PROMPT_SPEEDUP, Forecast
from orket.planning.plan import Plan
from orket.providers.contract import ModelRef
from orket.warehouse import Warehouse
from orket.warehouse.statements import statement

RECENT_SWEEPS = 20
"""Enough to know a machine; a long history would cost more than it tells."""


def forecast_from(
    store: Warehouse, plan: Plan, sizes: Mapping[ModelRef, int] | None = None
) -> Forecast:
    """A forecast for this plan that knows what is recorded of its quants here.

    A quant is the same by its weights; where those are unknown, by its names.
    """
    forecast = Forecast(plan, sizes)
    wanted = {
        (model.model_id, target.ref.quant_tag): target.digest
        for model in plan.models
        for target in model.targets
    }
    if not store.path.is_dir():
        return forecast
    with store.recent_session(RECENT_SWEEPS) as session:
        rows = session.rows(
            statement("planning", "speeds"), [PROMPT_SPEEDUP, read_fingerprint().id]
        )
    for row in rows:
        key = (row["model_id"], row["quant_tag"])
        digest = wanted.get(key, "")
        if digest not in (None, row["model_digest"]) or not row["tokens"]:
            continue
        seconds = int(row["wall_ns"]) / 10**9
        forecast.remember(key, row["calls"], float(row["tokens"]), seconds)
    return forecast
