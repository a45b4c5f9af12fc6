"""Sweeps against pretended servers: order, retries, faults, resume, the gate."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from orket.errors import OrketError, ServerError, UsageError, WarehouseError
from orket.machine.clock import SystemClock
from orket.mockserver import MockModel, MockServer, Profile, parse_fault
from orket.mockserver.profile import CannedAnswer
from orket.planning.plan import DETERMINISM, Plan, build_plan
from orket.planning.preset import Change, load_preset, override
from orket.records import RunRecord
from orket.sweep.execute import Outcome, run_sweep
from orket.sweep.interrupts import Interrupted
from orket.sweep.judge import count_determinism, read_determinism
from orket.sweep.reporter import Ahead, Silence
from orket.warehouse import Warehouse
from tests.looking import ask

FAST = Profile(
    models=(MockModel("demo:q8_0", "Q8_0"), MockModel("demo:q2_K", "Q2_K")),
    prefill_rate=1e6,
    decode_rate=1e5,
    load_seconds=0.0,
)
PRESET = """schema_version = 1
repetitions = 2
control_profile = "shared"
polluted_retries = 0

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
limit = 3

[policy]
canary_max_latency_cv = 100
allow_unobserved = true
"""


class Impatient(SystemClock):
    """A clock that does not wait."""

    def sleep(self, seconds: float) -> None:
        return


def plan_in(folder: Path) -> Callable[..., Plan]:
    """What makes a plan by the preset above, which lies in this folder."""

    def make(url: str, *changes: Change, sweep_id: str = "s", **how: Any) -> Plan:
        path = folder / "p.toml"
        path.write_text(PRESET.format(url=url))
        return build_plan(override(load_preset(str(path)), changes), sweep_id, **how)

    return make


@pytest.fixture
def make_plan(tmp_path):
    return plan_in(tmp_path)


@pytest.fixture
def warehouse(tmp_path):
    return Warehouse(tmp_path / "warehouse")


def execute(
    plan: Plan, warehouse: Warehouse, reporter: Any = None, **how: Any
) -> Outcome:
    return run_sweep(plan, warehouse, reporter, clock=Impatient(), **how)


def rows_of(warehouse: Warehouse, sweep_id: str = "s") -> list[dict[str, Any]]:
    return ask(warehouse, "SELECT * FROM v1.attempts ORDER BY order_index", sweep_id)


def events_of(warehouse: Warehouse) -> list[tuple[str, str | None]]:
    rows = ask(warehouse, "SELECT event, reason FROM raw.events ORDER BY event_id")
    return [(row["event"], row["reason"]) for row in rows]


class StopAfter(Silence):
    """Breaks the sweep off once so many calls are recorded."""

    def __init__(self, calls: int) -> None:
        self._left = calls

    def recorded(self, row: RunRecord) -> None:
        self._left -= 1
        if self._left == 0:
            raise Interrupted


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


def test_a_model_that_is_not_installed_stops_the_gate_and_can_be_resumed(
    make_plan, warehouse
):
    without = Profile(models=(FAST.models[1],), decode_rate=1e5)
    with MockServer("ollama", without) as server:
        outcome = execute(make_plan(server.url), warehouse)
    assert "ollama pull demo:q8_0" in str(outcome.cause)
    with MockServer("ollama", FAST) as server:
        again = execute(make_plan(server.url), warehouse, resume=True)
    assert again.status == "COMPLETED"
    assert {row["outcome"] for row in rows_of(warehouse)} == {"OK", "FAILED"}


def test_without_the_canary_the_manifest_says_so(make_plan, warehouse):
    with MockServer("ollama", FAST) as server:
        execute(make_plan(server.url, skip_canary=True), warehouse)
    with warehouse.session("s") as session:
        (manifest,) = session.rows("SELECT canary_planned FROM raw.sweeps")
    assert manifest["canary_planned"] is False


@pytest.mark.parametrize("calls", [1, 5, 15, 17, 20])
def test_an_interrupted_sweep_goes_on_where_it_stopped(make_plan, warehouse, calls):
    with MockServer("ollama", FAST) as server:
        plan = make_plan(server.url)
        first = execute(plan, warehouse, StopAfter(calls))
        kept = len(rows_of(warehouse))
        second = execute(plan, warehouse, resume=True)
    assert (first.status, second.status) == ("INTERRUPTED", "COMPLETED")
    assert kept == calls
    rows = rows_of(warehouse)
    timed = [run.run_id for run in plan.runs if run.phase != "warmup"]
    counts = Counter(row["run_id"] for row in rows)
    assert all(counts[run] == 1 for run in timed)
    assert len({row["attempt_id"] for row in rows}) == len(rows)
    assert len({row["order_index"] for row in rows}) == len(rows)
    assert events_of(warehouse)[-1] == ("SWEEP_FINISHED", None)
    kinds = ask(warehouse, "SELECT kind FROM raw.sweeps ORDER BY started_at")
    assert [row["kind"] for row in kinds] == ["START", "RESUME"]


class Hesitant(Silence):
    """Finds the matrix too long, whatever it takes."""

    def __init__(self) -> None:
        self.asked: list[float | None] = []

    def agrees(self, ahead: Ahead, basis: str) -> bool:
        assert basis == "by the calls so far"
        self.asked.append(ahead.most)
        return False


def test_a_matrix_that_is_found_too_long_is_not_begun(make_plan, warehouse):
    with MockServer("ollama", FAST) as server:
        hesitant = Hesitant()
        outcome = run_sweep(make_plan(server.url), warehouse, hesitant, Impatient())
        assert outcome.status == "INTERRUPTED"
        # The gate's calls stand behind what was said.
        (seconds,) = hesitant.asked
        assert seconds is not None and 0 < seconds < 60
        assert {row["phase"] for row in rows_of(warehouse)} == {"warmup", "canary"}
        whole = execute(make_plan(server.url), warehouse, resume=True)
    assert whole.status == "COMPLETED"


def test_resuming_a_finished_sweep_calls_nothing(make_plan, warehouse):
    with MockServer("ollama", FAST) as server:
        plan = make_plan(server.url)
        execute(plan, warehouse)
        before = len(rows_of(warehouse))
    # The server is gone: nothing is asked of it.
    outcome = execute(plan, warehouse, resume=True)
    assert (outcome.calls, outcome.was_complete) == (0, True)
    assert len(rows_of(warehouse)) == before
    with pytest.raises(UsageError, match="another plan"):
        changed = make_plan(server.url, Change("repetitions", 3))
        execute(changed, warehouse, resume=True)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (Change("controls.seed", 1), "another plan"),
        (Change("policy.min_valid_runs", 2), "another policy"),
    ],
)
def test_another_plan_or_policy_is_not_resumed(make_plan, warehouse, change, word):
    with MockServer("ollama", FAST) as server:
        execute(make_plan(server.url), warehouse, StopAfter(3))
        with pytest.raises(UsageError, match=word):
            execute(make_plan(server.url, change), warehouse, resume=True)


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


def test_a_server_that_is_not_there_records_nothing(make_plan, warehouse):
    with MockServer("ollama", FAST) as server:
        url = server.url
    with pytest.raises(ServerError):
        execute(make_plan(url), warehouse)
    assert warehouse.sweep_ids() == []


def test_a_full_warehouse_ends_with_one_line_and_keeps_what_was_confirmed(
    make_plan, warehouse, monkeypatch
):
    import os

    calls = 0
    real = os.fsync

    def fill(handle: int) -> None:
        nonlocal calls
        calls += 1
        if calls > 12:
            raise OSError(28, "No space left on device")
        real(handle)

    with MockServer("ollama", FAST) as server:
        plan = make_plan(server.url)
        monkeypatch.setattr(os, "fsync", fill)
        with pytest.raises(WarehouseError, match="No space left"):
            execute(plan, warehouse)
        monkeypatch.setattr(os, "fsync", real)
        warehouse.journal("s").fold()
        kept = [row["attempt_id"] for row in rows_of(warehouse)]
        assert kept
        done = execute(plan, warehouse, resume=True)
    assert done.status == "COMPLETED"
    rows = rows_of(warehouse)
    assert set(kept) <= {row["attempt_id"] for row in rows}
    counts = Counter(row["run_id"] for row in rows)
    assert all(counts[r.run_id] == 1 for r in plan.runs if r.phase != "warmup")


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


def test_a_server_that_answers_nothing_is_told(make_plan, warehouse):
    with MockServer("ollama", FAST, [parse_fault("http-500")]) as server:
        outcome = execute(make_plan(server.url, skip_canary=True), warehouse)
    assert (outcome.status, outcome.unmeasured) == ("FAILED", 2 * 2 * 3)
    assert "HTTP_500" in str(outcome.cause)


def test_a_retry_pass_that_was_interrupted_goes_on(make_plan, warehouse):
    faults = [parse_fault("http-500:every=2")]
    changes = [Change("polluted_retries", 1), Change("repetitions", 4)]
    with MockServer("ollama", FAST, faults) as server:
        plan = make_plan(server.url, *changes, skip_canary=True)
        execute(plan, warehouse, StopAfter(len(plan.runs) + 4))
        retried = [r for r in rows_of(warehouse) if r["retry_pass"] == 1]
        begun = {r["run_id"] for r in retried}
        measured = {
            r["run_id"]
            for r in retried
            if r["outcome"] == "OK" and r["phase"] == "matrix"
        }
        execute(plan, warehouse, resume=True)
    rows = [row for row in rows_of(warehouse) if row["phase"] == "matrix"]
    again = Counter(row["run_id"] for row in rows if row["retry_pass"] == 1)
    failed = {
        r["run_id"] for r in rows if r["retry_pass"] == 0 and r["outcome"] != "OK"
    }
    assert begun & set(again)
    assert failed <= set(again)
    assert all(again[run] == 1 for run in measured)


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


def serve_quant(quant: str, port: int = 0) -> MockServer:
    model = MockModel("demo", quant, parameters=10**6)
    profile = Profile(models=(model,), decode_rate=1e5)
    return MockServer("llama-server", profile, port=port)


@pytest.fixture
def make_spread_plan():
    """A plan with a server for each quant."""

    def make(urls: dict[str, str], *changes: Change, with_gate: bool = False) -> Plan:
        spread = [
            Change("quants", list(urls), (("models", 0, "quants"),)),
            Change("urls", urls, (("models", 0, "names", "llama-server", "urls"),)),
            Change("tasks.bank", "quickstart"),
            Change("tasks.limit", 2),
            Change("repetitions", 2),
            Change("polluted_retries", 0),
            Change("policy.canary_max_latency_cv", 100),
        ]
        preset = override(load_preset("llama-server"), [*spread, *changes])
        return build_plan(preset, "s", skip_canary=not with_gate)

    return make


class DiesAt(Silence):
    """Shuts servers down for good once so many calls are recorded."""

    def __init__(self, calls: int, *servers: MockServer) -> None:
        self._left = calls
        self._servers = servers
        self.notes: list[str] = []

    def recorded(self, row: RunRecord) -> None:
        self._left -= 1
        if self._left == 0:
            for server in self._servers:
                server.__exit__(None, None, None)

    def note(self, text: str) -> None:
        self.notes.append(text)


def outcomes(warehouse: Warehouse) -> Counter[tuple[str, str | None]]:
    """Planned matrix runs by quant and the outcome that counts."""
    with warehouse.session("s") as session:
        rows = session.rows("SELECT * FROM v1.runs WHERE phase = 'matrix'")
    return Counter((row["quant_tag"], row["outcome"]) for row in rows)


def test_a_server_that_dies_for_good_ends_the_sweep_as_failed_and_is_resumed(
    make_spread_plan, warehouse
):
    one, other = serve_quant("Q8_0"), serve_quant("Q2_K")
    one.__enter__()
    other.__enter__()
    urls = {"Q8_0": one.url, "Q2_K": other.url}
    plan = make_spread_plan(urls)
    dies = DiesAt(4, other)
    outcome = execute(plan, warehouse, dies)
    assert outcome.status == "FAILED"
    assert f"nothing answers at {other.url}" in str(outcome.cause)
    measured = outcomes(warehouse)
    assert measured["Q8_0", "OK"] == 4, "the server that lives is measured to the end"
    assert measured["Q2_K", "OK"] + measured["Q2_K", "FAILED"] == 4
    assert outcome.unmeasured == measured["Q2_K", "FAILED"] > 0
    ((event, reason),) = events_of(warehouse)
    assert event == "SWEEP_ABORTED"
    assert reason is not None
    assert reason.startswith("CONNECTION_REFUSED: ")
    port = int(other.url.rpartition(":")[2])
    with serve_quant("Q2_K", port):
        again = execute(plan, warehouse, resume=True)
    assert again.status == "COMPLETED"
    assert outcomes(warehouse) == {("Q8_0", "OK"): 4, ("Q2_K", "OK"): 4}
    one.__exit__(None, None, None)


def test_a_sweep_whose_only_server_is_gone_stops_at_once(make_plan, warehouse):
    server = MockServer("ollama", FAST)
    server.__enter__()
    plan = make_plan(server.url, Change("repetitions", 5), skip_canary=True)
    dies = DiesAt(6, server)
    outcome = execute(plan, warehouse, dies)
    assert outcome.status == "FAILED"
    tried = [row for row in rows_of(warehouse) if row["outcome"] != "OK"]
    assert len({row["block_index"] for row in tried}) <= 2
    assert outcome.unmeasured > 20
    assert any("trying again in 10 s" in said for said in dies.notes)


@pytest.mark.parametrize("calls", [1, 4, 10])
def test_a_server_that_dies_in_the_gate_fails_the_sweep_and_not_the_gate(
    calls, make_plan, warehouse
):
    """Behind the warm-up, between two repetitions, or before the last."""
    server = MockServer("ollama", FAST)
    server.__enter__()
    plan = make_plan(server.url)
    gate = [run for run in plan.runs if run.block_index == plan.runs[0].block_index]
    assert [run.phase for run in gate] == ["warmup", *["canary"] * 10]
    outcome = execute(plan, warehouse, DiesAt(calls, server))
    assert outcome.status == "FAILED"
    assert f"nothing answers at {server.url}" in str(outcome.cause)
    assert {row["phase"] for row in rows_of(warehouse)} == {"warmup", "canary"}
    port = int(server.url.rpartition(":")[2])
    with MockServer("ollama", FAST, port=port):
        assert execute(plan, warehouse, resume=True).status == "COMPLETED"


def test_one_of_two_servers_that_dies_in_the_gate_fails_the_sweep(
    make_spread_plan, warehouse
):
    with serve_quant("Q2_K") as other:
        one = serve_quant("Q8_0")
        one.__enter__()
        plan = make_spread_plan({"Q8_0": one.url, "Q2_K": other.url}, with_gate=True)
        outcome = execute(plan, warehouse, DiesAt(3, one))
    assert outcome.status == "FAILED"
    assert f"nothing answers at {one.url}" in str(outcome.cause)


def test_a_server_that_comes_back_while_it_is_waited_for_costs_few_runs(
    make_plan, warehouse
):
    server = MockServer("ollama", FAST)
    server.__enter__()
    port = int(server.url.rpartition(":")[2])
    revived: list[MockServer] = []

    class Patient(SystemClock):
        def sleep(self, seconds: float) -> None:
            if seconds == 4:
                revived.append(MockServer("ollama", FAST, port=port))
                revived[0].__enter__()

    plan = make_plan(server.url, skip_canary=True)
    outcome = run_sweep(plan, warehouse, DiesAt(3, server), clock=Patient())
    revived[0].__exit__(None, None, None)
    assert outcome.status == "COMPLETED"
    assert sum(row["outcome"] == "FAILED" for row in rows_of(warehouse)) <= 1


def test_a_resume_makes_again_what_a_server_owed_and_nothing_else(make_plan, warehouse):
    with MockServer("ollama", FAST, [parse_fault("http-500:every=3")]) as server:
        plan = make_plan(server.url, skip_canary=True)
        assert execute(plan, warehouse).status == "COMPLETED"
    before = {row["run_id"]: row["outcome"] for row in rows_of(warehouse)}
    assert "FAILED" in before.values()
    port = int(server.url.rpartition(":")[2])
    with MockServer("ollama", FAST, port=port) as server:
        execute(plan, warehouse, resume=True)
    attempts = Counter(
        row["run_id"] for row in rows_of(warehouse) if row["phase"] == "matrix"
    )
    timed = [run.run_id for run in plan.runs if run.phase == "matrix"]
    assert {run: attempts[run] for run in timed} == {
        run: 1 if before[run] == "OK" else 2 for run in timed
    }


def test_one_quant_that_cannot_be_loaded_is_a_fact_and_no_lost_server(
    make_plan, warehouse
):
    lacking = Profile(models=(FAST.models[0],), decode_rate=1e5, load_seconds=0.0)
    with MockServer("ollama", lacking) as server:
        outcome = execute(make_plan(server.url, skip_canary=True), warehouse)
    assert outcome.status == "COMPLETED"
    assert outcomes(warehouse) == {("Q8_0", "OK"): 6, ("Q2_K", "FAILED"): 6}


def test_one_executor_runs_a_sweep_at_a_time(make_plan, warehouse):
    with MockServer("ollama", FAST) as server:
        plan = make_plan(server.url)
        execute(plan, warehouse, StopAfter(3))
        with warehouse.claim("s"):
            with pytest.raises(OrketError, match=rf"process {os.getpid()} on .* since"):
                execute(plan, warehouse, resume=True)
            # Readers never ask for the lock.
            assert len(rows_of(warehouse)) == 3
        assert execute(plan, warehouse, resume=True).status == "COMPLETED"


def test_a_new_sweep_is_claimed_while_it_runs(make_plan, warehouse):
    class Peeks(Silence):
        def __init__(self) -> None:
            self.said = ""

        def recorded(self, row: RunRecord) -> None:
            with pytest.raises(OrketError) as refused, warehouse.claim("s"):
                pass
            self.said = str(refused.value)

    peeks = Peeks()
    with MockServer("ollama", FAST) as server:
        execute(make_plan(server.url), warehouse, peeks)
    assert "sweep s is being run by process" in peeks.said
    with warehouse.claim("s") as claim:
        assert claim.is_held


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
[[tasks]]
id = "f"
bucket = "refactor"
prompt = "Write f."
max_tokens = 64
[[tasks.checks]]
kind = "python_cases"
cases = [{ call = "f(1)", expected = "2" }]
[tasks.samples]
pass = ["def f(x):\\n    return x + 1"]
fail = ["def f(x):\\n    return x", "2"]
"""


@pytest.mark.parametrize("code", HOSTILE.values(), ids=HOSTILE.keys())
def test_no_answer_costs_a_row_or_ends_a_sweep(make_plan, warehouse, tmp_path, code):
    bank = tmp_path / "code.toml"
    bank.write_text(CODE_BANK)
    changes = (
        Change("tasks.bank", str(bank)),
        Change("canary.enabled", False),
    )
    profile = replace(FAST, answers=(CannedAnswer(".", code),))
    with MockServer("ollama", profile) as server:
        plan = make_plan(server.url, *changes)
        execute(plan, warehouse)
    measured = [row for row in rows_of(warehouse) if row["phase"] == "matrix"]
    planned = [run for run in plan.runs if run.phase == "matrix"]
    assert len(measured) == len(planned) == 4
    assert {row["outcome"] for row in measured} == {"OK"}
    assert {(row["checks_passed"], row["checks_total"]) for row in measured} == {(0, 1)}
