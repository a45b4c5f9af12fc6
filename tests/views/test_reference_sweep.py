"""The shipped sweep, recomputed from its raw rows without any of the SQL."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from fractions import Fraction
from statistics import median_low
from typing import Any

import pyarrow.parquet as pq
import pytest

from orket.exports.summary import render_summary
from orket.warehouse import Warehouse
from tests.places import ROOT

SHIPPED = ROOT / "warehouse"


@pytest.fixture(scope="module")
def sweep_id() -> str:
    # The oldest: a developer's own sweeps lie beside it.
    return Warehouse.open(SHIPPED).sweep_ids()[0]


@pytest.fixture(scope="module")
def summary(sweep_id) -> dict[str, Any]:
    with Warehouse.open(SHIPPED).session(sweep_id) as session:
        (row,) = session.rows("SELECT summary FROM v1.summary")
    document: dict[str, Any] = json.loads(render_summary(row["summary"]))
    return document


@pytest.fixture(scope="module")
def rows(sweep_id) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for part in Warehouse.open(SHIPPED).parts("runs", sweep_id):
        found.extend(pq.read_table(part).to_pylist())
    return found


@pytest.fixture(scope="module")
def counting(rows, sweep_id) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Quant -> task -> the rows that count. Only the verdict is the view's own."""
    with Warehouse.open(SHIPPED).session(sweep_id) as session:
        valid = session.rows("SELECT attempt_id FROM v1.runs WHERE is_valid")
    ids = {row["attempt_id"] for row in valid}
    cells: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for row in rows:
        if row["attempt_id"] in ids:
            cells[row["quant_tag"]][row["test_id"]].append(row)
    return cells


def task_mean(runs: list[dict[str, Any]]) -> Fraction:
    passed = sum(run["checks"]["checks_passed"] for run in runs)
    return Fraction(passed, sum(run["checks"]["checks_total"] for run in runs))


def mean(values: list[Fraction]) -> float:
    return float(sum(values, Fraction(0)) / len(values))


def per_quant(summary: dict[str, Any]) -> dict[str, dict[str, Any]]:
    (session,) = summary["sessions"]
    return {quant["quant_tag"]: quant for quant in session["per_quant"]}


def test_adherence_latency_and_counts(summary, counting):
    for tag, quant in per_quant(summary).items():
        cells = counting[tag]
        assert quant["runs"]["valid"] == sum(map(len, cells.values()))
        assert quant["tasks"]["covered"] == len(cells)
        adherence = mean([task_mean(runs) for runs in cells.values()])
        assert quant["adherence_score"] == pytest.approx(adherence, abs=6e-7)
        latency = mean(
            [
                Fraction(sum(run["call"]["wall_ns"] for run in runs), len(runs))
                for runs in cells.values()
            ]
        )
        assert quant["total_latency"] == pytest.approx(latency / 1e9, abs=6e-7)
        walls = [run["call"]["wall_ns"] for runs in cells.values() for run in runs]
        assert quant["latency_p50"] == pytest.approx(median_low(walls) / 1e9, abs=6e-7)


def test_generation_rate(summary, counting):
    for tag, quant in per_quant(summary).items():
        calls = [run["call"] for runs in counting[tag].values() for run in runs]
        timed = [
            (call["completion_tokens"] - 1, call["decode_ns"])
            for call in calls
            if call["completion_tokens"] >= 2 and call["decode_ns"]
        ]
        rate = sum(t for t, _ in timed) / sum(ns for _, ns in timed) * 1e9
        told = quant["token_metrics"]["generation_tokens_per_second"]
        assert told == pytest.approx(rate, abs=6e-4)


def test_flips_against_the_baseline_quant(summary, counting):
    (session,) = summary["sessions"]
    passed = {
        tag: {
            task: 2 * sum(task_mean([run]) == 1 for run in runs) > len(runs)
            for task, runs in cells.items()
        }
        for tag, cells in counting.items()
    }
    reference = passed[session["baseline_quant"]]
    for tag, quant in per_quant(summary).items():
        flips = Counter(
            (reference[task], own)
            for task, own in passed[tag].items()
            if task in reference
        )
        assert quant["pairs"]["flips_lost"] == flips[True, False]
        assert quant["pairs"]["flips_gained"] == flips[False, True]


def test_the_choice_follows_from_the_figures(summary):
    quants = per_quant(summary)
    (session,) = summary["sessions"]
    need = 0.95 * quants[session["baseline_quant"]]["adherence_score"]
    ceiling = summary["matrix"]["latency_ceiling"]
    fit = [
        quant
        for quant in quants.values()
        if quant["adherence_score"] >= need and quant["total_latency"] <= ceiling
    ]
    detail = session["recommendation_detail"]
    smallest = min(fit, key=lambda quant: quant["bits_per_weight"])
    best = max(fit, key=lambda q: q["adherence_score"] / q["total_latency"])
    assert detail["minimum_viable_quant"] == smallest["quant_tag"]
    assert detail["best_value_quant"] == best["quant_tag"]


def test_the_low_end_is_truly_damaged(summary):
    quants = per_quant(summary)
    damage = quants["F16"]["adherence_score"] - quants["Q2_K"]["adherence_score"]
    assert damage >= 0.10


def test_no_prompt_was_found_in_a_cache(rows):
    timed = [row for row in rows if row["phase"] == "matrix"]
    assert timed
    assert all(row["call"]["cached_prompt_tokens"] == 0 for row in timed)
