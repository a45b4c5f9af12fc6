"""Sweeps by rounds that are given more tasks: what stays, what is added."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from orket.errors import UsageError
from orket.mockserver import MockModel, MockServer
from orket.planning.plan import Plan
from orket.planning.preset import Change, load_preset, override
from orket.sweep.extend import plan_to_go_on
from orket.sweep.resume import read_started
from orket.warehouse import Warehouse
from tests.looking import ask
from tests.sweep.test_rounds import (
    PRESET,
    Q2,
    Q8,
    StopAfter,
    again,
    events_of,
    execute,
    fast,
    matrix_of,
)


@pytest.fixture
def warehouse(tmp_path):
    return Warehouse(tmp_path / "warehouse")


@pytest.fixture
def plan_of(tmp_path, warehouse):
    """The plan of the preset with changes, to begin a sweep or to go on with it."""

    def make(url: str, *changes: Change, text: str = PRESET) -> Plan:
        path = tmp_path / "p.toml"
        path.write_text(text.format(url=url))
        preset = override(load_preset(str(path)), changes)
        return plan_to_go_on(preset, warehouse, "s", skip_canary=True)

    return make


def tasks(number: int) -> Change:
    return Change("tasks.limit", number)


def one(warehouse: Warehouse, query: str) -> dict[str, Any]:
    (row,) = ask(warehouse, query)
    return row


def test_added_tasks_alone_are_asked_and_all_rows_count(plan_of, warehouse, tmp_path):
    with MockServer("ollama", fast()) as server:
        short = plan_of(server.url, tasks(12))
        execute(short, warehouse)
        before = matrix_of(warehouse)
        assert len(before) == 24
        known = list(short.runs)
        wide = plan_of(server.url, tasks(24))
        # What was planned is the beginning of what is planned now, to the letter.
        assert list(wide.runs[: len(known)]) == known
        assert {run.phase for run in wide.runs[len(known) :]} == {"matrix"}
        assert wide.plan_hash != short.plan_hash
        outcome = execute(wide, warehouse, resume=True)
    assert outcome.status == "COMPLETED" and not outcome.was_complete
    rows = matrix_of(warehouse)
    assert rows[:24] == before
    assert len({row["run_id"] for row in rows}) == len(rows) == 48
    added = {entry.test_id for entry in wide.task_entries[12:]}
    assert {row["test_id"] for row in rows[24:]} == added
    proofs = one(warehouse, "SELECT list(asked_tasks) AS asked FROM v1.proof")
    assert proofs["asked"] == [24, 24]
    summary = one(warehouse, "SELECT summary FROM v1.summary")["summary"]
    assert summary["plan_hash"] == wide.plan_hash
    (session,) = summary["sessions"]
    assert [quant["runs"]["planned"] for quant in session["per_quant"]] == [24, 24]
    manifest = one(
        warehouse,
        "SELECT len(tasks) AS now, len(start_tasks) AS start, start_plan_hash "
        "FROM v1.manifest",
    )
    assert (manifest["now"], manifest["start"]) == (24, 12)
    assert manifest["start_plan_hash"] == short.plan_hash
    # The last answer follows from the rows and both manifests.
    judged = [
        json.loads(r) for event, r in events_of(warehouse) if event == "ROUND_JUDGED"
    ]
    last = judged[-1]
    assert again(warehouse, last["before_block"], tmp_path / "again") == [
        {key: value for key, value in row.items() if key != "quants"}
        for row in last["rounds"]
    ]


def test_an_extended_sweep_goes_on_and_is_complete_and_may_be_extended_again(
    plan_of, warehouse
):
    with MockServer("ollama", fast()) as server:
        execute(plan_of(server.url, tasks(6)), warehouse)
        execute(plan_of(server.url, tasks(10)), warehouse, StopAfter(6), resume=True)
        assert 12 < len(matrix_of(warehouse)) < 20
        # That it was finished before tasks were added does not make it complete.
        execute(plan_of(server.url, tasks(10)), warehouse, resume=True)
        assert len(matrix_of(warehouse)) == 20
        more = plan_of(server.url, tasks(17))
        execute(more, warehouse, resume=True)
        assert plan_of(server.url, tasks(17)).plan_hash == more.plan_hash
    # Nothing is asked of the server that is gone: all was answered.
    outcome = execute(plan_of(server.url, tasks(17)), warehouse, resume=True)
    assert outcome.was_complete
    rows = matrix_of(warehouse)
    assert Counter(row["quant_tag"] for row in rows) == {"Q8_0": 17, "Q2_K": 17}
    assert len({row["run_id"] for row in rows}) == 34
    # Without any option it goes on by the tasks that it has by now.
    started = read_started(warehouse, "s").preset
    assert started.table.tasks.limit == 17
    assert plan_to_go_on(started, warehouse, "s", True).plan_hash == more.plan_hash


def test_the_lists_of_proofs_stay_those_of_the_start(plan_of, warehouse):
    """Made anew for the larger bank they would spend the chance of error again."""
    level = PRESET + "evidence_level = 0.2\nadherence_threshold = 0.7\n"
    nothing = Change("budget", "0")
    lists = (
        "SELECT list([shares, losses, least_passes] "
        "ORDER BY shares, losses, least_passes) AS rows FROM v1.proof_table"
    )
    with MockServer("ollama", fast()) as server:
        execute(plan_of(server.url, tasks(12), nothing, text=level), warehouse)
        before = one(warehouse, lists)
        wide = plan_of(server.url, tasks(30), nothing, text=level)
        execute(wide, warehouse, resume=True)
    assert one(warehouse, "SELECT len(tasks) AS n FROM v1.manifest")["n"] == 30
    assert before["rows"] and one(warehouse, lists) == before


def test_a_bank_file_may_have_been_added_to_but_not_changed(
    plan_of, warehouse, tmp_path
):
    def bank(*questions: str) -> Change:
        path = tmp_path / "bank.toml"
        path.write_text(
            'schema_version = 1\nbank = "own"\ntitle = "Own"\n'
            + "".join(
                f'[[tasks]]\nid = "t{number}"\nbucket = "logic"\ntier = 1\n'
                f'prompt = "{text}"\nmax_tokens = 8\n'
                'checks = [{ kind = "exact", expected = "1" }]\n'
                'samples = { pass = ["1"], fail = ["2", "3"] }\n'
                for number, text in enumerate(questions)
            )
        )
        return Change("tasks.bank", str(path))

    with MockServer("ollama", fast()) as server:
        execute(plan_of(server.url, bank("one", "two")), warehouse)
        longer = plan_of(server.url, bank("zero", "one", "two", "three"))
        with pytest.raises(UsageError, match="another plan"):
            execute(longer, warehouse, resume=True)
        execute(
            plan_of(server.url, bank("one", "two", "three")), warehouse, resume=True
        )
    assert {row["test_id"] for row in matrix_of(warehouse)} == {
        "own/t0",
        "own/t1",
        "own/t2",
    }


def test_nothing_but_tasks_may_differ(plan_of, warehouse):
    with MockServer("ollama", fast()) as server:
        execute(plan_of(server.url, tasks(6), Change("budget", "0")), warehouse)
        for change in (
            Change("controls.seed", 7),
            Change("policy.adherence_threshold", Decimal("0.9")),
            Change("provider.timeout_seconds", 6),
            Change("quants", ["Q8_0"], (("models", 0, "quants"),)),
        ):
            with pytest.raises(UsageError, match="another plan"):
                execute(plan_of(server.url, tasks(12), change), warehouse, resume=True)
        moved = plan_of(server.url, tasks(12), Change("policy.min_valid_runs", 2))
        with pytest.raises(UsageError, match="another policy"):
            execute(moved, warehouse, resume=True)


def test_fewer_tasks_are_refused(plan_of, warehouse):
    with MockServer("ollama", fast()) as server:
        execute(plan_of(server.url, tasks(12)), warehouse, StopAfter(4))
        with pytest.raises(
            UsageError, match="6 of its 12 would be left out"
        ) as refused:
            plan_of(server.url, tasks(6))
    assert "\n" not in str(refused.value)


def test_more_tasks_of_a_grid_are_refused_and_why_is_said(plan_of, warehouse):
    grid = PRESET.replace('budget = "1h"\n', "")
    with MockServer("ollama", fast()) as server:
        execute(plan_of(server.url, tasks(6), text=grid), warehouse, StopAfter(4))
        with pytest.raises(UsageError, match="a fixed number of tasks once"):
            plan_of(server.url, tasks(12), text=grid)
        # Another plan altogether is no grid with more tasks.
        other = plan_of(server.url, tasks(12), Change("controls.seed", 7), text=grid)
        with pytest.raises(UsageError, match="another plan"):
            execute(other, warehouse, resume=True)


def test_two_models_are_each_given_the_tasks(plan_of, warehouse):
    second = '[[models]]\nid = "other"\nquants = ["Q8_0", "Q2_K"]\n'
    second += '[models.names.ollama]\ntag = "other:{{quant_ollama}}"\n\n[tasks]'
    text = PRESET.replace("[tasks]", second)
    models = (Q8, Q2, MockModel("other:q8_0", "Q8_0"), MockModel("other:q2_K", "Q2_K"))
    with MockServer("ollama", fast(*models)) as server:
        execute(plan_of(server.url, tasks(6), text=text), warehouse)
        execute(plan_of(server.url, tasks(17), text=text), warehouse, resume=True)
    rows = matrix_of(warehouse)
    assert Counter(row["model_id"] for row in rows) == {"demo": 34, "other": 34}
    assert len({row["run_id"] for row in rows}) == 68
