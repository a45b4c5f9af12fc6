"""`--discover`: the quants come from a folder of GGUF files, or from the server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orket.cli.main import run_command
from orket.mockserver import MockModel, MockServer, Profile
from tests.gguf_files import gguf, write
from tests.live import demo_gguf

TWO_MODELS = Profile(
    models=(
        MockModel("demo:q8_0", "Q8_0"),
        MockModel("demo:q2_K", "Q2_K"),
        MockModel("other:q4_K_M", "Q4_K_M"),
    )
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def plan_of(capsys, *arguments: str) -> dict[str, Any]:
    command = ["plan", "quickstart", "--tasks", "1", *arguments, "--format", "json"]
    assert run_command(command) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def test_a_folder_is_a_ladder(tmp_path, capsys):
    folder = tmp_path / "ggufs"
    folder.mkdir()
    for quant in ("F16", "Q2_K"):
        (folder / f"any-name-{quant}.gguf").symlink_to(demo_gguf(quant))
    text = json.dumps(plan_of(capsys, "--discover", str(folder)))
    for quant in ("F16", "Q2_K"):
        assert str(folder / f"any-name-{quant}.gguf") in text
    assert "Q8_0" not in text


def test_a_server_tells_its_ladder_and_model_picks_one(capsys):
    with MockServer("ollama", TWO_MODELS) as server:
        own = ("--provider", "ollama", "--url", server.url, "--discover", "server")
        text = json.dumps(plan_of(capsys, *own, "--model", "demo"))
        assert "demo:q8_0" in text
        assert "demo:q2_K" in text
        assert "other" not in text
        assert run_command(["plan", "quickstart", *own]) == 2
        assert "demo" in capsys.readouterr().err


def test_an_empty_folder_is_one_line(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert run_command(["plan", "quickstart", "--discover", "empty"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("orket: error: ")


def test_whole_answers_and_the_key_are_options(capsys):
    plan = plan_of(capsys, "--no-stream", "--api-key-env", "MY_KEY", "--unload-others")
    told = json.dumps(plan)
    assert "provider.streaming" in told
    assert "provider.unload_others" in told


def test_two_files_of_one_quant_are_planned_under_two_names(tmp_path, capsys):
    for publisher in ("lm", "unsloth"):
        for tag, number in (("Q8_0", 7), ("Q4_K_M", 15)):
            if (publisher, tag) != ("lm", "Q4_K_M"):
                own = gguf(number, general__quantized_by=publisher)
                write(tmp_path / f"all/{publisher}/{{x}}[1]-{tag}.gguf", own)
    write(tmp_path / "all/lm/mmproj.gguf", gguf(1, architecture="clip"))
    plan = plan_of(capsys, "--discover", "all")
    (model,) = plan["models"]
    files = {quant["quant"]: quant["file"] for quant in model["quants"]}
    assert files == {
        "Q8_0@lm": str(tmp_path / "all/lm/{x}[1]-Q8_0.gguf"),
        "Q8_0@unsloth": str(tmp_path / "all/unsloth/{x}[1]-Q8_0.gguf"),
        "Q4_K_M": str(tmp_path / "all/unsloth/{x}[1]-Q4_K_M.gguf"),
    }


def test_what_is_left_out_is_said(tmp_path, capsys):
    write(tmp_path / "all/m-Q8_0.gguf", gguf(7))
    write(tmp_path / "all/m-Q4_0.gguf", gguf(2)[:-99])
    assert run_command(["plan", "quickstart", "--discover", "all"]) == 0
    assert "left out: all/m-Q4_0.gguf: cut short" in capsys.readouterr().err


def test_a_name_that_two_quants_have_is_refused_with_both(tmp_path, capsys):
    for publisher in ("a", "b"):
        own = gguf(7, general__quantized_by=publisher)
        write(tmp_path / f"all/{publisher}/m-Q8_0.gguf", own)
    command = ["plan", "quickstart", "--discover", "all", "--quants"]
    assert run_command([*command, "q8_0"]) == 2
    assert "q8_0 may be Q8_0@a or Q8_0@b" in capsys.readouterr().err
    assert run_command([*command, "Q8_0@b"]) == 0


def test_two_quants_that_are_one_thing_are_said_before_any_call(tmp_path, capsys):
    preset = tmp_path / "p.toml"
    preset.write_text(
        'schema_version = 1\n[provider]\nname = "openai"\nurl = "http://127.0.0.1:9"\n'
        '[[models]]\nid = "m"\nquants = ["Q8_0", "Q4_0"]\n'
        '[models.names.openai]\nname = "m"\n[tasks]\nbank = "quickstart"\n'
    )
    assert run_command(["plan", str(preset)]) == 0
    assert "Q8_0 and Q4_0 are both m" in " ".join(capsys.readouterr().out.split())
    assert run_command(["run", str(preset), "-w", str(tmp_path / "w")]) == 2
    assert "Q8_0 and Q4_0 are both m" in capsys.readouterr().err


def test_one_quant_in_two_spellings_is_refused(tmp_path, capsys):
    preset = tmp_path / "p.toml"
    preset.write_text(
        'schema_version = 1\n[provider]\nname = "ollama"\n'
        '[[models]]\nid = "m"\nquants = ["Q8_0", "q8-0"]\n'
        '[models.names.ollama]\ntag = "m:{quant_ollama}"\n'
        '[tasks]\nbank = "quickstart"\n'
    )
    assert run_command(["plan", str(preset)]) == 2
    assert "Q8_0 and q8-0, one quant" in capsys.readouterr().err
