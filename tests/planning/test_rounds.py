"""The order of tasks of an adaptive sweep, its rounds, and budgets of time."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from orket.errors import UsageError
from orket.planning.budget import read_budget
from orket.planning.plan import build_plan
from orket.planning.preset import Change, load_preset, override
from orket.planning.rounds import cut_repeats, cut_rounds, order_tasks
from orket.records import TaskEntry
from orket.tasks.bank import load_bank


def entries(bank: str) -> list[TaskEntry]:
    return [
        TaskEntry(
            test_id=task.test_id,
            bank=task.bank,
            task_id=task.id,
            bucket=task.bucket,
            tier=task.tier,
            family=task.family,
            task_revision=task.revision,
            checks_total=len(task.checks),
            max_tokens=task.max_tokens,
        )
        for task in load_bank(bank).tasks
    ]


@pytest.mark.parametrize("bank", ["core", "quickstart"])
def test_every_prefix_holds_each_kind_in_proportion(bank):
    tasks = entries(bank)
    ordered = order_tasks(tasks)
    assert sorted(t.test_id for t in ordered) == sorted(t.test_id for t in tasks)
    size = Counter((task.bucket, task.tier) for task in tasks)
    taken: Counter[tuple[str, int]] = Counter()
    for place, task in enumerate(ordered, start=1):
        taken[task.bucket, task.tier] += 1
        for stratum, number in size.items():
            assert abs(taken[stratum] - number * place / len(tasks)) < 1.5


def test_families_of_a_kind_take_turns():
    ordered = order_tasks(entries("core"))
    for stratum in {(task.bucket, task.tier) for task in ordered}:
        members = [task for task in ordered if (task.bucket, task.tier) == stratum]
        families = {task.family for task in members}
        first = [task.family for task in members[: len(families)]]
        assert set(first) == families


def test_the_order_follows_from_the_tasks_and_the_seed_alone():
    tasks = entries("core")
    ordered = [task.test_id for task in order_tasks(tasks)]
    shuffled = list(tasks)
    random.Random(1).shuffle(shuffled)
    assert [task.test_id for task in order_tasks(shuffled)] == ordered
    assert [task.test_id for task in order_tasks(tasks, seed=2)] != ordered


def test_rounds_begin_small():
    sizes = [len(portion) for portion in cut_rounds(order_tasks(entries("core")))]
    assert sizes == [6, 11, *[17] * 14, 10]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("20m", 1200),
        ("20 min", 1200),
        ("1.5h", 5400),
        ("0", 0),
        ("0s", 0),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("none", None),
        ("365d", 31_536_000),
        ("1y", 31_536_000),
    ],
)
def test_budgets(text, seconds):
    assert read_budget(text) == seconds


@pytest.mark.parametrize("text", ["soon", "", "20", "-5m", "m", "1e3s", "20m5", "٢m"])
def test_what_is_no_budget(text):
    with pytest.raises(UsageError, match="write it as 90s, 20m, 1h30m"):
        read_budget(text)


@pytest.mark.parametrize("text", ["2y", "400d", "999999999h"])
def test_a_budget_is_no_longer_than_a_year(text):
    with pytest.raises(UsageError, match="longer than a year: for no limit write"):
        read_budget(text)


def test_what_may_be_repeated_is_a_task_of_each_bucket_and_a_dozen_four_times():
    ordered = order_tasks(entries("core"))
    answers, *speed = cut_repeats(ordered)
    assert answers[0] == 2
    assert sorted(task.bucket for task in answers[1]) == ["logic", "mixed", "refactor"]
    assert [repetition for repetition, _ in speed] == [3, 4, 5, 6]
    known = set(ordered[:34])
    for _, tasks in speed:
        assert len(set(tasks)) == 12 and set(tasks) <= known
        assert {task.bucket for task in tasks} == {"logic", "mixed", "refactor"}
    few = cut_repeats(ordered[:5])
    assert [len(tasks) for _, tasks in few[1:]] == [5, 5, 5, 5]


@pytest.mark.parametrize(
    ("changes", "until", "seconds", "is_faithful"),
    [
        ([], None, None, False),
        ([("until", "point")], "point", None, True),
        ([("budget", "5m")], "clear", 300, True),
        ([("budget", "none")], "clear", None, True),
        ([("until", "proof"), ("budget", "0")], "proof", 0, True),
        ([("until", "proof"), ("fidelity.enabled", False)], "proof", None, False),
    ],
)
def test_rounds_are_asked_for_by_until_or_by_a_budget(
    changes, until, seconds, is_faithful
):
    preset = load_preset("quickstart")
    bent = override(preset, [Change(key, value) for key, value in changes])
    plan = build_plan(bent, "s")
    assert (plan.until, plan.budget_seconds) == (until, seconds)
    assert plan.is_adaptive is (until is not None)
    assert (plan.fidelity is not None) is is_faithful


def test_one_quant_alone_has_nobody_to_be_faithful_to():
    one = Change("quants", ["Q4_K_M"], (("models", 0, "quants"),))
    preset = override(load_preset("quickstart"), [Change("until", "clear"), one])
    assert build_plan(preset, "s").fidelity is None
    asked = override(preset, [Change("fidelity.enabled", True)])
    assert build_plan(asked, "s").fidelity is not None


def test_the_neutral_preset_goes_by_rounds_and_how_far_is_no_part_of_its_identity():
    preset = load_preset("any-model")
    assert preset.table.until == "clear"
    quickstart = load_preset("quickstart")
    hashes = {
        build_plan(override(quickstart, [Change("until", until)]), "s").plan_hash
        for until in ("proof", "clear", "point")
    }
    assert len(hashes) == 1


def test_a_budget_is_no_part_of_the_plans_identity_but_its_rules_are():
    preset = load_preset("quickstart")
    grid = build_plan(preset, "s")
    short = build_plan(override(preset, [Change("budget", "5m")]), "s")
    long = build_plan(override(preset, [Change("budget", "1y")]), "s")
    assert short.plan_hash == long.plan_hash != grid.plan_hash
    assert short.runs == long.runs
    assert (short.order, short.repetitions) == ("adaptive", 1)
    assert len([run for run in short.runs if run.phase == "matrix"]) == 9 * 216


def test_a_bet_and_a_budget_exclude_each_other():
    preset = load_preset("quickstart")
    changes = [Change("budget", "5m"), Change("policy.evidence_rule", "bet")]
    with pytest.raises(UsageError, match="--grid"):
        build_plan(override(preset, changes), "s")


def test_a_mistaken_budget_is_told_by_file_and_line(tmp_path):
    path = tmp_path / "p.toml"
    path.write_text('schema_version = 1\nextends = "quickstart"\nbudget = "soon"\n')
    with pytest.raises(UsageError, match=r"line 3: budget: 'soon' is no budget"):
        load_preset(str(path))
