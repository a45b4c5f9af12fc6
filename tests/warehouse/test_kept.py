"""What is kept of a finished sweep changes no byte of what is said of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from orket.errors import UsageError, WarehouseError
from orket.exports.summary import render_summary
from orket.records import DATASETS
from orket.warehouse import Warehouse, kept
from orket.warehouse.derived import SOURCES
from orket.warehouse.event_parts import MOST_LOOSE
from orket.warehouse.history import read_history
from orket.warehouse.kept import SweepRows, read_sweeps
from orket.warehouse.tolerance import Tolerance
from orket.warehouse.view_files import datasets_under, view_files, views_under
from tests.built_sweep import START, Sweep
from tests.golden_cases import CASES, baseline_event
from tests.ground.test_layering import PACKAGE, file_graph
from tests.nightly import nightly

NO_SAY = {
    "errors.py",
    "resources.py",
    *(
        f"warehouse/{name}.py"
        for name in (
            *("connection", "damage", "derived", "disk", "event_index", "event_parts"),
            *("folds", "human_units", "locks", "parts", "seal", "settings"),
        )
    ),
}
"""What the views stand on and that decides nothing of what they give."""

NAMES = ("baselines", "polluted_out", "faithful", "interrupted")


@pytest.fixture(scope="module")
def golden(tmp_path_factory) -> Path:
    """A warehouse of several golden cases: baselines, pollution, fidelity, no end."""
    folder = Path(tmp_path_factory.mktemp("kept")) / "warehouse"
    for name in NAMES:
        CASES[name](folder)
    return folder


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> Path:
    """Two small sweeps, a day apart, looked at once."""
    folder = Path(tmp_path_factory.mktemp("stored")) / "warehouse"
    for number in (1, 2):
        sweep = Sweep(
            sweep_id=f"sweep-{number}",
            quants=("F16",),
            tasks=("t01",),
            started_at=START + timedelta(days=number),
        )
        sweep.fill().finish().store(folder)
    read(Warehouse.open(folder))
    return folder


@pytest.fixture
def warehouse(stored, tmp_path) -> Warehouse:
    """A copy of them, with what was kept of them."""
    shutil.copytree(stored, tmp_path / "warehouse")
    return Warehouse.open(tmp_path / "warehouse")


@pytest.fixture
def derived(monkeypatch) -> list[list[str]]:
    """The sweeps that were derived, portion by portion."""
    asked: list[list[str]] = []
    derive = kept._derive

    def count(warehouse, shelf, sweep_ids, overrides):
        asked.append(list(sweep_ids))
        return derive(warehouse, shelf, sweep_ids, overrides)

    monkeypatch.setattr(kept, "_derive", count)
    return asked


def read(warehouse: Warehouse, **overrides: object) -> dict[str, SweepRows]:
    rows = read_sweeps(warehouse, warehouse.sweep_ids(), overrides)
    return {sweep.sweep_id: sweep for sweep in rows}


def kept_files(warehouse: Warehouse) -> list[Path]:
    return sorted((warehouse.path / ".derived").glob("sweep-*"))


def test_rows_are_the_same_derived_together_kept_and_derived_alone(
    golden, tmp_path, derived
):
    shutil.copytree(golden, tmp_path / "w")
    warehouse = Warehouse.open(tmp_path / "w")
    with warehouse.session() as session:
        views = {
            row["sweep_id"]: render_summary(row["summary"])
            for row in session.rows("SELECT sweep_id, summary FROM v1.summary")
        }
        kpis = session.rows("SELECT * FROM v1.stability_kpi ORDER BY sweep_id")
        answers = session.rows("SELECT * FROM v1.recommendation ORDER BY ALL")
    first, second = read(warehouse), read(warehouse)
    assert derived == [warehouse.sweep_ids()], "the second time all was kept"
    assert first == second
    assert {name: render_summary(row.summary) for name, row in second.items()} == views
    assert [second[name].kpi for name in sorted(second)] == kpis
    kept_answers = [row for name in sorted(second) for row in second[name].answers]
    assert kept_answers == answers
    shutil.rmtree(tmp_path / "w" / ".derived")
    (alone,) = read_sweeps(warehouse, ["baselines"])
    assert alone == first["baselines"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:100] + b"\0" + content[101:],
        *nightly(
            lambda content: content[:-1],
            lambda content: b"",
            lambda content: b"orket-derived-1\n",
        ),
    ],
    ids=["flipped", "torn", "empty", "no content"],
)
def test_a_damaged_file_is_made_again(
    warehouse, derived, damage: Callable[[bytes], bytes]
):
    good = read(warehouse)
    before = {path: path.read_bytes() for path in kept_files(warehouse)}
    for path, content in before.items():
        path.write_bytes(damage(content))
    assert read(warehouse) == good
    assert {path: path.read_bytes() for path in kept_files(warehouse)} == before
    assert derived == [["sweep-1", "sweep-2"]]


def test_a_file_of_another_sweep_is_not_believed(warehouse):
    good = read(warehouse)
    one, two = kept_files(warehouse)
    one.write_bytes(two.read_bytes())
    assert read(warehouse) == good


def test_new_rows_of_a_sweep_are_seen_and_the_others_stay_kept(warehouse, derived):
    read(warehouse)
    more = Sweep(
        sweep_id="sweep-1",
        quants=("F16",),
        tasks=("t01",),
        started_at=START + timedelta(days=1),
    )
    more.add("F16", "t01", attempt=2)
    warehouse.append("runs", more.runs, "sweep-1")
    assert read(warehouse)["sweep-1"].kpi["attempts"] == 2
    assert derived == [["sweep-1"]]


def test_events_count_for_the_sweeps_that_start_after_them(warehouse, derived):
    read(warehouse)
    between = START + timedelta(days=1, hours=12)
    event = baseline_event("t01", "e1", recorded_at=between, measured_at=between)
    warehouse.append("events", [event])
    after = read(warehouse)
    assert derived == [["sweep-2"]]
    (quant,) = after["sweep-2"].summary["sessions"][0]["per_quant"]
    assert quant["baseline_comparison"]["reason_counts"] != [
        {"key": "NO_BASELINE", "value": 1}
    ]


def test_the_end_of_a_sweep_counts_for_it_alone(warehouse, derived):
    Sweep(sweep_id="open", quants=("F16",), tasks=("t01",)).fill().store(warehouse.path)
    assert read(warehouse)["open"].summary["status"] == "INTERRUPTED"
    warehouse.append("events", Sweep(sweep_id="open").finish().events)
    assert read(warehouse)["open"].summary["status"] == "COMPLETED"
    assert derived == [["open"], ["open"]]


def test_other_code_derives_anew(warehouse, derived, monkeypatch):
    good = read(warehouse)
    monkeypatch.setattr(kept, "code_digest", lambda: "another")
    assert read(warehouse) == good
    assert derived == [["sweep-1", "sweep-2"]]


def test_all_code_that_the_views_stand_on_has_a_say():
    graph = file_graph()
    stood_on, waiting = set(), [PACKAGE / "warehouse/views.py"]
    while waiting:
        file = waiting.pop()
        if file not in stood_on:
            stood_on.add(file)
            waiting += graph[file]
    counted = {file for name in SOURCES for file in PACKAGE.glob(name)}
    silent = {str(file.relative_to(PACKAGE)) for file in stood_on - counted}
    assert silent == NO_SAY
    assert all(any(PACKAGE.glob(name)) for name in SOURCES)


def test_a_what_if_is_kept_apart_and_another_moment_not_at_all(warehouse, derived):
    own = read(warehouse)
    ceiling = read(warehouse, latency_ceiling_ns=1)
    assert read(warehouse, latency_ceiling_ns=1) == ceiling
    assert read(warehouse) == own != ceiling
    assert len(derived) == 1
    for _ in range(2):
        read(warehouse, as_of=datetime(2027, 1, 1))
    assert len(derived) == 3
    assert len(kept_files(warehouse)) == 4


def test_where_nothing_can_be_kept_all_is_derived(warehouse, derived):
    good = read(warehouse)
    shutil.rmtree(warehouse.path / ".derived")
    (warehouse.path / ".derived").write_text("in the way")
    assert read(warehouse) == good == read(warehouse)
    assert len(derived) == 2


def test_a_damaged_part_is_named_though_its_sweep_was_kept(warehouse):
    good = read(warehouse)
    (part,) = warehouse.parts("runs", "sweep-1")
    part.write_bytes(part.read_bytes()[:-10])
    with pytest.raises(WarehouseError, match=r"sweep-1 cannot be read"):
        read(warehouse)
    tolerant = Warehouse.open(warehouse.path, tolerance=Tolerance.ALL)
    rest = read(tolerant)
    assert rest["sweep-2"] == good["sweep-2"]
    # What could be read of the other is shown, and not kept.
    assert rest["sweep-1"].kpi["attempts"] == 0
    assert read(Warehouse.open(warehouse.path, tolerance=Tolerance.ALL)) == rest
    with pytest.raises(WarehouseError, match=r"not all is shown: .*sweep-1"):
        tolerant.require_whole()


def test_two_processes_at_once_write_the_same(warehouse):
    shutil.rmtree(warehouse.path / ".derived")
    command = [sys.executable, "-m", "orket", "sweeps", "--format", "json"]
    environment = os.environ | {"ORKET_WAREHOUSE": str(warehouse.path)}
    both = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    first, second = (process.communicate(timeout=300)[0] for process in both)
    assert first == second
    assert [row["sweep_id"] for row in json.loads(first)] == ["sweep-1", "sweep-2"]
    left = {path.name[:6] for path in (warehouse.path / ".derived").iterdir()}
    assert left <= {".gitig", "sweep-", "events", "starts"}


def test_the_history_is_that_of_the_view(golden):
    warehouse = Warehouse.open(golden)
    with warehouse.session() as session:
        (view,) = session.rows(
            "SELECT * FROM v1.kpi_history ORDER BY since, since_sweep_id LIMIT 1"
        )
    assert read_history(warehouse, datetime(1970, 1, 1)) == [view]
    assert read_history(warehouse, datetime(2100, 1, 1)) == []


def test_what_is_kept_hangs_on_no_other_events_than_its_watermark_tells():
    files = view_files()
    under = {"summary", "stability_kpi"}
    for name in reversed(files):
        if name in under:
            under |= views_under(files[name])
    reading = {name for name in under if "events" in datasets_under(files[name])}
    # Governance up to the sweep's own start, and events that name the sweep itself.
    governance = {"baseline_pin", "baseline_prune", "baseline_nearest"}
    own = {"fidelity", "policy_step", "proof", "session_entry", "stop"}
    assert reading == governance | own | {"summary"}


def event_rows(warehouse: Warehouse) -> list[dict[str, object]]:
    with warehouse.session() as session:
        return session.rows("SELECT * FROM raw.events ORDER BY event_id")


def test_events_are_read_together_and_are_the_same(tmp_path):
    warehouse = Warehouse.open(tmp_path)
    written = []
    for number in range(2 * MOST_LOOSE + 3):
        written.append(baseline_event("t01", f"e{number:02}"))
        warehouse.append("events", written[-1:])
        if number % 5 == 0:
            found = [row["event_id"] for row in event_rows(warehouse)]
            assert found == [event.event_id for event in written]
    rows = event_rows(warehouse)
    (together,) = tmp_path.glob(".derived/events-*")
    together.write_bytes(together.read_bytes()[:-1])
    assert event_rows(warehouse) == rows
    together.unlink()
    assert event_rows(warehouse) == rows
    warehouse.parts("events")[3].unlink()
    assert event_rows(warehouse) == rows[:3] + rows[4:]
    shutil.rmtree(tmp_path / ".derived")
    assert event_rows(warehouse) == rows[:3] + rows[4:]


def test_a_session_opens_the_parts_that_a_query_names_and_no_other(warehouse):
    for dataset in DATASETS:
        for part in warehouse.parts(dataset):
            part.write_bytes(b"torn")
    with warehouse.session() as session:
        assert session.rows("SELECT 1 AS one") == [{"one": 1}]
        assert session.rows("SELECT count(*) > 9 AS many FROM v1.reason")[0]["many"]
        with pytest.raises(WarehouseError, match="cannot be read"):
            session.rows("SELECT * FROM v1.manifest")


def test_sweeps_are_listed_in_their_order_whatever_was_listed_before(
    warehouse, tmp_path
):
    assert warehouse.sweep_ids() == ["sweep-1", "sweep-2"]
    long_ago = 1_700_000_000
    for folder in (warehouse.path / "sweeps").iterdir():
        os.utime(folder, (long_ago, long_ago))
    assert warehouse.sweep_ids() == ["sweep-1", "sweep-2"]
    assert (warehouse.path / ".derived" / "starts").is_file()
    Sweep(sweep_id="a-third").fill().store(warehouse.path)
    assert warehouse.sweep_ids() == ["sweep-1", "sweep-2", "a-third"]
    (part,) = warehouse.parts("sweeps", "sweep-1")
    part.unlink()
    assert warehouse.sweep_ids() == ["sweep-2", "a-third"]
    assert warehouse.sweeps_without_manifest() == ["sweep-1"]
    with pytest.raises(WarehouseError, match="no manifest"):
        warehouse.resolve("sweep-1")
    assert warehouse.resolve("sweep-") == "sweep-2"


def test_no_result_hangs_on_threads_or_memory(golden, monkeypatch):
    query = "SELECT summary FROM v1.summary ORDER BY sweep_id"
    found = []
    for threads, memory in ((1, "200"), (2, "2048"), (5, "2048")):
        monkeypatch.setenv("ORKET_MEMORY_MIB", memory)
        with Warehouse.open(golden).session(threads=threads) as session:
            found.append(
                [render_summary(row["summary"]) for row in session.rows(query)]
            )
    assert found[0] == found[1] == found[2]


def test_memory_that_is_too_little_or_no_number_is_told(golden, monkeypatch):
    monkeypatch.setenv("ORKET_MEMORY_MIB", "much")
    with pytest.raises(UsageError, match="ORKET_MEMORY_MIB is 'much'"):
        Warehouse.open(golden).session()
