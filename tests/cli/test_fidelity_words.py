"""What the terminal says of fidelity: cut shares, named references, no promises."""

from __future__ import annotations

from typing import Any

import pytest

from orket.cli.fidelity_words import fidelity_words, share
from orket.cli.sweep_table import print_sweep
from orket.exports.summary import summary_document
from tests.summary_rows import summary_row

FOUND = {
    "status": "OK",
    "reason": None,
    "level": "PATH",
    "method": "GRAMMAR",
    "k": 20,
    "reference_quant_tag": "F16",
    "prompts": 12,
    "broken_prompts": 0,
    "cut_prompts": 0,
    "positions": 554,
    "same_top_positions": 497,
    "same_top": 0.897111,
    "kept_prompts": 2,
}
DETAIL = {"minimum_viable_quant": "Q4_K_M", "best_value_quant": "Q4_K_M"}


def said(*entries: dict[str, Any], **facts: Any) -> list[str]:
    tags = ("F16", "Q4_K_M", "Q2_K")
    quants = [
        {
            "quant_tag": tag,
            "fidelity": FOUND | entry,
            "separable": facts.get("separable"),
            "pairs": facts.get("pairs", {"n": 12}),
        }
        for tag, entry in zip(tags, ({"status": "REFERENCE"}, *entries), strict=False)
    ]
    return list(
        fidelity_words(
            {
                "per_quant": quants,
                "recommendation_detail": facts.get("detail", DETAIL | {"x": None}),
                "baseline_quant": "F16",
            }
        )
    )


def test_a_share_is_cut_and_as_fine_as_it_must_be():
    assert share(497, 554) == "89 %"  # 89.7
    assert share(98, 100) == "98 %"
    assert share(99, 100) == "99.0 %"
    assert share(9997, 10000) == "99.97 %"
    assert share(6380, 6382) == "99.96 %"  # 99.969
    assert share(10**8 - 1, 10**8) == "99.9999990 %"
    assert share(0, 7) == "0 %"


def test_the_sentence_names_reference_places_and_prompts():
    first, second = said({})
    assert first == (
        "Q4_K_M picks the same next token as F16 in 497 of 554 places (89 %, 12 "
        "prompts) and keeps 2 of 12 answers word for word."
    )
    assert second == (
        "12 tasks cannot tell F16 and Q4_K_M apart; they choose differently in 57 of "
        "554 places."
    )


def test_only_no_difference_at_all_is_all():
    every = {"same_top_positions": 554, "same_top": 1.0, "kept_prompts": 12}
    (line,) = said(every, every)
    assert line == (
        "Q4_K_M, Q2_K pick the same next token as F16 in all 554 places (12 prompts) "
        "and keep 12 of 12 answers word for word."
    )
    one = {"same_top_positions": 553, "same_top": 0.998195}
    assert "553 of 554 places (99.8 %, 12 prompts)" in said(one)[0]


@pytest.mark.parametrize(
    ("entry", "word"),
    [
        ({"level": "PREFIX"}, "places (89 %, 12 prompts) up to the first differ"),
        ({"cut_prompts": 3}, "word for word, as far as they were followed."),
        ({"reference_quant_tag": "Q8_0"}, "the same next token as Q8_0"),
        ({"status": "PARTIAL", "reason": "TOO_FEW_PROMPTS"}, "; too few prompts."),
        (
            {
                "status": "UNSUPPORTED",
                "reason": "NO_LOGPROBS",
                "level": "DIVERGENCE",
                "prompts": 216,
                "kept_prompts": 214,
            },
            "keeps 214 of 216 of F16's answers word for word (99.0 %; no logprobs).",
        ),
        (
            {"status": "UNSUPPORTED", "reason": "TOKENIZER_DIFFERS", "level": None},
            "Q4_K_M: no fidelity (tokenizer differs).",
        ),
        ({"same_top": None, "same_top_positions": None}, "how likely F16's words are"),
    ],
)
def test_what_limits_a_figure_stands_with_it(entry, word):
    assert word in said(entry)[0]


def test_a_reference_that_is_not_itself_says_nothing_of_others():
    lost = {"status": "DETERMINISM_LOST"}
    (line,) = said(lost)
    assert "F16 does not say the same when it is asked twice" in line


def test_tasks_that_tell_the_two_apart_are_not_contradicted():
    assert len(said({}, separable=True)) == 1
    nobody = {"minimum_viable_quant": None, "best_value_quant": None}
    assert len(said({}, detail=nobody)) == 1


def test_an_unasked_sweep_says_nothing():
    assert said({"status": "NOT_RUN", "level": "DIVERGENCE"}) == []


def test_the_table_has_a_column_where_it_was_measured(capsys):
    row = summary_row()
    for quant in row["sessions"][0]["per_quant"]:
        quant["fidelity"] |= {
            "status": "OK",
            "level": "PATH",
            "same_top_positions": 9999,
            "positions": 10000,
        }
    print_sweep(summary_document(row))
    text = capsys.readouterr().out
    assert "same token %" in text
    assert " 99.9 " in text  # 99.99, cut


def test_recorded_answers_say_where_they_part():
    apart = {
        "status": "UNSUPPORTED",
        "reason": "NO_LOGPROBS",
        "level": "DIVERGENCE",
        "kept_prompts": 5,
        "median_difference": 48,
        "earliest_difference": 3,
        "difference_unit": "CHARACTER",
    }
    (line,) = said(apart)
    assert line == (
        "Q4_K_M keeps 5 of 12 of F16's answers word for word (41 %; no logprobs); the "
        "others part from it at character 48 in the median, the earliest at character "
        "3."
    )
    whole = {"kept_prompts": 12, "median_difference": None}
    (line,) = said(apart | whole)
    assert line == "Q4_K_M keeps 12 of 12 of F16's answers word for word (no logprobs)."


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("FAITHFUL_BUT_FAILS", "loses 9 of the 10 tasks that F16 did"),
        ("DIFFERS_BUT_PASSES", "changes 10 of 12 answers, and loses none of the 10"),
        (None, None),
    ],
)
def test_fidelity_and_tasks_that_disagree_are_told(code, words):
    pairs = {"n": 12, "flips_lost": 9, "baseline_passes": 10}
    lines = said({"disagreement": code}, pairs=pairs, separable=True)
    told = [line for line in lines if "disagree on Q4_K_M" in line]
    assert len(told) == (words is not None)
    assert all(words in line for line in told)
