"""Killed, refused or cut off at any step: no finished row is lost, and work goes on."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orket.errors import OrketError
from orket.exports.bundle import verify_bundle
from orket.warehouse import Warehouse, disk, journal
from orket.warehouse.disk import Step
from orket.warehouse.leftovers import JOURNAL, clear, find_leftovers
from orket.warehouse.verify import verify
from tests.fault_scenes import SCENES, PowerCut, lay_out, read_rows, sweep


@pytest.fixture(autouse=True)
def unwatched(monkeypatch):
    """No watcher, and no other time to sync, outlives its test."""
    monkeypatch.setattr(disk, "watcher", None)
    monkeypatch.setattr(journal, "SYNC_AFTER_SECONDS", 0)


def _require_whole(
    warehouse: Warehouse, name: str, before: set[str], confirmed: set[str]
) -> None:
    """Nothing is lost, and what was left behind can be cleared."""
    found = read_rows(warehouse)
    assert before | confirmed <= set(found)
    assert set(found) <= before | SCENES[name].adds
    if name == "compact":
        assert set(found.values()) == {1}
    for leftover in find_leftovers(warehouse):
        is_damaged = name == "quarantine" and leftover.kind == JOURNAL
        assert is_damaged or clear(warehouse, leftover) is not None, leftover
    assert {left.kind for left in find_leftovers(warehouse)} <= (
        {JOURNAL} if name == "quarantine" else set()
    )
    assert before | confirmed <= set(read_rows(warehouse))


def _require_ends(warehouse: Warehouse, name: str, before: set[str]) -> None:
    """Done again, it comes to its end, and all is sound."""
    scene = SCENES[name]
    scene.act(warehouse, lambda names: None)
    assert set(read_rows(warehouse)) == before | scene.adds
    assert verify(warehouse).faults == []
    bundle = warehouse.path / "bundle.tar"
    assert not bundle.exists() or verify_bundle(bundle).faults == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("name", SCENES)
def test_a_writer_that_is_killed_at_any_step_loses_nothing(tmp_path, name):
    child = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.fault_scenes", name, tmp_path],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert child.returncode == 0, child.stderr
    last = int(child.stdout)
    assert last > 3
    before = set(read_rows(Warehouse(tmp_path / "start")))
    for number in range(1, last + 1):
        confirmed = (tmp_path / f"{number}.confirmed").read_text().split()
        warehouse = Warehouse(tmp_path / str(number))
        _require_whole(warehouse, name, before, set(confirmed))
        if number == last // 2:
            _require_ends(warehouse, name, before)


@pytest.mark.parametrize("name", SCENES)
def test_a_step_that_fails_is_one_line_and_loses_nothing(tmp_path, monkeypatch, name):
    """A full disk and a failing one in turns."""
    scene = SCENES[name]
    start = scene.prepare(tmp_path / "start").path
    before = set(read_rows(Warehouse(start)))
    for number in range(1, 99):
        code = errno.ENOSPC if number % 2 else errno.EIO
        warehouse = Warehouse(tmp_path / str(number))
        shutil.copytree(start, warehouse.path)
        steps: list[Step] = []

        def fail(
            step: Step,
            steps: list[Step] = steps,
            number: int = number,
            code: int = code,
        ) -> None:
            steps.append(step)
            if len(steps) == number:
                raise OSError(code, os.strerror(code))

        monkeypatch.setattr(disk, "watcher", fail)
        confirmed: set[str] = set()
        try:
            scene.act(warehouse, confirmed.update)
        except OrketError as error:
            assert "\n" not in str(error)
            assert os.strerror(code) in str(error)
            if code == errno.ENOSPC and name != "bundle":
                assert "free some space" in (error.hint or "")
        monkeypatch.setattr(disk, "watcher", None)
        _require_whole(warehouse, name, before, confirmed)
        if number == 4:
            _require_ends(warehouse, name, before)
        if len(steps) < number:
            return
    pytest.fail("the scene does not end")


@pytest.mark.parametrize("name", SCENES)
def test_a_power_cut_loses_nothing_that_was_confirmed(tmp_path, monkeypatch, name):
    scene = SCENES[name]
    warehouse = scene.prepare(tmp_path / "warehouse")
    before = set(read_rows(warehouse))
    cut = PowerCut(warehouse.path)
    monkeypatch.setattr(disk, "watcher", cut)
    scene.act(warehouse, cut.confirmed.update)
    cut(Step("write", warehouse.path))
    monkeypatch.setattr(disk, "watcher", None)
    assert len(cut.states) > 3
    for number, (tree, told) in enumerate(zip(cut.states, cut.told, strict=True)):
        left = lay_out(tree, warehouse.path, tmp_path / str(number))
        _require_whole(left, name, before, told)
    _require_ends(left, name, before)


def test_rows_wait_for_each_other_and_are_synced_a_moment_later(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "SYNC_AFTER_SECONDS", 0.05)
    warehouse = sweep().store(tmp_path)
    synced: list[Step] = []

    def watch(step: Step) -> None:
        if step.what == "sync":
            synced.append(step)

    monkeypatch.setattr(disk, "watcher", watch)
    with warehouse.journal("a") as opened:
        for run in sweep().runs * 3:
            opened.append(run)
        waited = len(synced)
        assert waited < 6
        for _ in range(200):
            if len(synced) > waited:
                break
            time.sleep(0.02)
        else:
            pytest.fail("nothing was synced")


def test_a_sync_that_failed_in_the_background_stops_the_next_row(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "SYNC_AFTER_SECONDS", 60)
    warehouse = sweep().store(tmp_path)
    first, second = sweep().runs[:2]

    def fail(step: Step) -> None:
        if step.what == "sync":
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    with (
        pytest.raises(OrketError, match="Input/output"),
        warehouse.journal("a") as opened,
    ):
        opened.append(first)
        opened.append(second)
        monkeypatch.setattr(disk, "watcher", fail)
    monkeypatch.setattr(disk, "watcher", None)
    # What the disk did not confirm is there all the same, as long as the power stays.
    assert set(read_rows(warehouse)) >= {first.attempt_id, second.attempt_id}
