"""The table of a running sweep: what it shows, at every width."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from orket.cli.live_table import Board, show_board
from orket.cli.sweep_progress import SweepProgress
from orket.exports.figures import span_words, time_words
from orket.planning.estimate import Slack
from orket.planning.plan import build_plan
from orket.planning.preset import Change, load_preset, override
from orket.sweep.reporter import Ahead, Standing

MODEL = "some-model"
TAGS = ("F16", "Q8_0", "Q4_K_M", "Q2_K")


def standing(tag: str, state: str, **values: Any) -> dict[str, Any]:
    return {
        "model_id": MODEL,
        "quant_tag": tag,
        "state": state,
        "out_reasons": [],
        "adherence_tasks": 34,
        "planned_tasks": 216,
        "adherence_score_micro": 941176,
        "adherence_interval_micro": [809061, 983718],
        "generation_tokens_per_second_milli": 2208053,
        "total_latency_ns": 21774721,
        "peak_memory_bytes": 48021504,
        "is_quality_only": False,
        "polluted_runs": 3,
    } | values


def make_board(**values: Any) -> Board:
    rows = [
        standing("F16", "BASELINE"),
        standing("Q8_0", "OUT", out_reasons=["ADHERENCE_BELOW_THRESHOLD"]),
        standing("Q4_K_M", "OPEN"),
        standing("Q2_K", "NOT_ASKED", adherence_score_micro=None),
    ]
    board = Board([(MODEL, tag) for tag in TAGS])
    board.standing = {(MODEL, row["quant_tag"]): row for row in rows}
    board.fidelity = {(MODEL, "Q4_K_M"): {"same_top_ppm": 999_999}}
    board.lines = {MODEL: ["some-model: not shown yet. " + "word " * 80]}
    board.place = (MODEL, "Q4_K_M")
    board.calls, board.total, board.doing = 120, 900, "asking,"
    board.budget, board.since = 180.0, 10.0
    board.ahead = Ahead(
        30.0, 100.0, 70.0, ((MODEL, "Q4_K_M"), (MODEL, "F16")), bound=90.0
    )
    for name, value in values.items():
        setattr(board, name, value)
    return board


def text_of(board: Board, width: int = 119, height: int = 39) -> list[str]:
    return [line.text for line in show_board(board, width, height)]


def row_of(lines: list[str], tag: str) -> str:
    return next(line for line in lines if line.startswith(tag))


def test_who_disturbs_is_named_beside_what_is_disturbed():
    who = "stress-ng (2 processes) uses 97 % of the CPUs"
    told = " ".join(text_of(make_board(troubles="7 polluted", busiest=who)))
    assert f"7 polluted: {who}" in told
    assert who not in " ".join(text_of(make_board(troubles="", busiest=who)))


@pytest.mark.parametrize("width", [40, 59, 79, 119])
def test_no_line_is_wider_than_the_screen_and_every_quant_is_there(width):
    lines = text_of(make_board(), width)
    assert max(map(len, lines)) <= width
    for tag in TAGS:
        assert row_of(lines, tag)
    assert "94.1 (81 to 98)" in row_of(lines, "F16")
    assert "asked now" in row_of(lines, "Q4_K_M")
    # Why stands where there is room: the figures come first.
    assert " out" in row_of(lines, "Q8_0")
    if width > 100:
        assert "out: does too little of the work" in row_of(lines, "Q8_0")
    assert "not asked yet" in row_of(lines, "Q2_K")


def test_a_wide_screen_shows_all_figures_and_what_is_not_known_is_a_dash():
    lines = text_of(make_board())
    row = row_of(lines, "Q4_K_M")
    for figure in ("34/216", "99.9", "94.1 (81 to 98)", "2208.1 t/s", "45.8 MiB", "3"):
        assert figure in row
    # 999999 of a million is cut: never all.
    assert "100.0" not in row
    assert row_of(lines, "Q2_K").split()[4:6] == ["34/216", "-"]


def test_a_quant_that_was_asked_since_the_views_were_read_is_not_called_unasked():
    board = make_board()
    board.asked = {(MODEL, "Q2_K"), (MODEL, "F16")}
    lines = text_of(board)
    assert "to be judged" in row_of(lines, "Q2_K")
    assert "reference" in row_of(lines, "F16")


def test_the_sentence_stands_above_and_is_no_longer_than_three_lines():
    lines = text_of(make_board(), 60)
    assert lines[0].startswith("So far: some-model: not shown yet.")
    assert lines[2].endswith("...")
    assert lines[3] == ""


def test_times_run_on_and_the_next_quant_is_another_one():
    lines = text_of(make_board())
    assert "80 s of 3 min used, at most 80 s left" in lines
    assert "Next: F16" in lines
    unknown = text_of(make_board(ahead=Ahead(None, None, 5.0), budget=None))
    assert "15 s used; how much is left cannot be told yet" in unknown


def test_at_least_is_never_more_than_at_most():
    short = Ahead(41.0, 21.0, 70.0, bound=100.0)
    assert (short.least, short.most) == (21.0, 21.0)
    assert replace(Ahead(5.0, 90.0, 0.0), most=2.0).least == 2.0
    lines = text_of(make_board(ahead=short))
    assert "80 s of 3 min used, about 11 s left" in lines
    assert Ahead(None, 21.0, 0.0).least is None
    assert Ahead(41.0, None, 0.0).least == 41.0


def test_a_low_screen_keeps_the_table_within_its_rows():
    without_sentence = text_of(make_board(), 79, 10)
    assert len(without_sentence) <= 10
    assert without_sentence[0].startswith("quant")
    assert row_of(without_sentence, "Q2_K")
    assert "... and 2 more" in text_of(make_board(), 79, 8)


def test_several_models_are_named_and_a_low_screen_shows_the_one_that_is_asked():
    board = make_board()
    board.quants = [*board.quants, ("other", "Q8_0")]
    assert "other" in text_of(board)
    assert "other" not in text_of(board, 79, 12)


def test_no_character_of_a_name_moves_the_cursor():
    board = make_board()
    board.quants = [*board.quants, (MODEL, "Q8\x1b[2J")]
    assert not any("\x1b" in line for line in text_of(board))


def one_model_plan() -> Any:
    changes = [Change("quants", ["F16", "Q2_K"], (("models", 0, "quants"),))]
    preset = override(load_preset("quickstart"), changes)
    return build_plan(preset, "s", skip_canary=True)


def drive(progress: SweepProgress) -> None:
    """A sweep as its reporter hears of it."""
    with progress:
        progress.started(one_model_plan(), 10)
        progress.loading("orket-demo", "F16")
        rows = [standing(tag, "OPEN", model_id="orket-demo") for tag in ("F16", "Q2_K")]
        progress.stands(Standing(rows, {"orket-demo": ["It is so."]}))
        progress.goes_on(Ahead(1.0, 2.0, 0.5))
        time.sleep(0.3)
        progress.loading("orket-demo", "Q2_K")
        progress.note("a warning")
        progress.waits("something")


def on_a_terminal(monkeypatch, **environment: str) -> str:
    """What `drive` writes to a terminal of 80 columns on stderr."""
    for name in ("CI", "NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm", **environment}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "80")
    pty = pytest.importorskip("pty")
    master, slave = pty.openpty()
    said: list[bytes] = []

    def read() -> None:
        while True:
            try:
                said.append(os.read(master, 65536))
            except OSError:
                return

    reader = threading.Thread(target=read)
    reader.start()
    with os.fdopen(slave, "w", encoding="utf-8") as stream:
        monkeypatch.setattr("sys.stderr", stream)
        drive(SweepProgress())
    reader.join(10)
    os.close(master)
    return b"".join(said).decode()


def test_a_terminal_shows_the_table_and_takes_it_away(monkeypatch):
    text = on_a_terminal(monkeypatch)
    assert "So far: It is so." in text
    assert "asked now" in text
    assert "orket: a warning" in text
    # Bold and nothing else; the last thing said is that the block is gone.
    assert "\x1b[1m" in text
    assert "\x1b[2K" in text[text.rindex("asked now") :]


def test_no_colour_means_no_style(monkeypatch):
    text = on_a_terminal(monkeypatch, NO_COLOR="1")
    assert "asked now" in text
    assert "\x1b[1m" not in text


@pytest.mark.parametrize("where", [{"TERM": "dumb"}, {"CI": "true"}])
def test_a_terminal_that_cannot_redraw_gets_plain_lines(where, monkeypatch):
    text = on_a_terminal(monkeypatch, **where)
    assert "\x1b" not in text
    assert "asked now" not in text
    assert text.splitlines()[-2:] == ["orket: a warning", "orket: something"]


def test_a_pipe_gets_plain_lines_and_asks_for_no_standing(capsys):
    progress = SweepProgress()
    assert not progress.watches
    drive(progress)
    said = capsys.readouterr().err.splitlines()
    assert said[-2:] == ["orket: a warning", "orket: something"]


def test_a_pipe_is_told_now_and_then_how_far_it_is(capsys):
    ahead = Ahead(30.0, 90.0, 0.0, usual=60.0, bound=200.0)
    progress = SweepProgress(said_every=0.0)
    progress.goes_on(ahead)
    progress.followed("m", "F16")
    progress.goes_on(Ahead(None, None, 0.0, slack=None))
    said = re.sub(r" in \d+ s", " in 0 s", capsys.readouterr().err)
    assert said.splitlines() == [
        "orket: 0 calls in 0 s; usually 30 to 60 s left, for all tasks about 90 s",
        "orket: 1 call in 0 s",
    ]
    SweepProgress(said_every=3600.0).goes_on(ahead)
    assert capsys.readouterr().err == ""


ASKING = """
from orket.cli.sweep_progress import SweepProgress
from orket.sweep.reporter import Ahead
with SweepProgress(yes=YES) as progress:
    agreed = progress.agrees(Ahead(None, MOST, 0.0), "by the calls so far")
print("agreed" if agreed else "refused", flush=True)
"""


def asking(most: int, *, yes: bool = False) -> list[str]:
    text = ASKING.replace("MOST", str(most)).replace("YES", str(yes))
    return [sys.executable, "-c", text]


def ask_on_a_terminal(command: list[str], answer: str) -> str:
    """What a command says that sits before a terminal, where a question is answered."""
    pty = pytest.importorskip("pty")
    master, slave = pty.openpty()
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    said = b""
    while True:
        try:
            read = os.read(master, 65536)
        except OSError:
            break
        if not read:
            break
        said += read
        if said.endswith(b"[Y/n]: "):
            os.write(master, answer.encode())
    process.wait(30)
    os.close(master)
    return said.decode()


@pytest.mark.parametrize(
    ("answer", "outcome"), [("y\n", "agreed"), ("n\n", "refused"), ("\n", "agreed")]
)
def test_more_than_an_hour_is_asked_about_on_a_terminal(answer, outcome):
    said = ask_on_a_terminal(asking(7200), answer)
    assert "what comes takes about 2.0 h" in said and "Go on? [Y/n]: " in said
    assert said.splitlines()[-1] == outcome


def test_less_than_an_hour_and_what_was_agreed_to_are_not_asked_about():
    for command in (asking(3600), asking(7200, yes=True)):
        said = ask_on_a_terminal(command, "n\n")
        assert "Go on?" not in said and said.splitlines()[-1] == "agreed"


def test_in_a_pipe_nobody_is_asked():
    """Nobody could answer: what was asked for is done, without waiting for input."""
    found = subprocess.run(
        asking(7200), stdin=subprocess.PIPE, capture_output=True, text=True, timeout=60
    )
    assert found.stdout == "agreed\n"
    assert (
        "what comes takes about 2.0 h" in found.stderr and "Go on?" not in found.stderr
    )


def test_what_usually_comes_is_told_beside_the_most():
    """From what all quants are asked to what is usual; 10 s have passed since."""
    ahead = Ahead(40.0, 300.0, 70.0, usual=70.0, bound=190.0)
    lines = text_of(make_board(ahead=ahead))
    assert "80 s of 3 min used, usually 30 to 60 s left, at most 3 min" in lines
    close = text_of(make_board(ahead=replace(ahead, least=60.0)))
    assert "80 s of 3 min used, usually 55 s left, at most 3 min" in close
    # Beyond what is usual a person is told no further time that it usually takes.
    past = text_of(make_board(ahead=replace(ahead, usual=0.0)))
    assert "80 s of 3 min used, at most 3 min left" in past
    same = text_of(make_board(ahead=Ahead(189.0, 190.0, 70.0, usual=189.0)))
    assert "80 s of 3 min used, about 3 min left" in same
    # No less than the round that runs, and no more than all.
    assert Ahead(20.0, 90.0, 0.0, usual=1.0).usual == 20.0
    assert Ahead(20.0, 90.0, 0.0, usual=100.0).usual == 90.0


def test_where_answers_alone_are_judged_the_table_has_no_speed():
    board = make_board()
    assert any("speed" in line for line in text_of(board, 140))
    board.standing = {
        key: {**row, "is_quality_only": True} for key, row in board.standing.items()
    }
    told = text_of(board, 140)
    assert not any("speed" in line or "t/s" in line for line in told)


def test_times_that_may_be_off_are_told_as_a_span():
    """Calls on a busy machine lie far apart: one number would be a promise."""
    slack = Slack(0.5, 3.0)
    ahead = Ahead(70.0, 310.0, 70.0, usual=130.0, slack=slack)
    (line,) = [
        line
        for line in text_of(make_board(ahead=ahead, budget=None))
        if line.startswith("80 s used")
    ]
    assert line == "80 s used, usually 25 s to 7 min left, for all tasks 2 to 16 min"
    bounded = text_of(make_board(ahead=replace(ahead, bound=100.0)))
    assert "80 s of 3 min used, at least 25 s left, at most 90 s" in bounded
    unknown = text_of(make_board(ahead=replace(ahead, slack=None), budget=None))
    assert "80 s used; how much is left cannot be told yet" in unknown


def test_two_models_stand_below_their_names_and_each_has_its_own_sentence():
    board = make_board()
    board.quants = [*board.quants, ("other", "Q8_0"), ("other", "Q2_K")]
    board.standing |= {
        ("other", tag): standing(tag, state, model_id="other")
        for tag, state in (("Q8_0", "BASELINE"), ("Q2_K", "SHOWN_NOT_VIABLE"))
    }
    board.lines = {**board.lines, "other": ["other: use Q8_0."]}
    lines = text_of(board)
    first, second = lines.index(MODEL), lines.index("other")
    assert first < second
    rows = [line for line in lines[second:] if line.startswith(("Q8_0", "Q2_K"))]
    assert len(rows) == 2 and rows[0] != rows[1]
    assert lines[0].startswith("So far: some-model")
    board.place = ("other", "Q2_K")
    assert text_of(board)[0].startswith("So far: other: use Q8_0.")
    assert [line for line in text_of(board) if "asked now" in line] != []


@pytest.mark.parametrize(
    ("ahead", "told"),
    [
        (
            Ahead(70.0, 190.0, 70.0, usual=70.0),
            "usually 60 s left, for all tasks about",
        ),
        (Ahead(0.0, 190.0, 70.0, usual=5.0), "for all tasks about 3 min left"),
        (Ahead(30.0, 190.0, 70.0), "about 3 min left, and more for what is disturbed"),
    ],
)
def test_without_a_budget_nothing_bounds_how_long_it_takes(ahead, told):
    lines = "\n".join(text_of(make_board(ahead=ahead, budget=None)))
    assert told in lines
    assert "at most" not in lines


def test_the_line_before_the_first_round_is_bounded_by_a_budget_alone():
    five, same = (300.0, 300.0), (299.0, 299.0)
    free = time_words((60.0, 60.0), five)
    assert free == "usually 60 s, for all tasks about 5 min"
    assert (
        time_words((60.0, 60.0), (300.0, 400.0), 300.0) == "usually 60 s, at most 5 min"
    )
    assert time_words(same, five) == "about 5 min"
    # What the budget ends before is not told as what it usually takes.
    assert time_words((400.0, 900.0), (900.0, 1200.0), 300.0) == "at most 5 min"
    cut = time_words((100.0, 900.0), (900.0, 1200.0), 200.0)
    assert cut == "at least 100 s, at most 3 min"
    assert time_words(None, None, 300.0) == "at most 5 min"
    assert time_words(None, None) == ""


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [
        (50.0, 60.0, "about 55 s"),
        (50.0, 76.0, "50 to 80 s"),
        (61.0, 200.0, "60 s to 4 min"),
        (150.0, 301.0, "2 to 6 min"),
        (6000.0, 10_000.0, "100 min to 2.8 h"),
        (0.2, 0.9, "about 0 s"),
        (0.4, 30.0, "up to 30 s"),
        (40.0, 780.0, "40 s to 13 min"),
    ],
)
def test_a_span_is_rounded_away_from_its_middle(low, high, told):
    assert span_words(low, high) == told
