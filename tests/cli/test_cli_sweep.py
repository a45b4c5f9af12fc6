"""The verbs that measure: options, plans, errors and exit codes; no model is run."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from orket.cli.main import run_command
from orket.cli.rejudge import Rejudge
from orket.cli.running import explain_interrupt
from orket.errors import UsageError
from orket.mockserver import MockModel, MockServer, Profile, parse_fault
from orket.planning.preset import known_presets
from orket.warehouse import Warehouse
from tests.live import demo_gguf

MANY = 40
"""Requests after which a sweep is under way."""
PRESET = """schema_version = 1
extends = "quickstart"
[[models]]
id = "m"
quants = ["Q8_0", "Q2_K"]
[models.controls]
seed = 1
[models.policy]
latency_ceiling_seconds = 3
[models.names.ollama]
tag = "demo:{quant_ollama}"
[models.names.embedded]
file = "absent-{quant}.gguf"
"""


@pytest.fixture
def preset(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "own.toml"
    path.write_text(PRESET)
    return str(path)


def plan_of(capsys, *arguments: str) -> dict[str, Any]:
    assert run_command(["plan", *arguments, "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert isinstance(document, dict)
    return document


def test_a_plan_runs_nothing_and_writes_nothing(preset, tmp_path, capsys):
    before = sorted(tmp_path.iterdir())
    assert run_command(["plan", preset]) == 0
    out = capsys.readouterr().out
    assert "plan hash" in out
    assert "Estimate" in out
    assert "Not runnable here: m Q8_0: there is no file absent-Q8_0.gguf" in out
    assert sorted(tmp_path.iterdir()) == before


def test_a_dry_run_is_the_plan(preset, capsys):
    assert run_command(["plan", preset]) == 0
    planned = capsys.readouterr().out
    assert run_command(["run", preset, "--dry-run"]) == 0
    assert capsys.readouterr().out == planned


@pytest.mark.parametrize("name", sorted(known_presets()))
def test_every_shipped_preset_can_be_planned(name, preset, capsys):
    document = plan_of(capsys, name)
    assert document["plan_hash"].startswith("sha256:")
    assert document["calls"]["matrix"] > 0


def test_options_win_over_the_preset_and_are_recorded(preset, capsys):
    document = plan_of(
        capsys,
        preset,
        *("--quants", "Q2_K", "--runs", "4", "--tasks", "5", "--bucket", "logic,mixed"),
        *("--seed", "9", "--threads", "3", "--affinity", "compact", "--warmup", "2"),
        *("--profile", "quiet", "--latency-ceiling", "7.5", "--label", "a=b"),
        *("--include-polluted", "always", "--allow-unobserved"),
    )
    (model,) = document["models"]
    assert [quant["quant"] for quant in model["quants"]] == ["Q2_K"]
    assert (document["repetitions"], document["tasks"]) == (4, 5)
    assert document["buckets"] == ["logic", "mixed"]
    assert model["controls"]["seed"] == 9
    assert model["controls"]["threads"] == "3"
    assert model["controls"]["affinity"] == "compact"
    assert model["changed_thresholds"]["latency_ceiling_seconds"]["value"] == 7.5
    assert model["changed_thresholds"]["include_polluted"]["value"] == "always"
    assert model["changed_thresholds"]["allow_unobserved"]["value"] is True
    assert document["labels"] == {"a": "b"}
    assert document["control_profile"] == "quiet"
    assert document["overrides"]["controls.seed"] == 9
    assert document["overrides"]["quants"] == ["Q2_K"]
    assert len(document["overrides"]) == 12


def test_a_quant_is_known_by_any_spelling_and_shown_by_the_presets(preset, capsys):
    document = plan_of(capsys, preset, "--quants", "q2-k,q4_k_m,my-own")
    (model,) = document["models"]
    shown = [quant["quant"] for quant in model["quants"]]
    assert shown == ["Q2_K", "Q4_K_M", "my-own"]


def test_more_threads_than_the_machine_has_are_refused_by_plan_and_run(
    preset, tmp_path, capsys
):
    for quant in ("Q8_0", "Q2_K"):
        weights = demo_gguf(quant).read_bytes()
        (tmp_path / f"absent-{quant}.gguf").write_bytes(weights)
    assert run_command(["plan", preset, "--threads", "99999"]) == 0
    assert "Not runnable here: 99999 threads are more" in capsys.readouterr().out
    assert run_command(["run", preset, "--threads", "99999"]) == 2
    assert "99999 threads are more" in capsys.readouterr().err
    ollama = ["plan", preset, "--threads", "99999", "--provider", "ollama"]
    assert run_command(ollama) == 0
    assert "Not runnable" not in capsys.readouterr().out


def test_an_option_with_the_presets_own_value_is_no_override(preset, capsys):
    assert plan_of(capsys, preset, "--seed", "1")["overrides"] != {}
    assert plan_of(capsys, preset, "--runs", "2")["overrides"] == {}


def test_a_threshold_of_a_what_if_is_judged_like_one_of_a_preset():
    assert Rejudge(Decimal("0.95"), Decimal(2)).policy_overrides() == {
        "adherence_threshold_ppm": 950_000,
        "latency_ceiling_ns": 2 * 10**9,
    }
    with pytest.raises(UsageError, match="--latency-ceiling: 0 lets nothing pass"):
        Rejudge(latency_ceiling=Decimal(0)).policy_overrides()


@pytest.mark.parametrize("number", ["1e999999999", "1e-999999999", "-1", "nan", "x"])
@pytest.mark.parametrize("option", ["--latency-ceiling", "--adherence-threshold"])
def test_a_threshold_that_no_figure_reaches_is_refused(
    option, number, tmp_path, capsys
):
    asked = ["show", "latest", option, number, "-w", str(tmp_path)]
    assert run_command(asked) == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert f"Invalid value for '{option}': '{number}' is " in told


def test_a_sweep_is_taken_over_only_where_another_machine_may_have_it(preset, capsys):
    assert run_command(["run", preset, "--take-over"]) == 2
    assert "name it: --resume SWEEP --take-over" in capsys.readouterr().err
    assert run_command(["run", "--resume", "latest", "--take-over"]) == 2
    assert "warehouse is a folder" in capsys.readouterr().err


def test_aliases_of_labels(preset, capsys):
    first = plan_of(capsys, preset, "--venue", "lab", "--flow", "replay")
    second = plan_of(
        capsys, preset, "--runtime-target", "lab", "--execution-mode", "replay"
    )
    assert first["overrides"] == second["overrides"]


def test_a_server_for_each_quant(preset, capsys):
    document = plan_of(
        capsys,
        "llama-server",
        *("--model", "mine", "--url", "Q8_0=http://127.0.0.1:1"),
        *("--url", "Q4_K_M=http://127.0.0.1:2"),
    )
    (model,) = document["models"]
    assert model["id"] == "mine"
    assert [(quant["quant"], quant["url"]) for quant in model["quants"]] == [
        ("Q8_0", "http://127.0.0.1:1"),
        ("Q4_K_M", "http://127.0.0.1:2"),
    ]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("run", "quikstart"), "did you mean the preset quickstart?"),
        (("plan", "quickstart", "--model", "x"), "it has orket-demo"),
        (("plan", "quickstart", "--profile", "quite"), "did you mean quiet?"),
        (("plan", "quickstart", "--tasks", "nothing"), "nothing"),
        (("plan", "quickstart", "--bucket", "logics"), "logic"),
        (("plan", "quickstart", "--provider", "ollama"), "no name for the provider"),
        (("plan", "quickstart", "--threads", "many"), "controls.threads"),
        (("plan", "quickstart", "--label", "x"), "KEY=VALUE"),
        (("plan", "quickstart", "--url", "a", "--url", "b"), "a quant each"),
        (("plan", "quickstart", "--latency-ceiling", "soon"), "not a number"),
        (("run", "quickstart", "--resume", "nothing"), "no sweep in"),
        (("plan", "quickstart", "--provider", "olama"), "did you mean ollama?"),
        (
            ("run", "quickstart", "--adherence-threshold", "95"),
            "--adherence-threshold: 95 is no ratio: for 95 % give 0.95",
        ),
        (("run", "quickstart", "--latency-ceiling", "0"), "above 0"),
        (
            ("plan", "llama-3.2-3b", "--provider", "ollama", "--quants", "Q9_K"),
            "no quant is called 'Q9_K': the preset llama-3.2-3b has F16",
        ),
        (("presets", "nothing"), "known are"),
        (("canary", "quickstart", "--save-profile", "quiet"), "ships with Orket"),
        (("canary", "quickstart", "--save-profile", "../x"), "cannot name"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(arguments, word, preset, capsys):
    assert run_command(list(arguments)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert word in captured.err


def test_a_missing_file_says_where_it_was_looked_for(preset, capsys):
    assert run_command(["run", preset]) == 2
    said = capsys.readouterr().err
    assert "no file absent-Q8_0.gguf" in said
    assert "ORKET_MODELS" in said
    assert said.count("\n") == 1


def test_an_unknown_sidecar_is_refused_before_the_sweep(preset, tmp_path, capsys):
    for quant in ("Q8_0", "Q2_K"):
        (tmp_path / f"absent-{quant}.gguf").write_bytes(b"GGUF")
    assert run_command(["run", preset, "--sidecar", "lama-bench"]) == 2
    assert "llama-bench" in capsys.readouterr().err


def test_a_server_that_is_not_there_is_exit_code_1(preset, capsys):
    with MockServer("ollama", Profile()) as server:
        url = server.url
    assert run_command(["run", preset, "--provider", "ollama", "--url", url]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def mock_command(preset: str, server: MockServer) -> list[str]:
    return ["run", preset, "--provider", "ollama", "--url", server.url]


DEMO = Profile(
    models=(MockModel("demo:q8_0", "Q8_0"), MockModel("demo:q2_K", "Q2_K")),
    prefill_rate=1e6,
    decode_rate=1e5,
)


def test_a_model_that_cannot_be_loaded_is_one_line_and_exit_code_1(preset, capsys):
    with MockServer("ollama", Profile(models=(MockModel("other", "Q8_0"),))) as server:
        assert run_command(mock_command(preset, server)) == 1
    (failed,) = capsys.readouterr().err.splitlines()
    assert "ollama has no quant of m" in failed
    assert "ollama pull demo:q8_0; ollama pull demo:q2_K" in failed
    assert not (Path.cwd() / "warehouse").exists()


def test_a_canary_without_an_answer_names_the_failure_and_no_noise(preset, capsys):
    faults = [parse_fault("http-500")]
    with MockServer("ollama", DEMO, faults) as server:
        assert run_command([*mock_command(preset, server), "--tasks", "1"]) == 3
    said = capsys.readouterr().err
    assert (
        "CANARY_RUN_FAILED: 10 of 10 runs failed; the last failed with HTTP_5" in said
    )
    assert "LATENCY_VARIANCE_UNAVAILABLE" not in said
    assert "MISSING_TELEMETRY" not in said


def test_a_failed_canary_takes_no_summary_away(preset, tmp_path, capsys):
    path = tmp_path / "sweep_summary.json"
    faults = [parse_fault("http-500")]
    with MockServer("ollama", DEMO, faults) as server:
        command = [*mock_command(preset, server), "--tasks", "1"]
        assert run_command(command) == 3
        first = path.read_bytes()
        assert json.loads(first)["status"] == "CANARY_FAILED"
        capsys.readouterr()
        assert run_command(command) == 3
    assert path.read_bytes() == first
    said = capsys.readouterr().err
    assert "sweep_summary.json is left as it was" in said


def test_a_sweep_that_is_interrupted_leaves_its_summary(preset, tmp_path, capsys):
    with MockServer("ollama", replace(DEMO, decode_rate=100)) as server:

        def stop_under_way() -> None:
            while len(server.requests) < MANY:
                time.sleep(0.02)
            os.kill(os.getpid(), signal.SIGINT)

        watcher = threading.Thread(target=stop_under_way, daemon=True)
        watcher.start()
        command = [*mock_command(preset, server), "--no-canary", "-o", "so_far.json"]
        assert run_command(command) == 130
    document = json.loads((tmp_path / "so_far.json").read_bytes())
    assert document["status"] == "INTERRUPTED"
    said = capsys.readouterr().err
    assert "wrote so_far.json" in said
    assert "go on with: orket run --resume" in said


def test_a_finished_sweep_that_is_resumed_says_so(preset, tmp_path, capsys):
    with MockServer("ollama", DEMO) as server:
        command = [*mock_command(preset, server), "--tasks", "1", "--no-canary"]
        assert run_command(command) == 0
        (sweep_id,) = Warehouse(tmp_path / "warehouse").sweep_ids()
        capsys.readouterr()
    assert run_command([*command, "--resume", sweep_id]) == 0
    assert f"sweep {sweep_id} is already complete" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("output", "word"), [("absent/s.json", "No such file"), (".", "it is a folder")]
)
def test_an_output_that_cannot_be_written_is_told_before_any_call(
    preset, tmp_path, output, word, capsys
):
    with MockServer("ollama", DEMO) as server:
        assert run_command([*mock_command(preset, server), "-o", output]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert word in said
    assert not (tmp_path / "warehouse").exists()


def test_a_sidecar_that_is_not_installed_is_told_at_the_start(
    preset, monkeypatch, capsys
):
    monkeypatch.setenv("PATH", "")
    with MockServer("ollama", DEMO) as server:
        command = [*mock_command(preset, server), "--tasks", "1", "--no-canary"]
        assert run_command([*command, "--sidecar", "llama-bench"]) == 0
    said = capsys.readouterr().err
    assert said.index("llama-bench is not installed") < said.index("calls, control")


def test_a_cancelled_call_is_not_counted_as_failed():
    from orket.cli.sweep_progress import describe_calls

    assert describe_calls(failed=0, cancelled=1, polluted=None) == "1 cancelled"
    assert describe_calls(failed=2, cancelled=0, polluted=3) == "2 failed, 3 polluted"


def test_a_warehouse_that_is_a_file_is_exit_code_1(preset, tmp_path, capsys):
    (tmp_path / "taken").write_text("")
    assert run_command(["run", preset, "-w", str(tmp_path / "taken")]) == 1
    assert "is a file" in capsys.readouterr().err


def test_a_whole_sweep_prints_a_table_and_writes_the_summary(preset, tmp_path, capsys):
    profile = Profile(
        models=(MockModel("demo:q8_0", "Q8_0"), MockModel("demo:q2_K", "Q2_K")),
        prefill_rate=1e6,
        decode_rate=1e4,
    )
    with MockServer("ollama", profile) as server:
        command = ["run", preset, "--provider", "ollama", "--url", server.url]
        options = ["--tasks", "3", "--no-canary", "--require-recommendation"]
        code = run_command([*command, *options])
    captured = capsys.readouterr()
    # A mock answers nothing right: nothing can be recommended, and that was required.
    assert code == 4
    assert "Q8_0" in captured.out
    assert "wrote sweep_summary.json" in captured.err
    document = json.loads((tmp_path / "sweep_summary.json").read_bytes())
    assert document["overrides"]["tasks.limit"] == 3
    assert document["canary"]["verdict"] == "NOT_RUN"


def test_a_single_url_is_asked_what_it_serves(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    profile = Profile(models=(MockModel("tiny", "Q5_K_M"),), decode_rate=1e5)
    with MockServer("llama-server", profile) as server:
        command = ["run", "llama-server", "--url", server.url, "--no-canary"]
        assert run_command([*command, "--tasks", "2", "--runs", "1"]) == 0
    document = json.loads((tmp_path / "sweep_summary.json").read_bytes())
    (session,) = document["sessions"]
    assert [quant["quant_tag"] for quant in session["per_quant"]] == ["Q5_K_M"]


def test_a_summary_on_stdout_is_nothing_but_json(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    profile = Profile(models=(MockModel("tiny", "Q5_K_M"),), decode_rate=1e5)
    with MockServer("llama-server", profile) as server:
        command = ["run", "llama-server", "--url", server.url, "--no-canary"]
        options = ["--tasks", "1", "--runs", "1", "--sidecar", "llama-bench", "-o", "-"]
        assert run_command([*command, *options]) == 0
    document = json.loads(capsys.readouterr().out)
    (quant,) = document["sessions"][0]["per_quant"]
    assert quant["hardware_sidecar"]["gates"] is False
    assert not (tmp_path / "sweep_summary.json").exists()


def test_presets_are_listed_and_shown(capsys):
    assert run_command(["presets", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["name"] for row in rows} == set(known_presets())
    assert run_command(["presets", "quickstart"]) == 0
    assert 'bank = "quickstart"' in capsys.readouterr().out
    assert run_command(["presets", "--controls"]) == 0
    assert "shared" in capsys.readouterr().out


def test_an_interrupt_before_the_first_row_says_so(tmp_path, capsys):
    assert explain_interrupt("s", Warehouse(tmp_path), 0, "orket run x") == 130
    assert "nothing was recorded" in capsys.readouterr().err


def test_what_may_be_typed_next_is_told_on_a_terminal_alone(
    tmp_path, capsys, monkeypatch
):
    from orket.cli.running import say_what_next
    from orket.warehouse import Warehouse

    frontier = {"minimum_viable_quant_tag": "Q4_K_M", "advised_quant_tag": None}
    session = {
        "efficiency_frontier": frontier,
        "run_quality_policy": {"quality_only": False},
        "per_quant": [],
    }
    summary = {"sweep_id": "s", "sessions": [session]}
    say_what_next(summary, Warehouse(tmp_path))
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "400")
    say_what_next(summary, Warehouse(tmp_path))
    said = capsys.readouterr().err
    assert f"orket report s -w {tmp_path}  # " in said
    # Nothing is advised: there is nothing to use.
    assert "orket use" not in said


@pytest.mark.parametrize("asked, meant", [("Q4_K_N", "Q4_K_M"), ("Q9_0", "Q8_0")])
def test_a_quant_of_no_catalogue_is_asked_for_by_its_likely_name(
    tmp_path, capsys, asked, meant
):
    arguments = ["run", "quickstart", "--quants", asked, "-w", str(tmp_path)]
    assert run_command(arguments) != 0
    assert f"did you mean {meant}?" in " ".join(capsys.readouterr().err.split())
