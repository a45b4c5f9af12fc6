"""Strange files in the place of parts: pipes, names, notes; the rest is read."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest

from orket.cli.main import run_command
from orket.warehouse import Warehouse
from orket.warehouse.folds import Fold, note_path
from tests.built_sweep import Sweep
from tests.nightly import nightly


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse of two sweeps that were looked at."""
    folder = tmp_path_factory.mktemp("strange") / "warehouse"
    for name in ("bad", "good"):
        Sweep(sweep_id=name, quants=("F16",)).fill().finish().store(folder)
    assert run_command(["sweeps", "-w", str(folder)]) == 0
    return folder


_NO_POSIX = pytest.mark.skipif(os.name == "nt", reason="names and files of POSIX")


def _pipe(part: Path) -> None:
    part.unlink()
    os.mkfifo(part)


@_NO_POSIX
@pytest.mark.parametrize("dataset", ["runs", *nightly("events")])
def test_a_pipe_in_the_place_of_a_part_is_named_and_not_waited_for(
    sound, tmp_path, capsys, dataset
):
    shutil.copytree(sound, tmp_path / "warehouse")
    where = ["-w", str(tmp_path / "warehouse")]
    own = None if dataset == "events" else "bad"
    part = Warehouse(tmp_path / "warehouse").parts(dataset, own)[0]
    _pipe(part)
    assert run_command(["show", "bad", *where]) == 1
    told = capsys.readouterr().err
    assert part.name in told and "is no file" in told
    assert run_command(["verify", "--quarantine", *where]) == 4
    assert run_command(["show", "bad", *where]) == 0
    assert part.name in capsys.readouterr().err


@_NO_POSIX
def test_hidden_files_that_are_pipes_are_not_waited_for(sound, tmp_path, capsys):
    shutil.copytree(sound, tmp_path / "warehouse")
    where = ["-w", str(tmp_path / "warehouse")]
    (part,) = Warehouse(tmp_path / "warehouse").parts("runs", "bad")
    for place in (
        part.with_name(".journal-1.jsonl"),
        note_path(part.parent, "part-2.parquet"),
        part.with_name(".executor.lock"),
    ):
        place.unlink(missing_ok=True)
        os.mkfifo(place)
    for command in (["show", "bad"], ["verify"]):
        assert run_command([*command, *where]) == 0, command
    capsys.readouterr()
    assert run_command(["compact", "bad", *where]) == 1
    assert f"{part.parent}" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse the name")
def test_names_that_are_no_text_are_told_and_spoil_nothing(sound, tmp_path, capsys):
    shutil.copytree(sound, tmp_path / "warehouse")
    where = ["-w", str(tmp_path / "warehouse")]
    (part,) = Warehouse(tmp_path / "warehouse").parts("runs", "bad")
    shutil.copy(part, part.with_name(os.fsdecode(b"part-\xff.parquet")))
    folder = part.parent.with_name(os.fsdecode(b"sweep_id=\xfe"))
    for strange in (folder, part.parent.with_name("sweep_id=")):
        strange.mkdir()
        shutil.copy(part, strange / "part-1.parquet")
    for name in ("bad", "good"):
        assert run_command(["show", name, *where]) == 0
    assert run_command(["sweeps", *where]) == 0
    capsys.readouterr()
    assert run_command(["verify", "--quarantine", "--format", "json", *where]) == 4
    damaged = msgspec.json.decode(capsys.readouterr().out)["damaged"]
    assert {found["path"].rpartition("/")[2] for found in damaged} == {
        "sweep_id=\ufffd",
        "sweep_id=",
        "part-\ufffd.parquet",
    }
    assert run_command(["verify", *where]) == 0
    assert run_command(["export", "bad", *where]) == 0


def test_a_name_with_marks_of_a_pattern_is_that_file_alone(sound, tmp_path, capsys):
    """To DuckDB `part-[a-z].parquet` would be another part, and not this one."""
    home = tmp_path / ("wa[r]" if os.name == "nt" else "wa*[r]?")
    shutil.copytree(sound, home)
    shutil.copytree(sound, tmp_path / "war")
    shutil.copytree(sound, tmp_path / "wa-r-")
    store = Warehouse(home)
    (part,) = store.parts("runs", "bad")
    marked = part.with_name("part-[a-z].parquet")
    rows = pq.ParquetFile(part).read()
    pq.write_table(rows.slice(0, 1), marked)
    shutil.copy(part, part.with_name("part-b.parquet"))
    counted = ["sql", "SELECT count(*) AS n FROM raw.runs", "--sweep", "bad"]
    assert run_command([*counted, "--format", "csv", "-w", str(home)]) == 0
    assert capsys.readouterr().out.split() == ["n", str(2 * len(rows) + 1)]
    marked.write_bytes(b"PAR1 no rows PAR1")
    assert run_command(["verify", "-w", str(home)]) == 4
    assert f"{marked.name}: " in capsys.readouterr().out


def test_a_note_of_a_fold_removes_nothing_but_parts_of_its_folder(sound, tmp_path):
    shutil.copytree(sound, tmp_path / "warehouse")
    store = Warehouse(tmp_path / "warehouse")
    (part,) = store.parts("runs", "bad")
    precious = tmp_path / "part-precious.parquet"
    precious.write_text("rows of somebody else")
    into = part.with_name("part-x.parquet")
    shutil.copy(part, into)
    rows = pq.ParquetFile(part).metadata.num_rows
    up = os.path.relpath(precious, part.parent)
    other = os.path.relpath(store.parts("runs", "good")[0], part.parent)
    note = Fold(into=into.name, rows=rows, parts=[up, str(precious), other])
    note_path(part.parent, into.name).write_bytes(msgspec.json.encode(note))
    for command in (["verify", "--clean"], ["compact"]):
        assert run_command([*command, "-w", str(store.path)]) == 0
    assert precious.exists()
    assert len(store.parts("runs", "good")) == 1
