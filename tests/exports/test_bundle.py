"""`orket bundle`: evidence to compute anew, which cannot change unseen."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from datetime import timedelta
from pathlib import Path

import pytest

from orket.cli.main import run_command
from orket.exports.bundle import verify_bundle
from orket.warehouse import Warehouse
from tests.built_sweep import START, Sweep
from tests.nightly import nightly


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """Two sweeps, of other sizes."""
    folder = tmp_path_factory.mktemp("bundle") / "warehouse"
    Sweep(sweep_id="a").fill().finish().store(folder)
    later = START + timedelta(days=1)
    return Sweep(sweep_id="b/é", repetitions=2, started_at=later).fill().store(folder)


def bundle(store: Warehouse, sweep: str, path: Path) -> Path:
    assert run_command(["bundle", sweep, "-o", str(path), "-w", str(store.path)]) == 0
    return path


@pytest.mark.parametrize("sweep", ["b/é", *nightly("a")])
def test_a_bundle_gives_its_summary_to_the_same_bytes_elsewhere(
    store, tmp_path, monkeypatch, capsys, sweep
):
    file = bundle(store, sweep, tmp_path / "one.tar")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    moved = shutil.copyfile(file, elsewhere / "evidence.tar")
    monkeypatch.chdir(elsewhere)
    assert run_command(["verify", "evidence.tar"]) == 0
    assert "computed anew to the same bytes" in capsys.readouterr().out
    found = verify_bundle(moved)
    assert (found.sweep_id, found.is_same, found.faults) == (sweep, True, [])
    export = ["export", sweep, "-w", str(store.path), "-o", "summary.json"]
    assert run_command(export) == 0
    with tarfile.open(moved) as tar:
        kept = tar.extractfile("sweep_summary.json")
        assert kept is not None
        assert kept.read() == Path("summary.json").read_bytes()
        # Nothing of the other sweep goes along.
        assert {m.name.split("/")[2] for m in tar if "sweep_id=" in m.name} == {
            store.folder("runs", sweep).name
        }


def test_the_same_sweep_gives_the_same_bundle(store, tmp_path):
    one = bundle(store, "a", tmp_path / "one.tar")
    shutil.copytree(store.path, tmp_path / "copy")
    other = bundle(Warehouse(tmp_path / "copy"), "a", tmp_path / "other.tar")
    assert one.read_bytes() == other.read_bytes()


def members(file: Path) -> list[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(file) as tar:
        found = []
        for member in tar:
            source = tar.extractfile(member)
            assert source is not None
            found.append((member, source.read()))
    return found


def pack(file: Path, packed: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    with tarfile.open(file, "w", format=tarfile.PAX_FORMAT) as tar:
        for member, content in packed:
            member.size = len(content) if member.isreg() else 0
            tar.addfile(member, io.BytesIO(content))


def test_what_was_changed_in_a_bundle_is_told(store, tmp_path, capsys):
    file = bundle(store, "a", tmp_path / "one.tar")
    sound = members(file)
    for place, (member, content) in enumerate(sound[1:], start=1):
        changed = bytearray(content)
        changed[len(changed) // 2] ^= 1
        pack(file, [*sound[:place], (member, bytes(changed)), *sound[place + 1 :]])
        assert run_command(["verify", str(file)]) == 4
        assert f"{member.name} has other bytes" in capsys.readouterr().out
        pack(file, [*sound[:place], *sound[place + 1 :]])
        assert run_command(["verify", str(file)]) == 4
        assert f"{member.name} is missing" in capsys.readouterr().out


def test_a_summary_that_its_rows_do_not_give_is_told(store, tmp_path, capsys):
    import hashlib

    file = bundle(store, "a", tmp_path / "one.tar")
    (head, text), *parts, (last, summary) = members(file)
    better = summary.replace(b'"COMPLETED"', b'"ABSOLUTE!"')
    assert better != summary
    index = json.loads(text)
    index["files"][-1]["sha256"] = hashlib.sha256(better).hexdigest()
    pack(file, [(head, json.dumps(index).encode()), *parts, (last, better)])
    assert run_command(["verify", str(file)]) == 4
    assert "its rows give another sweep_summary.json" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name", ["../evil", "/tmp/evil", "warehouse/runs/../evil/part-1.parquet", "x"]
)
def test_a_bundle_writes_nothing_but_its_parts(store, tmp_path, capsys, name):
    file = bundle(store, "a", tmp_path / "one.tar")
    (head, text), *rest = members(file)
    index = json.loads(text)
    index["files"].append({"path": name, "bytes": 1, "sha256": "0"})
    evil = (tarfile.TarInfo(name), b"x")
    pack(file, [(head, json.dumps(index).encode()), evil, *rest])
    assert run_command(["verify", str(file)]) == 4
    assert f"{name} does not belong there" in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"no tar at all" * 100])
def test_what_is_no_bundle_is_refused(tmp_path, content):
    file = tmp_path / "some.tar"
    file.write_bytes(content)
    assert run_command(["verify", str(file)]) == 2


def test_a_bundle_is_known_by_what_it_holds_and_is_no_file_to_ingest(
    store, tmp_path, capsys
):
    file = bundle(store, "a", tmp_path / "evidence.zip")
    assert run_command(["verify", str(file)]) == 0
    assert "computed anew to the same bytes" in capsys.readouterr().out
    target = tmp_path / "other"
    assert run_command(["ingest", str(file), "-w", str(target)]) == 2
    assert f"orket verify {file}" in capsys.readouterr().err
    assert run_command(["verify", str(tmp_path / "absent.tar")]) == 2
    assert "there is no file" in capsys.readouterr().err


def test_a_sweep_that_is_called_like_a_bundle_is_the_sweep(tmp_path, capsys):
    store = Sweep(sweep_id="s.tar").fill().finish().store(tmp_path / "warehouse")
    assert run_command(["verify", "s.tar", "-w", str(store.path)]) == 0
    assert "there is no file" not in capsys.readouterr().err
