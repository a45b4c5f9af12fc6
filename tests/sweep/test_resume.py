"""Sweeps that are broken off go on where they stopped, by one executor at a time."""

from __future__ import annotations

import os
from collections import Counter

import pytest

from orket.errors import OrketError, UsageError, WarehouseError
from orket.mockserver import MockServer, Profile, parse_fault
from orket.planning.preset import Change
from orket.records import RunRecord
from orket.sweep.execute import run_sweep
from orket.sweep.reporter import Ahead, Silence
from tests.looking import ask
from tests.nightly import nightly
from tests.sweep.small import (
    FAST,
    Impatient,
    StopAfter,
    events_of,
    execute,
    rows_of,
)


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


@pytest.mark.parametrize("calls", [5, 17, *nightly(1, 15, 20)])
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
