"""What is written on a terminal breaks between words, and commands can be copied."""

from __future__ import annotations

import shlex

import pytest

from orket.cli.folding import columns_of, fold_command, fold_line
from orket.cli.main import run_command
from orket.cli.output import print_rows
from tests.cli.test_cli_main import commands
from tests.nightly import nightly
from tests.places import ROOT

REFERENCE = str(ROOT / "warehouse")
RESUME = "orket run --resume 20261129-152246-any-model-f4b4bc --budget 24m"
ENDED = "orket: the budget of 20 min ended first; the next proof takes 30 tasks:"
COMMENT = "# writes it as a page, with pictures and every answer"
WIDTHS = (40, 60, 80, 100, 140)


def is_too_wide(line: str, width: int) -> bool:
    """Whether it could have been broken, and was not."""
    return len(line) > width and " " in line.removeprefix("orket: ").strip()


def assert_folds(line: str, width: int) -> list[str]:
    """Nothing is lost, and what is too wide is one word."""
    lines = fold_line(line, width)
    assert [part for part in lines if is_too_wide(part, width)] == []
    told = " ".join(part.removesuffix(" \\") for part in lines).split()
    assert [word for word in told if word != "#"] == [
        word for word in line.split() if word != "#"
    ]
    return lines


@pytest.mark.parametrize("width", WIDTHS)
def test_a_message_breaks_between_words_and_keeps_the_command_that_ends_it(width):
    lines = assert_folds(f"{ENDED} {RESUME}", width)
    if len(RESUME) + 2 <= width:
        assert lines[-1] == f"  {RESUME}" or len(lines) == 1
    assert fold_line("orket: done", width) == ["orket: done"]


@pytest.mark.parametrize("width", WIDTHS)
def test_what_is_said_behind_a_command_never_makes_its_line_too_wide(width):
    command = "orket report 20261130-222255-quickstart-8cb6b0"
    lines = assert_folds(f"orket: {command}  {COMMENT}", width)
    # 54 characters with the name of the program.
    assert lines[0].startswith(f"orket: {command}") is (width >= 60)
    if width in (60, 80, 100):
        assert lines[1].startswith("  # writes it as a page")
        assert all(line.startswith("  # ") for line in lines[1:])
    for told in (
        f"no run {'x' * 30!r} here: {command}, or another; orket sweeps lists all",
        f"it is kept: {command} --price 1 (a price by the hour), and so on and on",
    ):
        assert_folds(f"orket: error: {told}", width)


@pytest.mark.parametrize(("shell", "onward"), [("posix", " \\"), ("powershell", " `")])
@pytest.mark.parametrize("width", WIDTHS)
def test_a_command_too_wide_goes_on_as_its_shell_has_it(width, shell, onward):
    line = "llama-server -m '/m o/with blanks in it.gguf' -c 4096 -np 1 -t 2 -ngl 0"
    lines = fold_command(line, width, "  ", shell)
    assert all(len(part) <= width for part in lines)
    assert all(part.endswith(onward) for part in lines[:-1])
    # An option and its value stay together.
    assert not any(part.removesuffix(onward).endswith(" -c") for part in lines)
    joined = " ".join(part.removesuffix(onward).strip() for part in lines)
    assert shlex.split(joined) == shlex.split(line)


def test_the_width_is_that_of_the_terminal_the_words_go_to(monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "61")
    with open(tmp_path / "file", "w", encoding="utf-8") as stream:
        assert columns_of(stream) == 61
        monkeypatch.setenv("COLUMNS", "3")
        assert columns_of(stream) == 20


@pytest.fixture
def on_a_terminal(monkeypatch, capsys):
    def ask(columns, *args):
        monkeypatch.setattr("sys.stdout.isatty", lambda: True)
        monkeypatch.setattr("sys.stderr.isatty", lambda: True)
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setenv("COLUMNS", str(columns))
        run_command(args)
        told = capsys.readouterr()
        return [*told.out.splitlines(), *told.err.splitlines()]

    return ask


ASKED = (
    ("show", "latest"),
    ("show", "nosuch"),
    ("sweeps",),
    ("use", "latest", "--shell", "posix"),
    ("why", "Q3_K_S"),
    ("matrix",),
    ("kpi",),
    ("gate", "latest", "--quant", "Q4_K_M"),
    ("baseline", "list"),
    ("baseline", "health"),
    ("sql", "SELECT * FROM v1.recommendation"),
    ("sql", "SELECT * FROM v1.recommendation WHERE false"),
    ("mock-server", "--list-faults"),
    ("presets",),
)


@pytest.mark.parametrize("columns", [80, *nightly(100, 140)])
def test_no_line_of_any_command_is_wider_than_the_terminal(columns, on_a_terminal):
    for verb, *args in ASKED:
        place = () if verb in ("mock-server", "presets") else ("-w", REFERENCE)
        lines = on_a_terminal(columns, verb, *args, *place)
        assert lines
        wide = [line for line in lines if is_too_wide(line, columns)]
        assert (verb, wide) == (verb, [])


def test_no_help_is_wider_than_a_terminal_of_80(on_a_terminal):
    for path, _ in commands():
        lines = on_a_terminal(80, *path.split()[1:], "--help")
        assert (path, [line for line in lines if is_too_wide(line, 80)]) == (path, [])


@pytest.mark.parametrize("columns", ["40", "80"])
def test_a_table_without_rows_has_no_headers_broken_in_a_word(
    columns, monkeypatch, capsys
):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", columns)
    headers = [f"a_long_header_{number}" for number in range(9)]
    print_rows([], headers, "table")
    told = capsys.readouterr().out.split()
    assert [word for word in told if word.startswith("a_long")] == [
        *(f"{header}," for header in headers[:-1]),
        headers[-1],
    ]
