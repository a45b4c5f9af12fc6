"""The same rows give the same bytes, however they came to lie in the warehouse."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orket.exports.summary import render_summary
from orket.records import Policy, RunRecord
from orket.warehouse import Warehouse
from tests.built_sweep import MODEL_BYTES, MS, Sweep, quiet_counters
from tests.fuzzing import examples

QUANTS = ("F16", "Q8_0", "Q4_K_M", "Q3_K_M", "Q2_K")
FEW = settings(
    max_examples=examples(2),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@st.composite
def sweeps(draw: st.DrawFn) -> Sweep:
    """A sweep in which everything that can go wrong sometimes does."""
    sweep = Sweep(
        quants=QUANTS[: draw(st.integers(1, len(QUANTS)))],
        tasks=tuple(f"t{n}" for n in range(draw(st.integers(1, 4)))),
        repetitions=draw(st.integers(1, 2)),
        policy=Policy(
            include_polluted=draw(st.sampled_from(["never", "fill", "always"])),
            latency_ceiling_ns=draw(st.sampled_from([700 * MS, 10_000 * MS])),
        ),
    )
    for planned in sweep.plan():
        for attempt in range(1, draw(st.integers(0, 2)) + 1):
            task = planned.test_id.removeprefix("bank/")
            outcome = draw(st.sampled_from(["OK", "OK", "OK", "OK", "FAILED"]))
            burnt = draw(st.sampled_from([0, 0, 0, 400 * MS]))
            wall_ms = draw(st.sampled_from([600, 601, 650, 900]))
            stop_ns = sweep.clock_ns + wall_ms * MS
            sweep.add(
                planned.quant_tag,
                task,
                planned.repetition,
                attempt=attempt,
                passed=draw(st.integers(0, 3)) if outcome == "OK" else None,
                total=3,
                wall_ms=wall_ms,
                outcome=outcome,
                after=quiet_counters(
                    stop_ns, host_busy_ns=stop_ns * 192 // 100 + burnt
                ),
            )
    return sweep.finish() if draw(st.booleans()) else sweep


def many_sweeps() -> st.SearchStrategy[list[Sweep]]:
    """Several sweeps for one warehouse: each is judged as if it were alone."""
    return st.lists(sweeps(), min_size=4, max_size=8).map(
        lambda drawn: [
            renamed(sweep, f"sweep-{number}") for number, sweep in enumerate(drawn)
        ]
    )


def renamed(sweep: Sweep, name: str) -> Sweep:
    """The same sweep under another id; sweeps of one warehouse differ in theirs."""
    runs = [
        msgspec.structs.replace(
            run,
            sweep_id=name,
            run_id=run.run_id.replace(sweep.sweep_id, name, 1),
            attempt_id=run.attempt_id.replace(sweep.sweep_id, name, 1),
        )
        for run in sweep.runs
    ]
    events = [
        msgspec.structs.replace(event, event_id=f"{name}-end", sweep_id=name)
        for event in sweep.events
    ]
    return replace(sweep, sweep_id=name, runs=runs, events=events)


@FEW
@given(drawn=many_sweeps(), data=st.data())
def test_order_parts_threads_and_repeats_do_not_change_a_byte(drawn, data):
    with TemporaryDirectory() as folder:
        whole = Warehouse.open(Path(folder) / "whole")
        split = Warehouse.open(Path(folder) / "split")
        for sweep in drawn:
            sweep.store(whole.path)
            scatter(sweep, split, data)
        threads = data.draw(st.sampled_from([1, 4]))
        expected = all_summaries(whole)
        assert all_summaries(split, threads) == expected
        # Bound to one sweep's own parts, the others are not there at all.
        chosen = data.draw(st.sampled_from(drawn)).sweep_id
        assert all_summaries(split, threads, chosen) == {chosen: expected[chosen]}


def scatter(sweep: Sweep, warehouse: Warehouse, data: st.DataObject) -> None:
    """The rows of a sweep in any order, in any number of parts, some of them twice."""
    shuffled: list[RunRecord] = data.draw(st.permutations(sweep.runs))
    edges = sorted(data.draw(st.lists(st.integers(0, len(shuffled)), max_size=3)))
    warehouse.append("sweeps", [sweep.sweep_row()], sweep.sweep_id)
    for start, stop in zip([0, *edges], [*edges, len(shuffled)], strict=True):
        if shuffled[start:stop]:
            warehouse.append("runs", shuffled[start:stop], sweep.sweep_id)
    if sweep.events:
        warehouse.append("events", sweep.events)
    twice: bool = data.draw(st.booleans())
    if sweep.runs and twice:
        warehouse.append("runs", sweep.runs[:3], sweep.sweep_id)
        warehouse.append("sweeps", [sweep.sweep_row()], sweep.sweep_id)


def all_summaries(
    warehouse: Warehouse, threads: int = 1, sweep_id: str | None = None
) -> dict[str, bytes]:
    with warehouse.session(sweep_id, threads=threads) as session:
        rows = session.rows("SELECT * FROM v1.summary")
    return {row["sweep_id"]: render_summary(row["summary"]) for row in rows}


def is_done(runs: list[RunRecord]) -> bool:
    """Whether most of a task's runs pass all their checks."""
    done = [
        run.checks and run.checks.checks_passed == run.checks.checks_total
        for run in runs
    ]
    return 2 * sum(map(bool, done)) > len(done)


def reference(sweep: Sweep) -> dict[str, object]:
    """Frontier and recommendation by brute force, from the rules and not from the SQL.

    Exact fractions throughout; every run of these sweeps has known pollution.
    """
    cells: dict[tuple[str, str], list[RunRecord]] = {}
    ok: dict[tuple[str, str], bool] = {}
    for planned in sweep.plan():
        attempts = [run for run in sweep.runs if run.run_id == planned.run_id]
        clean = [run for run in attempts if run.call.outcome == "OK" and not burnt(run)]
        key = (planned.quant_tag, planned.test_id)
        ok[key] = ok.get(key, False) or any(r.call.outcome == "OK" for r in attempts)
        cells.setdefault(key, []).extend(clean[:1])
    tried = {run.test_id for run in sweep.runs}
    tests = [
        test
        for test in {test for _, test in cells}
        if test not in tried or any(ok[quant, test] for quant in sweep.quants)
    ]
    points = {}
    for quant in sweep.quants:
        if tests and all(cells[quant, test] for test in tests):
            points[quant] = (
                mean([nano(cells[quant, test]) for test in tests]),
                mean([mean_wall(cells[quant, test]) for test in tests]),
            )
    order = sorted(sweep.quants, key=lambda quant: MODEL_BYTES[quant])
    baseline = next((quant for quant in reversed(order) if quant in points), None)
    eligible = [
        quant
        for quant in order
        if baseline
        and quant in points
        and any(is_done(cells[baseline, test]) for test in tests)
        and points[quant][0] >= points[baseline][0] * Fraction(95, 100)
        and points[quant][1] <= sweep.policy.latency_ceiling_ns
        and all(
            ok[quant, test] or not any(r.test_id == test for r in sweep.runs)
            for test in tests
        )
    ]
    best = max(
        eligible,
        key=lambda quant: (
            points[quant][0] / points[quant][1],
            points[quant][0],
            -points[quant][1],
            order.index(quant),
        ),
        default=None,
    )
    memory = {quant: MODEL_BYTES[quant] for quant in order}
    pareto = {
        quant
        for quant in points
        if not any(
            points[other][0] >= points[quant][0]
            and points[other][1] <= points[quant][1]
            and memory[other] <= memory[quant]
            and (points[other], memory[other]) != (points[quant], memory[quant])
            for other in points
        )
    }
    return {
        "baseline": baseline,
        "eligible": set(eligible),
        "minimum": eligible[0] if eligible else None,
        "best": best,
        "pareto": pareto,
    }


def burnt(run: RunRecord) -> bool:
    assert run.after is not None and run.after.host_busy_ns is not None
    assert run.after.host_total_ns is not None
    return run.after.host_busy_ns > run.after.host_total_ns * 96 // 100


def nano(runs: list[RunRecord]) -> Fraction:
    """A task mean is an integer in 1e-9 units, half up."""
    passed = sum(run.checks.checks_passed for run in runs if run.checks)
    total = sum(run.checks.checks_total for run in runs if run.checks)
    return Fraction((2 * passed * 10**9 + total) // (2 * total), 10**9)


def mean_wall(runs: list[RunRecord]) -> Fraction:
    total = sum(run.call.wall_ns or 0 for run in runs)
    return Fraction((2 * total + len(runs)) // (2 * len(runs)))


def mean(values: list[Fraction]) -> Fraction:
    return sum(values, Fraction(0)) / len(values)


@FEW
@given(drawn=many_sweeps())
def test_frontier_and_recommendation_match_brute_force(drawn):
    policy = Policy(latency_ceiling_ns=700 * MS)
    judged = [replace(sweep, policy=policy) for sweep in drawn]
    with TemporaryDirectory() as folder:
        for sweep in judged:
            warehouse = sweep.store(Path(folder))
        with warehouse.session() as session:
            frontier = session.rows("SELECT * FROM v1.frontier")
            choices = session.rows("SELECT * FROM v1.recommendation")
    for sweep in judged:
        expected = reference(sweep)
        own = [row for row in frontier if row["sweep_id"] == sweep.sweep_id]
        (choice,) = [row for row in choices if row["sweep_id"] == sweep.sweep_id]
        assert {row["baseline_quant_tag"] for row in own} == {expected["baseline"]}
        assert tags(own, "is_eligible") == expected["eligible"]
        assert tags(own, "is_pareto_optimal") == expected["pareto"]
        assert choice["minimum_viable_quant"] == expected["minimum"]
        assert choice["best_value_quant"] == expected["best"]


def tags(rows: list[dict[str, Any]], flag: str) -> set[str]:
    return {row["quant_tag"] for row in rows if row[flag]}
