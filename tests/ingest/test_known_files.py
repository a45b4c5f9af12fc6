"""A file that was ingested before is known again, and of another only what is new."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from orket.cli.main import run_command
from orket.ingest import importer
from orket.ingest.importer import FileReport, ingest_file
from orket.ingest.manifest import write_manifests
from orket.records import RunRecord, to_json
from orket.warehouse import Warehouse
from orket.warehouse.compact import compact
from orket.warehouse.leftovers import find_leftovers
from tests.raw_rows import changed, make_run

RUNS = [
    make_run(sweep, f"logic/{test}", repetition, order=order)
    for sweep in ("sweep-a", "sweep-b")
    for order, (repetition, test) in enumerate(
        (repetition, test) for repetition in (1, 2) for test in ("one", "two")
    )
]


def _write(path: Path, runs: list[RunRecord]) -> Path:
    path.write_bytes(b"".join(to_json(run) + b"\n" for run in runs))
    return path


def _raw(warehouse: Warehouse) -> int:
    """Rows as they lie there: the views would count a row once anyway."""
    with warehouse.session() as session:
        (row,) = session.rows("SELECT count(*) AS n FROM raw.runs")
    return int(row["n"])


@pytest.fixture
def store(tmp_path) -> Warehouse:
    warehouse = Warehouse(tmp_path / "warehouse")
    ingest_file(warehouse, _write(tmp_path / "rows.jsonl", RUNS))
    return warehouse


def _not_parsed(*_: object) -> FileReport:
    raise AssertionError("the file was parsed")


def test_the_same_bytes_are_known_before_they_are_parsed(
    store, tmp_path, monkeypatch, capsys
):
    copy = shutil.copyfile(tmp_path / "rows.jsonl", tmp_path / "other name.jsonl")
    monkeypatch.setattr(importer, "ingest_orket_rows", _not_parsed)
    command = ["ingest", str(tmp_path / "rows.jsonl"), str(copy)]
    assert run_command([*command, "-w", str(store.path)]) == 0
    assert (
        capsys.readouterr().err.count("0 new of 8: all of them are there already") == 2
    )
    assert _raw(store) == 8


def test_of_a_file_that_overlaps_only_new_rows_are_taken(store, tmp_path):
    more = [make_run("sweep-c"), make_run("sweep-a", "logic/three", 1, order=9)]
    report = ingest_file(store, _write(tmp_path / "more.jsonl", [*RUNS[2:6], *more]))
    assert (report.accepted, report.known) == ({"runs": 2}, 4)
    assert report.notes == ["2 new of 6: the other 4 are there already"]
    assert _raw(store) == 10
    # The other way round, too: a part of what is there.
    report = ingest_file(store, _write(tmp_path / "less.jsonl", RUNS[:3]))
    assert (report.accepted, report.known, report.is_empty) == ({}, 3, False)


def test_a_row_that_says_something_else_is_another_row(store, tmp_path):
    other = changed(RUNS[0], max_tokens=33)
    report = ingest_file(store, _write(tmp_path / "other.jsonl", [other]))
    assert report.accepted == {"runs": 1}


def test_rows_that_are_gone_are_taken_again(store, tmp_path):
    (part,) = store.parts("runs", "sweep-a")
    part.unlink()
    report = ingest_file(store, tmp_path / "rows.jsonl")
    assert (report.accepted, report.known) == ({"runs": 4}, 4)
    assert _raw(store) == 8


def test_a_folded_file_is_known_by_its_rows_and_then_by_its_bytes(
    store, tmp_path, monkeypatch
):
    ingest_file(store, _write(tmp_path / "x.jsonl", [make_run("sweep-a", "logic/x")]))
    assert compact(store, pause=0).folded
    report = ingest_file(store, tmp_path / "rows.jsonl")
    assert (report.accepted, report.known) == ({}, 8)
    monkeypatch.setattr(importer, "ingest_orket_rows", _not_parsed)
    assert ingest_file(store, tmp_path / "rows.jsonl").known == 8


def test_without_what_was_derived_rows_are_known_all_the_same(store, tmp_path):
    shutil.rmtree(store.path / ".derived")
    assert ingest_file(store, tmp_path / "rows.jsonl").known == 8
    assert _raw(store) == 8


def test_a_file_with_bad_rows_tells_of_them_each_time(store, tmp_path):
    path = tmp_path / "bad.jsonl"
    path.write_bytes(to_json(RUNS[0]) + b"\nnot a row\n")
    for _ in range(2):
        report = ingest_file(store, path)
        assert (report.known, report.rejected) == (1, 1)


PROGRAM = """
import sys
from pathlib import Path
from orket.ingest.importer import ingest_file
from orket.warehouse import Warehouse
sys.stdin.readline()
report = ingest_file(Warehouse(Path(sys.argv[1])), Path(sys.argv[2]))
print(report.accepted.get("runs", 0))
"""


def test_two_processes_with_one_file_take_its_rows_once(tmp_path):
    path = _write(tmp_path / "rows.jsonl", RUNS)
    store = Warehouse(tmp_path / "warehouse")
    both = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(store.path), str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in both:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [process.communicate()[0].strip() for process in both]
    assert sorted(told) == ["0", "8"]
    assert _raw(store) == 8
    assert find_leftovers(store) == []


def test_a_damaged_part_leaves_its_own_sweep_alone_without_a_plan(
    store, tmp_path, capsys
):
    """The rows of both are taken; the file is not passed over once it is mended."""
    (part,) = store.parts("runs", "sweep-a")
    sound = part.read_bytes()
    part.write_bytes(sound[:-100])
    new = [
        make_run(sweep, "logic/three", 1, order=9) for sweep in ("sweep-a", "sweep-b")
    ]
    command = ["ingest", str(_write(tmp_path / "new.jsonl", new))]
    command += ["-w", str(store.path)]
    assert run_command(command) == 1
    told = capsys.readouterr().err.splitlines()
    assert part.name in told[-1]
    assert "ingest the file again" in told[-1]
    assert [line.startswith("orket: error") for line in told].count(True) == 1
    assert _planned(store, "sweep-b") == 5
    part.write_bytes(sound)
    assert run_command(command) == 0
    assert (_planned(store, "sweep-a"), _planned(store, "sweep-b")) == (5, 5)


def _planned(store: Warehouse, sweep_id: str) -> int:
    with store.session(sweep_id) as session:
        rows = session.rows("SELECT len(plan) AS n FROM raw.sweeps ORDER BY 1")
    return int(rows[-1]["n"])


def test_parts_that_are_folded_while_manifests_are_built_are_listed_again(
    store, tmp_path
):
    """As a compaction beside it does: what was listed is gone, its rows are not."""
    ingest_file(store, _write(tmp_path / "one.jsonl", [make_run("sweep-a", "logic/x")]))
    listed = {
        dataset: store.parts(dataset, "sweep-a") for dataset in ("runs", "sweeps")
    }
    assert len(listed["runs"]) == 2
    compact(store, "sweep-a", pause=0)

    class Late(Warehouse):
        def parts(self, dataset: str, sweep_id: str | None = None) -> list[Path]:
            return listed.pop(dataset, None) or super().parts(dataset, sweep_id)

    assert write_manifests(Late(store.path), ["sweep-a"]) == []
    assert not listed


def test_a_file_of_the_size_of_a_known_one_is_another_file(store, tmp_path):
    """Its size makes a file worth hashing; the hash tells whether it is the same."""
    known = tmp_path / "rows.jsonl"
    runs = [changed(RUNS[0], max_tokens=33), *RUNS[1:]]
    other = _write(tmp_path / "other.jsonl", runs)
    assert other.stat().st_size == known.stat().st_size
    report = ingest_file(store, other)
    assert (report.accepted, report.known) == ({"runs": 1}, 7)
    for path in (known, other):
        assert ingest_file(store, path).known == 8
