"""A sweep that is followed while it grows says what an ordinary session says."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import msgspec
import pytest

from orket.errors import WarehouseError
from orket.records import EventRow
from orket.warehouse import Warehouse
from orket.warehouse.followed import FollowedSweep
from orket.warehouse.parts import time_ordered_id
from orket.warehouse.tolerance import Tolerance
from orket.warehouse.view_files import (
    datasets_under,
    split_comments,
    view_files,
    views_over,
    views_over_events,
)
from tests.adaptive_sweep import ask, losing, make

VIEWS = ("runs", "run_quality", "proof", "next_round", "duel", "recommendation")


def event(kind: str) -> EventRow:
    """An event of that kind, with what any of them says."""
    return EventRow(
        event_id=f"at {time_ordered_id()}",
        recorded_at=datetime.now(UTC),
        event=kind,
        sweep_id="s",
        model_id="m",
        quant_tag="Q4_K_M",
        reason="MIDDLE",
        test_ids=["bank/t000"],
    )


def rows_of(ask_rows, view):
    return ask_rows(f"SELECT * FROM v1.{view} ORDER BY ALL")


def test_every_look_equals_a_session_over_the_same_parts(tmp_path):
    warehouse = Warehouse(tmp_path)
    sweep = make(("F16", "Q8_0", "Q4_K_M", "Q2_K"))
    other = make(("F16", "Q4_K_M"), name="other")
    for each in (sweep, other):
        warehouse.append("sweeps", [each.sweep_row()], each.sweep_id)
    lost = losing({"Q2_K": set(range(0, 136, 2))})
    kinds = iter(("START_FIXED", "ROUND_JUDGED", "SWEEP_ABORTED", "FIDELITY_NARROWED"))
    with FollowedSweep(warehouse, "s") as followed:

        def look() -> None:
            followed.refresh()
            with warehouse.session("s") as session:
                session.stage(VIEWS)
                for view in VIEWS:
                    assert rows_of(followed.rows, view) == rows_of(session.rows, view)

        look()
        for kind in kinds:
            (answer,) = followed.rows("SELECT * FROM v1.next_round")
            before = len(sweep.runs)
            ask(sweep, answer, lost)
            warehouse.append("runs", sweep.runs[before:], "s")
            if kind == "ROUND_JUDGED":
                look()
            warehouse.append("events", [event(kind)])
            look()


def test_a_look_without_new_rows_computes_nothing_anew(tmp_path):
    warehouse = Warehouse(tmp_path)
    sweep = make(("F16", "Q4_K_M"))
    warehouse.append("sweeps", [sweep.sweep_row()], "s")
    with FollowedSweep(warehouse, "s") as followed:
        followed.rows("SELECT * FROM v1.next_round")
        views = followed._views
        assert views is not None
        views.connection.execute("UPDATE staged.next_round SET round = 77")
        followed.refresh()
        assert followed.rows("SELECT round FROM v1.next_round") == [{"round": 77}]
        # What was judged is kept as an event, which changes nothing of it.
        warehouse.append("events", [event("ROUND_JUDGED")])
        followed.refresh()
        assert followed.rows("SELECT round FROM v1.next_round") == [{"round": 77}]
        warehouse.append("runs", [sweep.add("F16", "t000", passed=1)], "s")
        followed.refresh()
        assert followed.rows("SELECT round FROM v1.next_round") == [{"round": 1}]


def test_what_stands_on_runs_is_dropped_and_the_plan_is_not():
    over = views_over("runs")
    assert {"attempts", "runs", "proof", "summary"} <= over
    assert not over & {"manifest", "planned_run", "policy", "quant", "reason"}


def test_each_kind_of_event_drops_the_views_that_name_it():
    (told,) = (
        field.type.__metadata__[-1].description
        for field in msgspec.structs.fields(EventRow)
        if field.name == "event"
    )
    kinds = set(re.findall(r"[A-Z_]{4,}", told))
    named = {kind: views_over_events(kind) for kind in kinds}
    assert "proof" in named["START_FIXED"] and "policy" not in named["START_FIXED"]
    assert {"policy", "proof", "runs", "summary"} <= named["POLICY_YIELDED"]
    read_by_none = named["ROUND_JUDGED"]
    assert read_by_none == views_over_events("what no event is called")
    assert frozenset.union(*named.values()) == views_over("events")
    # None reads events without saying of which kind.
    for name, path in view_files().items():
        if "events" in datasets_under(path):
            code, _ = split_comments(path)
            readings = len(re.findall(r"(?:FROM|JOIN) raw\.events(?!\))", code))
            limits = re.findall(r"\bevent (?:=|IN) \(?'(?:\w+)'", code)
            assert len(limits) >= readings, name


def test_a_part_that_cannot_be_read_is_named(tmp_path):
    warehouse = Warehouse(tmp_path)
    sweep = make(("F16", "Q4_K_M"))
    warehouse.append("sweeps", [sweep.sweep_row()], "s")
    with FollowedSweep(warehouse, "s") as followed:
        followed.rows("SELECT * FROM v1.next_round")
        part = warehouse.append("runs", [sweep.add("F16", "t000", passed=1)], "s")
        part.write_bytes(b"PAR1 not a part PAR1")
        with pytest.raises(WarehouseError, match=part.name):
            followed.refresh()


@pytest.mark.parametrize("owner", ["other", "s", None])
def test_events_that_are_lost_to_another_sweep_stop_no_look(tmp_path, owner):
    """Those of its own do, and those of any where that is not tolerated."""
    tolerance = Tolerance.EVENTS if owner is None else Tolerance.NONE
    warehouse = Warehouse(tmp_path, tolerance=tolerance)
    sweep = make(("F16", "Q8_0"))
    warehouse.append("sweeps", [sweep.sweep_row()], "s")
    with FollowedSweep(warehouse, "s") as followed:
        before = rows_of(followed.rows, "next_round")
        kind = "BASELINE_PIN" if owner is None else "ROUND_JUDGED"
        lost = msgspec.structs.replace(event(kind), sweep_id=owner)
        warehouse.append("events", [lost]).write_bytes(b"")
        for _ in range(2):
            if owner == "s":
                with pytest.raises(WarehouseError, match="of the events cannot be"):
                    followed.refresh()
                continue
            followed.refresh()
            assert rows_of(followed.rows, "next_round") == before
    if owner is None:
        strict = FollowedSweep(Warehouse(tmp_path), "s")
        with pytest.raises(WarehouseError, match="of the events cannot be"):
            strict.refresh()
