"""Sweeps whose servers Orket starts by a command, one for each quant."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from orket.cli.main import run_command
from orket.warehouse import Warehouse
from tests.live import demo_gguf
from tests.nightly import nightly

KEY = "sk-very-secret"
PYTHON = shlex.quote(sys.executable)

BANK = """schema_version = 1
bank = "two"
title = "Two"
[[tasks]]
id = "one"
bucket = "logic"
tier = 1
prompt = "What is the capital of France? One word."
max_tokens = 16
checks = [{ kind = "contains", expected = "Paris" }]
samples = { pass = ["Paris"], fail = ["Rome", "Lyon"] }
[[tasks]]
id = "two"
bucket = "mixed"
tier = 1
prompt = "What is 2 + 2? Only the number."
max_tokens = 16
checks = [{ kind = "exact", expected = "4" }]
samples = { pass = ["4"], fail = ["5", "22"] }
"""

PRESET = """schema_version = 1
repetitions = 1
polluted_retries = 0
control_profile = "shared"
[provider]
name = "{provider}"
serve_cmd = '''{command}'''
serve_timeout_seconds = 60
[canary]
enabled = false
[[models]]
id = "demo"
quants = {quants}
[models.names.{provider}]
name = ""
[tasks]
bank = "{bank}"
[policy]
quality_only = true
"""

SERVER = """
import os, sys
dialect, quant, port, *rest = sys.argv[1:]
with open("starts", "a") as file:
    file.write(quant + "\\n")
if quant == "Q5_K_M" and not os.path.exists("room"):
    sys.exit("no room for these weights")
answer = "5" if quant == "Q2_K" else "4"
os.execv(sys.executable, [sys.executable, "-m", "orket", "mock-server", dialect,
    "--port", port, "--model", f"demo-{quant}={quant}", "--canned",
    "capital=Paris", "--canned", f"2={answer}"])
"""


@pytest.fixture
def preset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORKET_WAREHOUSE", str(tmp_path / "w"))
    (tmp_path / "two.toml").write_text(BANK)
    (tmp_path / "server.py").write_text(SERVER)

    def write(quants, provider="llama-server", more=""):
        server = shlex.quote(str(tmp_path / "server.py"))
        command = f"{PYTHON} {server} {provider} {{quant}} {{port}}{more}"
        text = PRESET.format(
            provider=provider,
            command=command,
            quants=list(quants),
            bank=tmp_path / "two.toml",
        )
        path = tmp_path / "served.toml"
        path.write_text(text)
        return str(path)

    return write


def summary(tmp_path):
    return json.loads((tmp_path / "sweep_summary.json").read_bytes())


@pytest.mark.parametrize("provider", ["llama-server", "openai", *nightly("vllm")])
def test_one_server_after_the_other(preset, tmp_path, provider, capsys):
    # Other tests of the same process may have helpers that live on.
    before = set(psutil.Process().children())
    assert run_command(["run", preset(["F16", "Q2_K"], provider)]) == 0
    (session,) = summary(tmp_path)["sessions"]
    scores = {q["quant_tag"]: q["adherence_score"] for q in session["per_quant"]}
    assert scores == {"F16": 1.0, "Q2_K": 0.5}
    with Warehouse.open(tmp_path / "w").session() as warehouse:
        (model,) = warehouse.rows("SELECT * FROM v1.session")
        quants = warehouse.rows("SELECT * FROM v1.quant ORDER BY quant_tag")
    assert (model["provider"], model["locality"]) == (provider, "child")
    assert model["endpoint"] is None
    if provider != "openai":
        assert model["provider_version"]
    # What started them is kept; the port is another one each time.
    assert [row["serve_command"].split()[-3:] for row in quants] == [
        [provider, "F16", "{port}"],
        [provider, "Q2_K", "{port}"],
    ]
    logs = sorted(path.name for path in (tmp_path / "w" / "logs").rglob("*.log"))
    assert logs == ["demo-F16-1.log", "demo-Q2_K-1.log"]
    assert set(psutil.Process().children()) <= before


@pytest.mark.parametrize(
    "quants", [["Q5_K_M", "Q2_K"], *nightly(["F16", "Q5_K_M", "Q2_K"])]
)
def test_a_server_that_ends_early_is_a_failed_quant(preset, tmp_path, quants, capsys):
    assert run_command(["run", preset(quants)]) == 0
    (session,) = summary(tmp_path)["sessions"]
    found = {quant["quant_tag"]: quant for quant in session["per_quant"]}
    assert found["Q2_K"]["runs"]["answered"] == 2
    (failure,) = found["Q5_K_M"]["failures"]
    assert failure["error_class"] == "ENGINE_NOT_STARTED"
    assert "no room for these weights" in str(failure)
    told = " ".join(capsys.readouterr().err.split())
    assert "demo-Q5_K_M-" in told
    with Warehouse.open(tmp_path / "w").session() as warehouse:
        (model,) = warehouse.rows("SELECT * FROM v1.session")
    # The first that could be started told what the servers are.
    assert model["provider_version"]


@pytest.mark.parametrize("rounds", [True, *nightly(False)])
def test_who_cannot_be_loaded_is_tried_twice_and_the_gate_measures_another(
    preset, tmp_path, rounds, capsys
):
    """Three repetitions, two passes of repeats and the gate would ask for it."""
    path = Path(preset(["F16", "Q5_K_M", "Q2_K"]))
    how = 'until = "proof"' if rounds else "repetitions = 3"
    text = path.read_text().replace("repetitions = 1", how)
    text = text.replace("polluted_retries = 0", "polluted_retries = 2")
    text = text.replace("enabled = false", 'quant = "Q5_K_M"')
    path.write_text(text)

    def starts() -> int:
        text: str = (tmp_path / "starts").read_text()
        return text.split().count("Q5_K_M")

    def answered() -> dict[str, int]:
        (session,) = summary(tmp_path)["sessions"]
        return {q["quant_tag"]: q["runs"]["answered"] for q in session["per_quant"]}

    assert run_command(["run", str(path)]) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert starts() == 2
    assert "Q5_K_M of demo cannot be loaded: the gate measures F16" in told
    assert told.count("could not be loaded twice: it is left out") == 1
    assert "no room for these weights" in told
    made = 2 if rounds else 6
    assert answered() == {"F16": made, "Q5_K_M": 0, "Q2_K": made}
    # Another executor tries it again, as often; the gate stays where it was.
    if not rounds:
        assert run_command(["run", "--resume", "latest"]) == 0
        assert starts() == 4
        (tmp_path / "room").touch()
        assert run_command(["run", "--resume", "latest"]) == 0
        assert answered() == {"F16": made, "Q5_K_M": made, "Q2_K": made}
    with Warehouse.open(tmp_path / "w").session() as warehouse:
        gates = warehouse.rows(
            "SELECT DISTINCT quant_tag FROM v1.attempts WHERE phase = 'canary'"
        )
    assert gates == [{"quant_tag": "F16"}]


@pytest.mark.parametrize("has_room", [False, *nightly(True)])
def test_a_sweep_that_is_given_tasks_measures_its_gate_where_it_can(
    preset, tmp_path, has_room, capsys
):
    """The gate's quant cannot be loaded: from the start, or only when it goes on."""
    path = Path(preset(["F16", "Q5_K_M", "Q2_K"]))
    text = path.read_text().replace("repetitions = 1", 'until = "point"')
    text = text.replace("enabled = false", 'quant = "Q5_K_M"\nanchor_every_blocks = 1')
    path.write_text(text)
    room = tmp_path / "room"
    if has_room:
        room.touch()

    def measured() -> set[tuple[str, str]]:
        with Warehouse.open(tmp_path / "w").session() as warehouse:
            rows = warehouse.rows(
                "SELECT DISTINCT phase, quant_tag FROM v1.attempts "
                "WHERE phase IN ('canary', 'anchor') AND outcome = 'OK'"
            )
        return {(row["phase"], row["quant_tag"]) for row in rows}

    assert run_command(["run", str(path), "--tasks", "1"]) == 0
    gate = "Q5_K_M" if has_room else "F16"
    assert measured() == {("canary", gate), ("anchor", gate)}
    room.unlink(missing_ok=True)
    capsys.readouterr()
    assert run_command(["run", "--resume", "latest", "--tasks", "2"]) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert ("cannot be loaded: the gate measures F16" in told) is has_room
    both = {("canary", "F16"), ("anchor", "F16")}
    assert measured() == both | ({("canary", gate), ("anchor", gate)})
    (session,) = summary(tmp_path)["sessions"]
    answered = {q["quant_tag"]: q["runs"]["answered"] for q in session["per_quant"]}
    assert answered["F16"] == answered["Q2_K"] == 2


def test_a_key_is_kept_nowhere_and_asked_for_again(preset, tmp_path, capsys):
    path = preset(["F16"], more=f" --api-key {KEY}")
    assert run_command(["run", path, "--dry-run"]) == 0
    assert KEY not in "".join(capsys.readouterr())
    assert run_command(["run", path]) == 0
    shown = "".join(capsys.readouterr())
    everything = [p.read_bytes() for p in (tmp_path / "w").rglob("*") if p.is_file()]
    everything.append((tmp_path / "sweep_summary.json").read_bytes())
    assert not [text for text in everything if KEY.encode() in text]
    assert KEY not in shown
    with Warehouse.open(tmp_path / "w").session() as warehouse:
        (quant,) = warehouse.rows("SELECT * FROM v1.quant")
        (sweep,) = warehouse.rows("SELECT sweep_id FROM v1.manifest")
    assert quant["serve_command"].endswith("--api-key [secret]")
    assert run_command(["run", "--resume", sweep["sweep_id"]]) == 2
    assert "give it again with --url or --serve-cmd" in capsys.readouterr().err


def test_a_word_and_a_command_are_enough(preset, tmp_path, capsys):
    preset([])
    command = f"{PYTHON} {shlex.quote(str(tmp_path / 'server.py'))}"
    line = ["run", "demo", "--quants", "F16,Q2_K", "--tasks", "1", "--no-canary"]
    line += ["--serve-cmd", f"{command} vllm {{quant}} {{port}}", "--provider", "vllm"]
    assert run_command([*line, "--quality-only", "--runs", "1", "-y"]) == 0
    (session,) = summary(tmp_path)["sessions"]
    assert session["model_id"] == "demo"
    assert [quant["quant_tag"] for quant in session["per_quant"]] == ["F16", "Q2_K"]
    for missing, said in (
        (["run", *line[2:]], "which model the command serves is not said"),
        ([*line[:2], *line[4:]], "which quants of demo"),
    ):
        assert run_command(missing) == 2
        assert said in capsys.readouterr().err


def test_what_a_command_cannot_be_told_is_told_before(preset, capsys):
    two = preset(["F16", "F16@ctx=8k"])
    assert run_command(["run", two]) == 2
    assert "the command does not say {kv} or {ctx}" in capsys.readouterr().err
    same = preset(["F16", "Q2_K"], more="")
    text = Path(same).read_text().replace("{quant}", "F16")
    Path(same).write_text(text)
    assert run_command(["run", same]) == 2
    assert "F16 and Q2_K are both" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_leaves_no_server_and_the_sweep_goes_on(preset, tmp_path):
    path = preset(["F16", "Q2_K", "Q8_0"])
    text = Path(path).read_text().replace("repetitions = 1", "repetitions = 5")
    Path(path).write_text(text)
    orket = subprocess.Popen(
        [sys.executable, "-m", "orket", "run", path, "-y"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    logs = tmp_path / "w" / "logs"
    for _ in range(600):
        if logs.is_dir() and len(list(logs.rglob("*.log"))) >= 2:
            break
        time.sleep(0.05)
    below = psutil.Process(orket.pid).children(recursive=True)
    assert below
    os.kill(orket.pid, signal.SIGINT)
    assert orket.wait(60) == 130
    assert not [p for p in below if p.is_running() and p.status() != "zombie"]
    with Warehouse.open(tmp_path / "w").session() as warehouse:
        (sweep,) = warehouse.rows("SELECT sweep_id FROM v1.manifest")
    assert run_command(["run", "--resume", sweep["sweep_id"], "-y"]) == 0
    (session,) = summary(tmp_path)["sessions"]
    counts = {q["quant_tag"]: q["runs"]["valid"] for q in session["per_quant"]}
    assert counts == {"F16": 10, "Q8_0": 10, "Q2_K": 10}


LLAMA_SERVER = """
import argparse, time
parser = argparse.ArgumentParser()
parser.add_argument("-m")
parser.add_argument("-c", type=int)
parser.add_argument("-ctk")
parser.add_argument("-ctv")
parser.add_argument("-t", type=int)
parser.add_argument("-lv", type=int)
parser.add_argument("--port", type=int)
asked = parser.parse_args()
import xllamacpp
params = xllamacpp.CommonParams()
params.model.path = asked.m
params.port = asked.port
params.n_ctx = asked.c
params.n_parallel = 1
params.endpoint_metrics = True
params.cache_type_k = getattr(xllamacpp.ggml_type, f"GGML_TYPE_{asked.ctk.upper()}")
params.cache_type_v = getattr(xllamacpp.ggml_type, f"GGML_TYPE_{asked.ctv.upper()}")
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = asked.t
params.verbosity = asked.lv
server = xllamacpp.Server(params)
time.sleep(3600)
"""


@pytest.mark.live
def test_a_real_llama_server_at_two_levels_of_two_files(preset, tmp_path):
    preset([])
    program = tmp_path / "llama-server"
    program.write_text(f"#!{sys.executable}\n{LLAMA_SERVER}")
    program.chmod(0o755)
    command = (
        f"{shlex.quote(str(program))} -m {{path}} -c {{ctx}} -ctk {{kv_keys}} "
        "-ctv {kv_values} -t {threads} --port {port} -lv 4"
    )
    quants = "Q8_0,Q8_0@kv=q8_0,Q4_K_M@ctx=256,Q4_K_M@kv=q8_0/f16"
    line = ["run", str(demo_gguf("Q8_0").parent), "--serve-cmd", command]
    line += ["--quants", quants, "--context", "512", "--threads", "1", "--grid"]
    line += ["--tasks", "1", "--runs", "1", "--no-canary", "--quality-only", "-y"]
    assert run_command(line) == 0
    with Warehouse.open(tmp_path / "w").session() as warehouse:
        rows = warehouse.rows(
            "SELECT DISTINCT quant_tag, effective.kv_cache AS kv, "
            "effective.context_tokens AS context, effective.threads AS threads "
            "FROM v1.attempts WHERE outcome = 'OK' ORDER BY quant_tag"
        )
        planned = warehouse.rows(
            "SELECT quant_tag, kv_cache_bytes, serve_command FROM v1.quant "
            "ORDER BY quant_tag"
        )
    assert [tuple(row.values()) for row in rows] == [
        ("Q4_K_M@ctx=256", "f16", 256, "1"),
        ("Q4_K_M@kv=q8_0/f16", "q8_0/f16", 512, "1"),
        ("Q8_0", "f16", 512, "1"),
        ("Q8_0@kv=q8_0", "q8_0", 512, "1"),
    ]
    assert [row["kv_cache_bytes"] for row in planned] == [
        384 * 2 * 256 * 2,
        384 * 512 * 34 // 32 + 384 * 512 * 2,
        384 * 2 * 512 * 2,
        384 * 2 * 512 * 34 // 32,
    ]
    assert "-c 256 -ctk f16 -ctv f16" in planned[0]["serve_command"]
