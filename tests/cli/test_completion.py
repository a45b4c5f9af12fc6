"""What shells are offered, asked as they ask: through click's protocol."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import timedelta

import pytest

from orket.cli.main import run_command
from tests.built_sweep import START, Sweep
from tests.places import ROOT


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    """Two sweeps, one of a name that has to be escaped as a folder."""
    folder = tmp_path_factory.mktemp("completion") / "warehouse"
    for number, name in enumerate(("sweep-a", "b/c d")):
        sweep = Sweep(sweep_id=name, started_at=START + timedelta(days=number))
        sweep.store(folder)
        os.utime(next((folder / "sweeps").glob(f"*{name[0]}*")), (number, number))
    return folder


@pytest.fixture
def offered(warehouse, monkeypatch, capsys):
    """The names that bash is offered behind a line that ends in the last word."""

    def ask(*words, environ=None):
        monkeypatch.setenv("ORKET_WAREHOUSE", str(environ or warehouse))
        monkeypatch.setenv("_ORKET_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", " ".join(("orket", *words)))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        assert run_command([]) == 0
        told = capsys.readouterr()
        assert told.err == ""
        return [tuple(line.split(",", 1)) for line in told.out.splitlines() if line]

    return ask


def plain(*names):
    return [("plain", name) for name in names]


def test_sweeps_are_those_of_the_warehouse_newest_first(offered, warehouse, tmp_path):
    every = plain("latest", "b/c d", "sweep-a")
    for verb in ("show", "export", "diff", "report", "verify"):
        assert offered(verb, "") == every, verb
    assert offered("diff", "latest", "SW") == plain("sweep-a")
    assert offered("baseline", "append", "sw") == plain("sweep-a")
    assert offered("sql", "--sweep", "b") == plain("b/c d")
    # The warehouse that the line names goes before that of the environment.
    empty = tmp_path / "empty"
    assert offered("show", "", environ=empty) == plain("latest")
    named = offered("show", "-w", str(warehouse), "", environ=empty)
    assert named == every


def test_quants_presets_and_views_are_offered_where_they_are_named(offered):
    assert plain("Q4_K_M")[0] in offered("why", "q4_k")
    assert offered("why", "F16", "lat") == plain("latest")
    assert offered("use", "--quant", "Q8") == plain("Q8_0")
    presets = offered("plan", "qw")
    assert plain("qwen3-8b")[0] in presets
    assert ("file", "qw") in presets
    assert not [name for _, name in offered("plan", "qu") if name == "quants"]
    assert offered("views", "fronti") == plain("frontier")
    assert offered("views", "V1H.fronti") == plain("v1h.frontier")


def test_what_cannot_be_looked_up_offers_nothing(offered, tmp_path):
    file = tmp_path / "file"
    file.write_text("no warehouse")
    assert offered("show", "", environ=file) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_text(shell, monkeypatch, capsys):
    if shell == "bash" and shutil.which("bash") is None:
        pytest.skip("click asks bash for its version, and there is none")
    monkeypatch.setenv("_ORKET_COMPLETE", f"{shell}_source")
    assert run_command([]) == 0
    assert f"_ORKET_COMPLETE={shell}_complete" in capsys.readouterr().out


def test_a_key_pressed_loads_no_database(warehouse):
    code = (
        "import sys; from orket.cli.main import run_command; run_command([]); "
        "heavy = {'duckdb', 'pyarrow', 'polars', 'pydantic', 'rich', 'httpx'}; "
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    for words in ("orket show ", "orket why Q", "orket views v", "orket presets q"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "ORKET_WAREHOUSE": str(warehouse),
                "_ORKET_COMPLETE": "bash_complete",
                "COMP_WORDS": words,
                "COMP_CWORD": "2",
            },
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.stderr.strip() == "[]", words
