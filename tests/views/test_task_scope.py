"""Answers for a part of the tasks: the same rows, judged by some of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orket.cli.main import run_command
from orket.errors import UsageError
from orket.exports.load import load_answers, load_bucket_answers, load_summary
from orket.warehouse import Warehouse
from tests import golden_cases
from tests.built_sweep import Sweep
from tests.nightly import nightly
from tests.views.test_advice import built

TASKS = 140
PAIR = ("F16", "Q4_K_M")
BUCKETS = {
    f"t{n:03}": "coding" if n < 100 else "prose" if n < 130 else "maths"
    for n in range(TASKS)
}
FAMILIES = {f"t{n:03}": "rhymes" for n in range(130, TASKS)}


def score(quant: str, task: int) -> int:
    """Q4_K_M does all of coding and half of prose."""
    return int(quant == "F16" or task < 100 or task % 2)


def whole(**facts: Any) -> Sweep:
    sweep = built(score, tasks=TASKS, quants=PAIR, **facts)
    sweep.buckets, sweep.families = BUCKETS, FAMILIES
    return sweep


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    return whole().finish().store(tmp_path_factory.mktemp("scope") / "w")


def advice(warehouse: Warehouse, **overrides: Any) -> dict[str, Any]:
    with warehouse.session("s", overrides) as session:
        (row,) = session.rows("SELECT * FROM v1.recommendation")
    return row


def test_each_bucket_has_an_answer_of_its_own(warehouse):
    assert advice(warehouse)["minimum_viable_quant"] == "F16"
    coding = advice(warehouse, buckets=("coding",))
    assert coding["smallest_supported_quant"] == coding["advised_quant"] == "Q4_K_M"
    assert coding["recommendation_lines"][0] == (
        "m, for coding (100 of 140 tasks): use Q4_K_M: the smallest that is shown to "
        "do at least 95 % of the work that F16 does."
    )
    prose = advice(warehouse, buckets=("prose",))
    assert prose["minimum_viable_quant"] == "F16"
    assert (prose["reference_tasks"], prose["missing_runs"]) == (30, 0)
    rhymes = advice(warehouse, families=("rhymes",))
    assert rhymes["recommendation"].startswith("m, for rhymes (10 of 140 tasks): ")


def test_buckets_and_families_are_put_together(warehouse):
    both = advice(warehouse, buckets=("coding",), families=("rhymes",))
    assert both["reference_tasks"] == 110
    assert "for coding, rhymes (110 of 140 tasks)" in both["recommendation"]


def test_a_part_is_judged_as_a_sweep_of_these_tasks_alone_would_be(warehouse, tmp_path):
    alone = whole()
    alone.tasks = tuple(task for task in alone.tasks if BUCKETS[task] == "coding")
    alone.runs = [
        run for run in alone.runs if run.test_id.removeprefix("bank/") in alone.tasks
    ]
    own = advice(alone.finish().store(tmp_path / "w"))
    part = advice(warehouse, buckets=("coding",))
    words = ("reason", "recommendation", "recommendation_lines")
    assert {key: own[key] for key in own if key not in words} == {
        key: part[key] for key in part if key not in words
    }


def test_the_summary_of_a_part_is_marked(warehouse):
    assert load_summary(warehouse, "s")["scope"] is None
    part = load_summary(warehouse, "s", {"buckets": ("coding", "prose")})
    assert part["scope"] == {
        "buckets": ["coding", "prose"],
        "families": [],
        "tasks": 130,
        "of_tasks": 140,
    }
    assert part["overrides"]["buckets"] == ["coding", "prose"]
    assert part["matrix"]["tasks"] == 130
    assert {
        quant["tasks"]["planned"] for quant in part["sessions"][0]["per_quant"]
    } == {130}


def test_a_bucket_that_is_not_there_is_told(warehouse):
    with pytest.raises(UsageError, match="no task of sweep s is of bucket 'codng'"):
        load_summary(warehouse, "s", {"buckets": ("codng",)})


def test_the_answer_for_a_part_takes_the_place_of_no_other(
    warehouse, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    export = ["export", "s", "-w", str(warehouse.path), "-o", "sweep_summary.json"]
    assert run_command(export) == 0
    before = (tmp_path / "sweep_summary.json").read_bytes()
    assert run_command([*export, "--bucket", "coding"]) == 2
    assert "holds another answer than the one for coding" in capsys.readouterr().err
    assert (tmp_path / "sweep_summary.json").read_bytes() == before
    export[-1] = "coding.json"
    for _ in range(2):
        assert run_command([*export, "--bucket", "coding"]) == 0
    assert run_command([*export, "--bucket", "prose"]) == 2
    document = json.loads((tmp_path / "coding.json").read_bytes())
    assert document["scope"]["buckets"] == ["coding"]


def test_a_sweep_is_shown_with_a_line_for_each_bucket(warehouse, capsys):
    assert run_command(["show", "s", "-w", str(warehouse.path)]) == 0
    shown = capsys.readouterr().out
    table = shown[shown.index("By bucket of tasks") :].splitlines()
    lines = {line.split()[0]: line for line in table if line.strip()}
    assert lines["coding"].split()[1:4] == ["100", "Q4_K_M", "Q4_K_M"]
    assert lines["coding"].rstrip().endswith("shown")
    assert lines["prose"].split()[1:4] == ["30", "F16", "F16"]
    assert (
        run_command(["show", "s", "-w", str(warehouse.path), "--bucket", "prose"]) == 0
    )
    shown = capsys.readouterr().out
    assert "By bucket" not in shown
    assert "m, for prose (30 of 140 tasks): use F16" in shown


@pytest.mark.parametrize(
    "make",
    [
        golden_cases.rounds_open,
        *nightly(golden_cases.polluted_out, golden_cases.baselines),
    ],
)
def test_all_buckets_at_once_say_what_each_says_alone(make, tmp_path, monkeypatch):
    sweep = make()
    names = ("coding", "prose")
    sweep.buckets = {task: names[n % 2] for n, task in enumerate(sweep.tasks)}
    whole().finish().store(tmp_path)
    warehouse = sweep.store(tmp_path)
    found = load_bucket_answers(warehouse, sweep.sweep_id, names, {})
    assert found == {
        name: load_answers(warehouse, sweep.sweep_id, {"buckets": (name,)})
        for name in names
    }
    assert len(found["coding"]) == 1
    # A what-if is another question, and what was derived once is kept.
    if make is golden_cases.rounds_open:
        looser = {"adherence_threshold_ppm": 500_000}
        assert load_bucket_answers(warehouse, sweep.sweep_id, names, looser) == {
            name: load_answers(
                warehouse, sweep.sweep_id, {**looser, "buckets": (name,)}
            )
            for name in names
        }
    monkeypatch.setattr(Warehouse, "session_over", pytest.fail)
    assert load_bucket_answers(warehouse, sweep.sweep_id, names, {}) == found
