"""Every command of docs/first-model.md, in order, as it stands there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from orket.cli.main import run_command
from orket.machine.memory import FreeMemory
from orket.mockserver import MockModel, MockServer, Profile
from orket.planning import survey
from tests.live import demo_gguf

PAGE = Path(__file__).parents[2] / "docs" / "first-model.md"
WEIGHTS = 8_030_261_248


def llama(name: str, quant: str, finetune: str = "") -> MockModel:
    return MockModel(
        name,
        quant,
        WEIGHTS,
        layers=32,
        heads=32,
        kv_heads=8,
        width=4096,
        finetune=finetune,
    )


PULLED = Profile(
    models=(
        llama("llama3.1:8b-instruct-q8_0", "Q8_0"),
        llama("llama3.1:8b", "Q4_K_M", "Instruct"),
        llama("llama3.1:8b-instruct-q3_K_M", "Q3_K_M"),
    ),
    prefill_rate=1e6,
    decode_rate=1e5,
    load_seconds=0.0,
    context_tokens=131_072,
)
QUICK = ("--tasks", "1", "--no-canary", "--quality-only")
FEW = ("--tasks", "8", "--quality-only")
"""Over the commands that start a sweep: the same, of less."""


def section(title: str) -> str:
    parts = re.split(r"^## ", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    return next(part for part in parts if part.startswith(title))


def blocks(title: str, language: str) -> list[str]:
    found = re.findall(
        r"^```(\w*)\n(.*?)^```", section(title), re.DOTALL | re.MULTILINE
    )
    return [text for spoken, text in found if spoken == language]


def commands(title: str, program: str) -> list[list[str]]:
    lines = [line for text in blocks(title, "sh") for line in text.splitlines()]
    words = [shlex.split(line, comments=True) for line in lines]
    assert {word[0] for word in words} <= {"orket", "ollama"}
    return [word[1:] for word in words if word[0] == program]


@pytest.fixture(autouse=True)
def own_place(tmp_path, monkeypatch):
    for name in ("ORKET_MODELS", "LLAMA_CACHE", "HF_HUB_CACHE", "HF_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(survey, "read_free_memory", lambda: FreeMemory(64 * 2**30))
    monkeypatch.setattr("orket.planning.nearby.scan_default_ports", list)
    monkeypatch.chdir(tmp_path)


def test_from_ollama_pull_to_a_decision(monkeypatch, capsys):
    pulled = [words[1] for words in commands("With Ollama", "ollama")]
    assert pulled == [model.name for model in PULLED.models]
    said = {}
    with MockServer("ollama", PULLED) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        for words in commands("With Ollama", "orket"):
            starts = words[0] == "run" and "--budget" in words
            few = FEW if starts and "--resume" not in words else ()
            assert run_command([*words, *few]) == 0, words
            told = capsys.readouterr()
            said[" ".join(words)] = told.out + told.err
    assert "orket run llama3.1:8b" in said["run"]
    (shown,) = blocks("With Ollama", "")
    for screen in ("plan llama3.1:8b", "run llama3.1:8b --budget 20m"):
        for line in shown.splitlines():
            assert line.strip() in said[screen], f"{screen} does not show {line!r}"
    assert "same next token" in said["run llama3.1:8b --budget 20m"]
    hashes = [
        re.findall(r"plan hash +(\S+)", said[plan])
        for plan in ("plan llama3.1:8b", "plan mine.toml")
    ]
    assert hashes[0] == hashes[1]
    assert Path("report.html").is_file()


def test_with_files_and_the_real_engine(tmp_path, capsys):
    (tmp_path / "models").mkdir()
    for quant in ("F16", "Q4_K_M"):
        link = tmp_path / "models" / f"own-{quant}.gguf"
        link.symlink_to(demo_gguf(quant))
    for words in commands("With GGUF files", "orket"):
        less = QUICK if words[0] == "run" else ()
        assert run_command([*words, *less]) == 0, words
        told = capsys.readouterr()
        assert "own-Q4_K_M.gguf" in told.out + told.err or words[0] == "init"


def test_what_may_come_instead_is_what_is_said():
    """The words of the table stand in the program."""
    program = "\n".join(
        path.read_text("utf-8")
        for folder, kind in (("orket", "*.py"), ("sql", "*.sql"))
        for path in (PAGE.parents[1] / folder).rglob(kind)
    )
    program = re.sub(r'"\s*\n\s*f?"', "", program)
    for words in (
        "No model server answers here",
        "models were found",
        "choose one with --model",
        "left out: ",
        "are free",
        "nothing fits here",
        "fetch a smaller quant",
        "cut short",
        "alone is here",
        " gave no answer: ",
        "the server tells no log-probabilities",
        "MODEL_NOT_FOUND",
        "Why runs failed",
    ):
        assert words in program, words
        assert words.strip(": ") in PAGE.read_text("utf-8").replace("`", ""), words
