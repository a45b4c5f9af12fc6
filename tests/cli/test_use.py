"""`orket use` as a person and a program read it."""

from __future__ import annotations

import json

import pytest

from orket.cli.main import run_command
from orket.records import Controls, Policy
from tests.built_sweep import MS, VERIFIED, Sweep, quiet_counters
from tests.places import ROOT
from tests.report.hostile import MODEL, QUANT, hostile_sweep

REFERENCE = str(ROOT / "warehouse")
SEEN = Controls(
    seed=7, threads="2", affinity="none", context_tokens=4096, kv_cache="q8_0"
)


def ask(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    assert run_command(["use", *args]) == 0
    return capsys.readouterr().out


@pytest.fixture
def measured(tmp_path):
    """Two quants over enough tasks that the smaller one is shown."""
    sweep = Sweep(
        quants=("F16", "Q4_K_M"),
        tasks=tuple(f"t{n:03}" for n in range(220)),
        quant_facts={
            "F16": {"file": "/m o/f16.gguf"},
            "Q4_K_M": {"file": "/m o/it's q4.gguf", "kv_cache": "q8_0"},
        },
    )
    for planned in sweep.plan():
        task = planned.test_id.removeprefix("bank/")
        small = planned.quant_tag == "Q4_K_M"
        sweep.add(planned.quant_tag, task, effective=SEEN if small else VERIFIED)
    sweep.finish().store(tmp_path)
    return str(tmp_path)


def test_the_advised_quant_is_handed_over_with_its_settings(measured, capsys):
    lines = ask(capsys, "-w", measured, "--shell", "posix").splitlines()
    assert lines[0] == (
        "m: use Q4_K_M: the smallest that is shown to do at least 95 % of the work "
        "that F16 does. Measured with embedded 1; to run it in the same way:"
    )
    assert lines[2] == (
        "  llama-server -m '/m o/it'\"'\"'s q4.gguf' -c 4096 -np 1 -ctk q8_0 -ctv q8_0 "
        "-t 2 -tb 2 -ngl 0"
    )
    assert lines[4:] == [
        "In it: context 4096 (the server's own choice, verified), KV cache q8_0 "
        "(verified), threads 2 (verified), layers on a GPU none (the server's own "
        "choice, verified).",
        "Measured so too, and not in it: affinity none (verified).",
        "Requests were sent with: temperature 0 (asked for, not verified), seed 7 "
        "(verified).",
        "Not known: batch, thinking.",
        "Weights: sha256:Q4_K_M, 572.2 MiB.",
    ]


def test_another_quant_has_its_own_settings(measured, capsys):
    told = ask(capsys, "--quant", "f16", "-w", measured, "--shell", "powershell")
    assert told.startswith("F16 was asked for. m: use Q4_K_M: the smallest that is ")
    assert "  llama-server -m '/m o/f16.gguf' -t 2 -tb 2 -ngl 0" in told.splitlines()
    assert "Not known: context, KV cache, batch, thinking." in told


def test_as_json_it_is_words_and_lines(measured, capsys):
    (found,) = json.loads(ask(capsys, "-w", measured, "--format", "json"))
    assert found["quant_tag"] == found["advised_quant"] == "Q4_K_M"
    assert found["commands"][0][:3] == ["llama-server", "-m", "/m o/it's q4.gguf"]
    assert found["lines"]["powershell"][0].startswith(
        "llama-server -m '/m o/it''s q4.gguf' -c 4096"
    )
    assert found["settings"]["seed"] == {
        "value": "7",
        "status": "VERIFIED",
        "asked": "7",
        "verified": "7",
        "in_command": False,
    }
    assert found["settings"]["batch"]["value"] is None


def test_runs_that_differ_hand_nothing_on(tmp_path, capsys):
    sweep = Sweep(quants=("F16",), tasks=("t1", "t2"))
    sweep.add("F16", "t1", effective=Controls(threads="2"))
    sweep.add("F16", "t2", effective=Controls(threads="4"))
    sweep.finish().store(tmp_path)
    told = ask(capsys, "--quant", "F16", "-w", str(tmp_path))
    assert "llama-server -m FILE -ngl 0" in told
    assert "threads (runs differ)" in told


def test_where_nothing_is_shown_nothing_is_advised(tmp_path, capsys):
    Sweep().fill(passed=0).finish().store(tmp_path)
    told = ask(capsys, "-w", str(tmp_path))
    assert told.startswith("No recommendation for m: F16 itself does none of the 2 ")
    assert told.endswith(f": orket show sweep-1 -w {tmp_path}\n")
    (found,) = json.loads(ask(capsys, "-w", str(tmp_path), "--format", "json"))
    assert found["quant_tag"] is None and found["commands"] == []


def test_the_answer_and_what_rules_it_are_told_as_show_tells_them(measured, capsys):
    for options in ((), ("--quality-only",)):
        assert run_command(["show", "-w", measured, *options]) == 0
        first, *shown = capsys.readouterr().out.splitlines()
        told = ask(capsys, "-w", measured, *options)
        assert told.startswith(first)
        alone = "Answers alone were judged, as by --quality-only"
        assert [line for line in told.splitlines() if line.startswith(alone)] == [
            line for line in shown if line.startswith(alone)
        ]
        assert (alone in told) is bool(options)


def test_what_would_settle_it_is_asked_as_it_was_judged(tmp_path, capsys):
    Sweep().fill(passed=0).finish().store(tmp_path)
    told = ask(capsys, "-w", str(tmp_path), "--quality-only")
    assert told.endswith(f": orket show sweep-1 --quality-only -w {tmp_path}\n")


def test_the_tag_of_ollama_is_the_one_that_answers_came_under(tmp_path, capsys):
    sweep = Sweep(
        quants=("F16",),
        tasks=("t1",),
        model={"provider": "ollama", "locality": "loopback", "cpu_only": None},
    )
    sweep.add(
        "F16",
        "t1",
        reported_model="m:f16",
        reported_model_bytes=10,
        reported_gpu_bytes=4,
    )
    sweep.finish().store(tmp_path)
    told = ask(capsys, "--quant", "F16", "-w", str(tmp_path), "--shell", "posix")
    assert "    FROM m:f16" in told.splitlines()
    assert "  ollama create m-f16-measured -f Modelfile" in told.splitlines()
    assert "Measured so too, and not in it: layers on a GPU part" in told


def test_hostile_names_do_nothing(tmp_path, capsys):
    hostile_sweep(tmp_path)
    told = ask(capsys, "--quant", QUANT, "-w", str(tmp_path))
    assert MODEL in told and "\x1b" not in told


def test_a_quant_that_is_not_there_is_named_with_those_that_are(capsys):
    assert run_command(["use", "--quant", "Q3KS", "-w", REFERENCE]) == 2
    assert "did you mean Q3_K_S?" in capsys.readouterr().err


def test_a_plan_records_name_and_file_of_each_quant(tmp_path):
    from orket.planning.targets import Target
    from orket.providers.contract import ModelRef
    from orket.sweep.manifest import quant_entry

    file = tmp_path / "a.gguf"
    entry = quant_entry(Target(ModelRef("m", "Q8_0", "a", file)))
    assert (entry.server_name, entry.file) == ("a", str(file))
    bare = quant_entry(Target(ModelRef("m", "Q8_0", "")))
    assert (bare.server_name, bare.file) == (None, None)


def shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *args: str
) -> list[str]:
    """The last lines of `orket show` before a person."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "400")
    assert run_command(["show", *args]) == 0
    return capsys.readouterr().err.splitlines()


def test_what_is_offered_next_judges_as_what_was_shown(measured, capsys, monkeypatch):
    told = shown(capsys, monkeypatch, "-w", measured)
    assert any(
        f"orket use sweep-1 -w {measured}  # prints the line" in line for line in told
    )
    given = ("--quality-only", "--adherence-threshold", "0.9")
    told = shown(capsys, monkeypatch, "-w", measured, *given)
    options = "--adherence-threshold 0.9 --quality-only"
    for verb in ("use", "report"):
        assert any(f"orket {verb} sweep-1 {options} -w" in line for line in told)
    # `use` judges by all tasks, so it may advise another.
    told = shown(capsys, monkeypatch, "-w", measured, "--bucket", "logic")
    assert not any("orket use" in line for line in told)


def test_an_answer_that_disturbed_runs_hide_is_offered(tmp_path, capsys, monkeypatch):
    sweep = Sweep(
        sweep_id="busy",
        quants=("F16", "Q4_K_M"),
        tasks=tuple(f"t{n:03}" for n in range(220)),
        policy=Policy(include_polluted="fill"),
        quant_facts={"F16": {"file": "/m/f16.gguf"}, "Q4_K_M": {"file": "/m/q4.gguf"}},
    )
    for planned in sweep.plan():
        task = planned.test_id.removeprefix("bank/")
        stop_ns = sweep.clock_ns + 600 * MS
        busy = quiet_counters(stop_ns, host_busy_ns=stop_ns * 192 // 100 + 500 * MS)
        sweep.add(planned.quant_tag, task, after=busy)
    sweep.finish().store(tmp_path)
    told = "\n".join(shown(capsys, monkeypatch, "-w", str(tmp_path)))
    assert f"orket show busy --quality-only -w {tmp_path}" in told
    assert "orket use" not in told
    told = "\n".join(shown(capsys, monkeypatch, "-w", str(tmp_path), "--quality-only"))
    assert "disturbed runs stand" not in told
    assert "orket use busy --quality-only" in told
