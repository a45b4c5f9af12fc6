"""The frame of the command line: verbs, errors, exit codes, streams."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator

import click
import pytest

from orket.cli import main as cli_main
from orket.cli.examples import EXAMPLES
from orket.cli.main import cli, installed_verbs, run_command
from orket.errors import CheckFailed, GateFailed, UsageError, WarehouseError
from orket.text import printable
from tests.places import ROOT

HEAVY = ("duckdb", "polars", "pyarrow", "httpx", "pydantic", "psutil", "rich")


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command by its path, those of groups included."""
    waiting: list[tuple[str, click.Command]] = [("orket", cli)]
    while waiting:
        path, command = waiting.pop()
        yield path, command
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                found = command.get_command(context, name)
                assert found is not None
                waiting.append((f"{path} {name}", found))


def test_rows_are_csv_in_a_pipe_and_sentences_are_not_as_the_page_says():
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    kinds = {
        kind: re.findall(r"`([a-z][a-z-]*)", page.partition(f"- **{kind}**")[2])
        for kind in ("Rows", "Sentences")
    }
    found: dict[str, set[str]] = {kind: set() for kind in kinds}
    for path, command in commands():
        for param in command.params:
            if isinstance(param, click.Option) and "--format" in param.opts:
                told = f"{param.default} {param.help}"
                is_rows = "csv in a pipe" in told
                if is_rows or re.search(r"^(table|text)|else table", told):
                    found["Rows" if is_rows else "Sentences"].add(path.split()[1])
    for kind, verbs in found.items():
        assert sorted(verbs) == kinds[kind][: len(verbs)]


def test_a_command_that_lacks_what_it_needs_shows_a_line_to_type(capsys):
    known = dict(commands())
    needing = {
        path
        for path, command in known.items()
        if any(param.required for param in command.params)
    }
    assert needing | {"orket mock-server"} == set(EXAMPLES)
    for path, example in EXAMPLES.items():
        assert run_command(path.split()[1:]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.endswith(f": {example}")
        # The line has all that the command asks for.
        assert example.startswith(path)
        words = example.removeprefix(path).split()
        known[path].make_context(path, words)


def run_orket(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "orket", *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.fixture
def failing_verb(monkeypatch):
    """A verb that raises what it is given."""

    def install(failure: BaseException | Callable[[], None]) -> None:
        @click.command("fail")
        def fail() -> None:
            if isinstance(failure, BaseException):
                raise failure
            failure()

        monkeypatch.setattr(cli, "get_command", lambda ctx, name: fail)

    return install


def test_help_imports_nothing_heavy():
    probe = (
        "import sys; from orket.cli.main import run_command\n"
        "run_command(['--help'])\n"
        f"print(*sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0
    assert "Usage: orket" in done.stdout
    assert done.stderr.strip() == ""


@pytest.mark.parametrize("verb", installed_verbs())
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_every_verb_has_help(verb, option, capsys):
    assert run_command([verb, option]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith(f"Usage: orket {verb}")
    assert shown.err == ""


@pytest.mark.parametrize("verb", installed_verbs())
def test_help_lists_every_verb_with_a_line(verb, capsys):
    run_command(["-h"])
    line = next(
        line for line in capsys.readouterr().out.splitlines() if f"  {verb} " in line
    )
    assert line.strip().endswith(".") or line.strip().endswith("?")


@pytest.mark.parametrize(
    ("failure", "code", "line"),
    [
        (UsageError("bad key", "say good"), 2, "orket: error: bad key: say good"),
        (WarehouseError("disk full"), 1, "orket: error: disk full"),
        (GateFailed("not fit", "wait"), 3, "orket: error: not fit: wait"),
        (CheckFailed("not met"), 4, "orket: error: not met"),
        (KeyboardInterrupt(), 130, "orket: interrupted"),
        (
            PermissionError(13, "Permission denied", "/x/y"),
            1,
            "orket: error: Permission denied: /x/y",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_errors_are_one_line_with_their_code(failure, code, line, failing_verb, capsys):
    failing_verb(failure)
    assert run_command(["fail"]) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.strip().splitlines() == [line]


def test_an_interrupt_that_came_as_an_error_is_still_one(failing_verb, capsys):
    import duckdb

    def explained() -> None:
        try:
            raise duckdb.InterruptException("INTERRUPT Error: Interrupted!")
        except duckdb.Error as error:
            raise UsageError("Interrupted!") from error

    def met_in_passing() -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise ValueError("half a row")  # noqa: B904

    for failure in (RuntimeError("Query interrupted"), explained, met_in_passing):
        failing_verb(failure)
        assert run_command(["fail"]) == 130
        assert capsys.readouterr().err == "orket: interrupted\n"
    failing_verb(RuntimeError("Query lost"))
    assert run_command(["fail"]) == 1


def test_ctrl_c_in_a_query_is_an_interrupt(tmp_path):
    # Late enough for the query to have begun on a busy machine too.
    probe = (
        "import os, signal, sys, threading, duckdb, polars, orket.warehouse.session\n"
        "from orket.cli.main import run_command\n"
        "threading.Timer(10, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "endless = 'SELECT count(*) FROM range(100000000) a, range(100000000) b'\n"
        "sys.exit(run_command(['sql', endless, '-w', sys.argv[1]]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    # Click begins a new line behind a ^C.
    assert (done.returncode, done.stderr.lstrip()) == (130, "orket: interrupted\n")


def test_a_fault_of_our_own_is_one_line_too(failing_verb, capsys):
    failing_verb(KeyError("lost"))
    assert run_command(["fail"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("orket: error: unexpected KeyError: 'lost'")
    assert "--debug" in line


def test_debug_shows_the_traceback_anywhere(failing_verb, capsys):
    failing_verb(UsageError("bad key"))
    assert run_command(["fail", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err
    assert run_command(["--debug", "fail"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_messages_cannot_drive_a_terminal(failing_verb, capsys):
    failing_verb(UsageError("server said \x1b[2J\nand more"))
    run_command(["fail"])
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "orket: error: server said \\x1b[2J and more"


def test_an_exit_code_of_a_verb_is_kept(failing_verb):
    failing_verb(lambda: click.get_current_context().exit(4))
    assert run_command(["fail"]) == 4


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["shwo"], "no verb 'shwo': did you mean show?"),
        (["zzz"], "no verb 'zzz': see orket -h"),
        (["show", "--wherehouse", "x"], "No such option"),
        (["run", "x", "--quantz", "q"], "'--quantz': did you mean '--quants'"),
        (["show", "a", "b"], "see orket show -h"),
        (["sweeps", "--format", "xml"], "see orket sweeps -h"),
        (["export", "--latency-ceiling", "fast"], "'fast' is not a number"),
        (["export", "--adherence-threshold=-1"], "'-1' is not a number from 0"),
    ],
)
def test_bad_usage_is_one_line_and_code_2(args, said, capsys):
    assert run_command(args) == 2
    shown = capsys.readouterr()
    (line,) = shown.err.splitlines()
    assert line.startswith("orket: error: ")
    assert said in line
    assert shown.out == ""


def test_without_arguments_it_shows_help_and_code_2(capsys):
    assert run_command([]) == 2
    assert "Usage: orket" in capsys.readouterr().err


def test_version(capsys):
    assert run_command(["--version"]) == 0
    assert capsys.readouterr().out.startswith("orket ")


def test_verbs_without_a_module_are_not_listed(monkeypatch, capsys):
    table = {"show": cli_main.VERBS["show"], "ghost": ("orket.cli.ghost:ghost", "Boo.")}
    monkeypatch.setattr(cli_main, "VERBS", table)
    assert installed_verbs() == ["show"]
    assert run_command(["ghost"]) == 2
    assert "no verb 'ghost'" in capsys.readouterr().err


def test_module_and_program_are_the_same():
    done = run_orket("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("orket ")


def test_a_closed_pipe_is_quiet(tmp_path):
    probe = (
        "import sys; from orket.cli.main import main\n"
        "sys.argv = ['orket', 'views', '-w', sys.argv[1]]; main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", probe, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout and process.stderr
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    process.wait(timeout=60)
    assert errors == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("größe 量子", "größe 量子"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
        ("\u202eevil", "\\u202eevil"),
        ("\x9b", "\\x9b"),
        ("\x85next\u2028line", "\\x85next\\u2028line"),
        ("a\u200bb\u2066c\u2069", "a\\u200bb\\u2066c\\u2069"),
        ("\U000e0041", "\\U000e0041"),
        ("\ud800", "\\ud800"),
        ("\uffff\ufdd0\U0010fffe", "\\uffff\\ufdd0\\U0010fffe"),
        ("[bold]x[/bold]", "[bold]x[/bold]"),
    ],
)
def test_text_of_others_is_escaped(text, shown):
    assert printable(text) == shown
