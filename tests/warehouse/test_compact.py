"""`compact`: fewer parts, the same rows, whoever reads or writes meanwhile."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orket.cli.main import run_command
from orket.exports.summary import render_summary
from orket.records import DATASETS
from orket.warehouse import Warehouse, kept
from orket.warehouse.compact import compact
from orket.warehouse.folds import Fold, note_path
from orket.warehouse.kept import read_sweeps
from orket.warehouse.leftovers import FOLDED, find_leftovers
from orket.warehouse.seal import KEY, check_seal
from orket.warehouse.verify import verify
from tests.built_sweep import START, Sweep
from tests.golden_cases import CASES

NAMES = ("first", "second")


def _fill(warehouse: Warehouse) -> Warehouse:
    """Two sweeps, the later one written first; each run and event in a part."""
    for day, name in enumerate(reversed(NAMES)):
        sweep = Sweep(
            sweep_id=name,
            quants=("F16", "Q4_K_M"),
            started_at=START + timedelta(days=day),
        )
        sweep.fill().finish().score("F16", "t1", [{1: 0.5, 2: 0.25}])
        warehouse.append("sweeps", [sweep.sweep_row()], name)
        for run in sweep.runs:
            warehouse.append("runs", [run], name)
        for row in sweep.fidelity:
            warehouse.append("fidelity", [row], name)
        for event in sweep.events:
            warehouse.append("events", [event])
    return warehouse


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compact") / "warehouse"
    return _fill(Warehouse(folder)).path


@pytest.fixture
def store(filled, tmp_path) -> Warehouse:
    shutil.copytree(filled, tmp_path / "warehouse")
    return Warehouse(tmp_path / "warehouse")


def _raw(warehouse: Warehouse) -> dict[str, list[str]]:
    with warehouse.session() as session:
        return {
            name: sorted(map(str, session.rows(f"SELECT * FROM raw.{name}")))
            for name in DATASETS
        }


def test_every_view_says_the_same_of_fewer_parts(tmp_path):
    """Over stored baselines, whose events lie in many parts."""
    store = Warehouse(tmp_path / "warehouse")
    CASES["baselines"](store.path)
    _fill(store)
    before, order = _raw(store), store.sweep_ids()
    with store.session() as session:
        views = {name: session.view(name) for name in session.view_names()}
    summaries = {
        rows.sweep_id: render_summary(rows.summary)
        for rows in read_sweeps(store, order)
    }
    done = compact(store, pause=0)
    assert (done.held, done.damaged) == ([], [])
    assert {found.dataset for found in done.folded} == {"runs", "events"}
    assert len(store.parts("runs")) == len(store.parts("sweeps"))
    assert len(store.parts("events")) == 1
    assert all(check_seal(part) for name in DATASETS for part in store.parts(name))
    assert verify(store).faults == []
    assert find_leftovers(store) == []
    assert store.sweep_ids() == order
    assert _raw(store) == before
    with store.session() as session:
        for name, frame in views.items():
            assert session.view(name).equals(frame), name
    # What was derived before counts on: nothing is derived anew.
    shelf = kept._Shelf(store, {}, order)
    assert all(shelf.take(sweep_id)[0] is not None for sweep_id in order)
    for rows in read_sweeps(store, order):
        assert render_summary(rows.summary) == summaries[rows.sweep_id]
    assert compact(store, pause=0).folded == []


def test_a_trial_changes_nothing_and_says_what_would_be_done(store, capsys):
    before = sorted(store.path.rglob("*"))
    command = ["compact", "-w", str(store.path), "--format", "json"]
    assert run_command([*command, "--dry-run"]) == 0
    foreseen = json.loads(capsys.readouterr().out)
    assert sorted(store.path.rglob("*")) == before
    assert run_command(command) == 0
    told = capsys.readouterr()
    done = json.loads(told.out)
    assert "10 parts became 3" in told.err
    for one, other in zip(foreseen, done, strict=True):
        for key in ("dataset", "sweep_id", "parts_before", "parts_after"):
            assert one[key] == other[key]


def test_one_sweep_alone(store):
    compact(store, "first", pause=0)
    assert len(store.parts("runs", "first")) == 1
    assert len(store.parts("runs", "second")) == 4
    assert len(store.parts("events")) == 2


def test_a_sweep_that_is_being_run_is_left_alone(store):
    with store.claim("first"):
        done = compact(store, pause=0)
    (reason,) = done.held
    assert reason.startswith("sweep first is being run by process ")
    assert len(store.parts("runs", "first")) == 4
    assert len(store.parts("runs", "second")) == 1


def test_damage_is_not_put_under_a_sound_checksum(store, capsys):
    part = store.parts("runs", "first")[1]
    content = bytearray(part.read_bytes())
    content[30] ^= 0xFF
    part.write_bytes(content)
    assert run_command(["compact", "-w", str(store.path)]) == 4
    assert f"{part.name} is damaged" in capsys.readouterr().err
    assert len(store.parts("runs", "first")) == 4
    assert len(store.parts("runs", "second")) == 1


def test_a_manifest_that_was_written_twice_is_no_damage_in_one_part_either(store):
    """As two imports that end at once do: both build it of the same rows."""
    made = Sweep(sweep_id="first", quants=("F16", "Q4_K_M")).sweep_row()
    other = msgspec.structs.replace(made, manifest_id="another", plan=made.plan[:1])
    for row in (made, made, other):
        store.append("sweeps", [row], "first")
    compact(store, "first", pause=0)
    (part,) = store.parts("sweeps", "first")
    assert pq.ParquetFile(part).metadata.num_rows == 4
    assert verify(store, "first").faults == []


def test_other_columns_and_missing_checksums_stay_what_they_are(store):
    """Parts of a newer Orket, and of a program that records no checksum."""
    newer, bare, other = store.parts("runs", "first")[:3]
    table = pq.ParquetFile(newer).read()
    pq.write_table(table.append_column("later", pa.array([1])), newer)
    for part in (bare, other):
        table = pq.ParquetFile(part).read()
        metadata = dict(table.schema.metadata)
        del metadata[KEY.encode()]
        pq.write_table(table.replace_schema_metadata(metadata), part)
    compact(store, "first", pause=0)
    parts = store.parts("runs", "first")
    assert newer in parts
    found = {check_seal(part): pq.ParquetFile(part) for part in parts if part != newer}
    assert found[None].metadata.num_rows == 2
    assert len(parts) == 3


def test_old_parts_count_again_when_the_new_one_is_lost(store):
    """As after a kill between the new part and the removal of the old ones."""
    folder = store.folder("runs", "first")
    before, parts = _raw(store), store.parts("runs", "first")
    copies = {part: part.read_bytes() for part in parts}
    compact(store, "first", pause=0)
    (new,) = store.parts("runs", "first")
    for part, content in copies.items():
        part.write_bytes(content)
    note = Fold(into=new.name, rows=4, parts=[part.name for part in parts])
    note_path(folder, new.name).write_text(
        json.dumps({"into": note.into, "rows": 4, "parts": note.parts})
    )
    assert store.parts("runs", "first") == [new]
    assert [left.kind for left in find_leftovers(store)] == [FOLDED]
    new.unlink()
    assert store.parts("runs", "first") == parts
    assert _raw(store) == before
    # A later compaction begins by ending what was begun.
    compact(store, "first", pause=0)
    assert _raw(store) == before
    assert find_leftovers(store) == []


def test_a_note_that_is_no_note_hides_nothing(store):
    folder = store.folder("runs", "first")
    parts = store.parts("runs", "first")
    for content in (b"", b"{}", b'{"into": "../x", "rows": 1, "parts": []}'):
        note_path(folder, "part-x.parquet").write_bytes(content)
        assert store.parts("runs", "first") == parts
    assert run_command(["verify", "--clean", "-w", str(store.path)]) == 0
    assert not note_path(folder, "part-x.parquet").exists()


READER = """
import sys
from pathlib import Path
from orket.warehouse import Warehouse, kept
store = Warehouse(Path(sys.argv[1]))
print("reading", flush=True)
for line in sys.stdin:
    with store.session() as session:
        (row,) = session.rows(
            "SELECT (SELECT count(*) FROM raw.runs) AS runs, "
            "(SELECT count(*) FROM raw.events) AS events"
        )
    print(row["runs"], row["events"], flush=True)
"""


def test_a_reader_that_loops_sees_every_row_once(store):
    """Each round writes four parts, and folds them while the reader reads."""
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(store.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert reader.stdin is not None
    assert reader.stdout is not None
    assert reader.stdout.readline() == "reading\n"
    extra = Sweep(sweep_id="first", repetitions=9).fill().runs[-24:]
    seen = []
    for number in range(6):
        for run in extra[number * 4 : number * 4 + 4]:
            store.append("runs", [run], "first")
        reader.stdin.write("go\n" * 2)
        reader.stdin.flush()
        compact(store, "first", pause=0)
        seen += [reader.stdout.readline().split() for _ in range(2)]
        assert seen[-1][0] == str(8 + 4 * number + 4)
    reader.communicate()
    assert reader.returncode == 0
    assert {events for _, events in seen} == {"2"}
    assert [int(runs) for runs, _ in seen] == sorted(int(runs) for runs, _ in seen)


def test_parts_that_go_after_they_were_listed_are_listed_again(store):
    with store.session() as session:
        (row,) = session.rows("SELECT count(*) AS n FROM raw.events")
        # Listed by name, and not yet opened.
        listed = session._parts["runs"]
        compact(store, pause=0)
        assert not any(part.exists() for part in listed)
        (row,) = session.rows("SELECT count(*) AS n FROM raw.runs")
    assert row["n"] == 8
