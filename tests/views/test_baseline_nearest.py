"""The nearest stored baseline is the same, found by identity or by every pair."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from orket.records import EventRow
from orket.warehouse import Warehouse
from tests.built_sweep import START, Sweep
from tests.golden_cases import baseline_event

TASKS = ("t01", "t02")
SAME = (
    "event_id, chosen, dropped_by, differing, same_controls, pinned, measured_at, "
    "age_us, source_run_ids, runs, checks_passed, checks_total, latency_median_ns, "
    "latency_mad_ns"
)


def draw_events(dice: random.Random) -> list[EventRow]:
    """Appends that differ in anything that matching reads; pins, prunes and undos."""
    hours = range(-24 * 100, 72)
    events: list[EventRow] = []
    for number in range(60):
        moment = START + timedelta(hours=dice.choice(hours))
        measured = moment - timedelta(hours=dice.choice((0, 0, 1, 5, 3000)))
        events.append(
            baseline_event(
                dice.choice((*TASKS, "t99")),
                f"e{number:02}",
                recorded_at=moment,
                measured_at=dice.choice((measured, measured, measured, None)),
                sweep_id=dice.choice((None, "s0", "s1")),
                model_digest=dice.choice((None, "sha256:F16", "sha256:other")),
                quant_tag=dice.choice(("F16", "F16", "F16", "Q4_K_M")),
                task_revision=dice.choice(("rev-t01", "rev-t02", "rev-t02", None)),
                hardware_fingerprint=dice.choice(("hw1-test", "hw1-test", None)),
                control_profile=dice.choice(("quiet", "loud")),
                run_quality_status=dice.choice(("CLEAN", "CLEAN", "POLLUTED")),
                source_run_ids=dice.choice((["a"], ["b"], ["c"])),
            )
        )
    events += dice.sample(events, 3)
    for number in range(8):
        target = dice.choice(events)
        moment = START + timedelta(hours=dice.choice(hours))
        kind = dice.choice(
            ("BASELINE_PRUNE", "BASELINE_PRUNE", "BASELINE_PIN", "BASELINE_UNPIN")
        )
        is_prune = kind == "BASELINE_PRUNE"
        act = EventRow(
            event_id=f"act{number}",
            recorded_at=moment,
            event=kind,
            target_event_id=dice.choice((target.event_id, "not there")),
            test_id=None if is_prune else target.test_id,
            model_id=None if is_prune else "m",
            quant_tag=None if is_prune else "F16",
        )
        events.append(act)
        if is_prune and dice.random() < 0.4:
            events.append(
                EventRow(
                    event_id=f"undo{number}",
                    recorded_at=moment + timedelta(hours=dice.choice((1, 500))),
                    event="BASELINE_PRUNE_UNDONE",
                    target_event_id=act.event_id,
                )
            )
    return events


def store(folder, dice: random.Random) -> Warehouse:
    for number in range(3):
        Sweep(
            sweep_id=f"s{number}",
            quants=("F16", "Q4_K_M"),
            tasks=TASKS,
            started_at=START + timedelta(days=number),
        ).fill().store(folder)
    warehouse = Warehouse.open(folder)
    warehouse.append("events", draw_events(dice))
    return warehouse


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("moment", [None, START + timedelta(days=30)])
def test_the_nearest_is_that_of_all_pairs(tmp_path, seed, moment):
    warehouse = store(tmp_path, random.Random(seed))
    what_if = {} if moment is None else {"as_of": moment}
    keys = "sweep_id, model_id, quant_tag, test_id"
    with warehouse.session(overrides=what_if) as session:
        by_pairs = session.rows(
            f"SELECT {keys}, {SAME} FROM v1.baseline_candidate WHERE nearness = 1 "
            "ORDER BY ALL"
        )
        found = session.rows(
            f"SELECT {keys}, {SAME} FROM v1.baseline_nearest ORDER BY ALL"
        )
        pins = session.rows(
            f"SELECT {keys}, count(*) FILTER (WHERE candidate.pinned) > 0 AS has "
            "FROM v1.baseline_pin LEFT JOIN v1.baseline_candidate AS candidate "
            f"USING ({keys}) GROUP BY ALL ORDER BY ALL"
        )
        has_pinned = session.rows(
            f"SELECT {keys}, coalesce(has_pinned, false) AS has FROM v1.baseline_pin "
            f"LEFT JOIN v1.baseline_nearest USING ({keys}) ORDER BY ALL"
        )
    assert found == by_pairs
    assert has_pinned == pins
    assert len({row["dropped_by"] for row in found}) > 1


def test_one_of_a_thousand_alike_stands_for_them_all(tmp_path):
    """Measured at the same moment: the first run decides."""
    sweep = Sweep(sweep_id="s", quants=("F16",), tasks=("t01",)).fill()
    warehouse = sweep.store(tmp_path)
    warehouse.append(
        "events",
        [
            baseline_event("t01", f"e{number:04}", source_run_ids=[f"r{number:04}"])
            for number in range(1000)
        ],
    )
    with warehouse.session() as session:
        (nearest,) = session.rows("SELECT event_id FROM v1.baseline_nearest")
    assert nearest["event_id"] == "e0000"
