"""The map of tasks: which answers are shown, and how much of them."""

from __future__ import annotations

from typing import Any

import pytest

from orket.exports.answers import failed_checks
from orket.report.answers import build_map

TAGS = ["F16", "Q4", "Q2"]


def row(
    quant: str, test: str, standing: str = "PASSED", **facts: Any
) -> dict[str, Any]:
    return {
        "quant_tag": quant,
        "test_id": test,
        "family": None,
        "bucket": "logic",
        "standing": standing,
        "outcome": "OK",
        "baseline_quant_tag": "F16",
        "answer_text": "abc",
        "first_difference": None,
        "format_damage": None,
        "check_details": None,
        "run_id": f"{quant}-{test}",
        **facts,
    }


def test_equal_answers_are_shown_once_and_the_reference_first():
    rows = [
        row("F16", "t"),
        row("Q4", "t"),
        row("Q2", "t", "FAILED", answer_text="abd", first_difference=3),
    ]
    (group,) = build_map(rows, TAGS, 10_000).groups
    (line,) = group.first
    assert line.said == "passed: F16, Q4; failed: Q2"
    assert [answer.quants for answer in line.answers] == [["F16", "Q4"], ["Q2"]]
    assert (line.answers[1].same, line.answers[1].rest) == ("ab", "d")
    assert line.answers[0].rest == "abc" and line.answers[0].is_reference


def test_tasks_that_most_fail_come_first_and_those_without_difference_last():
    rows = [
        *(row(tag, "a") for tag in TAGS),
        *(row(tag, "b", "PASSED" if tag == "F16" else "FAILED") for tag in TAGS),
        *(row(tag, "c", "FAILED" if tag == "Q2" else "PASSED") for tag in TAGS),
    ]
    (group,) = build_map(rows, TAGS, 10_000).groups
    assert [line.name for line in group.first] == ["b", "c"]
    assert [line.name for line in group.agreeing] == ["a"]
    assert group.agreeing[0].said == "passed by all"


def test_long_answers_are_cut_to_what_there_is_room_for():
    rows = [row("F16", f"t{n}", answer_text="x" * 10_000) for n in range(20)]
    found = build_map(rows, ["F16"], 55_000)
    assert found.shown_characters == 2000 and found.unlisted == 0
    answer = found.groups[0].agreeing[0].answers[0]
    assert len(answer.rest) == 2000 and answer.cut == 8000


def test_where_room_is_scarce_the_tasks_that_most_fail_are_kept():
    rows = []
    for n in range(100):
        fails = n if n % 10 == 0 else 0
        rows += [row("F16", f"t{n:02}", answer_text="y" * 500)]
        standing = "FAILED" if fails else "PASSED"
        rows += [row("Q2", f"t{n:02}", standing, answer_text=f"{n}" + "y" * 500)]
    roomy = build_map(rows, ["F16", "Q2"], 90_000)
    assert roomy.unlisted == 0
    found = build_map(rows, ["F16", "Q2"], 20_000)
    (group,) = found.groups
    assert len(group.first) == 9 and all(line.answers for line in group.first)
    assert all(not line.answers for line in group.agreeing)
    assert found.unlisted == 100 - 9 - len(group.agreeing) > 0


def test_polluted_runs_are_all_drawn_and_clean_ones_evenly():
    from orket.report.charts import drawn_points

    points = [{"mark": "POLLUTED" if n % 10 == 0 else "COUNTS"} for n in range(1000)]
    drawn, step = drawn_points(points, 400)
    assert step == 3
    assert sum(point["mark"] == "POLLUTED" for point in drawn) == 100
    assert sum(point["mark"] == "COUNTS" for point in drawn) == 300
    assert drawn_points(points, 1000) == (points, 1)
    assert drawn_points([], 10) == ([], 1)


def test_a_difference_beyond_the_cut_is_told_by_its_place():
    text = "x" * 10_000
    rows = [
        row("F16", "t", answer_text=text + "a"),
        row("Q2", "t", "FAILED", answer_text=text + "b", first_difference=10_001),
    ]
    (group,) = build_map(rows, TAGS, 1400).groups
    answer = group.first[0].answers[1]
    assert answer.difference == 10_001 and answer.rest == "" and answer.cut > 0


@pytest.mark.parametrize(
    "details, said",
    [
        ('[{"kind":"exact","status":"failed","reason":"DIFFERENT_TEXT"}]',
         ["exact: different text"]),
        ('[{"kind":"code","status":"unsupported"},{"kind":"a","status":"passed"}]',
         ["code: unsupported"]),
        ('{"acc": 1}', []),
        ("not json", []),
        ("[1, null]", []),
        (None, []),
    ],
)  # fmt: skip
def test_failed_checks_are_said_in_words(details, said):
    assert list(failed_checks(details)) == said
