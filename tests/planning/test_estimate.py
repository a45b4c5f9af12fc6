from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from orket.machine.fingerprint import read_fingerprint
from orket.planning.estimate import (
    CHARACTERS_PER_TOKEN,
    PROMPT_SPEEDUP,
    SECONDS_PER_CALL,
    SECONDS_PER_TOKEN,
    Forecast,
    estimate_plan,
    list_scores,
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
    assert "2 calls of earlier sweeps" in estimate_plan(plan, known).basis
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


def test_what_earlier_sweeps_took_is_scaled_by_what_calls_take_now():
    plan = two_quants()
    forecast = Forecast(plan)
    forecast.saw_load(0.0)
    for quant, seconds in (("F16", 1.0), ("Q2_K", 0.5)):
        forecast.remember(("orket-demo", quant), 5, 10.0, seconds, ["core"])
    before = forecast.seconds(matrix_of(plan, "Q2_K"))
    assert (
        forecast.basis()
        == "by 10 calls of earlier sweeps (tasks of core), scaled by tokens"
    )
    # Now a token takes thrice as long: of the quant that did not answer yet as well.
    tokens = 10 + prompt_tokens(plan, 0)
    row = answered(plan, "F16", 0, 10, round(tokens * 0.3 * SECOND))
    prompt = round(len(plan.tasks[0].prompt) / CHARACTERS_PER_TOKEN)
    forecast.saw(changed(row, call={"prompt_tokens": prompt}))
    after = forecast.seconds(matrix_of(plan, "Q2_K"))
    assert before is not None and after is not None
    per_token = [0.05, 0.15]
    asked = [
        sum(forecast_tokens)
        for forecast_tokens in (expected(plan, None), expected(plan, 10))
    ]
    assert before - 2 * SECONDS_PER_CALL == pytest.approx(asked[0] * per_token[0])
    assert after - 2 * SECONDS_PER_CALL == pytest.approx(
        asked[1] * per_token[1], rel=0.02
    )
    assert forecast.basis().startswith("by the calls so far and 10 calls of earlier")


def expected(plan: Plan, told: int | None) -> list[float]:
    """Weighed tokens of the two tasks, once the first answered with `told` tokens."""
    first, second = (task.max_tokens for task in plan.tasks)
    answers = (first / 2, second / 2)
    if told is not None:
        answers = (told, second * told / first)
    return [answer + prompt_tokens(plan, place) for place, answer in enumerate(answers)]


def test_the_phase_fidelity_is_estimated_and_learns_from_its_prompts():
    changes = [Change("fidelity.enabled", True), Change("fidelity.max_tokens", 4)]
    preset = override(load_preset("quickstart"), changes)
    plan = build_plan(preset, "s", skip_canary=True)
    forecast = Forecast(plan)
    forecast.saw_load(0.0)
    scores = list_scores(plan)
    # The reference answers, and every quant is asked.
    assert plan.fidelity is not None
    assert len(scores) == len(plan.fidelity.test_ids) * 10
    whole = forecast.seconds_of_scores(scores)
    one = forecast.seconds_of_scores(scores[:1])
    assert whole is not None and one is not None and whole > one > 0
    forecast.saw_score(scores[0], 3 * one)
    assert forecast.seconds_of_scores(scores) == pytest.approx(3 * whole)
    without = estimate_plan(build_plan(load_preset("quickstart"), "s"), Forecast(plan))
    assert without.seconds is not None
    with_it = estimate_plan(plan, Forecast(plan))
    assert with_it.seconds is not None


def test_a_server_elsewhere_tells_of_itself_alone(tmp_path):
    here = read_fingerprint().id
    store = Warehouse(tmp_path / "warehouse")
    row = make_run(test="bank/t1", model="served-model", quant="Q8_0")
    row = changed(row, call={"completion_tokens": 10, "prompt_tokens": 5})
    far = msgspec.structs.replace(row, locality="remote")
    store_sweep(store, [far], machine=here, endpoint="http://far:8080")

    def calls(url: str) -> int:
        changes = [
            Change("quants", ["Q8_0"], (("models", 0, "quants"),)),
            Change("provider.url", url),
        ]
        plan = build_plan(override(load_preset("llama-server"), changes), "s")
        return forecast_from(store, plan).remembered

    assert calls("http://far:8080") == 1
    assert calls("http://other:8080") == 0
    assert calls("http://127.0.0.1:8080") == 0


def test_calls_without_tokens_tell_no_speed(tmp_path):
    plan = two_quants()
    store = Warehouse(tmp_path / "warehouse")
    digest = plan.target("orket-demo", "F16").digest
    told = msgspec.structs.replace(
        answered(plan, "F16", 0, 10, SECOND), model_digest=digest
    )
    silent = changed(
        msgspec.structs.replace(told, run_id="r2", attempt_id="r2"),
        call={"completion_tokens": None, "wall_ns": 100 * SECOND},
    )
    store_sweep(store, [told, silent], machine=read_fingerprint().id)
    assert forecast_from(store, plan).remembered == 1


def test_a_model_that_answers_briefly_is_not_thought_to_use_a_greater_budget():
    """One short and one long budget, 8 tokens each: so are those of other tasks.

    By the sum of both budgets the long ones would be thought far longer.
    """
    preset = override(load_preset("quickstart"), [Change("tasks.bank", "core")])
    plan = build_plan(preset, "s", "matrix", True)
    forecast = Forecast(plan)
    by_budget = sorted(plan.tasks, key=lambda task: task.max_tokens)
    small, large = by_budget[0], by_budget[-1]
    assert large.max_tokens > 10 * small.max_tokens
    key = ("orket-demo", "F16")
    for task in (small, large):
        forecast.saw_answer(task.test_id, 8)
    other = next(t for t in by_budget[:-1] if t.max_tokens == large.max_tokens)
    own = forecast.answer_seconds(key, large.test_id, 1000)
    found = forecast.answer_seconds(key, other.test_id, 1000)
    assert own is not None and found is not None
    difference = (len(other.prompt) - len(large.prompt)) / CHARACTERS_PER_TOKEN
    token = found - own - difference / PROMPT_SPEEDUP * SECONDS_PER_TOKEN
    assert 0 <= token < 1 * SECONDS_PER_TOKEN


def test_an_answer_that_was_not_followed_to_its_end_is_that_long_at_least():
    plan = two_quants()
    forecast = Forecast(plan)
    first = plan.tasks[0]
    key = ("orket-demo", "F16")
    half = forecast.answer_seconds(key, first.test_id, 1000)
    forecast.saw_answer(first.test_id, 1, is_whole=False)
    assert forecast.answer_seconds(key, first.test_id, 1000) == half
    other = Forecast(plan)
    other.saw_answer(first.test_id, first.max_tokens - 1, is_whole=False)
    longer = other.answer_seconds(key, first.test_id, 1000)
    assert longer is not None and half is not None and longer > half
