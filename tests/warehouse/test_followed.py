"""A sweep that is followed while it grows says what an ordinary session says."""

from __future__ import annotations

import pytest

from orket.errors import WarehouseError
from orket.warehouse import Warehouse
from orket.warehouse.followed import FollowedSweep
from orket.warehouse.view_files import views_over
from tests.adaptive_sweep import ask, losing, make

VIEWS = ("runs", "run_quality", "proof", "next_round", "duel", "recommendation")


def rows_of(ask_rows, view):
    return ask_rows(f"SELECT * FROM v1.{view} ORDER BY ALL")


def test_every_look_equals_a_session_over_the_same_parts(tmp_path):
    warehouse = Warehouse(tmp_path)
    sweep = make(("F16", "Q8_0", "Q4_K_M", "Q2_K"))
    other = make(("F16", "Q4_K_M"), name="other")
    for each in (sweep, other):
        warehouse.append("sweeps", [each.sweep_row()], each.sweep_id)
    lost = losing({"Q2_K": set(range(0, 136, 2))})
    with FollowedSweep(warehouse, "s") as followed:
        for _ in range(4):
            followed.refresh()
            for view in VIEWS:
                with warehouse.session("s") as session:
                    assert rows_of(followed.rows, view) == rows_of(session.rows, view)
            (answer,) = followed.rows("SELECT * FROM v1.next_round")
            before = len(sweep.runs)
            ask(sweep, answer, lost)
            warehouse.append("runs", sweep.runs[before:], "s")


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
        warehouse.append("runs", [sweep.add("F16", "t000", passed=1)], "s")
        followed.refresh()
        assert followed.rows("SELECT round FROM v1.next_round") == [{"round": 1}]


def test_what_stands_on_runs_is_dropped_and_the_plan_is_not():
    over = views_over("runs")
    assert {"attempts", "runs", "proof", "summary"} <= over
    assert not over & {"manifest", "planned_run", "policy", "quant", "reason"}


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
