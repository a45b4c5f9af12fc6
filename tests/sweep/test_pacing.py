"""How much of a round goes into one load, and how many prompts of fidelity fit."""

from __future__ import annotations

import math
from itertools import groupby

import msgspec
import pytest

from orket.planning.estimate import Forecast
from orket.planning.fidelity import by_precision
from orket.planning.plan import Plan, build_plan
from orket.planning.preset import Change, load_preset, override
from orket.planning.prompts_in_time import fit_prompts
from orket.records import PlannedRun
from orket.sweep.judge import Look, Named
from orket.sweep.pacing import Pacing

QUANTS = ("F16", "Q4_K_M")


@pytest.fixture(scope="module")
def plan() -> Plan:
    changes = [Change("until", "clear"), Change("quants", list(QUANTS), _PLACES)]
    return build_plan(override(load_preset("quickstart"), changes), "s")


_PLACES = (("models", 0, "quants"),)


def forecast_of(plan: Plan, seconds_a_token: float, load: float) -> Forecast:
    forecast = Forecast(plan)
    for quant in QUANTS:
        forecast.remember(("orket-demo", quant), 100, 1000.0, 1000.0 * seconds_a_token)
    forecast.saw_load(load)
    return forecast


def blocks_of(plan: Plan) -> dict[int, list[PlannedRun]]:
    return {
        index: list(runs)
        for index, runs in groupby(plan.runs, key=lambda run: run.block_index)
    }


def portion(plan: Plan, number: int, is_further: bool = False) -> list[Named]:
    """That portion of every quant."""
    matrix = [
        index for index, runs in blocks_of(plan).items() if runs[0].phase == "matrix"
    ]
    start = number * len(QUANTS)
    return [
        Named(index, "BREADTH", is_further)
        for index in matrix[start : start + len(QUANTS)]
    ]


def look(number: int, *portions: list[Named]) -> Look:
    """Quant by quant, the portions of each in turn."""
    named = [entry for entries in zip(*portions, strict=True) for entry in entries]
    return Look("orket-demo", "ASK", number, tuple(named), (), None)


def paced(plan: Plan, forecast: Forecast, left: float, asked: Look) -> list[list[int]]:
    """Quant by quant, the numbers of runs by portion."""
    blocks = blocks_of(plan)
    pacing = Pacing(forecast, lambda: left, lambda index: blocks[index])
    return [
        [len(list(part)) for _, part in groupby(block, key=lambda run: run.block_index)]
        for block in pacing.blocks([asked])
    ]


def test_the_first_round_is_one_load_of_17_tasks_for_each_quant(plan):
    first = look(1, portion(plan, 0), portion(plan, 1))
    assert paced(plan, forecast_of(plan, 0.01, 0.1), math.inf, first) == [[6, 11]] * 2


def test_a_first_round_of_over_half_the_budget_is_halved(plan):
    first = look(1, portion(plan, 0), portion(plan, 1))
    forecast = forecast_of(plan, 1.0, 0.1)
    whole = forecast.seconds(
        run for named in first.blocks for run in blocks_of(plan)[named.block_index]
    )
    assert whole is not None
    assert paced(plan, forecast, 2 * whole + 1, first) == [[6, 11]] * 2
    assert paced(plan, forecast, 2 * whole - 1, first) == [[6]] * 2
    # Only the first: later ones are cut by the budget alone.
    second = look(2, portion(plan, 2))
    assert paced(plan, forecast, 1.0, second) == [[17]] * 2


def test_where_a_load_is_dear_a_round_has_a_portion_more(plan):
    later = look(3, portion(plan, 3), portion(plan, 4, is_further=True))
    assert paced(plan, forecast_of(plan, 0.01, 0.01), math.inf, later) == [[17]] * 2
    assert paced(plan, forecast_of(plan, 0.01, 60.0), math.inf, later) == [[17, 17]] * 2


def test_as_much_of_a_block_begins_as_ends_within_the_budget(plan):
    blocks = blocks_of(plan)
    named = [portion(plan, number)[0].block_index for number in (0, 1)]
    block = [*blocks[named[0]], *blocks[named[1]]]
    forecast = forecast_of(plan, 1.0, 0.1)
    part, whole = forecast.seconds(blocks[named[0]]), forecast.seconds(block)
    assert part is not None and whole is not None
    left = [whole + 1]
    pacing = Pacing(forecast, lambda: left[0], lambda index: blocks[index])
    for left[0], runs in ((whole + 1, 17), (whole - 1, 6), (part - 1, 0), (0.0, 0)):
        assert len(pacing.beginning(block)) == runs


@pytest.mark.parametrize(
    ("seconds_a_token", "left", "fits"),
    [
        (0.0001, math.inf, range(40, 41)),
        (0.03, math.inf, range(9, 40)),
        (0.3, math.inf, range(8, 9)),
        (3.0, math.inf, range(1, 8)),
        (0.01, 0.0, range(1)),
        (0.01, 8.0, range(1, 8)),
        (0.01, 80.0, range(8, 40)),
    ],
)
def test_fidelity_asks_as_many_prompts_as_take_a_minute(
    plan, seconds_a_token, left, fits
):
    """Eight where these take less than five minutes; a budget bounds them all."""
    assert plan.fidelity is not None and plan.fidelity.seconds == 60
    targets = by_precision(plan.models[0].targets)
    forecast = forecast_of(plan, seconds_a_token, 0.1)
    found = fit_prompts(forecast, targets, plan.fidelity, left)
    assert len(found.test_ids) in fits
    assert found.test_ids == plan.fidelity.test_ids[: len(found.test_ids)]


@pytest.mark.parametrize(
    ("seconds_a_token", "parts"), [(0.001, [1]), (0.2, [2, 4]), (1.0, [4])]
)
def test_slow_answers_are_followed_less_far_before_fewer_prompts_are_asked(
    plan, seconds_a_token, parts
):
    targets = by_precision(plan.models[0].targets)
    forecast = forecast_of(plan, seconds_a_token, 0.1)
    found = fit_prompts(forecast, targets, plan.fidelity, math.inf)
    assert plan.fidelity.max_tokens // found.max_tokens in parts
    # A number that somebody named is not cut, and neither are its answers.
    named = msgspec.structs.replace(plan.fidelity, seconds=None)
    assert fit_prompts(forecast, targets, named, math.inf) == named
