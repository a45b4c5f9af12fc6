"""`--discover`: the quants come from a folder of GGUF files, or from the server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orket.cli.main import run_command
from orket.mockserver import MockModel, MockServer, Profile
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
