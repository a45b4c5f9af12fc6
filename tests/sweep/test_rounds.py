"""Adaptive sweeps against pretended servers: rounds, budgets, losses, resume."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orket.cli.running import explain_budget
from orket.cli.sweep_progress import SweepProgress
from orket.mockserver import MockModel, MockServer, Profile
from orket.planning.plan import Plan, build_plan
from orket.planning.preset import Change, load_preset, override
from orket.records import RunRecord
from orket.sweep.execute import Outcome, run_sweep
from orket.sweep.reporter import Silence, Standing
from orket.sweep.resume import BUDGET_ENDED
from orket.warehouse import Warehouse
from tests.looking import ask
from tests.sweep import small
from tests.sweep.small import Impatient

Q8, Q2 = MockModel("demo:q8_0", "Q8_0"), MockModel("demo:q2_K", "Q2_K")
PRESET = """schema_version = 1
control_profile = "shared"
polluted_retries = 0
budget = "1h"

[provider]
name = "ollama"
url = "{url}"
timeout_seconds = 5

[[models]]
id = "demo"
quants = ["Q8_0", "Q2_K"]
[models.names.ollama]
tag = "demo:{{quant_ollama}}"

[tasks]
bank = "quickstart"
limit = 30

[policy]
canary_max_latency_cv = 100
allow_unobserved = true
include_polluted = "fill"
"""


ONE_ROUND = Change("tasks.limit", 17)
"""All tasks are asked in one round."""


def fast(*models: MockModel) -> Profile:
    return Profile(
        models=models or (Q8, Q2), prefill_rate=1e6, decode_rate=1e5, load_seconds=0.0
    )


class StopAfter(small.StopAfter):
    """The same, and it keeps what a person is told."""

    def __init__(self, calls: int) -> None:
        super().__init__(calls)
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def plan_in(folder: Path) -> Callable[..., Plan]:
    """What makes a plan by the preset above, which lies in this folder."""

    def make(url: str, *changes: Change, preset: str = PRESET) -> Plan:
        path = folder / "p.toml"
        path.write_text(preset.format(url=url))
        bent = override(load_preset(str(path)), changes)
        return build_plan(bent, "s", skip_canary=True)

    return make


@pytest.fixture
def make_plan(tmp_path):
    return plan_in(tmp_path)


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> tuple[Outcome, Warehouse]:
    """A sweep without a fault that came to its end; tests only read it."""
    folder = tmp_path_factory.mktemp("plain")
    warehouse = Warehouse(folder / "warehouse")
    with MockServer("ollama", fast()) as server:
        return execute(plan_in(folder)(server.url), warehouse), warehouse


@pytest.fixture
def warehouse(tmp_path):
    return Warehouse(tmp_path / "warehouse")


def execute(
    plan: Plan, warehouse: Warehouse, reporter: Any = None, **how: Any
) -> Outcome:
    return run_sweep(plan, warehouse, reporter, clock=Impatient(), **how)


def matrix_of(warehouse: Warehouse) -> list[dict[str, Any]]:
    return ask(
        warehouse,
        "SELECT * FROM v1.attempts WHERE phase = 'matrix' ORDER BY order_index",
    )


def events_of(warehouse: Warehouse) -> list[tuple[str, Any]]:
    rows = ask(warehouse, "SELECT event, reason FROM raw.events ORDER BY event_id")
    return [(row["event"], row["reason"]) for row in rows]


def test_rounds_alternate_and_every_answer_can_be_made_again(plain, tmp_path):
    outcome, warehouse = plain
    assert outcome.status == "COMPLETED"
    assert outcome.stop_reason in ("DECIDED", "CANNOT_BE_PROVEN", "BANK_EXHAUSTED")
    rows = matrix_of(warehouse)
    assert len({row["run_id"] for row in rows}) == len(rows) == 60
    visits = [row["quant_tag"] for row in rows]
    changes = [visits[0]] + [
        b for a, b in zip(visits, visits[1:], strict=False) if a != b
    ]
    # The second round goes the other way: one load of Q2_K is enough for both.
    assert changes == ["Q8_0", "Q2_K", "Q8_0"]
    assert Counter(visits[:34]) == {"Q8_0": 17, "Q2_K": 17}
    events = events_of(warehouse)
    assert events[-1] == ("SWEEP_FINISHED", outcome.stop_reason)
    judged = [json.loads(reason) for event, reason in events if event == "ROUND_JUDGED"]
    assert [look["rounds"][0]["round"] for look in judged] == [1, 2, None]
    assert {look["until"] for look in judged} == {"clear"}
    starts = [reason for event, reason in events if event == "START_FIXED"]
    assert starts == ["MIDDLE"] and events[0][0] == "START_FIXED"
    for number, look in enumerate(judged):
        assert again(warehouse, look["before_block"], tmp_path / f"{number}") == [
            {key: value for key, value in row.items() if key != "quants"}
            for row in look["rounds"]
        ]


def again(
    warehouse: Warehouse, before_block: int, folder: Path
) -> list[dict[str, Any]]:
    """The view over the rows of lower blocks alone."""
    import pyarrow.parquet as pq

    copy = Warehouse(folder)
    for dataset in ("sweeps", "runs", "events"):
        for part in warehouse.parts(dataset, "s"):
            table = pq.read_table(part)
            if dataset == "runs":
                kept = [
                    value < before_block for value in table["block_index"].to_pylist()
                ]
                table = table.filter(kept)
            target = copy.path / part.relative_to(warehouse.path)
            target.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, target)
    with copy.session("s") as session:
        return session.rows("SELECT * EXCLUDE (sweep_id) FROM v1.next_round")


def test_a_budget_of_nothing_asks_nothing_and_more_of_it_goes_on(make_plan, warehouse):
    with MockServer("ollama", fast()) as server:
        first = execute(
            make_plan(server.url, ONE_ROUND, Change("budget", "0")), warehouse
        )
        assert (first.status, first.stop_reason) == ("COMPLETED", "BUDGET_ENDED")
        assert matrix_of(warehouse) == []
        longer = make_plan(server.url, ONE_ROUND, Change("budget", "1y"))
        again = execute(longer, warehouse, None, resume=True)
        assert again.stop_reason not in (None, "BUDGET_ENDED")
        third = execute(make_plan(server.url, ONE_ROUND), warehouse, None, resume=True)
    assert third.was_complete
    assert len(matrix_of(warehouse)) == 34


class Listener(Silence):
    """Keeps what a person is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_where_nothing_counts_the_sweep_waits_and_then_stops_and_goes_on_later(
    make_plan, warehouse
):
    """Every run is disturbed: no time outside the model is allowed at all."""
    busy = PRESET.replace('include_polluted = "fill"', 'include_polluted = "never"')
    told = Listener()
    with MockServer("ollama", fast()) as server:
        strict = busy + "max_overhead_ratio = 0\noverhead_floor_seconds = 0\n"
        strict_plan = make_plan(server.url, preset=strict)
        outcome = execute(strict_plan, warehouse, told)
        assert (outcome.status, outcome.stop_reason) == ("COMPLETED", "MACHINE_BUSY")
        assert sum("so busy is the machine" in note for note in told.notes) == 1
        rows = matrix_of(warehouse)
        assert len({row["run_id"] for row in rows}) == 34, "one round, no more"
        again = execute(strict_plan, warehouse, None, resume=True)
        assert not again.was_complete


def test_two_runs_of_a_few_tasks_tell_whether_answers_repeat(plain):
    _, warehouse = plain
    rows = ask(
        warehouse,
        "SELECT quant_tag, repetition, outcome FROM v1.attempts "
        "WHERE phase = 'repeat' AND repetition = 2",
    )
    (summary,) = ask(warehouse, "SELECT summary FROM v1.summary")
    assert Counter(row["quant_tag"] for row in rows) == {"Q8_0": 3, "Q2_K": 3}
    (entry,) = summary["summary"]["sessions"]
    assert entry["rounds"]["start_named_by"] == "MIDDLE"
    assert entry["rounds"]["stop_reason"] in ("DECIDED", "CANNOT_BE_PROVEN")
    assert [quant["proof"]["asked_tasks"] for quant in entry["per_quant"]] == [30, 30]


def test_without_a_budget_no_time_is_made_up(make_plan, warehouse, capsys):
    with MockServer("ollama", fast()) as server, SweepProgress() as progress:
        plan = make_plan(server.url, Change("budget", "none"), Change("tasks.limit", 6))
        assert execute(plan, warehouse, progress).status == "COMPLETED"
    told = capsys.readouterr().err
    assert "as many as it takes" in told and "inf" not in told


def test_more_may_be_asked_for_when_a_sweep_goes_on(make_plan, warehouse):
    """How far it goes is no part of the plan: the last wish rules."""
    with MockServer("ollama", fast()) as server:
        few = Change("tasks.limit", 6)
        none = Change("budget", "0")
        execute(make_plan(server.url, few, none, Change("until", "proof")), warehouse)
        more = make_plan(server.url, few, Change("until", "point"))
        execute(more, warehouse, resume=True)
    with warehouse.session("s") as session:
        (manifest,) = session.rows("SELECT until FROM v1.manifest")
    assert manifest["until"] == "point"


def test_a_budget_shorter_than_a_round_is_said(make_plan, warehouse):
    slow = Profile(models=(Q8, Q2), prefill_rate=1e6, decode_rate=20, load_seconds=0.0)
    told = StopAfter(10_000)
    with MockServer("ollama", slow) as server:
        plan = make_plan(server.url, Change("budget", "1s"))
        outcome = execute(plan, warehouse, told)
    assert outcome.stop_reason == "BUDGET_ENDED"
    assert outcome.further_seconds is None or outcome.further_seconds > 0


def test_a_sweep_stopped_in_mid_round_goes_on_with_what_is_missing(
    make_plan, warehouse
):
    with MockServer("ollama", fast()) as server:
        plan = make_plan(server.url)
        first = execute(plan, warehouse, StopAfter(10))
        assert first.status == "INTERRUPTED"
        before = matrix_of(warehouse)
        assert 0 < len(before) < 34
        outcome = execute(plan, warehouse, None, resume=True)
    rows = matrix_of(warehouse)
    assert outcome.status == "COMPLETED"
    assert len({row["run_id"] for row in rows}) == len(rows) == 60
    # The first round was finished before the second began.
    assert Counter(row["quant_tag"] for row in rows[:34]) == {"Q8_0": 17, "Q2_K": 17}


def test_a_server_that_dies_in_mid_round_ends_the_sweep_which_goes_on_later(
    make_plan, warehouse
):
    class Killing(StopAfter):
        def recorded(self, row: RunRecord) -> None:
            self._left -= 1
            if self._left == 0:
                server.__exit__(None, None, None)

    server = MockServer("ollama", fast())
    server.__enter__()
    plan = make_plan(server.url, ONE_ROUND)
    outcome = execute(plan, warehouse, Killing(20))
    assert outcome.status == "FAILED"
    assert outcome.unmeasured > 0
    with MockServer("ollama", fast()) as other:
        moved = make_plan(other.url, ONE_ROUND)
        outcome = execute(moved, warehouse, None, resume=True)
    assert outcome.status == "COMPLETED"
    answered = {row["run_id"] for row in matrix_of(warehouse) if row["outcome"] == "OK"}
    assert len(answered) == 34


def test_a_model_that_was_removed_is_not_asked_for_ever(make_plan, warehouse):
    with MockServer("ollama", fast()) as server:
        execute(make_plan(server.url, ONE_ROUND), warehouse, StopAfter(14))
    with MockServer("ollama", fast(Q8)) as server:
        plan = make_plan(server.url, ONE_ROUND)
        outcome = execute(plan, warehouse, None, resume=True)
    assert outcome.status == "COMPLETED"
    states = dict(
        (row["quant_tag"], row["state"])
        for row in ask(warehouse, "SELECT quant_tag, state FROM v1.proof")
    )
    assert states["Q2_K"] == "NOT_ANSWERING"
    assert states["Q8_0"] == "BASELINE"


def test_two_models_are_judged_each_by_itself(make_plan, warehouse):
    second = (
        PRESET
        + """
[[models]]
id = "other"
quants = ["Q8_0", "Q2_K"]
[models.names.ollama]
tag = "other:{{quant_ollama}}"
"""
    )
    head, tasks = second.split("[tasks]")
    tasks, model = tasks.split("\n[[models]]")
    text = head + "[[models]]" + model + "\n[tasks]" + tasks
    models = (Q8, Q2, MockModel("other:q8_0", "Q8_0"), MockModel("other:q2_K", "Q2_K"))
    with MockServer("ollama", fast(*models)) as server:
        outcome = execute(make_plan(server.url, preset=text), warehouse)
    assert outcome.status == "COMPLETED"
    rows = matrix_of(warehouse)
    assert Counter(row["model_id"] for row in rows) == {"demo": 60, "other": 60}
    # Round by round, in turns.
    assert {row["model_id"] for row in rows[:68]} == {"demo", "other"}
    looks = [
        json.loads(r) for event, r in events_of(warehouse) if event == "ROUND_JUDGED"
    ]
    assert [row["model_id"] for row in looks[0]["rounds"]] == ["demo", "other"]


class Watcher(Silence):
    """Looks at the table: what it was told, in order."""

    watches = True

    def __init__(self) -> None:
        self.told: list[str] = []
        self.first: Standing | None = None

    def recorded(self, row: RunRecord) -> None:
        self.told.append("call")

    def stands(self, standing: Standing) -> None:
        self.told.append("standing")
        self.first = self.first or standing


def test_a_resumed_sweep_shows_at_once_how_its_quants_stand(make_plan, warehouse):
    with MockServer("ollama", fast()) as server:
        plan = make_plan(server.url, ONE_ROUND)
        watched = Watcher()
        execute(plan, warehouse, StopAfter(24))
        execute(plan, warehouse, watched, resume=True)
    assert watched.told[0] == "standing"
    assert watched.first is not None
    asked = {row["quant_tag"]: row["attempts"] for row in watched.first.quants}
    assert asked["Q8_0"] > 0


def test_a_budget_that_ended_amid_disturbances_promises_nothing(make_plan, capsys):
    outcome = Outcome("s", "COMPLETED", 9, stop_reason=BUDGET_ENDED, is_disturbed=True)
    plan = replace(make_plan("http://127.0.0.1:9"), budget_seconds=1200)
    explain_budget(outcome, plan, {"sessions": []}, Warehouse(Path("w")))
    told = " ".join(capsys.readouterr().err.split())
    assert "what more time would bring cannot be told" in told
    assert "--resume s -w w --budget 40m" in told
    assert "about" not in told
    assert "at least" not in told
