"""One argument: a model, a folder, a URL; and a sweep that goes on by itself."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orket.cli.main import run_command
from orket.cli.opening import estimate_line
from orket.cli.own_model import plan_fitting
from orket.errors import UsageError
from orket.mockserver import MockModel, MockServer, Profile
from orket.planning.estimate import Estimate, Span
from orket.planning.fit import context_of
from orket.planning.kept import keep_preset, restore_preset
from orket.planning.neutral import NEUTRAL_PRESET
from orket.planning.plan import build_plan
from orket.planning.preset import Change, load_preset, override
from orket.planning.readiness import find_too_long, warn_of_context
from orket.planning.served import fill_subject
from orket.planning.subject import Subject
from orket.providers.options import ServerOptions
from orket.providers.recognise import recognise
from orket.records import EventRow, RunRecord
from orket.sweep.execute import run_sweep
from orket.sweep.reporter import Silence
from orket.tasks.bank import load_bank
from orket.warehouse import Warehouse
from tests.live import demo_gguf
from tests.nightly import nightly
from tests.raw_rows import make_manifest, make_run

INSTALLED = Profile(
    models=(
        MockModel("llama3.1:8b-instruct-q8_0", "Q8_0"),
        MockModel("llama3.1:8b-instruct-q4_K_M", "Q4_K_M"),
        MockModel("qwen2.5:7b-instruct-q4_K_M", "Q4_K_M"),
    )
)


@pytest.fixture(autouse=True)
def own_place(tmp_path, monkeypatch):
    """No server and no folder of this machine is looked into."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    for name in ("ORKET_MODELS", "LLAMA_CACHE", "HF_HUB_CACHE", "HF_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("orket.planning.nearby.scan_default_ports", list, raising=True)
    monkeypatch.chdir(tmp_path)


def plan_of(capsys, *arguments: str) -> dict[str, Any]:
    assert run_command(["plan", *arguments, "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert isinstance(document, dict)
    return document


def link(folder: Path, *quants: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for quant in quants:
        (folder / f"own-{quant}.gguf").symlink_to(demo_gguf(quant))


def quants_of(document: dict[str, Any]) -> list[str]:
    (model,) = document["models"]
    return [quant["quant"] for quant in model["quants"]]


def test_a_folder_is_measured_with_the_core_bank(tmp_path, capsys):
    link(tmp_path / "ggufs", "F16", "Q2_K")
    document = plan_of(capsys, "./ggufs")
    assert document["preset"] == NEUTRAL_PRESET
    assert document["provider"]["name"] == "embedded"
    assert document["task_bank"] == ["core"]
    assert quants_of(document) == ["F16", "Q2_K"]
    first = document["models"][0]["quants"][0]
    assert first["fit"] == "fits"
    assert first["needs_bytes"] > demo_gguf("F16").stat().st_size


def test_tasks_that_the_model_cannot_hold_are_left_out_and_told(tmp_path, capsys):
    link(tmp_path / "ggufs", "F16", "Q2_K")
    subject = Subject("embedded", place=tmp_path / "ggufs")
    preset, _ = fill_subject(load_preset(NEUTRAL_PRESET), subject, None)
    plan, kept, _ = plan_fitting(preset, "s")
    told = capsys.readouterr().err
    tasks = {task.test_id for task in plan.tasks}
    assert build_plan(kept, "s").plan_hash == plan.plan_hash
    # Made for 512 tokens, and a byte is a token of this model: others would fail.
    bank = load_bank("core").tasks
    fitting = {
        task.test_id
        for task in bank
        if len((task.prompt + (task.system or "")).encode()) < 512
    }
    assert tasks == fitting
    assert 0 < len(fitting) < len(bank)
    left = len(bank) - len(fitting)
    assert f"left out: {left} of {len(bank)} tasks (core/" in told
    assert "a context of 512 tokens" in told


def test_a_preset_names_its_tasks_and_is_told_which_will_fail(tmp_path):
    link(tmp_path / "ggufs", "F16", "Q2_K")
    subject = Subject("embedded", place=tmp_path / "ggufs")
    preset, _ = fill_subject(load_preset(NEUTRAL_PRESET), subject, None)
    plan = build_plan(replace(preset, name="own"), "s")
    (said,) = warn_of_context(plan)
    failing = len(find_too_long(plan))
    assert f"of {failing} not even the prompt: they will fail" in said
    assert "the model was made for 512, and gets no more" in said
    (model,) = plan.models
    assert {context_of(plan, model, each) for each in model.targets} == {512}


def test_options_go_over_it(tmp_path, capsys):
    link(tmp_path / "ggufs", "F16", "Q4_K_M", "Q2_K")
    document = plan_of(capsys, "ggufs", "--quants", "F16,Q2_K", "--runs", "1")
    assert quants_of(document) == ["F16", "Q2_K"]
    assert document["repetitions"] == 1
    assert run_command(["plan", "ggufs", "--discover", "server"]) == 2
    assert "--discover" in capsys.readouterr().err


def test_a_quant_that_no_file_is_of_is_told_with_those_that_are(tmp_path, capsys):
    link(tmp_path / "ggufs", "F16", "Q8_0", "Q2_K")
    for verb in ("plan", "run", "init"):
        assert run_command([verb, "ggufs", "--quants", "F16,Q9_Z,Q4_K_M"]) == 2
        said = capsys.readouterr().err
        assert "there is no file of Q9_Z, Q4_K_M: there are: F16, Q8_0, Q2_K" in said
    named = plan_of(capsys, "ggufs", "--quants", "f16,Q8_0@kv=q8_0")
    assert len(quants_of(named)) == 2


def test_a_word_that_means_nothing_is_named(capsys, monkeypatch):
    assert run_command(["init", "nothing"]) == 1
    said = capsys.readouterr().err
    assert "'nothing' is no folder that is here, and as a model of ollama: " in said
    with MockServer("ollama", INSTALLED) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        assert run_command(["init", "nothing"]) == 2
    said = capsys.readouterr().err
    assert "'nothing' is no folder that is here, and as a model of ollama: " in said
    assert "no installed model is called 'nothing'" in said


def test_one_file_is_that_quant_alone(tmp_path, capsys):
    link(tmp_path / "ggufs", "F16", "Q2_K")
    assert quants_of(plan_of(capsys, "ggufs/own-Q2_K.gguf")) == ["Q2_K"]
    broken = tmp_path / "ggufs" / "page.gguf"
    broken.write_text("<!doctype html>")
    assert run_command(["plan", str(broken)]) == 2
    said = capsys.readouterr().err
    assert "page.gguf" in said
    assert "HTML" in said


def test_a_family_of_ollama(monkeypatch, capsys):
    with MockServer("ollama", INSTALLED) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        document = plan_of(capsys, "llama3.1")
        assert document["provider"] == {
            "name": "ollama",
            "url": server.url,
            "streaming": True,
        }
        assert sorted(quants_of(document)) == ["Q4_K_M", "Q8_0"]
        assert run_command(["plan", "lama3.1:8b-instruct-q8_0"]) == 2
        said = capsys.readouterr().err
        assert "did you mean llama3.1:8b-instruct-q8_0?" in said


def test_a_url_is_asked_what_it_is(capsys):
    with MockServer("llama-server", Profile(models=(MockModel("m", "Q8_0"),))) as one:
        document = plan_of(capsys, one.url)
        assert document["provider"]["name"] == "llama-server"
        assert quants_of(document) == ["Q8_0"]


def test_a_server_that_does_not_say_its_quant_is_no_quant(capsys):
    with MockServer("openai", Profile(models=(MockModel("big", "FP8"),))) as server:
        assert run_command(["plan", server.url]) == 2
        assert "does not say its quant" in capsys.readouterr().err


def test_alone_it_lists_what_is_here_and_what_to_type(tmp_path, monkeypatch, capsys):
    assert run_command(["run"]) == 0
    said = capsys.readouterr().out
    assert "No model server answers here" in said
    assert "ollama pull llama3.2:3b-instruct-q8_0" in said
    assert "orket run quickstart" in said
    link(tmp_path / "models", "F16", "Q2_K")
    with MockServer("ollama", INSTALLED) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        assert run_command(["run"]) == 0
    listed = capsys.readouterr().out
    assert "orket run llama3.1:8b-instruct" in listed
    assert "orket run ./models" in listed
    assert not (tmp_path / "warehouse").exists()


def test_the_caches_of_other_programs_are_looked_into_where_they_were_moved(
    tmp_path, monkeypatch, capsys
):
    snapshot = tmp_path / "hf" / "hub" / "models--o--own-GGUF" / "snapshots" / "1"
    link(snapshot, "F16", "Q2_K")
    link(tmp_path / "cache of llama" / "x", "Q8_0")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("LLAMA_CACHE", str(tmp_path / "cache of llama"))
    assert run_command(["run"]) == 0
    listed = capsys.readouterr().out
    assert "own in F16, Q2_K, GGUF files" in listed
    assert f"orket run {tmp_path}/hf/hub" in listed
    assert f"orket run '{tmp_path}/cache of llama'" in listed


def test_every_server_that_answers_is_listed_with_its_line(monkeypatch, capsys):
    one = MockModel("m-Q8_0", "Q8_0")
    with (
        MockServer("ollama", INSTALLED) as ollama,
        MockServer("lmstudio", Profile(models=(one,))) as studio,
        MockServer("llama-server", Profile(models=(one,))) as llama,
        MockServer("vllm", Profile(models=(one,))) as vllm,
    ):
        monkeypatch.setenv("OLLAMA_HOST", ollama.url)
        found = [recognise(ServerOptions(url=s.url)) for s in (studio, llama, vllm)]
        monkeypatch.setattr("orket.planning.nearby.scan_default_ports", lambda: found)
        assert run_command(["run"]) == 0
    listed = capsys.readouterr().out
    assert "llama3.1:8b-instruct in Q8_0, Q4_K_M, at ollama" in listed
    for server, kind in ((studio, "lmstudio"), (llama, "llama-server"), (vllm, "vllm")):
        assert f"m in Q8_0, at {kind} {server.url}" in listed
        assert f"orket run {server.url}" in listed


def test_what_does_not_fit_is_left_out_and_said(tmp_path, monkeypatch, capsys):
    from orket.machine import memory
    from orket.planning import survey

    link(tmp_path / "ggufs", "F16", "Q2_K")
    need = {
        quant["quant"]: quant["needs_bytes"]
        for quant in plan_of(capsys, "ggufs")["models"][0]["quants"]
    }
    room = memory.FreeMemory((need["F16"] + need["Q2_K"]) // 2)
    monkeypatch.setattr(survey, "read_free_memory", lambda: room)
    assert run_command(["run", "ggufs", "--dry-run"]) == 0
    said = capsys.readouterr()
    assert "left out: own F16 needs" in said.err
    assert "own-Q2_K.gguf" in said.out
    assert (
        "own-F16.gguf"
        not in said.out.partition("Order of blocks")[0].partition("quant ")[2]
    )
    monkeypatch.setattr(survey, "read_free_memory", lambda: memory.FreeMemory(1))
    assert run_command(["run", "ggufs", "--dry-run"]) == 2
    assert "nothing fits here" in capsys.readouterr().err


def test_a_finished_sweep_is_found_by_its_manifest_alone(tmp_path, monkeypatch, capsys):
    with MockServer("ollama", INSTALLED) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        options = ["--tasks", "1", "--runs", "1", "--no-canary", "--allow-unobserved"]
        assert run_command(["run", "llama3.1", *options]) == 0
        capsys.readouterr()
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        monkeypatch.chdir(elsewhere)
        where = ["-w", str(tmp_path / "warehouse")]
        assert run_command(["run", "--resume", "latest", *where]) == 0
        assert "already complete" in capsys.readouterr().err
        # A grid tests a fixed number of tasks once.
        more = ["run", "--resume", "latest", "--tasks", "2", *where]
        assert run_command(more) == 2
        told = capsys.readouterr().err
        assert "a fixed number of tasks once" in told and "may be given more" in told


OWN_BANK = """
schema_version = 1
bank = "mine"
title = "My own work"

[[tasks]]
id = "capital"
bucket = "mixed"
prompt = "What is the capital of Japan? Reply with one word."
max_tokens = 16
[[tasks.checks]]
kind = "exact"
expected = "Tokyo"
[tasks.samples]
pass = ["Tokyo"]
fail = ["Kyoto", "Osaka"]
"""


def test_own_tasks_are_asked_by_one_option_and_found_again_from_any_folder(
    tmp_path, monkeypatch, capsys
):
    (tmp_path / "mine.toml").write_text(OWN_BANK)
    with MockServer("ollama", INSTALLED) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        bank = ["--bank", "mine.toml"]
        assert plan_of(capsys, "llama3.1", *bank)["task_bank"] == ["mine"]
        # What a preset picks of its own bank is not in another one.
        own = plan_of(capsys, "quickstart", *bank)
        assert "mine/capital" in json.dumps(own["canary"])
        assert run_command(["init", "llama3.1", *bank, "-o", "p.toml"]) == 0
        assert plan_of(capsys, "p.toml")["task_bank"] == ["mine"]
        options = ["--no-canary", "--allow-unobserved", "--grid", "--runs", "1"]
        assert run_command(["run", "llama3.1", *bank, *options]) == 0
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        monkeypatch.chdir(elsewhere)
        capsys.readouterr()
        where = ["-w", str(tmp_path / "warehouse")]
        assert run_command(["run", "--resume", "latest", *where]) == 0
        assert run_command(["run", "--resume", "latest", "--bank", "core", *where]) == 2
        told = capsys.readouterr().err
        assert "fewer tasks: 1 of its 1" in told and "leave out --bank" in told
    assert run_command(["plan", "quickstart", "--bank", "absent"]) == 2
    assert "known are core, quickstart" in capsys.readouterr().err


def test_show_prints_the_line_that_goes_on(tmp_path, capsys):
    store = Warehouse(tmp_path / "warehouse")
    runs = [make_run("stopped", repetition=number) for number in (1, 2)]
    kept = keep_preset(load_preset("quickstart"))
    manifest = msgspec.structs.replace(make_manifest(runs), preset_content=kept)
    store.append("sweeps", [manifest], "stopped")
    store.append("runs", runs[:1], "stopped")
    assert run_command(["show", "stopped"]) == 0
    assert "go on with: orket run --resume stopped" in capsys.readouterr().err
    # One that keeps no preset cannot go on by itself, and does not say so.
    older = [make_run("older", repetition=number) for number in (1, 2)]
    store.append("sweeps", [make_manifest(older)], "older")
    assert run_command(["show", "older"]) == 0
    assert "--resume" not in capsys.readouterr().err
    assert run_command(["run", "--resume", "older"]) == 2
    assert "does not keep the preset" in capsys.readouterr().err


def test_a_sweep_that_a_process_has_is_running_and_elsewhere_it_is_unknown(
    tmp_path, capsys
):
    store = Warehouse(tmp_path / "warehouse")
    runs = [make_run("begun", repetition=number) for number in (1, 2)]
    kept = keep_preset(load_preset("quickstart"))
    manifest = msgspec.structs.replace(make_manifest(runs), preset_content=kept)
    store.append("sweeps", [manifest], "begun")
    store.append("runs", runs[:1], "begun")

    def told(with_report: bool = False) -> tuple[str, str, str]:
        assert run_command(["sweeps", "--format", "json"]) == 0
        (row,) = json.loads(capsys.readouterr().out)
        for verb in (["show", "begun", "--format", "json"], ["export", "begun"]):
            assert run_command(verb) == 0
            assert json.loads(capsys.readouterr().out)["status"] == row["status"]
        if with_report:
            assert run_command(["report", "begun", "-o", "-", "--format", "md"]) == 0
            assert row["status"].lower() in capsys.readouterr().out
        assert run_command(["show", "begun"]) == 0
        shown = capsys.readouterr()
        return row["status"], shown.out.splitlines()[0], shown.err

    with store.claim("begun"):
        status, first, notes = told(with_report=True)
        assert status == "RUNNING" and "(RUNNING)" in first
        assert f"process {os.getpid()} on " in notes and "--resume" not in notes
    status, first, notes = told()
    assert status == "INTERRUPTED" and "--resume begun" in notes
    (lock,) = store.path.glob("runs/*/.executor.lock")
    lock.write_text("process 7 on elsewhere since 2026-01-01 00:00 UTC\n")
    status, first, notes = told(with_report=True)
    assert status == "UNKNOWN" and "(UNKNOWN)" in first
    assert "process 7 on elsewhere" in notes and "--resume begun" in notes
    ended = EventRow(
        event_id="end",
        recorded_at=datetime.now(UTC),
        event="SWEEP_ABORTED",
        sweep_id="begun",
        reason="INTERRUPTED",
    )
    store.append("events", [ended])
    assert told()[0] == "INTERRUPTED"


@pytest.mark.parametrize("name", ["quickstart", "llama-3.1-8b", "llama-server"])
def test_a_kept_preset_gives_the_same_plan(name):
    preset = load_preset(name)
    restored = restore_preset(keep_preset(preset), preset.name, "s").preset
    before, after = build_plan(preset, "s"), build_plan(restored, "s")
    assert after.plan_hash == before.plan_hash
    assert after.policy_hash == before.policy_hash
    assert after.runs == before.runs


def test_a_password_is_not_kept_and_asked_for_again():
    secret = Change("provider.url", "http://me:hunter2@127.0.0.1:8080")
    preset = override(load_preset("llama-server"), [secret])
    kept = keep_preset(preset)
    assert "hunter2" not in kept
    assert restore_preset(kept, "llama-server", "s").password_removed
    label = Change("labels.mail", "me@example.org", (("labels", "mail"),))
    plain = override(load_preset("phi-4"), [label])
    restored = restore_preset(keep_preset(plain), "phi-4", "s")
    assert not restored.password_removed
    assert restored.preset.table.labels == {"mail": "me@example.org"}


def test_each_server_of_a_quant_loses_its_password_too():
    own = {"Q8_0": "http://me:one@a:1", "Q4_K_M": "http://me:two@b:2"}
    urls = Change("urls", own, (("models", 0, "names", "llama-server", "urls"),))
    kept = keep_preset(override(load_preset("llama-server"), [urls]))
    assert "one@" not in kept and "two@" not in kept
    assert restore_preset(kept, "llama-server", "s").password_removed


@pytest.mark.parametrize("damaged", ["", "{", "[]", "{}", '{"content": {}}', "null"])
def test_a_damaged_manifest_is_told_in_a_line(damaged):
    with pytest.raises(UsageError, match="sweep s keeps no preset"):
        restore_preset(damaged, "x", "s")


def test_init_writes_the_preset_that_run_would_use(tmp_path, capsys):
    link(tmp_path / 'odd "name" {x}', "F16", "Q2_K")
    folder = 'odd "name" {x}'
    assert run_command(["init", folder, "-o", "mine.toml"]) == 0
    assert "orket run mine.toml" in capsys.readouterr().err
    one, other = plan_of(capsys, folder), plan_of(capsys, "mine.toml")
    bent = ["--seed", "7", "--tasks", "3", "--adherence-threshold", "0.9"]
    assert run_command(["init", folder, "-o", "bent.toml", *bent]) == 0
    again = plan_of(capsys, "bent.toml")
    assert again["plan_hash"] == plan_of(capsys, folder, *bent)["plan_hash"]
    assert again["tasks"] == 3
    assert other["plan_hash"] == one["plan_hash"]
    assert other["policy_hash"] == one["policy_hash"]
    assert run_command(["init", folder, "-o", "mine.toml"]) == 2
    assert "there already" in capsys.readouterr().err
    assert run_command(["init", "quickstart"]) == 2
    assert "a preset already" in capsys.readouterr().err


EIGHT = 8_000_000_000
LLAMA = Profile(
    models=(
        MockModel("llama3.1:8b", "Q4_K_M", EIGHT, finetune="Instruct"),
        MockModel("llama3.1:8b-instruct-q8_0", "Q8_0", EIGHT),
        MockModel("llama3.1:70b", "Q4_K_M", 9 * EIGHT, finetune="Instruct"),
    ),
    prefill_rate=1e6,
    decode_rate=1e5,
)


def test_a_model_by_its_short_name_has_its_other_quants_for_a_ladder(
    monkeypatch, capsys
):
    with MockServer("ollama", LLAMA) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        for name in ("llama3.1:8b", "llama3.1:8b-instruct-q8_0"):
            document = plan_of(capsys, name)
            assert sorted(quants_of(document)) == ["Q4_K_M", "Q8_0"]
            assert document["models"][0]["id"] == "llama3.1:8b-instruct"
            assert document["models"][0]["reference"] == "Q8_0"
        assert quants_of(plan_of(capsys, "llama3.1:8b", "--quants", "Q8_0")) == ["Q8_0"]
        # A family of two sizes is two models.
        assert run_command(["plan", "llama3.1"]) == 2
        told = capsys.readouterr().err
        for model in ("llama3.1:70b", "llama3.1:8b-instruct"):
            assert f"orket plan llama3.1 --model {model}" in told
        # A word that two quants go by is asked about, and one that one does is said.
        assert quants_of(plan_of(capsys, "llama3.1:8b", "--quants", "Q4")) == ["Q4_K_M"]


def test_one_screen_says_all_before_anything_runs(monkeypatch, capsys):
    options = ["--tasks", "1", "--runs", "1", "--no-canary", "--grid"]
    with MockServer("ollama", LLAMA) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        assert run_command(["run", "llama3.1:8b", *options]) == 0
        url = server.url
    screen = capsys.readouterr().err.partition("orket: sweep ")[0]
    rows = {
        line.split()[0]: line.split() for line in screen.splitlines() if line.strip()
    }
    digest = f"sha256:{LLAMA.models[1].digest[:12]}"
    # 8 billion weights in the quant's 8.5 bits; 16 layers of 8 heads of 64: 32 KiB a
    # token, so 128 MiB at 4096 tokens; a twentieth of the weights for buffers.
    assert " ".join(rows["Q8_0"]) == (
        f"Q8_0 8.50 7.92 GiB 8.44 GiB fits - {digest} llama3.1:8b-instruct-q8_0"
    )
    assert f"llama3.1:8b-instruct, at ollama {url}; " in screen
    assert "needs at 4096" in screen
    assert "Reference: Q8_0, the most precise here" in screen
    for level in ("fp16", "q6_K", "q5_K_M", "q3_K_M", "q2_K"):
        assert f"  ollama pull llama3.1:8b-instruct-{level}  # about" in screen
    assert "ollama pull llama3.1:8b-instruct-q4_K_M" not in screen
    assert "1 task of core" in screen
    # No call of these quants is known here: what it takes is not guessed.
    assert "Estimate: how long it takes the first calls will tell" in screen


def test_one_quant_alone_is_said_to_have_nothing_beside_it(monkeypatch, capsys):
    from orket.machine.memory import FreeMemory
    from orket.planning import survey

    monkeypatch.setattr(survey, "read_free_memory", lambda: FreeMemory(64 * 2**30))
    with MockServer("ollama", LLAMA) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        assert run_command(["plan", "llama3.1:70b"]) == 0
    said = capsys.readouterr().out
    assert "Q4_K_M alone is here" in said
    assert "ollama pull llama3.1:70b-instruct-q8_0" in said


def test_where_nothing_fits_the_quants_that_would_are_named(monkeypatch, capsys):
    from orket.machine.memory import FreeMemory
    from orket.planning import survey

    monkeypatch.setattr(survey, "read_free_memory", lambda: FreeMemory(30 * 2**30))
    with MockServer("ollama", LLAMA) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        assert run_command(["run", "llama3.1:70b"]) == 2
    said = capsys.readouterr().err
    assert "llama3.1:70b Q4_K_M needs 43.2 GiB at 4096 tokens of context" in said
    assert said.endswith("quant: ollama pull llama3.1:70b-instruct-q2_K\n")


@pytest.mark.parametrize(
    ("dialect", "profile"),
    [
        ("ollama", LLAMA),
        ("lmstudio", Profile(models=(MockModel("m@q8_0", "Q8_0"),))),
        ("vllm", Profile(models=(MockModel("org/M-AWQ", "AWQ"),))),
        (
            "llama-server",
            Profile(
                models=(MockModel("m-Q8_0", "Q8_0"), MockModel("m-Q2_K", "Q2_K")),
                router=True,
            ),
        ),
    ],
)
def test_a_written_preset_gives_the_plan_of_the_argument(
    dialect, profile, monkeypatch, capsys
):
    with MockServer(dialect, profile) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        word = "llama3.1:8b" if dialect == "ollama" else server.url
        one = plan_of(capsys, word)
        assert run_command(["init", word, "-o", "own.toml"]) == 0
        other = plan_of(capsys, "own.toml")
    assert other["plan_hash"] == one["plan_hash"]
    assert other["policy_hash"] == one["policy_hash"]
    assert quants_of(other) == quants_of(one)


def test_a_written_preset_leaves_out_what_does_not_fit(tmp_path, monkeypatch, capsys):
    from orket.machine.memory import FreeMemory
    from orket.planning import survey

    link(tmp_path / "ggufs", "F16", "Q8_0", "Q2_K")
    f16 = plan_of(capsys, "ggufs")["models"][0]["quants"][0]["needs_bytes"]
    monkeypatch.setattr(survey, "read_free_memory", lambda: FreeMemory(f16 - 1))
    assert run_command(["init", "ggufs"]) == 0
    assert "left out: own F16 needs 4.6 MiB at 512" in capsys.readouterr().err
    one, other = plan_of(capsys, "ggufs"), plan_of(capsys, "preset.toml")
    assert quants_of(one) == quants_of(other) == ["Q8_0", "Q2_K"]
    assert one["models"][0]["reference"] == "Q8_0"
    assert one["plan_hash"] == other["plan_hash"]


class Emptied(Silence):
    """Removes a model from its server once so many calls are recorded."""

    def __init__(self, server: MockServer, quant: str, calls: int) -> None:
        self._server, self._quant, self._left = server, quant, calls

    def recorded(self, row: RunRecord) -> None:
        self._left -= 1
        if self._left == 0:
            profile = self._server.engine.profile
            kept = tuple(m for m in profile.models if m.quant != self._quant)
            self._server.engine.profile = replace(profile, models=kept)


@pytest.mark.parametrize(
    ("removed", "reference"), [("Q8_0", "Q4_K_M"), *nightly(("Q2_K", None))]
)
def test_a_model_removed_between_rounds_costs_only_itself(tmp_path, removed, reference):
    model = MockModel("m:8b-instruct-q2_K", "Q2_K", decode_rate=1e5)
    profile = Profile(
        models=(
            MockModel("m:8b-instruct-q8_0", "Q8_0", decode_rate=1e5),
            MockModel("m:8b-instruct-q4_K_M", "Q4_K_M", decode_rate=1e5),
            model,
        ),
        prefill_rate=1e6,
        load_seconds=0.0,
        context_tokens=8192,
    )
    store = Warehouse(tmp_path / "warehouse")
    with MockServer("ollama", profile) as server:
        subject = Subject("ollama", url=server.url, model="m")
        changes = [
            Change("budget", "1h"),
            Change("tasks.limit", 30),
            Change("policy.quality_only", True),
            Change("polluted_retries", 0),
        ]
        preset, _ = fill_subject(load_preset(NEUTRAL_PRESET), subject, None)
        plan = build_plan(override(preset, changes), "s", skip_canary=True)
        outcome = run_sweep(plan, store, Emptied(server, removed, calls=56))
    assert outcome.status == "COMPLETED"
    with store.session("s") as session:
        rows = session.rows(
            "SELECT quant_tag, count(*) FILTER (WHERE outcome = 'OK') AS answered, "
            "any_value(error_class) AS failure FROM v1.runs "
            "WHERE phase = 'matrix' GROUP BY ALL"
        )
        (choice,) = session.rows("SELECT baseline_quant_tag FROM v1.choice")
    answered = {row["quant_tag"]: (row["answered"], row["failure"]) for row in rows}
    others = {quant for quant in ("Q8_0", "Q4_K_M", "Q2_K") if quant != removed}
    assert {answered[quant] for quant in others} == {(30, None)}
    # Refused when it is to be loaded, or when it is asked.
    assert answered[removed][1] in ("MODEL_NOT_FOUND", "HTTP_404")
    assert 0 < answered[removed][0] < 30
    assert choice["baseline_quant_tag"] == (reference or "Q8_0")


def test_a_budget_that_is_over_before_anything_was_asked_is_an_error(
    monkeypatch, capsys
):
    slow = replace(LLAMA, latency_seconds=0.2)
    with MockServer("ollama", slow) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        assert run_command(["run", "llama3.1:8b", "--budget", "1s"]) == 1
        told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("orket: error: the budget of 1 s was over before anything")
    assert "orket run --resume " in told and "--budget " in told
    assert run_command(["run", "quickstart", "--budget", "0"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "leaves no time to ask anything" in line


def test_what_a_resume_would_do_is_told_of_the_sweep_itself(monkeypatch, capsys):
    # By answers alone: of a busy machine a sweep would wait for quiet.
    options = ["--tasks", "1", "--no-canary", "--quality-only", "--no-fidelity"]
    with MockServer("ollama", LLAMA) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        assert run_command(["run", "llama3.1:8b", "--until", "proof", *options]) == 0
        capsys.readouterr()
        more = ["run", "--resume", "latest", "--tasks", "3", "--dry-run"]
        assert run_command(more) == 0
    told = capsys.readouterr()
    assert "goes on: 2 of 6 runs were made, 2 of its 3 tasks are added" in told.err


def test_at_most_is_said_of_a_budget_alone():
    """What all tasks would take is a forecast: a busy machine takes longer."""
    known = Estimate(Span(300, 300), Span(60, 60), False, 0, None, "by the calls")
    free = estimate_line(known)
    assert "usually 60 s, for all tasks about 5 min" in free
    assert "usually 60 s, at most 2 min" in estimate_line(known, budget=120)
    assert "at most" not in estimate_line(known, budget=900)


def test_what_no_call_tells_is_not_told():
    """By assumptions a busy machine was promised a third of what it then took."""
    unknown = Estimate(None, None, False, 2**20, None, "")
    line = estimate_line(unknown)
    assert line.startswith("Estimate: how long it takes the first calls will tell")
    assert "1.0 MiB in the warehouse" in line
    bounded = estimate_line(unknown, budget=1200)
    assert bounded.startswith("Estimate: at most 20 min; how long it takes")


def test_the_screen_and_the_sweep_tell_one_number_of_calls(monkeypatch, capsys):
    options = ["--tasks", "1", "--no-canary", "--allow-unobserved", "--grid"]
    with MockServer("ollama", LLAMA) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        assert run_command(["plan", "llama3.1:8b", *options, "--fidelity"]) == 0
        planned = re.findall(r"calls +(\d+):", capsys.readouterr().out)
        assert run_command(["run", "llama3.1:8b", *options, "--fidelity"]) == 0
    told = capsys.readouterr().err
    screen, _, sweep = told.partition("orket: sweep ")
    first, second = (re.findall(r"(\d+) calls", text) for text in (screen, sweep))
    assert len(planned) == 1
    assert planned == first == second
