"""`compact` in an object store: whoever is killed, reads, writes or folds beside."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from orket.cli.main import run_command
from orket.exports.load import load_summary_row
from orket.exports.summary import render_summary
from orket.warehouse import Warehouse, disk
from orket.warehouse.compact import Compaction, compact
from orket.warehouse.mirror import Mirror
from orket.warehouse.object_store import ObjectStore
from orket.warehouse.verify import verify
from tests.built_sweep import START, Sweep
from tests.nightly import nightly
from tests.places import ROOT
from tests.stored_fold_scenes import (
    NAME,
    RUNS,
    before_each_change,
    enter,
    note_of,
    prepare,
    store_sweep,
)

pytest.importorskip("s3fs", reason="the extra s3 is not installed")
pytest.importorskip("moto.server", reason="there is no S3 server to test on")

URL = "s3://measured/folds"
MEMORY = "memory://measured/folds"


@pytest.fixture
def machines(bucket, monkeypatch, tmp_path: Path) -> Path:
    """Where the state of each machine lies; the environment is put back at the end."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "first"))
    return tmp_path


@pytest.fixture
def memory(monkeypatch, tmp_path: Path) -> Path:
    """The same beside an empty store in memory, which answers at once."""
    from fsspec.implementations.memory import MemoryFileSystem

    monkeypatch.setattr(MemoryFileSystem, "store", {})
    monkeypatch.setattr(MemoryFileSystem, "pseudo_dirs", [""])
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "first"))
    return tmp_path


def _summary(url: str) -> bytes:
    return render_summary(load_summary_row(Warehouse.open(url), NAME))


def _raw(url: str) -> Counter[str]:
    """How often each row lies in the parts that this machine reads."""
    with Warehouse.open(url).session() as session:
        rows = session.rows(
            "SELECT attempt_id AS id FROM raw.runs "
            "UNION ALL SELECT event_id FROM raw.events "
            "UNION ALL SELECT manifest_id FROM raw.sweeps"
        )
    return Counter(row["id"] for row in rows)


def _objects(url: str) -> list[str]:
    """What the store has, without leases."""
    names = ObjectStore(url).sizes("")
    return sorted(name for name in names if not name.startswith("leases/"))


def _fold(url: str, take_over: bool = False) -> Compaction:
    return compact(Warehouse.open(url), pause=0, take_over=take_over)


def _require_folded(url: str, rows: Counter[str]) -> None:
    """One part a folder, each row once, nothing begun, everything sound."""
    objects = _objects(url)
    folders = Counter(name.rpartition("/")[0] for name in objects)
    assert set(folders.values()) == {1}, objects
    assert not [name for name in objects if "/.fold-" in name]
    assert _raw(url) == rows
    assert set(rows.values()) == {1}
    assert verify(Warehouse.open(url)).faults == []


def test_every_machine_sees_the_same_in_fewer_objects(machines, capsys):
    store_sweep(URL)
    before, rows = _summary(URL), _raw(URL)
    enter(machines / "filled")
    assert _summary(URL) == before
    enter(machines / "first")
    count = len(_objects(URL))
    assert run_command(["compact", "--dry-run", "-w", URL]) == 0
    assert len(_objects(URL)) == count
    assert run_command(["compact", "-w", URL]) == 0
    assert f"{RUNS + 2} parts became 2" in capsys.readouterr().err
    for machine in ("first", "filled", "new"):
        enter(machines / machine)
        assert _summary(URL) == before
        _require_folded(URL, rows)
    # What was folded elsewhere is put aside, and cleared when somebody says so.
    enter(machines / "filled")
    aside = Warehouse.open(URL).path / ".gone"
    assert len(list(aside.rglob("part-*"))) == RUNS + 2
    assert run_command(["verify", "--clean", "-w", URL]) == 0
    assert not aside.exists()
    # There is nothing more to fold, and no lease is taken for it.
    leases = set(ObjectStore(URL).sizes("leases/"))
    assert _fold(URL) == Compaction()
    assert set(ObjectStore(URL).sizes("leases/")) == leases


class Killed(BaseException):
    """In the place of a kill: whatever is tried afterwards fails too."""


def _kill(number: int) -> Callable[[], None]:
    left = [number]

    def act() -> None:
        left[0] -= 1
        if left[0] <= 0:
            raise Killed

    return act


def _require_readable(
    url: str, own: Path, machines: Iterable[str], rows: Counter[str]
) -> None:
    for machine in machines:
        enter(own / machine)
        assert set(_raw(url)) == set(rows), machine


@pytest.mark.parametrize(
    ("steps", "every"), [("store", 5), *nightly(("store", 1), ("folder", 1))]
)
def test_a_kill_at_any_step_leaves_all_rows_and_the_next_ends_it(
    steps, every, memory, monkeypatch
):
    """Before each change of the store, or of the machine's own folder."""
    rows = _raw(prepare(memory, f"{MEMORY}/whole").place)
    for number in range(1, 999, every):
        url, own = f"{MEMORY}/{number}", memory / str(number)
        warehouse, kill = prepare(own, url), _kill(number)
        with monkeypatch.context() as deadly, suppress(Killed):
            if steps == "folder":
                deadly.setattr(disk, "watcher", lambda step, kill=kill: kill())
            with before_each_change(kill if steps == "store" else lambda: None):
                compact(warehouse, pause=0)
            break
        _require_readable(url, own, ("second", "first", "new"), rows)
        # Who was killed ends it, or somebody else who is told that it never will.
        is_own = number % 2 == 0
        enter(own / ("first" if is_own else "third"))
        assert _fold(url, take_over=not is_own).held == []
        enter(own / "first")
        assert _fold(url, take_over=True).damaged == []
        _require_folded(url, rows)
        for machine in ("second", "fourth"):
            enter(own / machine)
            assert _raw(url) == rows
    assert number > 2 * (RUNS + 2)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("numbers", [[4], *nightly([1, 2, 3, 5, 6], [9, 10, 13, 15])])
def test_a_process_that_is_killed_leaves_the_same_bytes(numbers, machines):
    child = subprocess.run(
        [sys.executable, "-m", "tests.stored_fold_scenes", machines, URL]
        + list(map(str, numbers)),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert child.returncode == 0, child.stderr
    whole = prepare(machines, f"{URL}/whole").place
    summary, rows = _summary(whole), _raw(whole)
    for number in numbers:
        url, own = f"{URL}/{number}", machines / str(number)
        for machine in ("second", "first", "new"):
            enter(own / machine)
            assert _summary(url) == summary, (number, machine)
        _require_readable(url, own, ("second", "first", "new"), rows)
        enter(own / "third")
        assert _fold(url, take_over=True).held == []
        enter(own / "first")
        assert _summary(url) == summary
        # Its own new part, of which it never told, is put aside.
        assert _fold(url, take_over=True).damaged == []
        assert _summary(url) == summary
        _require_folded(url, rows)


@pytest.mark.parametrize("every", [6, *nightly(1)])
def test_who_was_taken_for_dead_and_goes_on_loses_nothing(every, memory):
    """Before each of its changes another takes over, folds all, and lets it go on."""
    rows = _raw(prepare(memory, f"{MEMORY}/whole").place)
    number, was_last = 1 - every, False
    while not was_last:
        number += every
        url, own, left = f"{MEMORY}/{number}", memory / str(number), [number]

        def take_over(url: str = url, left: list[int] = left, own: Path = own) -> None:
            left[0] -= 1
            if left[0] == 0:
                enter(own / "second")
                _fold(url, take_over=True)
                enter(own / "first")

        warehouse = prepare(own, url)
        with before_each_change(take_over):
            compact(warehouse, pause=0)
        was_last = left[0] > 0
        _require_readable(url, own, ("second", "first", "new"), rows)
    assert number > 2 * (RUNS + 2)


def test_of_two_machines_one_folds(machines, capsys):
    store = store_sweep(URL)
    before = _objects(URL)
    lease = store.folding_lease(NAME, take_over=False)
    assert lease is not None
    with lease:
        enter(machines / "second")
        assert run_command(["compact", NAME, "-w", URL]) == 0
        told = capsys.readouterr().err
        assert "is being compacted by process" in told and "--take-over" in told
        assert _objects(URL) == before
    assert run_command(["compact", NAME, "-w", URL]) == 0
    assert len(_objects(URL)) < len(before)


def test_a_sweep_that_another_machine_runs_is_left_alone(machines):
    store = store_sweep(URL)
    with store.lease(NAME):
        enter(machines / "second")
        done = _fold(URL)
    assert [reason for reason in done.held if NAME in reason] == done.held != []
    # The events are everybody's.
    assert [folded.dataset for folded in done.folded] == ["events"]


def test_what_others_write_meanwhile_stays(machines):
    store_sweep(URL)
    rows = _raw(URL)
    more = Sweep(sweep_id=NAME, quants=("F16",), repetitions=3).fill().runs
    new = [run for run in more if run.attempt_id not in rows]
    waiting = [*new]

    def write() -> None:
        if waiting:
            run = waiting.pop()
            enter(machines / "writer")
            other = Warehouse.open(URL)
            other.append("runs", [run], NAME)
            other.append("events", [note_of(START + timedelta(days=len(waiting) + 1))])
            other.publish()
            enter(machines / "first")

    is_writing = [False]

    def once() -> None:
        if not is_writing[0]:
            is_writing[0] = True
            write()
            is_writing[0] = False

    with before_each_change(once):
        _fold(URL)
    assert waiting == []
    for machine in ("first", "writer", "new"):
        enter(machines / machine)
        found = _raw(URL)
        assert set(found.values()) == {1}
        assert {run.attempt_id for run in new} | set(rows) <= set(found)


def test_a_reader_whose_parts_go_while_it_fetches_them_lists_again(
    machines, monkeypatch
):
    store_sweep(URL)
    before, rows = _summary(URL), _raw(URL)
    fetch = ObjectStore.fetch
    is_first = [True]

    def fold_first(self: ObjectStore, files: dict[str, Path]) -> None:
        if is_first[0] and any(name.startswith("runs/") for name in files):
            is_first[0] = False
            enter(machines / "first")
            _fold(URL)
            enter(machines / "reader")
        fetch(self, files)

    enter(machines / "reader")
    monkeypatch.setattr(ObjectStore, "fetch", fold_first)
    assert _summary(URL) == before
    assert not is_first[0]
    assert _raw(URL) == rows


def test_a_store_that_fails_in_the_midst_removes_nothing_too_early(
    machines, monkeypatch, capsys
):
    store_sweep(URL)
    before, rows = _summary(URL), _raw(URL)
    sizes = ObjectStore.sizes

    def without_new(self: ObjectStore, prefix: str) -> dict[str, int]:
        """What was just written is not there: it was cut off, or is of other bytes."""
        found = sizes(self, prefix)
        return {
            name: size - (name.count(".") > 1 and ".of-" not in name)
            for name, size in found.items()
        }

    with monkeypatch.context() as broken:
        broken.setattr(ObjectStore, "sizes", without_new)
        assert run_command(["compact", NAME, "-w", URL]) == 1
    assert "as it was written" in capsys.readouterr().err
    assert set(rows) <= set(_raw(URL))
    enter(machines / "second")
    assert _summary(URL) == before
    enter(machines / "first")
    _fold(URL)
    _require_folded(URL, rows)


def test_a_part_is_put_aside_only_when_it_was_known_to_be_stored(machines):
    """What waits to be stored, or was stored after the store was listed, stays."""
    store = store_sweep(URL)
    mirror = Mirror(URL)
    mirror.pull("events")
    waiting = note_of(START + timedelta(days=9))
    store.append("events", [waiting])
    mirror.pull("events")
    Mirror(URL).pull("events")
    assert not (store.path / ".gone").exists()
    assert _raw(URL)[waiting.event_id] == 1
    # Without the note of what is stored all is stored again, and counts once.
    before = _summary(URL)
    (store.path / ".stored").unlink()
    enter(machines / "second")
    _fold(URL)
    enter(machines / "first")
    Warehouse.open(URL).publish()
    assert _summary(URL) == before
    _fold(URL)
    assert _summary(URL) == before


def test_taking_over_is_for_a_store(tmp_path, capsys):
    Sweep(sweep_id=NAME).fill().store(tmp_path / "w")
    assert run_command(["compact", "--take-over", "-w", str(tmp_path / "w")]) == 2
    assert "object store" in capsys.readouterr().err
