"""The views behind a report: what was answered, each point, each run, each moment."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from orket.records import Policy
from orket.warehouse.session import Session
from tests.built_sweep import MS, Sweep, quiet_counters
from tests.together import Sight, together


def rows(sweep: Sweep, query: str) -> Sight:
    seen = yield sweep.finish()
    return seen.rows(query)


@pytest.fixture(scope="module")
def answered(tmp_path_factory) -> Iterator[Session]:
    """F16 passes t1, t2, t4, Q4_K_M t1, t3; Q2_K answers t2 alone, in broken form."""
    sweep = Sweep(
        quants=("F16", "Q4_K_M", "Q2_K"), tasks=("t1", "t2", "t3", "t4"), repetitions=3
    )
    said = {
        ("F16", "t1"): "né 10",
        ("Q4_K_M", "t1"): "né 10",
        ("F16", "t2"): "né 10",
        ("Q4_K_M", "t2"): "né 12",
        ("F16", "t4"): "abc",
        ("Q4_K_M", "t4"): "abcd",
        ("F16", "t3"): "wrong",
        ("Q4_K_M", "t3"): "right",
    }
    passes = {("F16", "t1"), ("F16", "t2"), ("F16", "t4")}
    passes |= {("Q4_K_M", "t1"), ("Q4_K_M", "t3")}
    for repetition in (1, 2, 3):
        for (quant, task), text in said.items():
            passed = (quant, task) in passes
            # The first repetition is the odd one out, so that it is not the one shown.
            is_odd = repetition == 1 and task == "t1"
            sweep.add(
                quant,
                task,
                repetition,
                passed=int(passed and not is_odd),
                answer_text="odd" if is_odd else text,
            )
        sweep.add(
            "Q2_K",
            "t2",
            repetition,
            passed=0,
            answer_text="né né",
            format_damage="LOOPING",
        )
    warehouse = sweep.finish().store(tmp_path_factory.mktemp("answered"))
    with warehouse.session() as session:
        yield session


def found(answered: Session, columns: str) -> dict[tuple[str, str], tuple[Any, ...]]:
    everything = answered.rows(
        f"SELECT quant_tag, test_id, {columns} FROM v1.task_answer"
    )
    return {
        (row.pop("quant_tag"), row.pop("test_id").removeprefix("bank/")): tuple(
            row.values()
        )
        for row in everything
    }


def test_each_task_of_each_quant_has_a_standing(answered):
    standings = found(answered, "standing, change, damage_kind, format_damage")
    assert standings == {
        ("F16", "t1"): ("PASSED", None, None, None),
        ("F16", "t2"): ("PASSED", None, None, None),
        ("F16", "t3"): ("FAILED", None, "CONTENT", None),
        ("F16", "t4"): ("PASSED", None, None, None),
        ("Q4_K_M", "t1"): ("PASSED", "SAME", None, None),
        ("Q4_K_M", "t2"): ("FAILED", "LOST", "CONTENT", None),
        ("Q4_K_M", "t3"): ("PASSED", "GAINED", None, None),
        ("Q4_K_M", "t4"): ("FAILED", "LOST", "CONTENT", None),
        ("Q2_K", "t1"): ("NOT_JUDGED", None, None, None),
        ("Q2_K", "t2"): ("FAILED", "LOST", "FORMAT", "LOOPING"),
        ("Q2_K", "t3"): ("NOT_JUDGED", None, None, None),
        ("Q2_K", "t4"): ("NOT_JUDGED", None, None, None),
    }


def test_the_answer_shown_is_one_that_has_the_verdict_of_its_task(answered):
    shown = found(answered, "answer_text, run_id")
    assert shown["F16", "t1"] == ("né 10", "sweep-1:m:F16:t1:2")
    assert shown["Q4_K_M", "t2"] == ("né 12", "sweep-1:m:Q4_K_M:t2:1")
    assert shown["Q2_K", "t1"][0] is None


def test_the_first_difference_is_a_place_in_the_text(answered):
    differences = found(answered, "is_same_answer, first_difference")
    assert differences["Q4_K_M", "t1"] == (True, None)
    text = found(answered, "answer_text")["Q4_K_M", "t2"][0]
    assert differences["Q4_K_M", "t2"] == (False, text.index("2") + 1)
    assert differences["Q4_K_M", "t4"] == (False, 4)
    assert differences["Q2_K", "t1"] == (None, None)


@together
def test_long_answers_are_compared_in_no_time():
    """Ten answers of 200000 characters: in squared steps this would take hours."""
    sweep = Sweep(quants=("F16", "Q4_K_M"), tasks=tuple(f"t{n}" for n in range(5)))
    body = "é" * 200_000
    for planned in sweep.plan():
        end = "a" if planned.quant_tag == "F16" else "b"
        task = planned.test_id.removeprefix("bank/")
        sweep.add(planned.quant_tag, task, answer_text=body + end)
    places = yield from rows(
        sweep,
        "SELECT DISTINCT first_difference FROM v1.task_answer "
        "WHERE quant_tag = 'Q4_K_M'",
    )
    assert places == [{"first_difference": 200_001}]


@together
def test_a_picture_has_bars_of_intervals_and_of_runs():
    """F16 does 4 of 4, Q4_K_M 2 of 4; walls of 100, 200, 300 and 400 ms.

    Nearest ranks of a quarter, a half and three quarters of four: 100, 200, 300 ms.
    0.95 of F16's 1.0 is asked. Wilson of 2 in 4 at z = 1.96: 0.5 -+ 1.96 x
    sqrt(0.0625 + 0.060025) / 1.9604 = 0.150036 to 0.849964.
    """
    sweep = Sweep(quants=("F16", "Q4_K_M"), tasks=("t1", "t2", "t3", "t4"))
    for planned in sweep.plan():
        task = planned.test_id.removeprefix("bank/")
        place = int(task[1:])
        passed = planned.quant_tag == "F16" or place > 2
        sweep.add(planned.quant_tag, task, passed=int(passed), wall_ms=100 * place)
    (own,) = yield from rows(
        sweep, "SELECT * FROM v1.quant_picture WHERE quant_tag = 'Q4_K_M'"
    )
    assert own["adherence_micro"] == 500_000
    assert (own["adherence_low_micro"], own["adherence_high_micro"]) == (
        150_036,
        849_964,
    )
    assert own["needed_adherence_micro"] == 950_000
    walls = [own[f"wall_{end}_ns"] // MS for end in ("low", "middle", "high")]
    assert walls == [100, 200, 300]
    assert (own["mark"], own["is_alike"], own["is_baseline_quant"]) == (
        "OUT",
        True,
        False,
    )
    (best,) = yield from rows(
        sweep, "SELECT * FROM v1.quant_picture WHERE quant_tag = 'F16'"
    )
    assert (best["mark"], best["is_alike"]) == ("ADVISED", False)


@together
def test_by_answers_alone_a_picture_has_no_speed():
    sweep = Sweep(quants=("F16",), policy=Policy(quality_only=True)).fill()
    (own,) = yield from rows(sweep, "SELECT * FROM v1.quant_picture")
    assert own["adherence_micro"] == 1_000_000
    speeds = [own[key] for key in own if key.startswith(("rate_", "wall_"))]
    assert speeds == [None] * 7


@together
def test_every_run_is_a_point_and_a_polluted_one_has_its_leading_reason():
    """Two runs that others disturbed, one of them also late: foreign CPU leads."""
    sweep = Sweep(quants=("F16",), tasks=("t1", "t2", "t3"))
    for task, load_ns in (("t1", 0), ("t2", 600 * MS)):
        stop_ns = sweep.clock_ns + 600 * MS
        busy = quiet_counters(stop_ns, host_busy_ns=stop_ns * 192 // 100 + 500 * MS)
        sweep.add("F16", task, after=busy, load_ns=load_ns)
    sweep.add("F16", "t1", attempt=2)
    sweep.add("F16", "t3", passed=None, outcome="FAILED", error_class="HTTP_500")
    points = yield from rows(
        sweep,
        "SELECT attempt_id, mark, leading_reason FROM v1.run_point ORDER BY ALL",
    )
    assert [tuple(point.values()) for point in points] == [
        ("sweep-1:m:F16:t1:1#1", "POLLUTED", "HIGH_FOREIGN_CPU"),
        ("sweep-1:m:F16:t1:1#2", "COUNTS", None),
        ("sweep-1:m:F16:t2:1#1", "POLLUTED", "HIGH_FOREIGN_CPU"),
    ]


@together
def test_the_time_between_two_executors_is_no_part_of_the_sweep():
    """240 calls of 100 ms, half of them a day later, from 7 s of its clock on."""
    sweep = Sweep(quants=("F16",), tasks=tuple(f"t{n:03}" for n in range(240)))
    for place, task in enumerate(sweep.tasks):
        if place == 120:
            sweep.clock_ns = 7_000 * MS
        later = timedelta(days=1 if place >= 120 else 0)
        sweep.add(
            "F16", task, wall_ms=100, executor_started_at=sweep.started_at + later
        )
    slots = yield from rows(
        sweep,
        "SELECT * FROM v1.machine_timeline ORDER BY slot",
    )
    assert [slot["slot"] for slot in slots] == list(range(240))
    assert {slot["calls"] for slot in slots} == {1}
    assert slots[120]["from_ns"] == 12_000 * MS and slots[-1]["to_ns"] == 24_000 * MS


@together
def test_of_several_readings_the_worst_is_shown_and_none_is_null():
    sweep = Sweep(quants=("F16",), tasks=("t1",), repetitions=2)
    for repetition, load in ((1, 700), (2, 1500)):
        after = quiet_counters(sweep.clock_ns + 600 * MS, load1_milli=load)
        sweep.add("F16", "t1", repetition, started_ns=0, after=after)
    (slot,) = yield from rows(sweep, "SELECT * FROM v1.machine_timeline")
    assert slot["load1_milli"] == 1500
    assert slot["gpu_temperature_milli_c"] is None


@together
def test_calls_without_a_clock_have_no_moment():
    sweep = Sweep(quants=("F16",)).fill(started_ns=None, ended_ns=None)
    assert (yield from rows(sweep, "SELECT * FROM v1.machine_timeline")) == []
