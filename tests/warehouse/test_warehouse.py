"""The warehouse: nothing torn is ever read, nothing recorded is ever lost."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import orket
from orket.errors import UsageError, WarehouseError
from orket.records import DATASETS, RunRecord
from orket.warehouse import Warehouse, disk
from orket.warehouse.connection import Connection
from orket.warehouse.damage import breaking_sweeps
from orket.warehouse.parts import list_parts, time_ordered_id
from orket.warehouse.schema import arrow_schema, duckdb_columns
from orket.warehouse.session import ColumnNote
from orket.warehouse.tolerance import Tolerance
from orket.warehouse.view_files import split_comments, view_files, views_under
from orket.warehouse.views import Views
from tests.built_sweep import START, Sweep
from tests.raw_rows import changed, make_run, store_sweep


@pytest.fixture
def warehouse(tmp_path) -> Warehouse:
    return Sweep().fill().finish().store(tmp_path / "warehouse")


def test_views_over_many_rows_are_planned_with_more_care_and_say_the_same(
    warehouse, monkeypatch
):
    def look() -> tuple[list[dict[str, object]], str]:
        with warehouse.session() as session:
            rows = session.rows("SELECT * FROM v1.frontier ORDER BY ALL")
            (left,) = session.rows("SELECT current_setting('disabled_optimizers') AS x")
        return rows, left["x"]

    switched: list[bool] = []
    plan_for_few = Connection.plan_for_few_rows

    def note(self: Connection) -> None:
        switched.append(True)
        plan_for_few(self)

    monkeypatch.setattr(Connection, "plan_for_few_rows", note)
    few = look()
    assert switched and few[1] == "", "what somebody asks is planned with care"
    switched.clear()
    monkeypatch.setattr("orket.warehouse.views._SMALL", -1)
    assert look() == few and few[0]
    assert not switched


def attempts(warehouse: Warehouse) -> int:
    with warehouse.session() as session:
        (row,) = session.rows("SELECT count(*) AS n FROM v1.attempts")
    return int(row["n"])


def test_a_warehouse_that_is_not_there_reads_as_empty(tmp_path):
    empty = Warehouse.open(tmp_path / "nowhere")
    assert empty.sweep_ids() == []
    with empty.session() as session:
        filled = {name for name in session.view_names() if session.view(name).height}
    # The catalogue of words holds whatever was measured.
    assert filled == {"reason", "stop_reason"}
    assert not empty.path.exists()


def test_every_view_and_column_has_a_comment(tmp_path):
    with Warehouse.open(tmp_path).session() as session:
        notes = session.notes()
    assert [note for note in notes if not note.comment] == []
    assert list(said_again(notes)) == []


def said_again(notes: Sequence[ColumnNote]) -> Iterator[tuple[str, str]]:
    """View and column of each comment that says what would be passed on anyway."""
    meanings = {(note.view, note.column): note.comment for note in notes}
    names = list(view_files())
    for place, (view, path) in enumerate(view_files().items()):
        below = [name for name in reversed(names[:place]) if name in views_under(path)]
        own = re.findall(rf"COLUMN v1\.{view}\.(\w+)", split_comments(path)[1])
        for column in own:
            passed_on = [meanings.get((name, column)) for name in below]
            if next(filter(None, passed_on), None) == meanings[view, column]:
                yield view, column


@pytest.mark.parametrize("dataset", DATASETS)
def test_storage_types_come_from_the_declaration(dataset):
    names = list(DATASETS[dataset].__struct_fields__)
    assert arrow_schema(dataset).names == names
    assert list(duckdb_columns(DATASETS[dataset])) == names


def test_rows_come_back_as_they_went_in(warehouse):
    (record,) = Sweep().fill().runs[:1]
    part = pq.read_table(warehouse.parts("runs")[0]).to_pylist()[0]
    part["started_at"] = part["started_at"].replace(tzinfo=START.tzinfo)
    for name in ("recorded_at", "executor_started_at"):
        part[name] = part[name].replace(tzinfo=START.tzinfo)
    assert msgspec.convert(part, RunRecord) == record


def test_an_invalid_row_is_refused_by_name(tmp_path):
    sweep = Sweep()
    sweep.add("F16", "t1", wall_ns=-1)
    with pytest.raises(UsageError, match=r"wall_ns"):
        sweep.store(tmp_path / "warehouse")


def test_a_part_without_a_later_column_still_reads(warehouse):
    (part,) = warehouse.parts("runs")
    table = pq.read_table(part)
    old = table.drop_columns(["sensor_gaps", "checks", "peak_gpu_memory_bytes"])
    pq.write_table(old, part)
    with warehouse.session() as session:
        rows = session.rows("SELECT sensor_gaps, checks_total FROM v1.attempts")
    assert {tuple(row.values()) for row in rows} == {(None, None)}


def test_a_part_with_a_narrower_group_still_reads(warehouse):
    (part,) = warehouse.parts("runs")
    table = pq.read_table(part)
    call = pa.array([{"outcome": row["outcome"]} for row in table["call"].to_pylist()])
    pq.write_table(
        table.set_column(table.schema.get_field_index("call"), "call", call), part
    )
    with warehouse.session() as session:
        rows = session.rows("SELECT outcome, wall_ns FROM v1.attempts")
    assert {tuple(row.values()) for row in rows} == {("OK", None)}


def test_a_torn_part_is_named_and_the_others_are_whole(warehouse):
    torn = warehouse.folder("runs", "sweep-1") / f"part-{time_ordered_id()}.parquet"
    torn.write_bytes(b"PAR1 half a file")
    with (
        pytest.raises(WarehouseError, match=f"move it away.*{torn.name}"),
        warehouse.session() as session,
    ):
        session.view("attempts")
    torn.rename(torn.with_suffix(".torn"))
    assert attempts(warehouse) == 6


def _flip(part: Path, begin: int, end: int) -> None:
    data = bytearray(part.read_bytes())
    for place in range(begin % len(data), end % len(data)):
        data[place] ^= 0xFF
    part.write_bytes(data)


def _without(part: Path, column: str) -> None:
    pq.write_table(pq.ParquetFile(part).read().drop_columns([column]), part)


def _make_folder(part: Path) -> None:
    part.unlink()
    part.mkdir()


def _link_to_nowhere(part: Path) -> None:
    part.unlink()
    part.symlink_to("nowhere")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda part: part.write_bytes(b""),
    "half": lambda part: part.write_bytes(part.read_bytes()[:2000]),
    "pages": lambda part: _flip(part, 100, 400),
    "footer": lambda part: _flip(part, -1000, -8),
    "a folder": _make_folder,
    "a link to nowhere": _link_to_nowhere,
}


@pytest.fixture
def two_sweeps(tmp_path) -> Warehouse:
    """`bad`, and `good` with two runs."""
    store = Warehouse(tmp_path / "warehouse")
    for name in ("bad", "good"):
        runs = [make_run(name, f"logic/{n}", order=n) for n in range(2)]
        store_sweep(store, runs)
    return store


def _damaged(store: Warehouse, dataset: str, kind: str) -> Path:
    part = store.parts(dataset, "bad")[0]
    DAMAGES[kind](part)
    return part


@pytest.mark.parametrize("dataset", ["runs", "sweeps", "events"])
@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_part_is_named_and_hides_no_other_sweep(two_sweeps, kind, dataset):
    part = _damaged(two_sweeps, dataset, kind)
    # Every byte of every dataset is looked at.
    query = (
        "SELECT sweep_id, len(m.plan) AS runs, CAST(m AS VARCHAR), "
        "(SELECT max(CAST(e AS VARCHAR)) FROM raw.events e), "
        "(SELECT max(CAST(r AS VARCHAR)) FROM raw.runs r) FROM raw.sweeps m"
    )
    tolerant = Warehouse(two_sweeps.path, tolerance=Tolerance.ALL)
    with tolerant.session() as session:
        counts = {row["sweep_id"]: row["runs"] for row in session.rows(query)}
    # Without its manifest nobody knows what a sweep is; the rest can be read.
    assert counts == ({"good": 2} if dataset == "sweeps" else {"bad": 2, "good": 2})
    with pytest.raises(WarehouseError, match=f"not all is shown.*{part.name}") as error:
        tolerant.require_whole()
    assert error.value.exit_code == 1


@pytest.mark.parametrize(
    ("dataset", "column"),
    [
        ("runs", "attempt_id"),
        ("runs", "sweep_id"),
        ("runs", "quant_tag"),
        ("sweeps", "manifest_id"),
        ("events", "event_id"),
    ],
)
def test_a_part_without_a_column_that_every_row_has_is_no_empty_result(
    two_sweeps, dataset, column
):
    part = two_sweeps.parts(dataset, "bad")[0]
    _without(part, column)
    with (
        pytest.raises(WarehouseError, match=f"rows without {column}.*{part.name}"),
        two_sweeps.session() as session,
    ):
        session.rows(f"SELECT * FROM raw.{dataset}")


def test_a_sweep_without_its_manifest_is_said(two_sweeps):
    shutil.rmtree(two_sweeps.folder("sweeps", "bad"))
    with pytest.raises(WarehouseError, match="bad has rows in .* and no manifest"):
        two_sweeps.resolve("bad")
    assert two_sweeps.resolve("latest") == "good"
    with pytest.raises(WarehouseError, match="bad has rows"):
        two_sweeps.require_whole()


@pytest.mark.parametrize("place", ["sweeps", "runs", "events", "runs/sweep_id=bad"])
def test_a_folder_that_cannot_be_read_is_no_empty_warehouse(two_sweeps, place):
    folder = two_sweeps.path / place
    shutil.rmtree(folder)
    folder.write_bytes(b"")
    with (
        pytest.raises(WarehouseError, match=f"{folder} cannot be read as a folder"),
        two_sweeps.session() as session,
    ):
        session.rows(f"SELECT 1 FROM raw.{place.partition('/')[0]}")


def test_a_row_that_breaks_a_view_is_named_with_its_sweep_and_part(two_sweeps):
    """An error in a view is no wrong usage: sweep, part and row, and the good ones."""
    found = breaking_sweeps(
        {name: two_sweeps.parts(name) for name in DATASETS},
        lambda parts, attempts: _break_on("bad", parts, attempts),
    )
    (damage,) = found
    (part,) = two_sweeps.parts("runs", "bad")
    assert (damage.sweep_id, damage.part) == ("bad", part)
    assert "bad-matrix-demo-Q4_K_M-logic/1-1-1" in damage.what


def _break_on(sweep_id, parts, attempts):
    """A view that one run of a sweep breaks: the second one."""
    with Views(parts, {}, 1, attempts) as views:
        views.stage(["attempts"])
        views.connection.execute(
            "SELECT CASE WHEN sweep_id = ? AND order_index = 1 "
            "THEN error('out of range') END FROM v1.attempts",
            [sweep_id],
        ).fetchall()


def test_a_half_written_part_is_invisible(warehouse):
    folder = warehouse.folder("runs", "sweep-1")
    (folder / ".part-1.parquet.tmp").write_bytes(b"PAR1")
    assert attempts(warehouse) == 6


def test_a_full_disk_is_one_line_and_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("orket.warehouse.journal.SYNC_AFTER_SECONDS", 0)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        WarehouseError, match="No space left on device.*free some space"
    ):
        Sweep().fill().store(tmp_path / "warehouse")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_file_in_the_place_of_a_warehouse(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(WarehouseError, match="is a file"):
        Warehouse.open(tmp_path / "file")
    with pytest.raises(WarehouseError, match="cannot write"):
        Sweep().store(tmp_path / "file" / "below")


def test_the_place_comes_from_the_option_then_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("ORKET_WAREHOUSE", str(tmp_path / "env"))
    assert Warehouse.open().path == tmp_path / "env"
    assert Warehouse.open(tmp_path / "option").path == tmp_path / "option"
    monkeypatch.delenv("ORKET_WAREHOUSE")
    monkeypatch.chdir(tmp_path)
    assert Warehouse.open().path.name == "warehouse"


def test_resolve(tmp_path):
    empty = Warehouse.open(tmp_path / "w")
    with pytest.raises(UsageError, match="orket run quickstart"):
        empty.resolve("latest")
    for number in (1, 2):
        sweep = Sweep(
            sweep_id=f"2026-a{number}", started_at=START + timedelta(days=number)
        )
        sweep.store(tmp_path / "w")
    assert empty.resolve("latest") == "2026-a2"
    assert empty.resolve("2026-a1") == "2026-a1"
    with pytest.raises(UsageError, match="ambiguous.*2026-a1, 2026-a2"):
        empty.resolve("2026")
    with pytest.raises(UsageError, match="not in the warehouse"):
        empty.resolve("nope")


def test_any_sweep_id_is_safe_as_a_folder(tmp_path):
    name = "../a b/%ü=*"
    warehouse = Sweep(sweep_id=name).fill().store(tmp_path / "warehouse")
    assert warehouse.sweep_ids() == [name]
    with warehouse.session(name) as session:
        assert session.rows("SELECT DISTINCT sweep_id FROM v1.attempts") == [
            {"sweep_id": name}
        ]
    assert {path.name for path in tmp_path.iterdir()} == {"warehouse"}


def test_journal_rows_survive_and_become_one_part(tmp_path):
    warehouse = Sweep().store(tmp_path)
    rows = Sweep().fill().runs
    with warehouse.journal("sweep-1") as journal:
        for row in rows:
            journal.append(row)
        assert attempts(warehouse) == 0
        assert journal.fold() is not None
        assert attempts(warehouse) == len(rows)
        assert journal.fold() is None
    assert list(warehouse.folder("runs", "sweep-1").glob(".journal*")) == []


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"call": {"decode_ns": 10**15 + 1}}, "call.decode_ns"),
        ({"call": {"prompt_tokens": -1}}, "call.prompt_tokens"),
        ({"peak_server_rss_bytes": 2**63}, "peak_server_rss_bytes"),
        # A group whose parts contradict each other is left out as a whole.
        ({"checks": {"checks_passed": 9, "checks_total": 2}}, "checks"),
        ({"checks": {"answer_chars": -4}}, "checks"),
    ],
)
def test_an_answered_call_keeps_its_row_whatever_a_server_says(tmp_path, changes, path):
    """What no row can hold is left out and named; all else stands as it was."""
    warehouse = Warehouse(tmp_path)
    sound = changed(make_run(), call={"call_notes": ["NOT_STREAMED"]})
    with warehouse.journal("sweep-a") as journal:
        journal.append(changed(sound, **changes))
        journal.fold()
    with warehouse.session() as session:
        (row,) = session.rows("SELECT * FROM raw.runs")
    value = row
    for name in path.split("."):
        value = value[name]
    assert value is None
    assert row["call"]["call_notes"][-1] == "NOT_STREAMED"
    assert f"NOT_KEPT:{path}" in row["call"]["call_notes"]
    assert row["call"]["answer_text"] == "42"


def test_half_a_surrogate_in_an_answer_is_replaced_and_the_row_kept(tmp_path):
    warehouse = Warehouse(tmp_path)
    with warehouse.journal("sweep-a") as journal:
        journal.append(changed(make_run(), call={"answer_text": "a\ud800b"}))
        journal.fold()
    with warehouse.session() as session:
        (row,) = session.rows("SELECT call.answer_text AS said FROM raw.runs")
    assert row["said"] == "a\ufffdb"


def test_a_row_whose_key_is_at_fault_is_refused_by_name(tmp_path):
    with (
        Warehouse(tmp_path).journal("sweep-a") as journal,
        pytest.raises(msgspec.ValidationError, match=r"\$\.quant_tag"),
    ):
        journal.append(changed(make_run(), quant_tag=""))


def test_a_killed_writer_loses_at_most_the_run_in_flight(tmp_path):
    """The child is killed after three rows and half a line."""
    program = textwrap.dedent(
        """
        import os, signal, sys
        from orket.warehouse import Warehouse
        from tests.built_sweep import Sweep
        warehouse = Sweep().store(sys.argv[1])
        journal = warehouse.journal("sweep-1")
        for row in Sweep().fill().runs[:3]:
            journal.append(row)
        os.write(journal._handle, b'{"sweep_id": "sweep-1", "run')
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    child = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        check=False,
        cwd=os.fspath(pytest.importorskip("tests").__path__[0] + "/.."),
    )
    assert child.returncode == -signal.SIGKILL
    warehouse = Warehouse.open(tmp_path)
    assert attempts(warehouse) == 0
    warehouse.journal("sweep-1").fold()
    assert attempts(warehouse) == 3
    (torn,) = warehouse.folder("runs", "sweep-1").glob(".journal*.torn")
    assert torn.read_bytes().startswith(b'{"sweep_id"')


def test_rows_of_short_blocks_wait_for_a_part_together(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("orket.warehouse.journal.time.monotonic", lambda: now[0])
    warehouse = Warehouse(tmp_path)
    first, second, third, *_ = Sweep().fill().runs
    with warehouse.journal("sweep-1") as journal:
        journal.fold_if_due()
        for row in (first, second):
            journal.append(row)
            journal.fold_if_due()
            now[0] += 0.6
        assert warehouse.parts("runs") == []
        journal.fold_if_due()
        journal.settle()
        assert len(warehouse.parts("runs")) == 1
        journal.append(third)
        journal.fold_if_due()
        assert len(warehouse.parts("runs")) == 1
        journal.fold()
        assert len(warehouse.parts("runs")) == 2


@pytest.fixture
def held_sync(monkeypatch):
    """Syncs of parts, which go through once the event is set."""
    may_go_on = threading.Event()
    through = disk.sync

    def wait_and_sync(handle, path):
        if path.suffix == ".tmp":
            assert may_go_on.wait(30)
        through(handle, path)

    monkeypatch.setattr("orket.warehouse.disk.sync", wait_and_sync)
    monkeypatch.setattr("orket.warehouse.journal.FOLD_AFTER_SECONDS", 0)
    yield may_go_on
    may_go_on.set()


@pytest.mark.parametrize("what", ["append", "fold", "settle", "close"])
def test_what_is_folded_beside_is_waited_for(tmp_path, held_sync, what):
    warehouse = Warehouse(tmp_path)
    first, second, *_ = Sweep().fill().runs
    journal = warehouse.journal("sweep-1")
    journal.append(first)
    journal.fold_if_due()
    assert warehouse.parts("runs") == []
    asked = {
        "append": lambda: journal.append(second),
        "fold": journal.fold,
        "settle": journal.settle,
        "close": journal.close,
    }[what]
    waiting = threading.Thread(target=asked)
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()
    held_sync.set()
    waiting.join(30)
    assert len(warehouse.parts("runs")) == 1
    journal.close()
    left = len(list(warehouse.folder("runs", "sweep-1").glob(".journal*")))
    assert left == (1 if what == "append" else 0)


def test_a_fold_beside_that_fails_is_told_where_it_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr("orket.warehouse.journal.FOLD_AFTER_SECONDS", 0)
    warehouse = Warehouse(tmp_path)
    first, *_ = Sweep().fill().runs
    journal = warehouse.journal("sweep-1")
    journal.append(first)
    with monkeypatch.context() as patched:
        patched.setattr("orket.warehouse.disk.rename_locked", _refuse)
        journal.fold_if_due()
        with pytest.raises(WarehouseError, match="No space left"):
            journal.settle()
    journal.settle()
    journal.close()
    assert warehouse.journal("sweep-1").fold() is not None
    assert attempts(Sweep().store(tmp_path)) >= 1


def _refuse(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_fold_leaves_the_journal_of_a_living_writer(tmp_path):
    warehouse = Sweep().store(tmp_path)
    first, second = Sweep().fill().runs[:2]
    living, other = warehouse.journal("sweep-1"), warehouse.journal("sweep-1")
    living.append(first)
    other.append(second)
    other.fold()
    assert attempts(warehouse) == 1
    living.fold()
    assert attempts(warehouse) == 2


def test_a_damaged_journal_line_is_named(tmp_path):
    warehouse = Sweep().store(tmp_path)
    folder = warehouse.folder("runs", "sweep-1")
    folder.mkdir(parents=True)
    (folder / ".journal-1.jsonl").write_bytes(b'{"sweep_id": 1}\n')
    with pytest.raises(WarehouseError, match=r"journal-1.jsonl, line 1"):
        warehouse.journal("sweep-1").fold()
    assert (folder / ".journal-1.jsonl").exists()


def test_a_full_disk_in_the_journal_keeps_the_rows_before(tmp_path, monkeypatch):
    warehouse = Sweep().store(tmp_path)
    first, second = Sweep().fill().runs[:2]
    journal = warehouse.journal("sweep-1")
    journal.append(first)
    real, calls = os.fsync, []

    def full(handle: int) -> None:
        calls.append(handle)
        if len(calls) == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    monkeypatch.setattr("orket.warehouse.journal.SYNC_AFTER_SECONDS", 0)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WarehouseError, match="No space left"):
        journal.append(second)
    journal.append(second)
    journal.fold()
    assert attempts(warehouse) == 2


FORBIDDEN = [
    "COPY (SELECT 1) TO '{out}'",
    "CREATE TABLE t AS SELECT 1",
    "INSERT INTO staged.attempts SELECT * FROM staged.attempts",
    "DELETE FROM staged.attempts",
    "ATTACH '{out}' AS other",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "RESET lock_configuration",
    "SELECT 1; SELECT 2",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM '{part}'",
    "SELECT * FROM read_parquet('{part}')",
    "SELECT * FROM glob('/*')",
    "SELECT content FROM read_text('/etc/passwd')",
    "not even SQL",
    "",
]


def test_locked_session_refuses_and_answers_the_next(warehouse, tmp_path):
    part = warehouse.parts("runs")[0]
    with warehouse.locked_session() as session:
        for query in FORBIDDEN:
            with pytest.raises(UsageError):
                session.query(query.format(out=tmp_path / "out", part=part))
            assert not (tmp_path / "out").exists(), query
        assert session.query("SELECT 1 AS n").to_dicts() == [{"n": 1}]


def test_locked_session_answers(warehouse):
    with warehouse.locked_session() as session:
        frame = session.query("SELECT count(*) AS n FROM recommendation")
        assert frame.to_dicts() == [{"n": 1}]
        assert session.query("SELECT outcome FROM v1.attempts").height == 6
        assert session.query("SELECT sweep_id FROM raw.runs").height == 6


def test_open_gives_polars_frames(warehouse):
    opened = orket.open(warehouse.path)
    assert opened.sweeps() == ["sweep-1"]
    assert isinstance(opened.view("recommendation"), pl.DataFrame)
    assert opened.view("frontier", sweep="latest").height == 3
    strict = opened.view("frontier", adherence_threshold_ppm=1_000_000)
    assert strict.height == 3
    assert opened.sql("SELECT count(*) AS n FROM v1.attempts")["n"].to_list() == [6]
    with pytest.raises(UsageError, match="no view 'runz'.*runs"):
        opened.view("runz")
    with pytest.raises(UsageError, match="no policy value 'bogus'"):
        opened.view("runs", bogus=1)
    with pytest.raises(UsageError, match="evidence_level_ppm cannot be 0"):
        opened.view("frontier", evidence_level_ppm=0)
    with pytest.raises(UsageError, match="min_valid_runs"):
        opened.view("frontier", min_valid_runs=-1)


def test_parts_are_listed_by_time_of_birth(tmp_path):
    warehouse = Warehouse.open(tmp_path)
    rows = Sweep().fill().runs
    written = [warehouse.append("runs", [row], "sweep-1") for row in rows]
    assert list_parts(warehouse.folder("runs", "sweep-1")) == sorted(written)
