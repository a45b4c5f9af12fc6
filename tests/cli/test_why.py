"""`orket why` and `orket explain` as a person and a program read them."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from orket.cli.main import run_command
from orket.cli.side_by_side import side_by_side
from tests.built_sweep import Sweep
from tests.places import ROOT
from tests.report.hostile import MODEL, QUANT, hostile_sweep

REFERENCE = str(ROOT / "warehouse")
SWEEP = "20261129-145825-quickstart-1d80d4"


@pytest.fixture(scope="module")
def attacked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("attacked")
    hostile_sweep(folder)
    return str(folder)


def ask(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    assert run_command(list(args)) == 0
    return capsys.readouterr().out


def test_why_says_the_rule_the_losses_and_the_difference(capsys):
    told = ask(capsys, "why", "q3_k_m", SWEEP, "-w", REFERENCE)
    lines = told.splitlines()
    assert (
        lines[0]
        == "orket-demo: Q3_K_M is the smallest that passes, which is not shown yet."
    )
    assert (
        "  adherence  met         it keeps 99.0 % of F16's adherence; 95 % are asked"
        in lines
    )
    assert (
        "Against F16: it loses 2 of the 214 tasks that F16 passes, and gains 0 of the "
        "2 that it fails." in lines
    )
    assert "Of the lost: 2 with the wrong content, 0 damaged in their form." in lines
    start = lines.index("quickstart/logic-sort-015: exact: different text")
    assert lines[start + 1 : start + 5] == [
        "  F16     0 1 2 3 4 5 6 7",
        "  Q3_K_M  0 1 2 3 4 5 7 7",
        "                      ^ character 13",
        f"  see orket explain 4f8025f15030 -w {REFERENCE}",
    ]


def test_why_counts_damage_apart_and_names_what_it_does_not_show(capsys):
    told = ask(capsys, "why", "Q3_K_S", SWEEP, "-w", REFERENCE, "--answers", "1")
    assert (
        "Of the lost: 13 with the wrong content, 5 damaged in their form (of all that "
        "fail: 4 truncated, 1 unparseable)." in told
    )
    assert "Lost: 18, 1 shown: --answers 18 shows all" in told
    assert told.count("see orket explain") == 1


def test_why_judges_again(capsys):
    told = ask(
        capsys,
        "why",
        "Q3_K_S",
        SWEEP,
        "-w",
        REFERENCE,
        "--adherence-threshold",
        "0.918",
    )
    assert told.startswith("orket-demo: Q3_K_S is the smallest that passes, which is")


def test_why_as_json_is_whole(capsys):
    text = ask(capsys, "why", "Q3_K_S", SWEEP, "-w", REFERENCE, "--format", "json")
    (found,) = json.loads(text, parse_float=Decimal)
    assert found["first_unmet_rule"] == "ADHERENCE"
    assert len(found["lost"]) == found["lost_tasks"] == 18
    assert found["gained"] == [] and found["gained_tasks"] == 0
    assert found["format_damages"] == {"TRUNCATED": 4, "UNPARSEABLE": 1}
    first = found["lost"][0]
    place = first["first_difference"] - 1
    assert first["answer"][:place] == first["baseline_answer"][:place]
    assert first["answer"][place:] != first["baseline_answer"][place:]
    assert [rule["rule"] for rule in found["rules"]][-3:] == [
        "SHOWN",
        "SMALLEST",
        "VALUE",
    ]


def test_a_quant_that_is_not_there_is_named_with_those_that_are(capsys):
    assert run_command(["why", "Q3KS", SWEEP, "-w", REFERENCE]) == 2
    assert (
        "no quant 'Q3KS' in this sweep: did you mean Q3_K_S?" in capsys.readouterr().err
    )


def test_hostile_answers_do_nothing_to_a_terminal(attacked, capsys):
    for args in (["why", QUANT], ["explain", f"hostile:{MODEL}:{QUANT}:t01:1"]):
        told = ask(capsys, *args, "-w", attacked)
        assert "\x1b" not in told and "\u202e" not in told
        assert "\\x1b[2J\\u202egnp.exe" in told


def test_explain_says_figures_formulas_and_evidence(capsys):
    told = ask(capsys, "explain", "d5ddb8745d54", "-w", REFERENCE)
    lines = told.splitlines()
    assert lines[0] == (
        "orket-demo Q2_K, quickstart/logic-truth-002, matrix, repetition 1: clean, "
        "counts"
    )
    for line in (
        "  generation rate: 5094.951 tokens/s, tokens inside the decode time / decode "
        "time = 33 / 6.477 ms",
        "  all tokens / decode time: 5249.344 tokens/s, 34 / 6.477 ms",
        "What the server said, read by llamacpp.timings.v1:",
        '      "predicted_per_second": 5094.9513663733205',
        "Check not passed: exact: different text",
        "  high foreign cpu: 3.8 %, limit 35 %",
    ):
        assert line in lines, line


def test_explain_finds_a_run_of_an_older_sweep_and_shows_every_attempt(
    tmp_path, capsys
):
    older = Sweep(sweep_id="older", quants=("F16",), tasks=("t1",))
    older.add("F16", "t1", passed=None, outcome="FAILED", error_class="HTTP_500")
    older.add("F16", "t1", attempt=2)
    older.finish().store(tmp_path)
    Sweep(sweep_id="sweep-2", quants=("F16",)).fill().finish().store(tmp_path)
    told = ask(capsys, "explain", "older:m:F16:t1", "-w", str(tmp_path))
    assert "polluted (run failed), does not count" in told
    assert "The call failed: HTTP_500" in told
    assert "clean, counts" in told
    assert "2 of 2" in told


@pytest.mark.parametrize(
    "name, said",
    [
        ("abc", "'abc' is too short for a run: give 4 characters or more"),
        ("nowhere", "no run 'nowhere' in"),
        ("sweep-2:m", "2 runs begin with 'sweep-2:m': among them sweep-2:m:F16:t1:1, "),
    ],
)
def test_a_run_that_is_not_one_is_an_error_of_one_line(name, said, tmp_path, capsys):
    Sweep(sweep_id="sweep-2", quants=("F16",)).fill().finish().store(tmp_path)
    assert run_command(["explain", name, "-w", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


@pytest.mark.parametrize("width", [60, 80, 120])
def test_two_long_answers_stand_in_the_width_with_their_difference(width):
    texts = [
        ("F16", "x" * 300 + "a" + "y" * 300),
        ("Q4_K_M", "x" * 300 + "b" + "z" * 300),
    ]
    lines = list(side_by_side(texts, 301, width))
    assert all(len(line) <= width for line in lines)
    place = lines[2].index("^")
    assert (lines[0][place], lines[1][place]) == ("a", "b")


def test_short_answers_are_shown_whole_and_a_missing_one_is_said():
    texts = [("F16", "a\nb"), ("Q2", None)]
    assert list(side_by_side(texts, None, 80)) == ["  F16  a\\nb", "  Q2   (no answer)"]


def test_a_difference_at_the_end_of_the_line_is_told_before_it():
    texts = [("F16", "x" * 50), ("Q2", "x" * 50 + "y")]
    lines = list(side_by_side(texts, 51, 60))
    assert lines[2].endswith("character 51 ^") and len(lines[2]) <= 60


@pytest.mark.parametrize(
    ("families", "said"),
    [
        ({}, None),
        ({"t1": "unknown", "t2": "unknown"}, None),
        ({"t1": "unknown", "t2": "sums"}, "Lost by family: without a family 1 of 1."),
        ({"t1": "sums", "t2": "maps"}, "Lost by family: sums 1 of 1."),
    ],
)
def test_losses_are_told_by_family_where_that_tells_more(
    families, said, tmp_path, capsys
):
    sweep = Sweep(quants=("F16", "Q2_K"), tasks=("t1", "t2"), families=families)
    for planned in sweep.plan():
        task = planned.test_id.removeprefix("bank/")
        fails = (planned.quant_tag, task) == ("Q2_K", "t1")
        sweep.add(planned.quant_tag, task, passed=0 if fails else 1)
    sweep.finish().store(tmp_path)
    lines = ask(capsys, "why", "Q2_K", "-w", str(tmp_path)).splitlines()
    assert [line for line in lines if line.startswith("Lost by")] == [said] * bool(said)
