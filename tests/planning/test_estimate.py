from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from orket.machine.fingerprint import read_fingerprint
from orket.planning.estimate import (
    BETWEEN_SECONDS,
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
    expected = 2.0 + BETWEEN_SECONDS + 2 * SECONDS_PER_CALL + tokens / 10
    assert forecast.seconds(matrix_of(plan, "F16")) == pytest.approx(expected)


def test_a_quant_that_has_not_answered_costs_by_its_size_as_far_as_that_is_read():
    """A token reads every weight once; what takes longer has nothing to do with size.

    A model of some megabytes is read in no time: scaled by its size, what its smallest
    quant took made the largest of the demo four times as slow as it is.
    """
    plan = two_quants()
    sizes = {
        plan.target("orket-demo", quant).ref: size * 10**9
        for quant, size in (("F16", 16), ("Q2_K", 4))
    }
    plan = replace(
        plan,
        models=tuple(
            replace(
                model,
                targets=tuple(
                    replace(target, model_bytes=None) for target in model.targets
                ),
            )
            for model in plan.models
        ),
    )
    for read, seconds in ((True, 0.4), (False, 4.0)):
        forecast = Forecast(plan, sizes)
        forecast.saw_load(0.0)
        for place in (0, 1):
            row = answered(plan, "F16", place, 10, round(seconds * 10 * SECOND))
            forecast.saw(row)
        known, unknown = (
            forecast.seconds(matrix_of(plan, quant)) for quant in ("F16", "Q2_K")
        )
        assert known is not None and unknown is not None
        fixed = 2 * SECONDS_PER_CALL + BETWEEN_SECONDS
        share = (unknown - fixed) / (known - fixed)
        # 16 GB are read in 0.8 s: all of 0.4 s, and a fifth of 4 s.
        assert share == pytest.approx(0.25 if read else 0.8 + 0.2 * 0.25)


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
    assert estimate.whole is estimate.usual is None
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
    # What a sweep asked before it was resumed is its own, and no earlier sweep's.
    resumed = forecast_from(store, replace(plan, sweep_id=rows[0].sweep_id))
    told = estimate_plan(plan, resumed).basis
    assert told == "by the calls so far" and resumed.has_past
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
    fixed = 2 * SECONDS_PER_CALL + BETWEEN_SECONDS
    assert before - fixed == pytest.approx(asked[0] * per_token[0])
    assert after - fixed == pytest.approx(asked[1] * per_token[1], rel=0.02)
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
    # A prompt of it is a call like others: it tells what tokens take by now.
    assert forecast.slack() is None
    forecast.saw_score(scores[0], 30 * one)
    slower = forecast.seconds_of_scores(scores)
    assert slower is not None and slower > 10 * whole
    assert forecast.slack() is not None


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


def forecast_of(walls: list[float]) -> Forecast:
    """A forecast that has seen equal calls of one quant take so many seconds."""
    plan = two_quants()
    forecast = Forecast(plan)
    for wall in walls:
        forecast.saw(answered(plan, "F16", 0, 10, round(wall * SECOND)))
    return forecast


def test_calls_that_are_far_apart_are_told_as_a_wide_span():
    steady, wild = forecast_of([1.0] * 40), forecast_of([0.1, 0.2, 3.0, 0.1] * 10)
    narrow, wide = steady.slack(), wild.slack()
    assert narrow is not None and wide is not None
    assert wide.high / wide.low > 1.5 * narrow.high / narrow.low
    # Few calls tell less than many of the same kind.
    few = forecast_of([0.1, 0.2, 3.0, 0.1]).slack()
    assert few is not None and few.high / few.low > wide.high / wide.low


def test_a_machine_that_got_slower_is_told_by_its_latest_calls():
    """64 calls of a second, then 64 of four: the rest may take as long as these."""
    slack = forecast_of([1.0] * 64 + [4.0] * 64).slack()
    assert slack is not None
    # All of them took 2.5 s at the mean, the latest 1.6 times as long.
    assert slack.high >= 1.6 and slack.low <= 1.0


def test_what_lies_between_blocks_is_counted_and_what_a_person_thought_about_is_not():
    plan = two_quants()
    forecast = Forecast(plan)
    forecast.saw_load(0.0)
    runs = matrix_of(plan, "F16")
    forecast.saw(answered(plan, "F16", 0, 10, SECOND))
    before = forecast.seconds(runs)
    forecast.begin_block(100.0)
    forecast.saw_load(0.0)
    forecast.saw(answered(plan, "F16", 0, 10, SECOND))
    forecast.end_block(106.0)
    # 60 s at a question.
    forecast.begin_block(166.0)
    forecast.saw(answered(plan, "F16", 0, 10, SECOND))
    forecast.end_block(172.0)
    after = forecast.seconds(runs)
    assert before is not None and after is not None
    assert after - before == pytest.approx(5.0 - BETWEEN_SECONDS)


def test_before_the_first_call_earlier_sweeps_tell_how_far_they_are_apart(tmp_path):
    """A quiet sweep, and one in which calls took four times as long."""
    plan = two_quants()
    store = Warehouse(tmp_path / "warehouse")
    digest = plan.target("orket-demo", "F16").digest
    assert forecast_from(store, plan).slack() is None
    for number, seconds in enumerate((1, 4)):
        rows = [
            msgspec.structs.replace(
                answered(plan, "F16", place, 10, seconds * SECOND),
                model_digest=digest,
                sweep_id=f"s{number}",
                run_id=f"{number}-{place}",
                attempt_id=f"{number}-{place}",
            )
            for place in (0, 1)
        ]
        later = START + timedelta(days=number)
        store_sweep(store, rows, machine=read_fingerprint().id, start=later)
        whole = estimate_plan(plan, forecast_from(store, plan)).whole
        assert whole is not None
        # Of one sweep alone nobody knows how far the next is apart: no single number.
        assert whole.high / whole.low > (4 if number else 2)


def test_the_lengths_of_answers_are_remembered(tmp_path):
    plan = two_quants()
    store = Warehouse(tmp_path / "warehouse")
    digest = plan.target("orket-demo", "F16").digest
    row = msgspec.structs.replace(
        answered(plan, "F16", 0, 3, SECOND), model_digest=digest
    )
    store_sweep(store, [row], machine=read_fingerprint().id)
    known = forecast_from(store, plan)
    test = plan.tasks[0].test_id
    key = ("orket-demo", "F16")
    assert known.answer_seconds(key, test, 3) == known.answer_seconds(key, test, 1000)
