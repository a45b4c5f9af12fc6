"""Servers that die, come back or never were: what is kept, and what is owed."""

from __future__ import annotations

from collections import Counter

import pytest

from orket.errors import ServerError
from orket.machine.clock import SystemClock
from orket.mockserver import MockModel, MockServer, Profile, parse_fault
from orket.planning.plan import Plan, build_plan
from orket.planning.preset import Change, load_preset, override
from orket.records import RunRecord
from orket.sweep.execute import run_sweep
from orket.sweep.reporter import Silence
from orket.warehouse import Warehouse
from tests.nightly import nightly
from tests.sweep.small import (
    FAST,
    events_of,
    execute,
    rows_of,
)


def test_a_server_that_is_not_there_records_nothing(make_plan, warehouse):
    with MockServer("ollama", FAST) as server:
        url = server.url
    with pytest.raises(ServerError):
        execute(make_plan(url), warehouse)
    assert warehouse.sweep_ids() == []


def test_a_server_that_answers_nothing_is_told(make_plan, warehouse):
    with MockServer("ollama", FAST, [parse_fault("http-500")]) as server:
        outcome = execute(make_plan(server.url, skip_canary=True), warehouse)
    assert (outcome.status, outcome.unmeasured) == ("FAILED", 2 * 2 * 3)
    assert "HTTP_500" in str(outcome.cause)


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


@pytest.mark.parametrize("calls", [4, *nightly(1, 10)])
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
