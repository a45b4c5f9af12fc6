"""How many prompts the phase `fidelity` asks where time sets their number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, takewhile

import msgspec

from orket.planning.estimate import Forecast
from orket.planning.fidelity import by_precision
from orket.planning.plan import Plan
from orket.planning.targets import Target
from orket.records import FidelityPlan

SHORTER = (1, 2, 4)
"""Parts of an answer that are followed where whole ones take too long: places of one
prompt hang together, so that shorter answers tell more in a time than fewer prompts."""
FEWEST_PROMPTS = 8
"""Fewer than the policy asks for tell little: these are worth a longer while."""
LONGEST_SECONDS = 300
"""What they may take all the same."""


def fit_prompts(
    forecast: Forecast,
    targets: Sequence[Target],
    plan: FidelityPlan,
    budget_left: float,
) -> FidelityPlan:
    """The plan with the first of its prompts, as many as there is time for.

    Everybody answers every prompt, the reference, who is the first of the targets,
    twice. What is left of a budget (seconds) cuts any plan; where time sets the number,
    a quarter of it does, and where that is too short for the fewest that tell anything
    answers are followed less far, and then it may take longer.
    """
    if plan.seconds is None:
        seconds = _seconds_until(forecast, targets, plan)
        return _first(plan, _count(seconds, budget_left))
    wanted = min(FEWEST_PROMPTS, len(plan.test_ids))
    for part in SHORTER:
        shorter = msgspec.structs.replace(plan, max_tokens=plan.max_tokens // part)
        seconds = _seconds_until(forecast, targets, shorter)
        count = _count(seconds, min(plan.seconds, budget_left / 4))
        if count >= wanted:
            return _first(shorter, count)
    return _first(shorter, min(wanted, _count(seconds, longest_seconds(budget_left))))


def _first(plan: FidelityPlan, count: int) -> FidelityPlan:
    return msgspec.structs.replace(plan, test_ids=plan.test_ids[:count])


def fit_plan(plan: Plan, forecast: Forecast) -> Plan:
    """The plan with the prompts that there is time for, as they would be by now.

    For an estimate: the phase itself cuts them by what its calls took.
    """
    fidelity = plan.fidelity
    if fidelity is None:
        return plan
    budget = math.inf if plan.budget_seconds is None else plan.budget_seconds
    fitted = [
        fit_prompts(
            forecast, by_precision(model.targets, model.controls), fidelity, budget
        )
        for model in plan.models
    ]
    return replace(plan, fidelity=max(fitted, key=lambda found: len(found.test_ids)))


def longest_seconds(budget_left: float) -> float:
    """What a phase of few prompts may take: half of a budget is for the tasks."""
    return min(LONGEST_SECONDS, budget_left / 2)


def usual_seconds(plan: FidelityPlan, budget_left: float) -> float:
    """What a phase may take before quants are asked fewer prompts: twice its time.

    Estimates are off by a little; a machine that got busy is slower by far.
    """
    longest = longest_seconds(budget_left)
    if plan.seconds is None:
        return longest
    return min(2 * min(plan.seconds, budget_left / 4), longest)


def prompts_that_fit(
    left_ns: int, prompt_ns: int, quants: int, done: int, least: int, now: int
) -> int:
    """How many prompts quants can be asked, where a prompt takes so long by now.

    `quants` wait for all of them, and one more has answered `done` of them; `now` are
    asked unless time is short. Never below `least`, nor what is done. Integers alone,
    so that it can be made again from what is recorded.
    """
    if prompt_ns <= 0:
        return now
    # quants * n + (n - done) prompts are ahead.
    fitting = (max(left_ns, 0) // prompt_ns + done) // (quants + 1)
    return min(now, max(fitting, least, done))


def reference_share(
    forecast: Forecast, targets: Sequence[Target], plan: FidelityPlan
) -> float:
    """The part of the phase's time that the reference's own answers take.

    Where nothing tells the speeds, everybody is taken for as fast.
    """
    test = plan.test_ids[0]
    costs = [
        forecast.answer_seconds(
            (target.ref.model_id, target.ref.quant_tag), test, plan.max_tokens
        )
        or 0.0
        for target in targets
    ]
    whole = costs[0] + math.fsum(costs)
    return costs[0] / whole if all(costs) else 1 / (len(costs) + 1)


def _count(seconds: Sequence[float], limit: float) -> int:
    """How many prompts are done by then."""
    return sum(1 for _ in takewhile(lambda passed: passed <= limit, seconds))


def _seconds_until(
    forecast: Forecast, targets: Sequence[Target], plan: FidelityPlan
) -> list[float]:
    """When each prompt would be done, with loads; a quant of unknown speed is free."""
    keys = [(target.ref.model_id, target.ref.quant_tag) for target in targets]
    asked = [*keys[:1], *keys]
    costs = [
        sum(forecast.answer_seconds(key, test, plan.max_tokens) or 0.0 for key in asked)
        for test in plan.test_ids
    ]
    loads = math.fsum(forecast.load_seconds(key) for key in keys)
    return [loads + passed for passed in accumulate(costs)]
