"""What earlier sweeps of this machine tell of the speed of a plan's quants."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from orket.machine.fingerprint import read_fingerprint
from orket.planning.estimate import PROMPT_SPEEDUP, Forecast
from orket.planning.plan import Plan
from orket.providers.contract import ModelRef
from orket.urls import is_loopback
from orket.warehouse import Warehouse
from orket.warehouse.statements import statement

RECENT_SWEEPS = 20
"""Enough to know a machine; a long history would cost more than it tells."""


def forecast_from(
    store: Warehouse, plan: Plan, sizes: Mapping[ModelRef, int] | None = None
) -> Forecast:
    """A forecast for this plan that knows what is recorded of its quants here.

    A quant is the same by its weights; where those are unknown, by its names. What a
    server elsewhere took tells of that server alone.
    """
    forecast = Forecast(plan, sizes)
    wanted = {
        (model.model_id, target.ref.quant_tag): (target.digest, _far_place(target.url))
        for model in plan.models
        for target in model.targets
    }
    if not store.path.is_dir():
        return forecast
    machine = read_fingerprint().id
    with store.recent_session(RECENT_SWEEPS) as session:
        rows = session.rows(statement("planning", "speeds"), [PROMPT_SPEEDUP, machine])
        lengths = session.rows(statement("planning", "lengths"), [machine])
        (between,) = session.rows(statement("planning", "between"), [machine])
    for row in rows:
        key = (row["model_id"], row["quant_tag"])
        digest, place = wanted.get(key, ("", None))
        if digest not in (None, row["model_digest"]) or not row["tokens"]:
            continue
        if place != _far_place(row["endpoint"]):
            continue
        seconds = int(row["wall_ns"]) / 10**9
        tokens = float(row["tokens"])
        calls, sweep = row["calls"], row["sweep_id"]
        forecast.remember(key, calls, tokens, seconds, row["banks"], sweep)
    if forecast.has_past:
        models = {model.model_id for model in plan.models}
        for row in lengths:
            if row["model_id"] in models:
                forecast.saw_answer(row["test_id"], row["tokens"])
        if between["blocks"]:
            took = int(between["between_ns"]) / 10**9
            forecast.remember_between(took / int(between["blocks"]))
    return forecast


def _far_place(url: str | None) -> str | None:
    """Host and port of a server elsewhere; None of one on this machine."""
    parts = urlsplit(url or "")
    if not parts.hostname or is_loopback(parts.hostname):
        return None
    return parts.netloc.rpartition("@")[2]
