"""Sweeps derived by a small Spark cluster of this machine: the same bytes as here."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from orket.cli.main import run_command
from orket.errors import WarehouseError
from orket.exports.summary import render_summary
from orket.warehouse import Warehouse, kept
from orket.warehouse.kept import Carrier, pack_rows, read_sweeps, unpack_rows
from orket.warehouse.spark import spark_carrier
from tests.built_sweep import Sweep

NEEDED = [
    *(name for name in ("pyspark", "pandas") if not importlib.util.find_spec(name)),
    *(["java"] if shutil.which("java") is None else []),
]
NAMES = ["a", "b/ü %", "c", "d", "e"]

# What Spark and its bridge warn of is theirs.
needs_spark = pytest.mark.filterwarnings("ignore")


def make(folder: Path) -> Warehouse:
    for number, name in enumerate(NAMES):
        sweep = Sweep(sweep_id=name, tasks=("t1", "t2", "t3")[: 2 + number % 2])
        sweep.fill().finish().store(folder)
    return Warehouse(folder)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder: Path = tmp_path_factory.mktemp("spark") / "warehouse"
    make(folder)
    return folder


@pytest.fixture
def store(made, tmp_path) -> Warehouse:
    shutil.copytree(made, tmp_path / "warehouse")
    return Warehouse(tmp_path / "warehouse")


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Spark with two workers on this machine, started once."""
    if NEEDED and os.environ.get("ORKET_REQUIRE_SPARK") != "1":
        pytest.skip(f"{', '.join(NEEDED)} not installed")
    from orket.warehouse.spark import _start

    session = _start("local[2]")
    yield
    session.stop()


@pytest.fixture
def small_portions(monkeypatch):
    monkeypatch.setattr(kept, "_CARRIED", (2, 1 << 30))


def carrier_of(store: Warehouse) -> Carrier:
    """Of the session that is there; it outlives the test."""
    from pyspark.sql import SparkSession

    from orket.warehouse.spark import _carry

    session = SparkSession.getActiveSession()
    return lambda portions: _carry(session, str(store.path), portions)


def summaries(store: Warehouse, carrier: Carrier | None = None) -> dict[str, bytes]:
    rows = read_sweeps(store, store.sweep_ids(), carrier=carrier)
    return {row.sweep_id: render_summary(row.summary) for row in rows}


@needs_spark
def test_it_gives_the_same_bytes_and_keeps_the_same(cluster, store, small_portions):
    with_spark = summaries(store, carrier_of(store))
    carried = {path.name: path.read_bytes() for path in derived(store)}
    shutil.rmtree(store.path / ".derived")
    assert summaries(store) == with_spark
    assert sorted(with_spark) == sorted(NAMES)
    assert {path.name: path.read_bytes() for path in derived(store)} == carried


def derived(store: Warehouse) -> list[Path]:
    return sorted((store.path / ".derived").glob("sweep-*"))


@needs_spark
def test_what_is_kept_already_is_not_derived_again(cluster, store, small_portions):
    before = summaries(store)
    asked: list[list[str]] = []

    def count(portions):
        asked.extend(portions)
        return carrier_of(store)(portions)

    assert summaries(store, count) == before and asked == []
    Sweep(sweep_id="new").fill().finish().store(store.path)
    assert set(summaries(store, count)) == {*before, "new"}
    assert asked == [["new"]]


@needs_spark
def test_a_part_that_cannot_be_read_is_named(cluster, store, small_portions):
    (part,) = store.parts("runs", "c")
    part.write_bytes(part.read_bytes()[:-100])
    with pytest.raises(WarehouseError, match="sweep c"):
        summaries(store, carrier_of(store))


@needs_spark
def test_the_verb_writes_a_file_for_each(cluster, store, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "here").mkdir()
    words = ["derive", "-w", str(store.path), "-o"]
    assert run_command([*words, str(tmp_path / "here")]) == 0
    shutil.rmtree(store.path / ".derived")
    spark = ["--engine", "spark", "--master", "local[2]"]
    # It ends the session it uses: this test is the last that needs one.
    assert run_command([*words, str(tmp_path / "out"), *spark]) == 0
    assert "5 sweeps" in capsys.readouterr().err
    files = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert "b%2F%C3%BC%20%25.json" in files and len(files) == 5
    assert files == {
        path.name: path.read_bytes() for path in (tmp_path / "here").iterdir()
    }


def test_rows_come_back_as_they_were(store):
    for rows in read_sweeps(store, store.sweep_ids()):
        assert unpack_rows(pack_rows(rows)) == rows


def test_without_the_extra_it_is_told_how_to_get_it(store, monkeypatch, capsys):
    import sys

    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    words = ["derive", "--engine", "spark", "-w", str(store.path)]
    assert run_command(words) == 2
    assert 'pip install "orket[spark]"' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--master", "local[2]"], "--master is for --engine spark"),
        (["-o", "not-there"], "there is no folder not-there"),
    ],
)
def test_what_does_not_go_together_is_refused(words, said, store, capsys):
    assert run_command(["derive", "-w", str(store.path), *words]) == 2
    assert said in capsys.readouterr().err


def test_a_session_that_does_not_start_is_one_line(monkeypatch):
    if NEEDED:
        pytest.skip(f"{', '.join(NEEDED)} not installed")
    from orket.errors import UsageError

    with (
        pytest.raises(UsageError, match="Spark does not start"),
        spark_carrier(".", "no-such-master"),
    ):
        pass
