"""What a sweep by rounds is usually asked, before anything was."""

from __future__ import annotations

from collections import Counter

from orket.planning.plan import Plan, build_plan
from orket.planning.preset import Change, load_preset, override
from orket.planning.rounds import FIRST_SIZES
from orket.planning.usual import count_calls, first_runs, usual_runs

BREADTH = sum(FIRST_SIZES)


def plan_by_rounds() -> Plan:
    preset = override(load_preset("quickstart"), [Change("until", "clear")])
    return build_plan(preset, "s")


def test_every_quant_is_asked_the_breadth_and_three_a_proof():
    """By one proof alone sweeps of the demo took twice what they were said to."""
    plan = plan_by_rounds()
    first = Counter(run.quant_tag for run in first_runs(plan))
    assert len(first) == 9 and set(first.values()) == {BREADTH}
    usual = Counter(run.quant_tag for run in usual_runs(plan))
    further = {tag for tag, count in usual.items() if count > BREADTH}
    assert further == {"F16", "Q4_K_M", "IQ4_XS"}
    assert {run.run_id for run in first_runs(plan)} <= {
        run.run_id for run in usual_runs(plan)
    }


def test_calls_are_counted_once_with_what_fidelity_asks():
    plan = plan_by_rounds()
    counted = count_calls(plan)
    assert counted.runs == 9 * len(plan.tasks)
    # The reference answers each prompt, and every quant is asked about it.
    assert plan.fidelity is not None
    assert counted.fidelity == 10 * len(plan.fidelity.test_ids)
    assert counted.all == counted.gate + counted.fidelity + counted.runs
