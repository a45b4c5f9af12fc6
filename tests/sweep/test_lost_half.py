"""When a round that brought little is a reason to go on under looser thresholds."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from orket.records import EventRow, Policy, PolicyStep
from orket.sweep.judge import Judge
from orket.warehouse import Warehouse
from orket.warehouse.statements import statement
from tests.built_sweep import MS, START, Sweep, quiet_counters
from tests.together import together

ANSWERS = PolicyStep(
    control_profile="desktop",
    policy=msgspec.structs.replace(Policy(), quality_only=True),
)


def make(runs: int, disturbed: range, **model: Any) -> Sweep:
    """The first of three quants; a program disturbed its runs of these places."""
    sweep = Sweep(
        sweep_id="s",
        quants=("F16", "Q8_0", "Q6_K"),
        tasks=tuple(f"t{number:03}" for number in range(runs)),
        model={"yields_to": [ANSWERS], **model},
    )
    for number, task in enumerate(sweep.tasks):
        changes: dict[str, Any] = {}
        if number in disturbed:
            stop_ns = sweep.clock_ns + 600 * MS
            busy_ns = stop_ns * 192 // 100 + 500 * MS
            changes["after"] = quiet_counters(stop_ns, host_busy_ns=busy_ns)
        sweep.add("F16", task, **changes)
    return sweep


def make_ladder(lost: tuple[str, ...]) -> Sweep:
    """Four quants of twenty tasks each; of these, a tenth of the runs was disturbed."""
    sweep = Sweep(
        sweep_id="s",
        quants=("F16", "Q8_0", "Q6_K", "Q4_K_M"),
        tasks=tuple(f"t{number:02}" for number in range(20)),
        model={"yields_to": [ANSWERS]},
    )
    for quant in sweep.quants:
        for number, task in enumerate(sweep.tasks):
            changes: dict[str, Any] = {}
            if quant in lost and number < 2:
                stop_ns = sweep.clock_ns + 600 * MS
                busy_ns = stop_ns * 192 // 100 + 500 * MS
                changes["after"] = quiet_counters(stop_ns, host_busy_ns=busy_ns)
            sweep.add(quant, task, **changes)
    return sweep


def found_in(seen: Any) -> list[str]:
    """What the executor asks, of one sweep among others."""
    rows = seen.rows(statement("sweep", "mostly_disturbed"), ["s"])
    return [row["because"] for row in rows]


def due(sweep: Sweep, tmp_path) -> list[str]:
    """The same as the executor is told."""
    warehouse = Warehouse(tmp_path)
    warehouse.append("sweeps", [sweep.sweep_row()], "s")
    warehouse.append("runs", sweep.runs, "s")
    if sweep.events:
        warehouse.append("events", sweep.events)
    with Judge(warehouse, "s") as judge:
        return [entry.because for entry in judge.read_mostly_disturbed()]


@pytest.mark.parametrize(
    ("runs", "disturbed", "found"),
    [
        (34, range(17), ["HIGH_FOREIGN_CPU"]),
        (35, range(17), []),
        (16, range(16), []),
        # Busy after an hour: the latest 68 runs tell, not all of them.
        (170, range(136, 170), ["HIGH_FOREIGN_CPU"]),
        (170, range(137, 170), []),
        # Quiet again by now.
        (170, range(102), []),
    ],
)
@together
def test_half_of_the_latest_runs_lost_is_a_reason(runs, disturbed, found):
    assert found_in((yield make(runs, disturbed))) == found


@pytest.mark.parametrize(
    ("lost", "found"),
    [
        # Every tenth run of a quant is enough that it cannot be judged.
        (("F16", "Q6_K"), ["HIGH_FOREIGN_CPU"]),
        (("Q8_0", "Q6_K", "Q4_K_M"), ["HIGH_FOREIGN_CPU"]),
        (("Q6_K",), []),
        ((), []),
    ],
)
@together
def test_half_of_the_quants_lost_is_a_reason(lost, found):
    assert found_in((yield make_ladder(lost))) == found


def test_the_executor_is_told(tmp_path):
    assert due(make(34, range(17)), tmp_path) == ["HIGH_FOREIGN_CPU"]


@together
def test_where_disturbed_runs_count_nothing_is_lost():
    counting = Policy(include_polluted="always")
    assert found_in((yield make(34, range(34), policy=counting))) == []


@together
def test_without_a_step_left_nothing_is_due():
    assert found_in((yield make(34, range(34), yields_to=[]))) == []
    gone = make(34, range(34))
    gone.events.append(
        EventRow(
            event_id="step",
            recorded_at=START + timedelta(seconds=30),
            event="POLICY_YIELDED",
            sweep_id="s",
            model_id="m",
            reason="HIGH_FOREIGN_CPU",
        )
    )
    assert found_in((yield gone)) == []
