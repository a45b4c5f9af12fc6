"""Small sweeps against a pretended server, and what tests ask of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from orket.machine.clock import SystemClock
from orket.mockserver import MockModel, Profile
from orket.planning.plan import Plan, build_plan
from orket.planning.preset import Change, load_preset, override
from orket.records import RunRecord
from orket.sweep.execute import Outcome, run_sweep
from orket.sweep.interrupts import Interrupted
from orket.sweep.reporter import Silence
from orket.warehouse import Warehouse
from tests.looking import ask

FAST = Profile(
    models=(MockModel("demo:q8_0", "Q8_0"), MockModel("demo:q2_K", "Q2_K")),
    prefill_rate=1e6,
    decode_rate=1e5,
    load_seconds=0.0,
)


PRESET = """schema_version = 1
repetitions = 2
control_profile = "shared"
polluted_retries = 0

[provider]
name = "ollama"
url = "{url}"
timeout_seconds = 5

[[models]]
id = "demo"
quants = ["Q8_0", "Q2_K"]
[models.names.ollama]
tag = "demo:{{quant_ollama}}"

[tasks]
bank = "quickstart"
limit = 3

[policy]
canary_max_latency_cv = 100
allow_unobserved = true
"""


class Impatient(SystemClock):
    """A clock that does not wait."""

    def sleep(self, seconds: float) -> None:
        return


def plan_in(folder: Path) -> Callable[..., Plan]:
    """What makes a plan by the preset above, which lies in this folder."""

    def make(url: str, *changes: Change, sweep_id: str = "s", **how: Any) -> Plan:
        path = folder / "p.toml"
        path.write_text(PRESET.format(url=url))
        return build_plan(override(load_preset(str(path)), changes), sweep_id, **how)

    return make


def execute(
    plan: Plan, warehouse: Warehouse, reporter: Any = None, **how: Any
) -> Outcome:
    return run_sweep(plan, warehouse, reporter, clock=Impatient(), **how)


def rows_of(warehouse: Warehouse, sweep_id: str = "s") -> list[dict[str, Any]]:
    return ask(warehouse, "SELECT * FROM v1.attempts ORDER BY order_index", sweep_id)


def events_of(warehouse: Warehouse) -> list[tuple[str, str | None]]:
    rows = ask(warehouse, "SELECT event, reason FROM raw.events ORDER BY event_id")
    return [(row["event"], row["reason"]) for row in rows]


class StopAfter(Silence):
    """Breaks the sweep off once so many calls are recorded."""

    def __init__(self, calls: int) -> None:
        self._left = calls

    def recorded(self, row: RunRecord) -> None:
        self._left -= 1
        if self._left == 0:
            raise Interrupted
