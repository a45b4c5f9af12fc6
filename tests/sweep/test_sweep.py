"""Sweeps against pretended servers: order, retries, faults, the gate."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from orket.errors import ServerError
from orket.mockserver import MockModel, MockServer, Profile, parse_fault
from orket.mockserver.profile import CannedAnswer
from orket.planning.plan import DETERMINISM, Plan, build_plan
from orket.planning.preset import Change, load_preset, override
from orket.sweep import blocks
from orket.sweep.execute import Outcome
from orket.sweep.judge import count_determinism, read_determinism
from orket.sweep.reporter import Silence
from orket.warehouse import Warehouse, disk
from tests.looking import ask
from tests.sweep.small import (
    FAST,
    PRESET,
    events_of,
    execute,
    plan_in,
    rows_of,
)


@dataclass(frozen=True)
class Plain:
    """A sweep without a fault that came to its end; tests only read it."""

    plan: Plan
    outcome: Outcome
    warehouse: Warehouse
    rows: list[dict[str, Any]]


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Plain:
    folder = tmp_path_factory.mktemp("plain")
    warehouse = Warehouse(folder / "warehouse")
    with MockServer("ollama", FAST) as server:
        plan = plan_in(folder)(server.url)
        outcome = execute(plan, warehouse)
    return Plain(plan, outcome, warehouse, rows_of(warehouse))


def test_every_planned_run_becomes_one_row_in_the_planned_order(plain):
    rows = plain.rows
    assert plain.outcome.status == "COMPLETED"
    planned = [run.run_id for run in plain.plan.runs]
    assert [row["run_id"] for row in rows if row["run_id"] in set(planned)] == planned
    assert {row["outcome"] for row in rows} == {"OK"}
    assert events_of(plain.warehouse) == [("SWEEP_FINISHED", None)]


def test_a_row_says_what_was_asked_and_what_was_found(make_plan, warehouse):
    with MockServer("ollama", FAST) as server:
        controls = [
            Change("controls.context", 512),
            Change("controls.affinity", "compact"),
        ]
        execute(make_plan(server.url, *controls), warehouse)
    row = next(row for row in rows_of(warehouse) if row["phase"] == "matrix")
    assert row["requested"]["seed"] == 42
    assert row["requested"]["context_tokens"] == 512
    assert row["effective"]["context_tokens"] == 512
    assert row["effective"]["warmup"] == "1"
    assert "affinity" in row["unsupported_controls"]
    assert row["checks_total"] >= 1
    assert row["model_digest"].startswith("sha256:")
    assert row["ended_ns"] > row["started_ns"]


def test_the_manifest_knows_size_and_digest_of_what_the_server_lists(plain):
    rows = ask(plain.warehouse, "SELECT * FROM v1.quant ORDER BY quant_tag")
    assert [row["quant_tag"] for row in rows] == ["Q2_K", "Q8_0"]
    for row, model in zip(rows, reversed(FAST.models), strict=True):
        assert row["model_bytes"] == model.bytes
        assert row["parameters"] == model.parameters
        assert row["model_digest"] == f"sha256:{model.digest}"
        assert row["bits_per_weight_source"] == "measured"


def test_warmups_are_not_judged(plain):
    warmups = [row for row in plain.rows if row["phase"] == "warmup"]
    assert warmups
    assert all(row["checks_total"] is None for row in warmups)


@pytest.mark.parametrize("is_same", [True, False])
def test_calls_of_one_moment_share_a_reading_and_blocks_never_do(
    make_plan, warehouse, monkeypatch, is_same
):
    """However long ago is the same moment, or nothing is."""
    monkeypatch.setattr(blocks, "SAME_MOMENT_NS", 10**15 if is_same else -1)
    with MockServer("ollama", FAST) as server:
        execute(make_plan(server.url), warehouse)
    read = "SELECT block_index, before, after FROM raw.runs ORDER BY started_ns"
    with warehouse.session() as session:
        rows = session.rows(read)
    shared = {
        (one["block_index"] == other["block_index"], one["after"] == other["before"])
        for one, other in pairwise(rows)
    }
    assert shared == {(True, is_same), (False, False)}


def test_a_cache_that_cannot_be_switched_off_meets_a_nonce(plain):
    rows = plain.rows
    assert {row["prompt_cache"] for row in rows} == {"nonce"}
    matrix = [row for row in rows if row["phase"] == "matrix"]
    nonces: dict[tuple[str, int], set[str]] = {}
    for row in matrix:
        key = row["task_revision"], row["repetition"]
        nonces.setdefault(key, set()).add(row["nonce"])
    assert all(len(found) == 1 for found in nonces.values())
    assert len(set().union(*nonces.values())) == len(nonces)
    canary = [row for row in rows if row["phase"] == "canary"]
    assert len({row["prompt_sha256"] for row in canary}) == 1


def test_repeats_of_one_prompt_have_a_filler_between_them(plain):
    rows = [row for row in plain.rows if row["phase"] in ("canary", "warmup")]
    rows.sort(key=lambda row: row["started_ns"])
    prompts = [row["prompt_sha256"] for row in rows]
    assert all(
        one != next_one for one, next_one in zip(prompts, prompts[1:], strict=False)
    )
    assert Counter(row["phase"] for row in rows)["canary"] == 10


def test_a_quant_that_is_not_what_it_is_called_is_a_fact_and_no_end(
    make_plan, warehouse
):
    models = (MockModel("demo:q8_0", "Q8_0"), MockModel("demo:q2_K", "Q4_0"))
    with MockServer("ollama", Profile(models=models, decode_rate=1e5)) as server:
        outcome = execute(make_plan(server.url), warehouse)
    rows = rows_of(warehouse)
    assert outcome.status == "COMPLETED"
    failed = [row for row in rows if row["quant_tag"] == "Q2_K"]
    assert {row["error_class"] for row in failed} == {"IDENTITY_MISMATCH"}
    assert len([row for row in failed if row["phase"] == "matrix"]) == 6
    assert {row["outcome"] for row in rows if row["quant_tag"] == "Q8_0"} == {"OK"}


def test_a_server_that_breaks_off_now_and_then_costs_those_runs_only(
    make_plan, warehouse
):
    faults = [parse_fault("cut:every=7")]
    with MockServer("ollama", FAST, faults) as server:
        plan = make_plan(server.url, skip_canary=True)
        outcome = execute(plan, warehouse)
    rows = rows_of(warehouse)
    assert outcome.status == "COMPLETED"
    assert {row["outcome"] for row in rows} == {"OK", "FAILED"}
    tried = {row["run_id"] for row in rows}
    assert {run.run_id for run in plan.runs} <= tried


def test_failed_runs_are_run_again_in_a_retry_pass(make_plan, warehouse):
    faults = [parse_fault("http-500:every=5")]
    with MockServer("ollama", FAST, faults) as server:
        plan = make_plan(server.url, Change("polluted_retries", 1), skip_canary=True)
        execute(plan, warehouse)
    rows = [row for row in rows_of(warehouse) if row["phase"] == "matrix"]
    again = [row for row in rows if row["retry_pass"] == 1]
    failed = {
        r["run_id"] for r in rows if r["retry_pass"] == 0 and r["outcome"] != "OK"
    }
    assert failed
    assert failed <= {row["run_id"] for row in again}
    assert {row["attempt_number"] for row in again} == {2}
    planned_blocks = {run.block_index for run in plan.runs}
    assert not planned_blocks & {row["block_index"] for row in again}
    with warehouse.session("s") as session:
        warmups = session.rows(
            "SELECT count(*) AS n FROM v1.attempts "
            "WHERE phase = 'warmup' AND retry_pass = 1"
        )
    assert warmups[0]["n"] >= 1


def test_a_failing_canary_stops_the_sweep_and_keeps_its_rows(make_plan, warehouse):
    faults = [parse_fault("http-500:every=3")]
    with MockServer("ollama", FAST, faults) as server:
        outcome = execute(make_plan(server.url), warehouse)
    assert outcome.status == "CANARY_FAILED"
    assert "CANARY_RUN_FAILED" in outcome.failed_canaries[0]["failed_reasons"]
    phases = {row["phase"] for row in rows_of(warehouse)}
    assert phases == {"warmup", "canary"}
    assert events_of(warehouse) == [("SWEEP_ABORTED", "CANARY_FAILED")]


@pytest.mark.parametrize(
    ("fault", "word"),
    [("http-401", "HTTP_401"), ("http-404", "HTTP_404"), ("wrong-quant", "Q8_0")],
)
def test_a_gate_that_no_call_could_pass_stops_at_its_first(
    make_plan, warehouse, fault, word
):
    with MockServer("ollama", FAST, [parse_fault(fault)]) as server:
        outcome = execute(make_plan(server.url), warehouse)
    assert outcome.status == "STOPPED"
    assert isinstance(outcome.cause, ServerError)
    assert word in str(outcome.cause)
    assert outcome.calls == len(rows_of(warehouse)) == 1
    ((event, reason),) = events_of(warehouse)
    assert event == "SWEEP_ABORTED"
    assert reason is not None
    assert word in reason


def test_without_the_canary_the_manifest_says_so(make_plan, warehouse):
    with MockServer("ollama", FAST) as server:
        execute(make_plan(server.url, skip_canary=True), warehouse)
    with warehouse.session("s") as session:
        (manifest,) = session.rows("SELECT canary_planned FROM raw.sweeps")
    assert manifest["canary_planned"] is False


def test_anchors_are_measured_at_intervals_and_at_the_end(make_plan, warehouse):
    changes = [Change("canary.anchor_every_blocks", 2), Change("repetitions", 3)]
    with MockServer("ollama", FAST) as server:
        execute(make_plan(server.url, *changes), warehouse)
    anchors = [row for row in rows_of(warehouse) if row["phase"] == "anchor"]
    assert len(anchors) == 3 * 3
    assert len({row["run_id"] for row in anchors}) == 9
    canary = next(row for row in rows_of(warehouse) if row["phase"] == "canary")
    assert {row["prompt_sha256"] for row in anchors} == {canary["prompt_sha256"]}
    last = max(rows_of(warehouse), key=lambda row: row["started_ns"])
    assert last["phase"] == "anchor"


def test_determinism_repeats_one_prompt_and_the_view_counts(make_plan, warehouse):
    with MockServer("ollama", FAST) as server:
        plan = make_plan(server.url, purpose=DETERMINISM)
        execute(plan, warehouse)
    rows = read_determinism(warehouse, "s")
    assert len(rows) == 2 * 3
    assert all(row["is_deterministic"] and row["attempts"] == 2 for row in rows)
    counts = count_determinism(warehouse, "s", 1_000_000)
    assert (counts["groups"], counts["deterministic"]) == (6, 6)
    assert (counts["rate_micro"], counts["is_met"]) == (1_000_000, True)


def test_nothing_repeated_is_not_deterministic(make_plan, warehouse):
    with MockServer("ollama", FAST) as server:
        plan = make_plan(server.url, Change("repetitions", 1), purpose=DETERMINISM)
        execute(plan, warehouse)
    counts = count_determinism(warehouse, "s", 0)
    assert (counts["groups"], counts["rate_micro"], counts["is_met"]) == (0, None, None)


def test_several_servers_hold_one_quant_each(tmp_path, warehouse):
    def serve(quant: str) -> MockServer:
        model = MockModel("demo", quant, parameters=10**6)
        return MockServer("llama-server", Profile(models=(model,), decode_rate=1e5))

    with serve("Q8_0") as one, serve("Q2_K") as other:
        urls = {"Q8_0": one.url, "Q2_K": other.url}
        preset = override(
            load_preset("llama-server"),
            [
                Change("quants", list(urls), (("models", 0, "quants"),)),
                Change("urls", urls, (("models", 0, "names", "llama-server", "urls"),)),
                Change("tasks.bank", "quickstart"),
                Change("tasks.limit", 2),
                Change("policy.canary_max_latency_cv", 100),
            ],
        )
        execute(build_plan(preset, "s"), warehouse)
    rows = rows_of(warehouse)
    assert {row["outcome"] for row in rows} == {"OK"}
    assert {row["quant_tag"] for row in rows} == {"Q8_0", "Q2_K"}


def test_a_retry_pass_that_gains_nothing_is_given_up(make_plan, warehouse):
    changes = [
        Change("polluted_retries", 1),
        Change("quants", ["Q8_0", "Q2_K", "Q4_0"], (("models", 0, "quants"),)),
    ]
    models = (*FAST.models, MockModel("demo:q4_0", "Q4_0"))
    profile = Profile(models=models, decode_rate=1e5, load_seconds=0.0)
    with MockServer("ollama", profile, [parse_fault("http-500")]) as server:
        plan = make_plan(server.url, *changes, skip_canary=True)
        execute(plan, warehouse)
    again = {r["quant_tag"] for r in rows_of(warehouse) if r["retry_pass"] == 1}
    assert len(again) == 2


def test_two_models_are_gated_first_and_measured_one_after_the_other(
    tmp_path, warehouse
):
    models = (*FAST.models, MockModel("other:q8_0", "Q8_0"))
    profile = Profile(models=models, decode_rate=1e5, load_seconds=0.0)
    path = tmp_path / "two.toml"
    with MockServer("ollama", profile) as server:
        path.write_text(
            PRESET.format(url=server.url)
            + '[[models]]\nid = "other"\nquants = ["Q8_0"]\n'
            + '[models.names.ollama]\ntag = "other:{quant_ollama}"\n'
            + "[models.controls]\nseed = 7\n[models.policy]\nmin_valid_runs = 2\n"
        )
        execute(build_plan(load_preset(str(path)), "s"), warehouse)
    rows = [row for row in rows_of(warehouse) if row["phase"] != "warmup"]
    rows.sort(key=lambda row: row["started_ns"])
    steps = [(row["phase"], row["model_id"]) for row in rows]
    assert list(dict.fromkeys(steps)) == [
        ("canary", "demo"),
        ("canary", "other"),
        ("matrix", "demo"),
        ("matrix", "other"),
    ]
    seeds = {row["model_id"]: row["requested"]["seed"] for row in rows}
    assert seeds == {"demo": 42, "other": 7}
    with warehouse.session("s") as session:
        policies = session.rows("SELECT model_id, min_valid_runs FROM v1.policy")
    assert {row["model_id"]: row["min_valid_runs"] for row in policies} == {
        "demo": 1,
        "other": 2,
    }


class Notes(Silence):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)

    def waits(self, text: str) -> None:
        self.said.append(text)


def test_runs_before_a_drift_are_run_again_after_a_cool_down(make_plan, warehouse):
    changes = [
        Change("canary.anchor_every_blocks", 2),
        # Whatever the machine does, it drifts by more than nothing.
        Change("policy.anchor_max_drift", 0),
        Change("polluted_retries", 1),
    ]
    notes = Notes()
    profile = Profile(models=FAST.models, decode_rate=2e4, load_seconds=0.0)
    with MockServer("openai", profile) as server:
        openai = [
            Change("provider.name", "openai"),
            Change(
                "names",
                {"openai": {"name": "demo:{quant_ollama}"}},
                (("models", 0, "names"),),
            ),
        ]
        execute(make_plan(server.url, *changes, *openai), warehouse, notes)
    rows = [row for row in rows_of(warehouse) if row["phase"] == "matrix"]
    assert {row["retry_pass"] for row in rows} == {0, 1}
    assert any("in 60 s" in said for said in notes.said)
    with warehouse.session("s") as session:
        drifted = session.rows(
            "SELECT count(*) AS n FROM v1.run_quality "
            "WHERE list_contains(run_quality_reasons, 'DRIFT_SINCE_ANCHOR')"
        )
    assert drifted[0]["n"] > 0


HOSTILE = {
    "a set of instances": "class A:\n    pass\ndef f(x):\n    return {A()}",
    "an instance as a key": "class A:\n    pass\ndef f(x):\n    return {A(): x}",
    "a million numbers": "def f(x):\n    return list(range(10**6))",
    "no end": (
        "y = []\nfor i in range(40):\n    y = [y, y]\ndef f(x):\n    return y\ny"
    ),
}


CODE_BANK = """schema_version = 1
bank = "code"
title = "Code"
"""
CODE_TASK = """
[[tasks]]
id = "f{number}"
bucket = "refactor"
prompt = "Write f{number}."
max_tokens = 64
[[tasks.checks]]
kind = "python_cases"
cases = [{{ call = "f(1)", expected = "2" }}]
[tasks.samples]
pass = ["def f(x):\\n    return x + 1"]
fail = ["def f(x):\\n    return x", "2"]
"""


def test_no_answer_costs_a_row_or_ends_a_sweep(make_plan, warehouse, tmp_path):
    bank = tmp_path / "code.toml"
    tasks = [CODE_TASK.format(number=number) for number in range(len(HOSTILE))]
    bank.write_text("".join([CODE_BANK, *tasks]))
    changes = (
        Change("tasks.bank", str(bank)),
        Change("tasks.limit", len(HOSTILE)),
        Change("canary.enabled", False),
    )
    answers = tuple(
        CannedAnswer(f"Write f{number}", code)
        for number, code in enumerate(HOSTILE.values())
    )
    with MockServer("ollama", replace(FAST, answers=answers)) as server:
        plan = make_plan(server.url, *changes)
        execute(plan, warehouse)
    measured = [row for row in rows_of(warehouse) if row["phase"] == "matrix"]
    planned = [run for run in plan.runs if run.phase == "matrix"]
    assert len(measured) == len(planned) == 4 * len(HOSTILE)
    assert {row["outcome"] for row in measured} == {"OK"}
    assert {(row["checks_passed"], row["checks_total"]) for row in measured} == {(0, 1)}
    given = {(row["test_id"], row["answer_text"]) for row in measured}
    assert len(given) == len(HOSTILE), "each task had its own"


class Loads(Silence):
    """Notes when a model is being loaded."""

    def __init__(self) -> None:
        self.at_ns: list[int] = []

    def loading(self, model_id: str, quant_tag: str) -> None:
        self.at_ns.append(time.monotonic_ns())


def test_the_next_model_is_loaded_while_rows_are_folded_and_no_call_is_made(
    make_plan, warehouse, monkeypatch
):
    loads, through = Loads(), disk.sync
    folded_ns: list[int] = []

    def sync_slowly(handle: int, path: Path) -> None:
        through(handle, path)
        is_beside = threading.current_thread() is not threading.main_thread()
        if is_beside and path.suffix == ".tmp":
            time.sleep(0.1)
            folded_ns.append(time.monotonic_ns())

    monkeypatch.setattr("orket.warehouse.disk.sync", sync_slowly)
    monkeypatch.setattr("orket.warehouse.journal.FOLD_AFTER_SECONDS", 0)
    with MockServer("ollama", FAST) as server:
        execute(make_plan(server.url), warehouse, loads)
    calls = [(row["started_ns"], row["ended_ns"]) for row in rows_of(warehouse)]
    slept_ns = 100_000_000
    for moment in folded_ns:
        during = [c for c in calls if c[0] < moment and moment - slept_ns < c[1]]
        assert not during
    beside = [
        moment
        for moment in folded_ns
        for load in loads.at_ns
        if max(end for _, end in calls if end < moment) < load < moment
    ]
    assert len(beside) > 2
