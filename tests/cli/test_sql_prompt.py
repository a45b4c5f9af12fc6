"""The prompt of `orket sql`, and queries from a pipe."""

from __future__ import annotations

import io
import os
import select
import sys
import time

import pytest

from orket.cli.main import run_command
from orket.cli.sql_prompt import completions, is_whole
from tests.built_sweep import Sweep
from tests.places import ROOT

pty = pytest.importorskip("pty", reason="there are no terminals of this kind here")


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    """One small sweep."""
    folder = tmp_path_factory.mktemp("prompt") / "warehouse"
    Sweep().fill().finish().store(folder)
    return folder


class Typist:
    """Sits at a terminal in which `orket sql` runs."""

    def __init__(self, warehouse, state):
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.environ |= {
                "PYTHONPATH": str(ROOT),
                "XDG_STATE_HOME": str(state),
                "TERM": "dumb",
                "COLUMNS": "200",
            }
            args = ["-m", "orket", "sql", "-w", str(warehouse)]
            os.execv(sys.executable, [sys.executable, *args])
        self.seen = ""

    def type(self, keys):
        os.write(self._terminal, keys.encode())

    def press_ctrl_c(self):
        """Once the prompt waits for keys.

        Python's readline keeps a signal that comes right after the prompt is drawn, and
        nothing on the screen tells when it begins to wait.
        """
        time.sleep(0.5)
        self.type("\x03")

    def wait_for(self, text, seconds=60):
        """What was shown up to this text, which has to come."""
        end = time.monotonic() + seconds
        start = len(self.seen)
        while text not in self.seen[start:]:
            left = end - time.monotonic()
            assert left > 0, f"{text!r} did not come: {self.seen[start:]!r}"
            if select.select([self._terminal], [], [], min(left, 1))[0]:
                try:
                    self.seen += os.read(self._terminal, 65536).decode()
                except OSError as error:
                    raise AssertionError(f"it ended: {self.seen!r}") from error
        return self.seen[start:]

    def leave(self):
        """The exit code, once it has ended."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if select.select([self._terminal], [], [], 0.1)[0]:
                try:
                    if not os.read(self._terminal, 65536):
                        break
                except OSError:
                    break
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)


def test_a_person_asks_errs_goes_on_and_leaves(warehouse, tmp_path):
    typist = Typist(warehouse, tmp_path)
    typist.wait_for("orket> ")
    typist.type("SELECT quant_tag || '!'\r")
    typist.wait_for("..> ")
    typist.type("FROM v1.fronti\t ORDER BY 1;\r")
    shown = typist.wait_for("orket> ")
    assert all(f"{tag}!" in shown for tag in ("F16", "Q2_K", "Q4_K_M"))
    # An error is one line, and the prompt stays.
    typist.type("SELECT nonsense FROM v1.frontier;\r")
    assert "orket: error: Referenced column" in typist.wait_for("orket> ")
    typist.type("DROP TABLE staged.frontier;\r")
    assert "only a single SELECT" in typist.wait_for("orket> ")
    typist.type("SELECT * FROM read_text('/etc/passwd');\r")
    assert "error" in typist.wait_for("orket> ")
    # Ctrl-C drops what is typed, and then a query that runs.
    typist.type("SELECT this is\r")
    typist.wait_for("..> ")
    typist.press_ctrl_c()
    typist.wait_for("orket> ")
    typist.type(
        "SELECT sum(a.range * b.range) FROM range(10000000) a, range(100000) b;\r"
    )
    typist.wait_for("b;")
    time.sleep(1.5)
    typist.press_ctrl_c()
    assert "the query was dropped" in typist.wait_for("orket> ")
    typist.type("SELECT 6 * 7 AS answer;\r")
    assert "42" in typist.wait_for("orket> ")
    typist.type(".columns v1h.quant_sidecar\r")
    assert "decode_tokens_per_second" in typist.wait_for("orket> ")
    typist.type("\x04")
    assert typist.leave() == 0
    kept = (tmp_path / "orket" / "sql_history").read_text()
    assert "SELECT 6 * 7 AS answer;" in kept


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("SELECT 1;", True),
        ("SELECT 1; \n", True),
        ("SELECT 1", False),
        ("SELECT ';", False),
        ("SELECT ';'", False),
        ("SELECT ';';", True),
        ("SELECT 'it''s;", False),
        ('SELECT "a;', False),
        ("SELECT 1 -- ;", False),
        ("SELECT 1; -- done", True),
        ("SELECT /* ;", False),
        ("SELECT $$ ; $$;", True),
        ("SELECT $$ ;", False),
    ],
)
def test_a_query_ends_where_its_semicolon_is_no_text(text, whole):
    assert is_whole(text) is whole


def test_views_columns_and_words_are_offered():
    assert "v1.frontier" in completions("SELECT * FROM v1.fr", "v1.fr")
    assert completions("FROM V1H.quant_si", "V1H.quant_si") == ["v1h.quant_sidecar"]
    typed = "SELECT sum(1) FROM v1h.quant_sidecar WHERE deco"
    assert "decode_tokens_per_second" in completions(typed, "deco")
    assert "decode_tps_milli" not in completions(typed, "deco")
    assert "decode_tps_milli" in completions("FROM v1.quant_sidecar WHERE d", "d")
    assert "SELECT" in completions("sel", "sel")
    assert completions("FROM v1.nonsense WHERE deco", "deco") == []


@pytest.mark.parametrize("given", [[], ["-"]])
def test_a_pipe_holds_the_query(given, warehouse, monkeypatch, capsys):
    query = "SELECT count(*) AS quants\nFROM v1.frontier;\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(query))
    assert run_command(["sql", *given, "-w", str(warehouse)]) == 0
    assert capsys.readouterr().out == "quants\n3\n"


def test_an_empty_pipe_says_what_to_do(warehouse, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO(" \n"))
    assert run_command(["sql", "-w", str(warehouse)]) == 2
    told = capsys.readouterr().err
    assert "no query" in told
    assert "orket views" in told
