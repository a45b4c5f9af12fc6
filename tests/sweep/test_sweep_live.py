"""Sweeps on the real engine with the demo ladder, from the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from orket.cli.main import run_command
from orket.planning.preset import load_profile
from orket.warehouse import Warehouse
from tests.live import demo_gguf

pytestmark = pytest.mark.live

QUANTS = ("F16", "Q2_K")
MANY_CALLS = ("--runs", "1", "--tasks", "80", "--no-canary")


@pytest.fixture
def arguments(tmp_path):
    """A preset on the demo ladder, and a warehouse of its own."""
    folder = demo_gguf("F16").parent
    preset = tmp_path / "small.toml"
    preset.write_text(
        'schema_version = 1\nextends = "quickstart"\npolluted_retries = 0\n'
        "[tasks]\nlimit = 3\n"
        "[policy]\ncanary_max_latency_cv = 1000\nmax_foreign_cpu_share = 1\n"
        "max_steal_share = 1\nstalled_share = 0\n"
        '[[models]]\nid = "orket-demo"\nquants = ["F16", "Q2_K"]\n'
        f'[models.names.embedded]\nfile = "{folder}/orket-demo-{{quant}}.gguf"\n'
    )
    return [str(preset), "-w", str(tmp_path / "warehouse")]


def test_a_sweep_from_preset_to_summary(arguments, tmp_path, capsys):
    summary = tmp_path / "s.json"
    assert run_command(["run", *arguments, "-o", str(summary)]) == 0
    shown = capsys.readouterr()
    assert "F16" in shown.out
    assert "Q2_K" in shown.out
    document = json.loads(summary.read_bytes())
    assert document["status"] == "COMPLETED"
    (session,) = document["sessions"]
    assert [quant["quant_tag"] for quant in session["per_quant"]] == list(QUANTS)
    for quant in session["per_quant"]:
        assert quant["runs"]["planned"] == 2 * 3
        assert quant["token_metrics"]["status"] == "OK"
    assert str(document["matrix"]["effective_controls"]["threads"]) == "1"


def test_a_killed_engine_is_a_failed_row_and_is_started_again(arguments, tmp_path):
    command = [sys.executable, "-m", "orket", "run", *arguments, *MANY_CALLS]
    sweep = subprocess.Popen(
        [*command, "-o", str(tmp_path / "s.json")], stderr=subprocess.PIPE, text=True
    )
    engine = await_engine(sweep.pid, tmp_path / "warehouse")
    os.kill(engine, signal.SIGKILL)
    _, said = sweep.communicate(timeout=300)
    assert sweep.returncode == 0
    assert "server lost, restarting" in said
    store = Warehouse(tmp_path / "warehouse")
    with store.session(store.resolve("latest")) as session:
        rows = session.rows("SELECT outcome, error_class FROM v1.attempts")
    failed = [row for row in rows if row["outcome"] == "FAILED"]
    assert len(failed) == 1
    assert failed[0]["error_class"] in ("SERVER_DIED", "CONNECTION_LOST")


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_keeps_what_was_recorded_and_says_how_to_go_on(
    arguments, tmp_path, sent
):
    command = [sys.executable, "-m", "orket", "run", *arguments, *MANY_CALLS]
    sweep = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    await_engine(sweep.pid, tmp_path / "warehouse")
    sweep.send_signal(sent)
    _, said = sweep.communicate(timeout=300)
    assert sweep.returncode == 130
    store = Warehouse(tmp_path / "warehouse")
    sweep_id = store.resolve("latest")
    assert f"--resume {sweep_id}" in said
    with store.session(sweep_id) as session:
        rows = session.rows("SELECT count(*) AS n FROM v1.attempts")
    assert rows[0]["n"] >= 1


def test_a_canary_alone_saves_its_profile(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ORKET_HOME", str(tmp_path / "home"))
    assert run_command(["canary", *arguments, "--save-profile", "mine"]) == 0
    assert "PASSED" in capsys.readouterr().out
    profile = load_profile("mine").table
    assert profile.controls.threads == 1
    assert profile.evidence is not None
    assert profile.evidence.sweep_id == Warehouse(tmp_path / "warehouse").resolve(
        "latest"
    )


def test_a_failed_canary_exits_with_3_and_names_a_profile(arguments, capsys):
    preset = Path(arguments[0])
    text = preset.read_text()
    preset.write_text(text.replace("latency_cv = 1000", "latency_cv = 0.000001"))
    assert run_command(["canary", *arguments]) == 3
    said = capsys.readouterr().err
    assert "LATENCY_VARIANCE_THRESHOLD_EXCEEDED" in said
    assert "the limit is" in said


def test_determinism_reports_each_task_and_quant(arguments, tmp_path, capsys):
    report = tmp_path / "d.json"
    command = ["determinism", *arguments, "--runs", "2", "-o", str(report)]
    assert run_command([*command, "--require", "1.0"]) == 0
    document = json.loads(report.read_bytes())
    assert document["groups"] == len(document["tasks"]) == 6
    assert document["met"] is True
    assert "6 of 6" in capsys.readouterr().out


def test_answers_that_differ_are_found_with_their_first_difference(
    arguments, tmp_path, capsys
):
    preset = Path(arguments[0])
    hot = "[controls]\nseed = -1\ntemperature = 1.5\n[tasks]\nlimit = 12\n"
    preset.write_text(preset.read_text().replace("[tasks]\nlimit = 3\n", hot))
    report = tmp_path / "d.json"
    command = ["determinism", *arguments, "--quants", "Q2_K", "--runs", "4"]
    assert run_command([*command, "-o", str(report), "--require", "1"]) == 4
    assert "the determinism rate is" in capsys.readouterr().err
    tasks = json.loads(report.read_bytes())["tasks"]
    assert any(task["first_divergence"] for task in tasks)


def await_engine(parent: int, warehouse: Path) -> int:
    """The engine of a sweep that has recorded something."""
    for _ in range(300):
        journals = list(warehouse.glob("runs/*/.journal-*"))
        children = psutil.Process(parent).children()
        if children and any(journal.stat().st_size for journal in journals):
            return int(children[0].pid)
        time.sleep(0.1)
    pytest.fail("the sweep recorded nothing in 30 seconds")
