"""A password in a URL opens its server and is kept nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from orket.cli.main import run_command
from orket.cli.running import resume_line
from orket.mockserver import MockModel, MockServer, Profile
from orket.urls import without_passwords
from orket.warehouse import Warehouse
from tests.nightly import nightly

PRESET = """schema_version = 1
extends = "quickstart"
polluted_retries = 0
[controls]
warmup = 1
[[models]]
id = "demo"
quants = ["Q8_0", "Q4_K_M"]
[models.names.ollama]
tag = "demo:{quant_ollama}"
"""
DEMO = Profile(
    prefill_rate=1e6,
    decode_rate=1e5,
    load_seconds=0.0,
    models=(MockModel("demo:q8_0", "Q8_0"), MockModel("demo:q4_K_M", "Q4_K_M")),
)
PASSWORDS = [
    ("first-pw-77", "first-pw-77"),
    ("2nd%40pw%2F88", "2nd@pw/88"),
    ("third{pw}99", "third{pw}99"),
]
"""As it stands in a URL, and as it is meant."""


def url_of(server: MockServer, password: str) -> str:
    return server.url.replace("http://", f"http://ada:{password}@")


@pytest.mark.parametrize("place", ["option", *nightly("one a quant", "preset")])
def test_a_password_is_in_no_file_and_in_no_output(place, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    preset = tmp_path / "own.toml"
    preset.write_text(PRESET)
    with MockServer("ollama", DEMO) as one, MockServer("ollama", DEMO) as two:
        first, second = (
            url_of(server, written)
            for server, (written, _) in zip((one, two), PASSWORDS[:2], strict=True)
        )
        if place == "option":
            where = ["--url", url_of(one, PASSWORDS[2][0])]
        elif place == "one a quant":
            where = ["--url", f"Q8_0={first}", f"--url=Q4_K_M={second}"]
        else:
            where = []
            preset.write_text(
                f'{PRESET}urls = {{ Q8_0 = "{first}", Q4_K_M = "{second}" }}'
            )
        common = [str(preset), "--provider", "ollama", *where]
        run = [*common, "--tasks", "1", "--runs", "1", "--profile", "shared"]
        assert run_command(["plan", *common]) == 0
        assert run_command(["plan", *common, "--format", "json"]) == 0
        assert run_command(["run", *run, "--no-canary", "-w", "W"]) == 0
        assert run_command(["show", "latest", "-w", "W"]) == 0
        assert run_command(["sql", "from raw.sweeps", "-w", "W"]) == 0
    run_command(["plan", *common])
    out, err = capfd.readouterr()
    preset.unlink()
    kept = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    assert b"demo" in kept and one.url in out
    for written, meant in PASSWORDS:
        for word in (written, meant):
            assert word not in out + err
            assert word.encode() not in kept


def test_a_server_that_is_not_there_is_named_without_its_password(
    tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)
    Path("own.toml").write_text(PRESET)
    for url in ("http://ada:gone-pw-1@127.0.0.1:9", "http://ada:gone/pw-1@127.0.0.1:9"):
        command = ["run", "own.toml", "--provider", "ollama", "--url", url, "-w", "W"]
        assert run_command(command) != 0
    out, err = capfd.readouterr()
    assert "127.0.0.1:9" in err
    assert "pw-1" not in out + err


@pytest.mark.parametrize(
    "words",
    [
        ["doctor", "http://ada:odd-pw-5@127.0.0.1:9"],
        ["plan", "ada:odd-pw-5@127.0.0.1:9"],
        ["show", "https://odd-pw-5@example.org/v1"],
        ["plan", "own.toml", "--url", "http://127.0.0.1:9?key=odd-pw-5"],
        ["plan", "own.toml", "--url", "http://127.0.0.1:9/v1#odd-pw-5"],
        ["plan", "own.toml", "--url", "Q8_0=ftp://ada:odd-pw-5@127.0.0.1:9"],
        ["plan", "own.toml", "--provider", "http://ada:odd-pw-5@[::1]:9"],
    ],
    ids=" ".join,
)
def test_a_url_where_none_belongs_is_refused_without_its_secret(
    words, tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)
    Path("own.toml").write_text(PRESET)
    provider = ["--provider", "ollama"] if "--url" in words else []
    assert run_command([*words, *provider]) != 0
    out, err = capfd.readouterr()
    assert "odd-pw-5" not in out + err
    assert err.startswith("orket: error: ")


@pytest.mark.parametrize(
    "url",
    [
        "http://ada:{}@127.0.0.1:9",
        "http://{}@127.0.0.1:9",
        "http://ada:a/{}@127.0.0.1:9",
        "http://ada:a?{}@127.0.0.1:9",
        "http://ada:a b{}@127.0.0.1:9",
        "http://ada:a@b{}@127.0.0.1:9",
        "http://ada:%2F{}@[::1",
        "http://ada:{}@127.0.0.1:port",
        "http:/ada:{}@127.0.0.1:9",
        "http//ada:{}@127.0.0.1:9",
        "//ada:{}@127.0.0.1:9",
        "ada:{}@127.0.0.1",
        "ada:{}@far.example.org/v1",
        "htp://ada:{}@far.example.org",
        "http%3A%2F%2Fada%3A{}%40127.0.0.1%3A9",
        "http://127.0.0.1:9/?key={}",
        "http://127.0.0.1:9/v1#{}",
        "127.0.0.1:9?x=1&api_key={}",
        "http://127.0.0.1:9;token={}",
    ],
)
def test_whatever_was_meant_as_a_url_comes_back_without_its_secret(
    url, tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)
    Path("own.toml").write_text(PRESET)
    typed = url.format("odd-pw-5")
    for words in (
        ["run", typed],
        ["plan", "own.toml", "--provider", "ollama", "--url", typed],
        ["plan", "own.toml", "--provider", typed],
        ["doctor", typed],
        ["show", "-w", typed],
        ["ingest", typed],
        ["presets", typed],
        [typed],
    ):
        for debug in ([], ["--debug"]):
            run_command([*words, *debug])
            out, err = capfd.readouterr()
            assert "odd-pw-5" not in out + err, words
            assert "fault in Orket" not in err


@pytest.mark.parametrize(
    "text",
    [
        "no model llama3:8b@sha256:1abc here",
        "http://127.0.0.1:8080 refused ada@host: write it like http://127.0.0.1:8",
        "see docs/x.md#part and a=b; key=3",
        "C:/models/a@b.gguf",
        "what? hf.co/a/b:Q4_K_M",
    ],
)
def test_what_is_no_secret_is_shown(text):
    assert without_passwords(text) == text


def test_the_line_to_go_on_with_needs_no_url(tmp_path, monkeypatch):
    monkeypatch.delenv("ORKET_WAREHOUSE", raising=False)
    own = resume_line("s-1", Warehouse.open())
    assert own == "orket run --resume s-1"
    assert resume_line("s-1", Warehouse(tmp_path)) == f"{own} -w {tmp_path}"
