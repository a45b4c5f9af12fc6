"""Names that some file systems take for one: by case, by normal form, by their end."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from orket.cli.main import run_command
from orket.file_names import file_stems
from orket.limits import MAX_FOLDER_BYTES
from orket.records import to_json
from orket.warehouse import Warehouse
from tests.built_sweep import Sweep

ALIKE = ("Model", "model", "caf\u00e9", "cafe\u0301", "a%2Fb", "a%2fb", "CON", "con.x")


def test_no_two_ids_share_a_file_and_each_alone_keeps_its_plain_name():
    stems = file_stems([*ALIKE, "ab. ", "x" * 10_000, "x" * 9_999, "nul", "a/b"])
    folded = [stem.casefold() for stem in stems.values()]
    assert len(set(folded)) == len(stems)
    for stem in stems.values():
        assert len(stem) <= MAX_FOLDER_BYTES
        assert stem.isascii()
        assert not set(stem) & set('/\\<>:"|?*')
        assert stem.partition(".")[0].casefold() not in ("con", "nul")
    assert stems["a/b"] == "a%2Fb"
    assert (stems["Model"], stems["model"]) == ("%4Dodel", "model")
    assert file_stems(["Model"]) == {"Model": "Model"}


def test_baselines_and_summaries_of_ids_alike_lie_in_files_of_their_own(
    tmp_path, capsys
):
    place = tmp_path / "warehouse"
    # The long one is refused as a sweep, but a task can be called so.
    tasks = (*ALIKE, "ä" * 5000)
    for name in ("one", "con"):
        source = _rows(tmp_path, name, tasks=tasks)
        assert run_command(["ingest", source, "-w", str(place)]) == 0
    out = tmp_path / "baselines"
    assert run_command(["baseline", "append", "-w", str(place), "one"]) == 0
    code = run_command(["baseline", "export", "-w", str(place), str(out)])
    assert code == 0, capsys.readouterr().err
    held = [json.loads(file.read_text("utf-8")) for file in out.iterdir()]
    assert {entry["test_id"] for entry in held} == {f"bank/{task}" for task in tasks}
    assert len({file.name.casefold() for file in out.iterdir()}) == len(tasks)
    out = tmp_path / "summaries"
    out.mkdir()
    assert run_command(["derive", "-w", str(place), "-o", str(out)]) == 0
    assert sorted(file.name for file in out.iterdir()) == ["%63on.json", "one.json"]


def _rows(tmp_path: Path, *sweeps: str, tasks: tuple[str, ...] = ("t1",)) -> str:
    source = tmp_path / f"{len(list(tmp_path.iterdir()))}.jsonl"
    with source.open("wb") as file:
        for name in sweeps:
            sweep = Sweep(sweep_id=name, quants=("F16",), tasks=tasks).fill().finish()
            for row in (sweep.sweep_row(), *sweep.runs, *sweep.events):
                file.write(to_json(row) + b"\n")
    return str(source)


@pytest.fixture
def one_case(tmp_path, monkeypatch):
    """A warehouse on a file system that takes `Sweep` and `sweep` for one name."""
    place = tmp_path / "warehouse"
    probe = tmp_path / "probe"
    probe.mkdir()
    if (tmp_path / "PROBE").exists():
        probe.rmdir()
        return place
    probe.rmdir()
    # Here it is played: the other name leads to the same folder and is not listed.
    for dataset in ("runs", "sweeps", "fidelity", "sidecars"):
        (place / dataset).mkdir(parents=True)
        link = place / dataset / "sweep_id=sweep"
        link.symlink_to("sweep_id=Sweep", target_is_directory=True)
    listed = os.listdir

    def list_own(folder):
        return [
            name
            for name in listed(folder)
            if not os.path.islink(os.path.join(folder, name))
        ]

    monkeypatch.setattr(os, "listdir", list_own)
    return place


def test_where_case_is_not_told_apart_the_second_sweep_is_refused(
    tmp_path, one_case, capsys
):
    first, second = _rows(tmp_path, "Sweep"), _rows(tmp_path, "sweep")
    assert run_command(["ingest", first, "-w", str(one_case)]) == 0
    store = Warehouse(one_case)
    before = {path: path.stat().st_size for path in store.parts("runs")}
    capsys.readouterr()
    assert run_command(["ingest", second, "-w", str(one_case)]) != 0
    said = capsys.readouterr().err
    assert "takes sweep_id=sweep for the folder of another sweep" in said
    assert said.count("\n") == 1
    assert {path: path.stat().st_size for path in store.parts("runs")} == before
    assert run_command(["verify", "-w", str(one_case)]) == 0


def test_two_sweeps_alike_in_one_file_are_kept_apart_or_refused(tmp_path, capsys):
    place = tmp_path / "warehouse"
    source = _rows(tmp_path, "Sweep", "sweep")
    code = run_command(["ingest", source, "-w", str(place)])
    said = capsys.readouterr().err
    if (tmp_path / "WAREHOUSE").exists():
        assert code == 1
        assert "another sweep" in said
        assert Warehouse(place).parts("runs") == []
        return
    assert code == 0, said
    assert Warehouse(place).sweep_ids() == ["Sweep", "sweep"]
    assert run_command(["verify", "-w", str(place)]) == 0
