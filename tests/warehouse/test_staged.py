"""Rows on their way in: each sweep gets its own, in whatever order they come."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from orket.errors import WarehouseError
from orket.records import to_json
from orket.warehouse import Warehouse, staged
from orket.warehouse.bulk import stage_json_lines
from orket.warehouse.leftovers import find_leftovers
from orket.warehouse.schema import arrow_schema, arrow_table
from orket.warehouse.seal import check_seal
from orket.warehouse.staged import StagedRows
from tests.raw_rows import finished, make_run

SWEEPS = [f"sweep-{number}" for number in range(5)]
RUNS = [
    make_run(sweep, repetition=repetition, order=repetition)
    for sweep in SWEEPS
    for repetition in range(1, 9)
]
IN_TURN = sorted(RUNS, key=lambda run: run.repetition)
"""The same, a run of each sweep after the other."""


def _stored(store: Warehouse) -> dict[str, list[int]]:
    """Sweep -> the repetitions of its rows, by all parts in its folder."""
    found = {}
    for sweep in SWEEPS:
        tables = [pq.read_table(part) for part in store.parts("runs", sweep)]
        assert {name for t in tables for name in t["sweep_id"].to_pylist()} == {sweep}
        found[sweep] = sorted(n for t in tables for n in t["repetition"].to_pylist())
    return found


@pytest.mark.parametrize("rows", [RUNS, IN_TURN], ids=["in blocks", "in turn"])
@pytest.mark.parametrize("held", [0, 40_000, 64 << 20])
@pytest.mark.parametrize("most", [1, 2, 100])
def test_each_sweep_gets_its_rows_once(tmp_path, monkeypatch, rows, held, most):
    monkeypatch.setattr(staged, "_HELD_BYTES", held)
    monkeypatch.setattr(staged, "_OPEN_FILES", most)
    store = Warehouse(tmp_path / "warehouse")
    copy = StagedRows(store, "runs")
    for start in range(0, len(rows), 7):
        copy.add(arrow_table("runs", rows[start : start + 7]))
        assert len(copy._open) <= most
    assert copy.rows == len(rows)
    parts = copy.publish()
    assert _stored(store) == dict.fromkeys(SWEEPS, list(range(1, 9)))
    assert [check_seal(part) for part in parts] == [True] * len(parts)
    assert find_leftovers(store) == []
    assert not list(store.path.glob(".copy-*"))


def test_rows_that_come_in_turn_are_written_together(tmp_path):
    store = Warehouse(tmp_path / "warehouse")
    copy = StagedRows(store, "runs")
    for run in IN_TURN:
        copy.add(arrow_table("runs", [run]))
    parts = copy.publish()
    assert len(parts) == len(SWEEPS)
    for part in parts:
        with pq.ParquetFile(part) as file:
            assert (file.num_row_groups, file.metadata.num_rows) == (1, 8)
            assert (
                file.schema_arrow.remove_metadata()
                == arrow_schema("runs").remove_metadata()
            )
            assert file.metadata.metadata[b"orket_dataset"] == b"runs"


def test_events_go_to_one_file_and_no_rows_to_none(tmp_path):
    store = Warehouse(tmp_path / "warehouse")
    copy = StagedRows(store, "events")
    copy.add(arrow_table("events", [finished(sweep) for sweep in SWEEPS]))
    (part,) = copy.publish()
    assert part.parent == store.folder("events")
    empty = StagedRows(store, "runs")
    empty.add(arrow_table("runs", []))
    assert (empty.rows, empty.publish()) == (0, [])


def test_a_file_that_turns_out_bad_late_leaves_nothing(tmp_path):
    """Rows before the bad line were handed over by then."""
    store = Warehouse(tmp_path / "warehouse")
    source = tmp_path / "rows.jsonl"
    line = to_json(RUNS[0]) + b"\n"
    source.write_bytes(line * 30_000 + b'{"run_id": 7, "run_id": 8}\n')
    with pytest.raises(WarehouseError, match="duplicate key"):
        stage_json_lines(store, "runs", source)
    assert find_leftovers(store) == []
    assert not list(store.path.glob(".copy-*"))
