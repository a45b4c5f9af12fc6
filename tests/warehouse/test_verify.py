"""`verify`: every kind of damage in every dataset is found, moved and told of."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orket.cli.main import run_command
from orket.exports.load import load_summary
from orket.records import DATASETS, SidecarRow, to_json
from orket.warehouse import Warehouse
from orket.warehouse.bulk import copy_json_lines, stage_json_lines
from orket.warehouse.leftovers import clear, find_leftovers
from orket.warehouse.locks import Holder, find_holder
from orket.warehouse.parts import partition_name, time_ordered_id
from orket.warehouse.quarantine import missing_parts, move_to_quarantine
from orket.warehouse.seal import KEY, check_seal
from orket.warehouse.verify import verify
from tests.built_sweep import START, Sweep
from tests.nightly import nightly


def _store(folder: Path, name: str) -> Warehouse:
    sweep = Sweep(sweep_id=name).fill().finish()
    sweep.score("F16", "t1", [{1: 0.5, 2: 0.25}])
    sweep.sidecars = [
        SidecarRow(
            sweep_id=name,
            sidecar_id=f"{name}-s1",
            recorded_at=START,
            model_id="m",
            tool="llama-bench",
            quant_tag="F16",
            status="TIMEOUT",
        )
    ]
    return sweep.store(folder)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`bad` and `good`, each with a part in every dataset; nothing is damaged yet."""
    folder = tmp_path_factory.mktemp("verify") / "warehouse"
    for name in ("bad", "good"):
        _store(folder, name)
    return folder


@pytest.fixture
def store(sound, tmp_path) -> Warehouse:
    shutil.copytree(sound, tmp_path / "warehouse")
    return Warehouse(tmp_path / "warehouse")


_SEAL = KEY.encode()


def _flip(part: Path, place: int) -> Path:
    data = bytearray(part.read_bytes())
    data[place] ^= 0xFF
    part.write_bytes(data)
    return part


def _rewrite(part: Path, change: Callable[[Any], Any]) -> Path:
    """Write a part again, as a program does that records no checksum."""
    table = change(pq.ParquetFile(part).read())
    metadata = {k: v for k, v in (table.schema.metadata or {}).items() if k != _SEAL}
    pq.write_table(table.replace_schema_metadata(metadata), part)
    return part


def _truncate(part: Path) -> Path:
    part.write_bytes(part.read_bytes()[:-100])
    return part


def _empty(part: Path) -> Path:
    part.write_bytes(b"")
    return part


def _of_other_sweep(part: Path) -> Path:
    column = "sweep_id"

    def change(table: Any) -> Any:
        place = table.schema.get_field_index(column)
        return table.set_column(place, column, pa.array(["other"] * len(table)))

    return _rewrite(part, change)


def _without_identity(part: Path) -> Path:
    identities = ("manifest_id", "attempt_id", "sidecar_id", "fidelity_id", "event_id")
    return _rewrite(
        part, lambda t: t.drop_columns([n for n in identities if n in t.column_names])
    )


def _foreign(part: Path) -> Path:
    return _rewrite(part, lambda table: pa.table({"price": pa.array([], pa.int64())}))


def _renamed(part: Path) -> Path:
    folder = part.parent.with_name(partition_name("else"))
    part.parent.rename(folder)
    return folder / part.name


def _folder(part: Path) -> Path:
    part.unlink()
    part.mkdir()
    return part


def _link(part: Path) -> Path:
    part.unlink()
    part.symlink_to("nowhere")
    return part


def _of_other_dataset(part: Path) -> Path:
    (root,) = (p.parent for p in part.parents if p.name in DATASETS)
    other = "runs" if "events" in part.parts else "events"
    source = sorted((root / other).rglob("part-*.parquet"))[-1]
    shutil.copyfile(source, part)
    return part


DAMAGES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "truncated": (_truncate, "it cannot be read"),
    "zero bytes": (_empty, "it is empty"),
    "flipped in a page": (lambda part: _flip(part, 30), "(checksum)"),
    "flipped in the footer": (lambda part: _flip(part, -300), "(checksum)"),
    "flipped in the seal": (
        lambda part: _flip(part, part.read_bytes().rindex(b"orket-seal:") + 20),
        "(checksum)",
    ),
    "of another sweep": (_of_other_sweep, "rows are of sweep other"),
    "without identity": (_without_identity, "_id, which every row has"),
    "foreign": (_foreign, "a Parquet file of something else"),
    "renamed folder": (_renamed, "rows are of sweep bad"),
    "a folder": (_folder, "it is a folder"),
    "a link to nothing": (_link, "a link to nothing"),
    "of another dataset": (_of_other_dataset, "in the folder of"),
}
LATER = START + timedelta(hours=1)
RESUMED = {"kind": "RESUME", "manifest_id": "z"}
_NOT_OF_EVENTS = ("of another sweep", "renamed folder")


def test_a_sound_warehouse_has_the_bytes_it_was_written_with(store):
    verdict = verify(store)
    assert verdict.faults == []
    assert verdict.copies == []
    assert find_leftovers(store) == []
    for count in verdict.counts.values():
        assert (count.parts, count.as_written, count.not_recorded) == (2, 2, 0)
    assert verdict.counts["runs"].rows == 12
    assert run_command(["verify", "-w", str(store.path)]) == 0


@pytest.mark.parametrize("kind", DAMAGES)
def test_each_kind_of_damage_is_found_in_every_dataset_and_can_be_moved(store, kind):
    damage, words = DAMAGES[kind]
    kinds = [d for d in DATASETS if d != "events" or kind not in _NOT_OF_EVENTS]
    owner = "else" if kind == "renamed folder" else "bad"
    damaged = {d: damage(store.parts(d, "bad")[0]) for d in kinds}
    verdict = verify(store)
    faults = {fault.dataset: fault for fault in verdict.faults if fault.is_movable}
    assert {name: fault.path for name, fault in faults.items()} == damaged
    for name, fault in faults.items():
        assert words in fault.what
        assert fault.sweep_id == (None if name == "events" else owner)
        # The part of the other sweep, or the other part of events.
        count = verdict.counts[name]
        assert (count.parts, count.as_written, count.damaged) == (2, 1, 1)
        moved = move_to_quarantine(store.path, fault)
        assert not os.path.lexists(fault.path)
        assert moved.relative_to(store.path / ".quarantine") == (
            fault.path.relative_to(store.path)
        )
    assert [(m.dataset, m.place) for m in missing_parts(store.path)] == (
        sorted(damaged.items())
    )
    after = verify(store)
    # A manifest stays lost until somebody puts it back.
    assert {fault.dataset for fault in after.faults} <= {"sweeps"}
    assert verify(store, "good").faults == []


@pytest.mark.parametrize(
    "dataset", ["runs", "events", *nightly("sweeps", "sidecars", "fidelity")]
)
def test_commands_read_the_rest_and_say_what_is_missing(store, capsys, dataset):
    part = _truncate(store.parts(dataset, "bad")[0])
    command = ["verify", "-w", str(store.path)]
    assert run_command([*command, "--quarantine"]) == 4
    assert f"/{part.name}: it cannot be read" in capsys.readouterr().out
    assert run_command([*command, "--format", "json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["in_quarantine"]
    place = part.relative_to(store.path).as_posix()
    assert found["path"] == f".quarantine/{place}"
    assert run_command([*command, "--format", "csv"]) == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (row["found"], row["path"]) == ("in_quarantine", found["path"])
    assert (row["dataset"], row["what"]) == (dataset, found["what"])

    assert run_command(["sweeps", "-w", str(store.path), "--format", "csv"]) == 0
    told = capsys.readouterr()
    assert "good" in told.out
    assert part.name in told.err
    for name in ("good", "bad"):
        code = run_command(["show", name, "-w", str(store.path)])
        told = capsys.readouterr()
        # A part of events says by its name of which sweep it is.
        assert (part.name in told.err) is (name == "bad")
        assert code == (1 if (name, dataset) == ("bad", "sweeps") else 0)
    if dataset == "events":
        assert "UNKNOWN" in told.out
        assert "its end may be among the events that cannot be read" in told.err


@pytest.mark.parametrize(
    ("damage", "rows", "words"),
    [
        (_of_other_sweep, True, "2 parts with at least {} rows are missing"),
        (_truncate, False, "2 parts with an unknown number of rows are missing"),
    ],
)
def test_the_summary_and_the_screen_say_what_is_missing_of_a_sweep(
    store, capsys, damage, rows, words
):
    """A part that says how many rows it held is counted; one that does not may have
    held any number, which is not 0."""
    assert load_summary(store, "bad")["missing_parts"] is None
    parts = [store.parts(dataset, "bad")[0] for dataset in ("runs", "fidelity")]
    held = sum(pq.read_metadata(part).num_rows for part in parts)
    for part in parts:
        damage(part)
    assert run_command(["verify", "--quarantine", "-w", str(store.path)]) == 4
    missing = load_summary(store, "bad")["missing_parts"]
    counted = held if rows else None
    assert missing == {"status": "PARTS_MISSING", "parts": 2, "rows_at_least": counted}
    assert load_summary(store, "good")["missing_parts"] is None
    capsys.readouterr()
    for name, is_said in (("bad", True), ("good", False)):
        run_command(["show", name, "-w", str(store.path), "--format", "table"])
        said = " ".join(capsys.readouterr().out.split())
        assert (words.format(held) in said) is is_said


@pytest.mark.parametrize("dataset", DATASETS)
def test_what_may_not_be_read_is_told_and_stays(store, capsys, dataset):
    part = store.parts(dataset, "bad")[0]
    part.chmod(0)
    if os.access(part, os.R_OK):
        pytest.skip("this user may read any file")
    assert run_command(["verify", "--quarantine", "-w", str(store.path)]) == 4
    assert "give Orket the right to read it" in capsys.readouterr().out
    assert part.exists()


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_part_that_lies_there_twice_is_no_damage_and_goes_with_the_left_overs(
    store, capsys, dataset
):
    part = store.parts(dataset, "bad")[0]
    copy = part.with_name(f"part-{time_ordered_id()}.parquet")
    shutil.copyfile(part, copy)
    verdict = verify(store)
    assert (verdict.faults, verdict.copies) == ([], [copy])
    assert run_command(["verify", "--clean", "-w", str(store.path)]) == 0
    assert "copy of a part: removed" in capsys.readouterr().out
    assert part.exists()
    assert not copy.exists()


def test_a_part_of_before_checksums_is_sound_and_not_called_verified(store):
    part = store.parts("runs", "bad")[0]
    _rewrite(part, lambda table: table)
    count = verify(store).counts["runs"]
    assert (count.as_written, count.not_recorded, count.damaged) == (1, 1, 0)
    assert check_seal(part) is None


def test_no_byte_of_a_part_can_change_unseen(store):
    part = store.parts("events")[0]
    whole = part.read_bytes()
    for place in {*range(0, len(whole), 29), *range(len(whole) - 200, len(whole))}:
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 8
        part.write_bytes(changed)
        assert check_seal(part) is not True, place
    part.write_bytes(whole)
    assert check_seal(part) is True


@pytest.mark.parametrize("sweeps", [["x"], ["x", "y"]])
def test_parts_that_duckdb_writes_are_sealed_too(tmp_path, sweeps):
    store = Warehouse(tmp_path / "warehouse")
    source = tmp_path / "rows.jsonl"
    rows = [run for name in sweeps for run in Sweep(sweep_id=name).fill().runs]
    source.write_bytes(b"".join(to_json(row) + b"\n" for row in rows))
    parts = copy_json_lines(store, "runs", source)
    assert [check_seal(part) for part in parts] == [True] * len(sweeps)
    assert find_leftovers(store) == []
    assert not list(store.path.glob(".copy-*"))


def test_a_part_put_back_is_not_missing_any_more(store):
    part = store.parts("runs", "bad")[0]
    sound = part.read_bytes()
    _truncate(part)
    assert run_command(["verify", "--quarantine", "-w", str(store.path)]) == 4
    (missing,) = missing_parts(store.path)
    assert (missing.dataset, missing.sweep_id, missing.place) == ("runs", "bad", part)
    part.write_bytes(sound)
    assert missing_parts(store.path) == []
    assert run_command(["verify", "-w", str(store.path)]) == 0
    # Damaged once more, it is moved beside what lies there.
    _truncate(part)
    run_command(["verify", "--quarantine", "-w", str(store.path)])
    folder = store.path / ".quarantine" / part.parent.relative_to(store.path)
    assert len(list(folder.glob("part-*.parquet*"))) == 4


def test_a_sweep_that_lost_its_first_manifest_is_told(store):
    row = Sweep(sweep_id="bad", started_at=LATER, manifest=RESUMED).sweep_row()
    (first,) = store.parts("sweeps", "bad")
    store.append("sweeps", [row], "bad")
    assert verify(store).faults == []
    first.unlink()
    (fault,) = verify(store, "bad").faults
    assert "the manifest that sweep bad began with is gone" in fault.what


def test_a_manifest_that_does_not_tell_of_what_it_plans_is_told(store):
    def change(table: Any) -> Any:
        place = table.schema.get_field_index("quants")
        lists = [quants[1:] for quants in table["quants"].to_pylist()]
        kind = table.schema.field("quants").type
        return table.set_column(place, "quants", pa.array(lists, kind))

    _rewrite(store.parts("sweeps", "bad")[0], change)
    (fault,) = verify(store).faults
    assert "planned runs of a quant that it does not tell of" in fault.what


def test_a_file_in_the_place_of_a_sweeps_folder_can_be_moved(store):
    folder = store.folder("runs", "bad")
    shutil.rmtree(folder)
    folder.write_bytes(b"")
    assert run_command(["verify", "--quarantine", "-w", str(store.path)]) == 4
    assert run_command(["verify", "-w", str(store.path)]) == 0


WRITER = """
import sys, time
from pathlib import Path
from orket.warehouse import Warehouse
from orket.warehouse.staged import StagedRows
from orket.warehouse.locks import create_locked
from tests.built_sweep import Sweep
store = Warehouse(Path(sys.argv[1]))
run = Sweep(sweep_id="bad").fill().runs[0]
journal = store.journal("bad")
journal.append(run)
part = create_locked(store.folder("runs", "bad") / ".part-1.parquet.tmp")
staged = StagedRows(store, "runs")
(staged.place / "rows.parquet").write_bytes(b"half a file")
print("writing", flush=True)
time.sleep(60)
"""


@contextmanager
def _writer(store: Warehouse) -> Iterator[subprocess.Popen[str]]:
    """A process with a journal, a half-written part and rows that are being copied."""
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(store.path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "writing\n"
        yield writer
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.communicate()


def test_left_overs_are_cleared_when_their_writer_is_dead_and_never_before(
    store, capsys
):
    clean = ["verify", "--clean", "-w", str(store.path)]
    with _writer(store):
        alive = find_leftovers(store)
        assert {found.holder for found in alive} == {Holder.LIVING}
        # A journal, a half-written part, a folder of rows and the lock beside it.
        assert len(alive) == 4
        assert run_command(clean) == 0
        assert capsys.readouterr().out.count("being written: ") == 4
        assert [found.path.exists() for found in alive] == [True] * 4
    assert run_command(["verify", "-w", str(store.path)]) == 0
    assert "journal with 1 row: --clean clears it" in capsys.readouterr().out
    before = len(store.parts("runs", "bad"))
    assert run_command(clean) == 0
    assert [found.path.exists() for found in alive] == [False] * 4
    # The finished run of the dead writer is in a part now.
    assert len(store.parts("runs", "bad")) == before + 1
    assert verify(store).faults == []
    assert find_leftovers(store) == []


def test_rows_that_are_being_copied_are_not_touched(store, tmp_path):
    source = tmp_path / "rows.jsonl"
    runs = Sweep(sweep_id="new").fill().runs
    source.write_bytes(b"".join(to_json(run) + b"\n" for run in runs))
    staged = stage_json_lines(store, "runs", source)
    for found in find_leftovers(store):
        assert clear(store, found) is None
    (part,) = staged.publish()
    assert check_seal(part) is True


def test_a_damaged_journal_keeps_its_other_runs(store, capsys):
    with store.journal("bad") as journal:
        for run in Sweep(sweep_id="bad", repetitions=2).fill().runs[-3:]:
            journal.append(run)
    (path,) = store.folder("runs", "bad").glob(".journal-*.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b'{"torn": \n' + lines[2])
    assert run_command(["verify", "-w", str(store.path)]) == 4
    assert "line 2 is not a row of runs" in capsys.readouterr().out
    assert run_command(["verify", "--quarantine", "-w", str(store.path)]) == 4
    verdict = verify(store)
    assert verdict.faults == []
    assert verdict.counts["runs"].rows == 12 + 2
    assert find_holder(store.path / ".quarantine") is Holder.UNKNOWN


@pytest.mark.parametrize("verb", ["verify", "compact"])
def test_a_folder_that_is_no_warehouse_is_not_called_whole(verb, tmp_path, capsys):
    assert run_command([verb, "-w", str(tmp_path / "mistyped")]) == 2
    assert "there is no warehouse in" in capsys.readouterr().err
