"""Queries that DuckDB itself does not end: inside one function it hears nothing."""

from __future__ import annotations

import _thread
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

import orket
from orket.errors import LimitReached, UsageError
from orket.warehouse import Warehouse
from orket.warehouse.query import QueryLimits
from orket.warehouse.query_worker import QueryWorker
from tests.built_sweep import Sweep
from tests.places import ROOT

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
DEAF = (
    "SELECT levenshtein(repeat('a', 500000), repeat('b', 500000))",
    "SELECT list_reduce(range(100000000), lambda a, b: a + b)",
)
LARGE = "SELECT length(repeat('x', 4000000000))"
ONE = "SELECT 40 + 2 AS answer"


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bounded")
    Sweep(quants=("F16",), tasks=("t1",)).fill().store(folder)
    return folder


@pytest.fixture
def private(tmp_path, monkeypatch):
    """Where the folders of queries are made."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("query", DEAF)
@pytest.mark.parametrize("way", ["answer", "query"])
def test_what_hears_no_interrupt_is_ended_in_its_time(warehouse, private, way, query):
    limits = QueryLimits(seconds=0.2, memory_bytes=1 << 40)
    with Warehouse.open(warehouse).locked_session(limits=limits) as session:
        session.answer(ONE)
        began = time.monotonic()
        with pytest.raises(LimitReached, match=r"took more than 0\.2 s: give it more"):
            getattr(session, way)(query)
        assert time.monotonic() - began < 90
        # The session goes on, in another process where the first was ended.
        assert session.answer("SELECT count(*) FROM v1.attempts").rows == [(1,)]
    assert list(private.iterdir()) == []


def test_a_session_goes_on_after_each_query_that_heard_its_end(warehouse, private):
    """Interrupts come until the query has ended, and none of them after it."""
    limits = QueryLimits(seconds=0.05)
    long = "SELECT sum(a.range * b.range) FROM range(10000000) a, range(100000) b"
    with Warehouse.open(warehouse).locked_session(limits=limits) as session:
        for _ in range(10):
            with pytest.raises(LimitReached, match="took more than"):
                session.answer(long)
            # Not ended by its own time, on a machine that is busy.
            with suppress(LimitReached):
                assert session.answer(ONE).rows == [(42,)]
    assert list(private.iterdir()) == []


def test_memory_that_duckdb_does_not_count_is_bounded(warehouse, private):
    limits = QueryLimits(memory_bytes=64 << 20)
    with Warehouse.open(warehouse).locked_session(limits=limits) as session:
        with pytest.raises(LimitReached, match="more memory than 64 MiB"):
            session.answer(LARGE)
        assert session.answer(ONE).rows == [(42,)]
    assert list(private.iterdir()) == []


def test_ctrl_c_ends_what_hears_no_interrupt(warehouse, private):
    with Warehouse.open(warehouse).locked_session() as session:
        session.answer(ONE)
        pressed = threading.Timer(0.3, _thread.interrupt_main)
        pressed.start()
        with pytest.raises(KeyboardInterrupt):
            session.answer(DEAF[0])
        pressed.join()
        assert session.answer(ONE).rows == [(42,)]
    assert list(private.iterdir()) == []


@posix
def test_a_process_that_is_killed_from_outside_is_said_so(warehouse, private):
    with Warehouse.open(warehouse).locked_session() as session:
        killed = (_pid_of(session), signal.SIGKILL)
        killer = threading.Timer(0.3, os.kill, killed)
        killer.start()
        with pytest.raises(LimitReached, match="killed by SIGKILL"):
            session.answer(DEAF[0])
        assert session.answer(ONE).rows == [(42,)]
    assert list(private.iterdir()) == []


@posix
def test_a_query_ends_with_the_process_that_asked(warehouse, tmp_path):
    """And takes the private folder with it, though nobody is left to do so."""
    script = (
        "import sys, threading, os, signal, orket\n"
        f"opened = orket.open({str(warehouse)!r})\n"
        f"opened.sql({ONE!r})\n"
        "print(opened._idle[0]._process.pid, flush=True)\n"
        "threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGKILL)).start()\n"
        "opened.sql('SELECT sum(a.range * b.range) FROM range(10000000) a, "
        "range(100000) b')\n"
    )
    asked = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        check=False,
        timeout=120,
    )
    assert asked.returncode == -signal.SIGKILL
    end = time.monotonic() + 60
    while _is_there(int(asked.stdout)) or list(tmp_path.glob("orket-*")):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_notebook_keeps_one_process_and_sees_what_is_new(tmp_path, private):
    folder = tmp_path / "warehouse"
    Sweep(sweep_id="one", quants=("F16",), tasks=("t1",)).fill().store(folder)
    opened = orket.open(folder)
    runs = "SELECT count(*) AS n FROM v1.attempts"
    assert opened.sql(runs)["n"].to_list() == [1]
    (worker,) = opened._idle
    Sweep(sweep_id="two", quants=("F16",), tasks=("t1",)).fill().store(folder)
    assert opened.sql(runs)["n"].to_list() == [2]
    assert opened.sql(runs, sweep="one")["n"].to_list() == [1]
    with pytest.raises(UsageError, match="only a single SELECT"):
        opened.sql("DROP VIEW v1.runs")
    assert opened._idle == [worker]
    with pytest.raises(LimitReached, match=r"more with limits=QueryLimits\(seconds="):
        opened.sql(DEAF[0], limits=QueryLimits(seconds=0.1, memory_bytes=1 << 40))
    assert opened.sql(runs)["n"].to_list() == [2]
    assert len(opened._idle) == 1
    opened._idle.clear()
    del opened, worker
    gc.collect()
    assert [path.name for path in private.iterdir()] == ["warehouse"]


def test_a_fork_leaves_the_process_of_its_parent_alone(warehouse):
    worker = QueryWorker()
    try:
        worker.owner += 1
        assert not worker.is_alive
        worker.owner -= 1
        assert worker.is_alive
    finally:
        worker.end()
    assert not worker.is_alive


@pytest.mark.parametrize("folder", ["duckdb", "polars", "pickle"])
def test_a_folder_of_the_user_s_own_is_no_module(warehouse, tmp_path, folder):
    """Queries are asked from anywhere: what lies there is not imported."""
    (tmp_path / f"{folder}.py").write_text("raise SystemExit('imported')")
    asked = subprocess.run(
        [sys.executable, "-P", "-m", "orket", "sql", ONE, "-w", str(warehouse)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (asked.returncode, asked.stdout) == (0, "answer\n42\n"), asked.stderr


def _pid_of(session) -> int:
    session.answer(ONE)
    pid: int = session._worker._process.pid
    return pid


def _is_there(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    if sys.platform == "linux":
        # A zombie that nobody waits for has ended.
        return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True
