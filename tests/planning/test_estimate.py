from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from orket.machine.fingerprint import read_fingerprint
from orket.planning.estimate import (
    CHARACTERS_PER_TOKEN,
    PROMPT_SPEEDUP,
    SECONDS_PER_CALL,
    Forecast,
    estimate_plan,
)
from orket.planning.past import forecast_from
from orket.planning.plan import Plan, build_plan
from orket.planning.preset import Change, load_preset, override
from orket.records import PlannedRun, RunRecord
from orket.warehouse import Warehouse
from tests.raw_rows import START, changed, make_run, store_sweep

SECOND = 10**9


def two_quants() -> Plan:
    changes = [
        Change("quants", ["F16", "Q2_K"], (("models", 0, "quants"),)),
        Change("tasks.limit", 2),
        Change("repetitions", 1),
    ]
    return build_plan(override(load_preset("quickstart"), changes), "s", "matrix", True)


def answered(
    plan: Plan, quant: str, place: int, tokens: int, wall_ns: int
) -> RunRecord:
    task = plan.tasks[place]
    row = make_run(test=task.test_id, model="orket-demo", quant=quant)
    call = {"completion_tokens": tokens, "prompt_tokens": 0, "wall_ns": wall_ns}
    return changed(row, call=call)


def matrix_of(plan: Plan, quant: str) -> list[PlannedRun]:
    return [r for r in plan.runs if (r.phase, r.quant_tag) == ("matrix", quant)]


def prompt_tokens(plan: Plan, place: int) -> float:
    return len(plan.tasks[place].prompt) / CHARACTERS_PER_TOKEN / PROMPT_SPEEDUP


def test_calls_so_far_tell_what_the_rest_costs():
    plan = two_quants()
    forecast = Forecast(plan)
    # 10 tokens in a second: a tenth of a second each. The other task asks as much.
    forecast.saw(answered(plan, "F16", 0, 10, SECOND))
    forecast.saw(answered(plan, "F16", 1, 30, 3 * SECOND))
    forecast.saw_load(2.0)
    tokens = 10 + prompt_tokens(plan, 0) + 30 + prompt_tokens(plan, 1)
    expected = 2.0 + 2 * SECONDS_PER_CALL + tokens / 10
    assert forecast.seconds(matrix_of(plan, "F16")) == pytest.approx(expected)


def test_a_quant_that_has_not_answered_costs_by_its_size():
    plan = two_quants()
    big, small = (plan.target("orket-demo", quant) for quant in ("F16", "Q2_K"))
    assert big.model_bytes is not None and small.model_bytes is not None
    forecast = Forecast(plan)
    forecast.saw_load(0.0)
    for place in (0, 1):
        forecast.saw(answered(plan, "F16", place, 10, SECOND))
    known = forecast.seconds(matrix_of(plan, "F16"))
    unknown = forecast.seconds(matrix_of(plan, "Q2_K"))
    assert known is not None and unknown is not None
    ratio = (unknown - 2 * SECONDS_PER_CALL) / (known - 2 * SECONDS_PER_CALL)
    assert ratio == pytest.approx(small.model_bytes / big.model_bytes)


def test_a_failed_call_and_one_without_a_time_tell_nothing():
    plan = two_quants()
    forecast = Forecast(plan)
    before = forecast.seconds(plan.runs)
    row = answered(plan, "F16", 0, 10, SECOND)
    forecast.saw(changed(row, call={"outcome": "FAILED"}))
    forecast.saw(changed(row, call={"wall_ns": None}))
    assert forecast.seconds(plan.runs) == before


def test_nothing_left_takes_no_time():
    assert Forecast(two_quants()).seconds([]) == 0.0


def test_a_size_that_is_not_known_is_told_as_such_until_an_answer_came():
    preset = override(
        load_preset("llama-server"),
        [Change("quants", ["Q8_0"], (("models", 0, "quants"),))],
    )
    plan = build_plan(preset, "s", skip_canary=True)
    forecast = Forecast(plan)
    estimate = estimate_plan(plan, forecast)
    assert estimate.seconds is None
    assert estimate.largest_model_bytes is None
    row = make_run(test=plan.tasks[0].test_id, model="served-model", quant="Q8_0")
    forecast.saw(row)
    assert forecast.seconds(plan.runs) is not None


def test_earlier_sweeps_of_this_machine_stand_behind_a_plan(tmp_path):
    plan = two_quants()
    store = Warehouse(tmp_path / "warehouse")
    digest = plan.target("orket-demo", "F16").digest
    here = read_fingerprint().id
    rows = [
        msgspec.structs.replace(
            answered(plan, "F16", place, 10, SECOND), model_digest=digest
        )
        for place in (0, 1)
    ]
    assert forecast_from(store, plan).remembered == 0
    store_sweep(store, rows, machine=here)
    known = forecast_from(store, plan)
    assert known.remembered == 2
    assert "2 earlier calls" in estimate_plan(plan, known).basis
    # Other weights under the name, and another machine, tell nothing.
    later = START + timedelta(days=1)
    other = [
        msgspec.structs.replace(
            row, sweep_id="other", run_id=f"o{n}", attempt_id=f"o{n}", model_digest="x"
        )
        for n, row in enumerate(rows)
    ]
    store_sweep(store, other, machine=here, start=later)
    far = [
        msgspec.structs.replace(row, sweep_id="far", run_id=f"f{n}", attempt_id=f"f{n}")
        for n, row in enumerate(rows)
    ]
    store_sweep(store, far, machine="hw1-elsewhere", start=later)
    assert forecast_from(store, plan).remembered == 2
