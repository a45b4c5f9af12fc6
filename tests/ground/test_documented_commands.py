"""What the pages say to type is typed here, on one warehouse and one real sweep.

A command is run as it stands, run with less, planned in place of run, or stands in a
short list with the reason why it is none of these. Its words are looked at in any case.
"""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from orket.cli.main import run_command
from orket.machine.memory import FreeMemory
from orket.mockserver import MockModel, MockServer, Profile
from orket.planning import survey
from tests.ground.documented import (
    Command,
    blocks,
    complain,
    fenced,
    inline,
    of_workflows,
)
from tests.ingest.test_ingest_formats import REPORT
from tests.places import FIXTURES, ROOT
from tests.raw_rows import make_run

FIRST = "orket run quickstart"
"""The command that makes the sweep which all pages ask."""

LESS = {
    FIRST: ("--quants", "F16,Q4_K_M,Q3_K_S", "--tasks", "4", "--runs", "1"),
    f"{FIRST} --runs 5 --save-baseline": ("--quants", "F16", "--tasks", "1"),
    f"{FIRST} --runs 5": ("--quants", "F16", "--tasks", "1"),
}
"""Commands that are run, with what makes them short; never with a canary."""

PLANNED = {
    "docs/fidelity.md",
    "docs/in-ci.md",
    "docs/presets.md",
    "docs/runbook.md",
    "docs/sidecar.md",
    "README.md",
}
"""Pages whose other sweeps are planned: what is left out is the calls themselves."""

ONLY_OF_RUN = {"--yes": 0, "--sidecar": 1}
"""Options that a plan does not take, with the number of their values."""

ELSEWHERE = {
    "docs/first-model.md": "tests/cli/test_first_model_page.py",
    "docs/providers.md": "tests/mockserver/test_mock_server.py",
}
"""Pages whose commands, or those of the mock server, have a test of their own."""

NOT_RUN = {
    "orket run vllm": "servers on fixed ports: tests/planning",
    "orket run --url": "hosts of the reader's own: tests/cli/test_own_model.py",
    "orket run llama-server": "servers on fixed ports: tests/cli/test_own_model.py",
    "orket run Qwen/Qwen2.5-7B-Instruct": "needs vLLM: tests/providers/serving",
    "orket run ./models --serve-cmd": "needs llama-server: tests/providers/serving",
    "orket run ./models --quants": "needs llama-server: tests/providers/serving",
    "orket plan quickstart --discover ~": "a folder of the reader's own",
    "orket plan llama-3.1-8b --provider": "needs Ollama: tests/planning",
    "orket diff before": "sweeps of the reader's own: tests/cli/test_diff.py",
    "orket diff here": "sweeps of the reader's own: tests/cli/test_diff.py",
    "orket show latest -w s3://": "an object store: tests/warehouse",
    "orket derive --engine spark": "a cluster: tests/warehouse/test_spark.py",
    "orket providers": "asks whatever listens here: tests/providers",
    "orket ingest fp16/": "files by a shell's pattern: tests/ingest",
    "orket ingest q4.txt": "what llama-perplexity wrote: tests/ingest",
    "orket baseline prune --undo": "nothing is old enough to prune: tests/baselines",
    "orket show --bucket coding": "tasks of the reader's own: tests/cli",
}
"""How a command begins that is neither run nor planned -> why."""

MAY_FAIL = {"diff": 4, "gate": 4, "doctor": 4}
"""Verbs that may end with that code, since it is an answer."""

OTHER_PROGRAMS = {
    ".", ".ci/run", "benchstat", "duckdb", "export", "jupyter", "llama-perplexity",
    "mypy", "ollama", "pip", "pip-audit", "pytest", "python", "python3", "ruff",
    "zensical",
}  # fmt: skip

SAID = {"SWEEP": "latest", "QUANT": "Q3_K_S", "before": "latest", "after": "latest"}
"""What a reader puts in the place of these words."""


def once(commands: list[Command]) -> list[Command]:
    """The commands of Orket's, each of them where it stands first."""
    own = (command for command in commands if command.words[0] == "orket")
    first: dict[str, Command] = {}
    for command in own:
        first.setdefault(command.text, command)
    return list(first.values())


def is_listed(command: Command) -> bool:
    return any(command.text.startswith(beginning) for beginning in NOT_RUN)


def is_elsewhere(command: Command) -> bool:
    if command.page == "docs/providers.md":
        return command.words[1] == "mock-server" or "mock-preset.toml" in command.words
    return command.page in ELSEWHERE


def has_place(command: Command) -> bool:
    """Whether a plan stands in for it."""
    is_sweep = command.words[1] == "run" and command.text not in LESS
    return is_sweep and command.page in PLANNED


FENCED = once(fenced())
RUN = [
    command
    for command in FENCED
    if command.text != FIRST and not is_listed(command) and not is_elsewhere(command)
]
INLINE = [
    command
    for command in once(inline())
    if command.text not in {it.text for it in FENCED}
    and not is_listed(command)
    and len(command.words) > 2
    and command.words[1] in {"show", "why", "sql", "export", "kpi", "baseline", "gate"}
    and {word for word in command.words if word.isupper()} <= set(SAID)
    and command.words[2] not in {"pin", "append"}
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped warehouse with the first sweep of a reader, and files of theirs."""
    folder = tmp_path_factory.mktemp("base")
    warehouse = folder / "warehouse"
    keep = shutil.ignore_patterns(".derived")
    shutil.copytree(ROOT / "warehouse", warehouse, ignore=keep)
    words = [*FIRST.split()[1:], *LESS[FIRST], "--no-canary", "-w", str(warehouse)]
    assert run_command([*words, "-o", str(folder / "sweep_summary.json")]) == 0
    assert run_command(["sweeps", "-w", str(warehouse)]) == 0
    (folder / "rows.jsonl").write_bytes(msgspec.json.encode(make_run()) + b"\n")
    shutil.copy(FIXTURES / "llama_bench" / "llama-bench.json", folder / "bench.json")
    (folder / "determinism_report.json").write_text(json.dumps(REPORT))
    return folder


@pytest.fixture(scope="module")
def places(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Page -> the folder of its reader: each begins with the same."""
    pages = {command.page for command in (*RUN, *INLINE)}
    pages |= {block.page for block in blocks("python", "toml")}
    top = tmp_path_factory.mktemp("pages")
    found = {page: top / page.replace("/", "-") for page in pages}
    for folder in found.values():
        shutil.copytree(base, folder)
    return found


@pytest.fixture(scope="module")
def ollama() -> Iterator[str]:
    models = tuple(
        MockModel(f"llama3.1:8b-instruct-{tag}", quant)
        for tag, quant in (("q8_0", "Q8_0"), ("q4_K_M", "Q4_K_M"))
    )
    with MockServer("ollama", Profile(models=models)) as server:
        yield server.url


@pytest.fixture(autouse=True)
def reader(ollama, tmp_path, monkeypatch):
    for name in ("ORKET_WAREHOUSE", "ORKET_MODELS", "LLAMA_CACHE", "HF_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("OLLAMA_HOST", ollama)
    monkeypatch.setattr(survey, "read_free_memory", lambda: FreeMemory(64 * 2**30))
    monkeypatch.setattr("orket.planning.nearby.scan_default_ports", list)


@pytest.mark.parametrize("command", RUN, ids=lambda command: command.name)
def test_a_command_of_a_page_does_what_it_says(command, places, monkeypatch, capsys):
    monkeypatch.chdir(places[command.page])
    words = [SAID.get(word, word) for word in command.words[1:]]
    if has_place(command):
        words = ["plan", *without_own_options(words[1:])]
    if command.text in LESS:
        words += [*LESS[command.text], "--no-canary"]
    code = run_command(words)
    told = capsys.readouterr()
    assert code in {0, MAY_FAIL.get(command.words[1], 0)}, told.err
    assert "Traceback" not in told.err


def without_own_options(words: list[str]) -> list[str]:
    left, kept = iter(words), []
    for word in left:
        if word in ONLY_OF_RUN:
            for _ in range(ONLY_OF_RUN[word]):
                next(left)
        else:
            kept.append(word)
    return kept


@pytest.mark.parametrize("command", INLINE, ids=lambda command: command.name)
def test_a_command_in_a_sentence_works(command, places, monkeypatch, capsys):
    monkeypatch.chdir(places[command.page])
    words = [SAID.get(word, word) for word in command.words[1:]]
    assert run_command(words) in {0, 4}, capsys.readouterr().err


def test_every_command_is_one_that_orket_knows():
    wrong = {
        command.name: complaint
        for command in (*fenced(), *inline(), *of_workflows())
        if command.words[0] == "orket" and (complaint := complain(command.words))
    }
    assert wrong == {}


def test_every_program_of_the_pages_is_known():
    others = {command.words[0] for command in fenced()} - {"orket"}
    assert others == OTHER_PROGRAMS


def test_the_lists_name_what_is_there():
    texts = [command.text for command in (*FENCED, *once(inline()))]
    unused = [it for it in NOT_RUN if not any(text.startswith(it) for text in texts)]
    unused += [text for text in LESS if text not in texts]
    assert unused == []
    for file in ELSEWHERE.values():
        assert (ROOT / file).is_file()


def test_every_extra_that_a_page_installs_is_there():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    pages = [*blocks("sh", "console", "")]
    named = {
        extra for block in pages for extra in re.findall(r"\.\[(\w+)\]", block.text)
    }
    assert named and named <= set(project["optional-dependencies"])


SNIPPETS = [
    block for block in blocks("python") if block.page != "docs/adding-a-provider.md"
]


@pytest.mark.parametrize("block", SNIPPETS, ids=lambda block: f"{block.page}")
def test_python_of_a_page_runs(block, places, monkeypatch):
    monkeypatch.chdir(places[block.page])
    call = """import httpx
    httpx.post(server.url + "/api/chat", json={"model": "x", "messages": []})"""
    source = block.text.replace("    ...\n", f"    {call}\n")
    exec(compile(source, block.page, "exec"), {})


def test_a_preset_of_a_page_is_planned(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shown = [
        block.text
        for block in blocks("toml")
        if block.page in {"docs/presets.md", "docs/sidecar.md"}
    ]
    assert len(shown) == 2
    for text in shown:
        whole = text if "extends" in text else f'extends = "quickstart"\n{text}'
        if "schema_version" not in whole:
            whole = f"schema_version = 1\n{whole}"
        Path("mine.toml").write_text(whole, "utf-8")
        assert run_command(["plan", "mine.toml"]) == 0, capsys.readouterr().err
