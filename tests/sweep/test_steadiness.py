"""What a sweep goes on under where its machine is not steady, so as to answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orket.mockserver import MockModel, MockServer, Profile
from orket.planning.identity import canonical_json
from orket.planning.plan import ANSWERS, Plan, build_plan
from orket.planning.preset import Change, load_preset, override
from orket.records import RunRecord
from orket.sweep.execute import Outcome, run_sweep
from orket.sweep.interrupts import Interrupted
from orket.sweep.judge import Due, Judge
from orket.sweep.reporter import Silence
from orket.sweep.steadiness import POLICY_YIELDED, say_step, say_threads
from orket.warehouse import Warehouse
from tests.looking import ask
from tests.nightly import nightly
from tests.sweep.small import Impatient

MODELS = [
    MockModel(f"{name}:{quant}", quant.upper().replace("_k", "_K"))
    for name in ("demo", "other")
    for quant in ("q8_0", "q2_K")
]
PRESET = """schema_version = 1
control_profile = "{folder}/strict.toml"
polluted_retries = 0
{pace}

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
limit = 9

[canary]
yields_to = {yields_to}

[policy]
canary_repetitions = 3
max_load_per_cpu = 1000
{policy}
"""
STRICT, LOOSE = "canary_max_latency_cv = 0", "canary_max_latency_cv = 100"
DISTURBED = "max_overhead_ratio = 0\noverhead_floor_seconds = 0"
"""Every run is: no time outside the model is allowed at all."""
UNSEEN = "allow_unobserved = true"
ALONE = f"""{UNSEEN}
max_foreign_cpu_share = 1
max_foreign_cpu_share_gpu = 1
max_steal_share = 1
max_quota_throttle_share = 1
max_thermal_throttle_share = 1
max_memory_pressure_share = 1
max_swap_bytes_per_second = 1000000000000
max_major_faults_per_second = 1000000000
max_clock_jump_ms = 100000
stalled_share = 0
stalled_median_share = 0
"""
"""Whatever else this machine does."""
UNHURT = f"{ALONE}\noverhead_floor_seconds = 1000"
ROUNDS, GRID = 'budget = "1h"', "repetitions = 1"


class Listener(Silence):
    """Keeps what a person is told; breaks off once so many calls are recorded."""

    def __init__(self, calls: int = 0) -> None:
        self.notes: list[str] = []
        self._left = calls

    def note(self, text: str) -> None:
        self.notes.append(text)

    def recorded(self, row: RunRecord) -> None:
        self._left -= 1
        if self._left == 0:
            raise Interrupted


@pytest.fixture
def server():
    profile = Profile(
        models=tuple(MODELS), prefill_rate=1e6, decode_rate=1e5, load_seconds=0.0
    )
    with MockServer("ollama", profile) as server:
        yield server


@pytest.fixture
def make_plan(tmp_path, server):
    def make(
        yields_to: list[str],
        *changes: Change,
        strict: str = STRICT,
        loose: str = LOOSE,
        policy: str = UNHURT,
        pace: str = ROUNDS,
        skip_canary: bool = False,
    ) -> Plan:
        for name, content in (("strict", strict), ("loose", loose)):
            path = tmp_path / f"{name}.toml"
            path.write_text(
                f'schema_version = 1\ntitle = "{name}"\n[controls]\nseed = 1\n'
                'temperature = 0\nthreads = "server"\naffinity = "none"\nwarmup = 1\n'
                f"[policy]\n{content}\n"
            )
        steps = [s if s == ANSWERS else str(tmp_path / f"{s}.toml") for s in yields_to]
        path = tmp_path / "p.toml"
        path.write_text(
            PRESET.format(
                url=server.url,
                folder=tmp_path,
                pace=pace,
                yields_to=steps,
                policy=policy,
            )
        )
        bent = override(load_preset(str(path)), changes)
        return build_plan(bent, "s", skip_canary=skip_canary)

    return make


@pytest.fixture
def warehouse(tmp_path):
    return Warehouse(tmp_path / "warehouse")


def execute(plan: Plan, warehouse: Warehouse, told: Any = None, **how: Any) -> Outcome:
    return run_sweep(plan, warehouse, told, clock=Impatient(), **how)


def yielded(warehouse: Warehouse) -> list[tuple[str, str]]:
    rows = ask(
        warehouse,
        "SELECT model_id, reason FROM raw.events "
        f"WHERE event = '{POLICY_YIELDED}' ORDER BY event_id",
    )
    return [(row["model_id"], row["reason"]) for row in rows]


def ruling(warehouse: Warehouse) -> list[tuple[str, bool, str]]:
    rows = ask(
        warehouse,
        "SELECT session.control_profile, quality_only, canary.verdict FROM v1.policy "
        "INNER JOIN v1.session AS session USING (sweep_id, model_id) "
        "INNER JOIN v1.canary AS canary USING (sweep_id, model_id) ORDER BY model_id",
    )
    return [(r["control_profile"], r["quality_only"], r["verdict"]) for r in rows]


def judged(warehouse: Warehouse) -> list[str]:
    """Quants that enough runs count of."""
    rows = ask(
        warehouse,
        "SELECT quant_tag FROM v1.frontier WHERE NOT list_contains("
        "ineligible_reasons, 'INSUFFICIENT_VALID_RUNS') ORDER BY quant_tag",
    )
    return [row["quant_tag"] for row in rows]


VARIES = "LATENCY_VARIANCE_THRESHOLD_EXCEEDED"


@pytest.mark.parametrize("pace", [ROUNDS, GRID])
def test_the_tightest_profile_that_the_canary_passes_rules(pace, make_plan, warehouse):
    told = Listener()
    outcome = execute(make_plan(["loose", ANSWERS], pace=pace), warehouse, told)
    assert outcome.status == "COMPLETED"
    assert yielded(warehouse) == [("demo", VARIES)]
    assert ruling(warehouse) == [("loose", False, "PASSED")]
    (line,) = [note for note in told.notes if "not steady" in note]
    assert "by the profile loose" in line and "when the machine is quiet" in line


@pytest.mark.parametrize("pace", [ROUNDS, GRID])
def test_where_no_profile_passes_answers_alone_are_judged(pace, make_plan, warehouse):
    told = Listener()
    plan = make_plan(["loose", ANSWERS], loose=STRICT, pace=pace)
    outcome = execute(plan, warehouse, told)
    assert outcome.status == "COMPLETED"
    assert yielded(warehouse) == [("demo", VARIES)] * 2
    assert ruling(warehouse) == [("loose", True, "PASSED")]
    (line,) = [note for note in told.notes if "not steady" in note]
    assert "Answers are judged all the same, and no speed" in line
    assert judged(warehouse) == ["Q2_K", "Q8_0"]


def test_without_steps_a_gate_that_fails_ends_the_sweep(make_plan, warehouse):
    assert execute(make_plan([]), warehouse).status == "CANARY_FAILED"
    assert yielded(warehouse) == []


@pytest.mark.parametrize("pace", [ROUNDS, GRID])
def test_a_gate_that_others_disturb_yields_though_its_times_are_even(
    pace, make_plan, warehouse
):
    policy = f"{ALONE}\n{DISTURBED}"
    plan = make_plan(["loose", ANSWERS], strict=LOOSE, policy=policy, pace=pace)
    assert execute(plan, warehouse).status == "COMPLETED"
    assert yielded(warehouse) == [("demo", "HIGH_ORCHESTRATION_OVERHEAD")] * 2
    assert ruling(warehouse) == [("loose", True, "PASSED")]
    assert judged(warehouse) == ["Q2_K", "Q8_0"]


def test_a_machine_that_gets_busy_between_rounds_yields_there(make_plan, warehouse):
    plan = make_plan([ANSWERS], policy=f"{UNSEEN}\n{DISTURBED}", skip_canary=True)
    told = Listener()
    outcome = execute(plan, warehouse, told)
    assert outcome.status == "COMPLETED" and outcome.stop_reason != "MACHINE_BUSY"
    assert yielded(warehouse) == [("demo", "ROUND_LOST")]
    assert any("nothing of a whole round counts" in note for note in told.notes)
    # The rows that were there are judged anew: no task is asked twice.
    (asked,) = ask(
        warehouse,
        "SELECT count(*) AS runs, count(DISTINCT run_id) AS planned FROM v1.attempts "
        "WHERE phase = 'matrix'",
    )
    assert asked["runs"] == asked["planned"] == 18


def test_a_grid_whose_runs_were_disturbed_ends_with_its_answers(make_plan, warehouse):
    plan = make_plan(
        ["loose", ANSWERS],
        policy=f"{UNSEEN}\n{DISTURBED}",
        pace=GRID,
        skip_canary=True,
    )
    assert execute(plan, warehouse).status == "COMPLETED"
    found = yielded(warehouse)
    assert len(found) == 2 and all(model == "demo" for model, _ in found)
    assert judged(warehouse) == ["Q2_K", "Q8_0"]


def test_each_model_goes_its_own_way(make_plan, warehouse):
    other = {
        "id": "other",
        "quants": ["Q8_0", "Q2_K"],
        "names": {"ollama": {"tag": "other:{quant_ollama}"}},
        "policy": {"canary_max_latency_cv": 100},
    }
    first = {
        "id": "demo",
        "quants": ["Q8_0", "Q2_K"],
        "names": {"ollama": {"tag": "demo:{quant_ollama}"}},
    }
    two = make_plan([ANSWERS], Change("models", [first, other]))
    assert execute(two, warehouse).status == "COMPLETED"
    assert yielded(warehouse) == [("demo", VARIES)]
    assert [quality_only for _, quality_only, _ in ruling(warehouse)] == [True, False]


def test_a_resumed_sweep_keeps_what_rules(make_plan, warehouse):
    plan = make_plan(["loose", ANSWERS], loose=STRICT)
    outcome = execute(plan, warehouse, Listener(calls=12))
    assert outcome.status == "INTERRUPTED"
    assert len(yielded(warehouse)) == 2
    told = Listener()
    assert execute(plan, warehouse, told, resume=True).status == "COMPLETED"
    assert len(yielded(warehouse)) == 2
    (line,) = [note for note in told.notes if "not steady" in note]
    assert "answers alone are judged in all of this sweep" in line
    assert ruling(warehouse) == [("loose", True, "PASSED")]


def test_a_what_if_wins_over_what_was_yielded_to(make_plan, warehouse):
    execute(make_plan(["loose", ANSWERS], loose=STRICT, pace=GRID), warehouse)
    with warehouse.session("s", {"quality_only": False}) as session:
        (canary,) = session.rows("SELECT * FROM v1.canary")
    assert canary["verdict"] == "FAILED" and canary["is_latency_judged"]
    # As many steps were gone as there are, and no other is left to go.
    assert canary["yields_because"] is None


def test_where_quiet_would_not_help_it_is_told_what_does():
    due = Due("m", "ENVIRONMENT_UNOBSERVED", "it could not be read", "run it beside")
    told = say_step(due, {"is_quality_only": True, "free_threads": 1}, "; cc1 uses it")
    assert told == (
        "no time counts here: it could not be read. Answers are judged all the same, "
        "and no speed; for that, run it beside"
    )


@pytest.mark.parametrize(
    ("threads", "said"), [(3, ", or with --threads 3"), (None, "")]
)
def test_an_engine_that_takes_every_cpu_is_told_how_to_leave_one(threads, said):
    assert say_threads({"free_threads": threads}) == said


def looks_of(warehouse: Warehouse) -> list[dict[str, Any]]:
    return ask(
        warehouse,
        "SELECT event_id, reason FROM raw.events WHERE event = 'ROUND_JUDGED' "
        "ORDER BY event_id",
    )


def as_it_was(warehouse: Warehouse, event_id: str, block: int, folder: Path) -> Any:
    """A warehouse with the rows of lower blocks and the events before this one."""
    import pyarrow.parquet as pq

    copy = Warehouse(folder)
    for dataset in ("sweeps", "runs", "fidelity", "events"):
        for part in warehouse.parts(dataset, "s"):
            table = pq.read_table(part)
            if dataset == "runs":
                kept = [value < block for value in table["block_index"].to_pylist()]
                table = table.filter(kept)
            if dataset == "events":
                kept = [value < event_id for value in table["event_id"].to_pylist()]
                table = table.filter(kept)
            target = copy.path / part.relative_to(warehouse.path)
            target.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, target)
    return copy


def check_looks(warehouse: Warehouse, folder: Path) -> list[dict[str, Any]]:
    """Make every judged round again, to the last count; what was said of each."""
    found = []
    for number, look in enumerate(looks_of(warehouse)):
        said = json.loads(look["reason"])
        copy = as_it_was(
            warehouse, look["event_id"], said["before_block"], folder / f"{number}"
        )
        with Judge(copy, "s") as judge:
            rounds = [found.answer_row for found in judge.read_rounds()]
            steps = {step["model_id"]: step["step"] for step in judge.read_steps()}
        assert json.loads(canonical_json(rounds)) == said["rounds"], number
        assert steps == said["steps"], number
        found.append(said)
    return found


@pytest.mark.parametrize("stops_after", [25, *nightly(None)])
def test_each_judged_round_can_be_made_again_also_behind_a_step(
    stops_after, make_plan, warehouse, tmp_path
):
    """By strict thresholds nothing counts; behind the step the same rows do.

    Another executor that goes on behind the step changes nothing of it.
    """
    plan = make_plan(
        [ANSWERS],
        Change("tasks.limit", 20),
        policy=f"{UNSEEN}\n{DISTURBED}",
        skip_canary=True,
    )
    if stops_after is not None:
        execute(plan, warehouse, Listener(calls=stops_after))
        execute(plan, warehouse, resume=True)
    else:
        execute(plan, warehouse)
    looks = check_looks(warehouse, tmp_path / "again")
    steps = [look["steps"]["demo"] for look in looks]
    assert steps[0] == 0 and steps[-1] == 1
    # Of the round that was lost nothing counted before the step, and all does behind.
    at = steps.index(1)
    before, behind = (looks[place]["rounds"][0]["quants"] for place in (at - 1, at))
    assert all(q["disturbed_tasks"] == q["asked_tasks"] > 0 for q in before)
    assert all(q["disturbed_tasks"] == 0 for q in behind)
    assert [q["asked_tasks"] for q in before] == [q["asked_tasks"] for q in behind]
