"""What the terminal says of fidelity: cut shares, named references, no promises."""

from __future__ import annotations

from typing import Any

import pytest

from orket.cli.fidelity_words import fidelity_words, row_words, same_share, share
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
            "ineligible_reasons": [],
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
    assert share(497, 554) == "89.7"  # 89.71
    assert share(98, 100) == "98.0"
    assert share(99, 100) == "99.0"
    assert share(9997, 10000) == "99.97"
    assert share(6380, 6382) == "99.96"  # 99.969
    assert share(10**8 - 1, 10**8) == "99.9999990"
    assert share(0, 7) == "0.0"


def test_one_sentence_has_the_ladder_with_places_and_answers():
    ladder, unseen = said({}, {"same_top_positions": 200, "same_top": 0.361})
    assert ladder == (
        "Fidelity: how often each says the same next word as F16, in 100 places of its "
        "answers: Q4_K_M 89.7; Q2_K 36.1 (554 places in 12 answers)."
    )
    assert unseen == (
        "12 tasks cannot tell F16 and Q4_K_M apart; they choose differently in 57 of "
        "554 places."
    )


def test_only_no_difference_at_all_is_always():
    every = {"same_top_positions": 554, "same_top": 1.0, "kept_prompts": 12}
    (line,) = said(every, every)
    assert "Q4_K_M, Q2_K always (554 places in 12 answers)." in line
    one = {"same_top_positions": 553, "same_top": 0.998195}
    assert "Q4_K_M 99.8 (554 places" in said(one)[0]


def test_quants_that_were_asked_otherwise_have_their_own_sentence():
    two = said({}, {"prompts": 11, "positions": 500, "same_top_positions": 450})
    assert "Q4_K_M 89.7 (554 places in 12 answers)." in two[0]
    assert "Q2_K 90.0 (500 places in 11 answers)." in two[1]


@pytest.mark.parametrize(
    ("entry", "word"),
    [
        ({"level": "PREFIX"}, "(554 places in 12 answers, up to the first difference)"),
        ({"cut_prompts": 3}, "12 answers, as far as they were followed)."),
        (
            {"narrowed_from": 26},
            "(554 places in 12 of 26 answers, for which there was time).",
        ),
        (
            {"status": "UNSUPPORTED", "reason": "NO_TIME", "level": None},
            "No fidelity of Q4_K_M (no time).",
        ),
        ({"reference_quant_tag": "Q8_0"}, "the same next word as Q8_0"),
        ({"status": "PARTIAL", "reason": "TOO_FEW_PROMPTS"}, ", too few prompts)."),
        (
            {
                "status": "UNSUPPORTED",
                "reason": "NO_LOGPROBS",
                "level": "DIVERGENCE",
                "prompts": 216,
                "kept_prompts": 214,
            },
            "of F16's 216 answers, kept word for word: Q4_K_M 214 "
            "(by recorded answers alone: no logprobs).",
        ),
        (
            {"status": "UNSUPPORTED", "reason": "TOKENIZER_DIFFERS", "level": None},
            "No fidelity of Q4_K_M (tokenizer differs).",
        ),
        ({"same_top": None, "same_top_positions": None}, "how likely F16's words are"),
    ],
)
def test_what_limits_a_figure_stands_with_it(entry, word):
    assert word in said(entry)[0]


def rows_of(*entries: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of v1.fidelity of the reference and of others."""
    row = FOUND | {"model_id": "m", "same_top_ppm": 897111}
    tags = ("F16", "Q4_K_M", "Q2_K")
    every = {"same_top_positions": 554, "kept_prompts": 12, "status": "REFERENCE"}
    return [
        row | {"quant_tag": tag} | entry
        for tag, entry in zip(tags, (every, *entries), strict=False)
    ]


def test_in_a_pipe_a_table_follows_with_error_and_where_answers_part():
    part = {"median_difference": 8, "earliest_difference": 1}
    half = {"same_top_half_width_ppm": 28_401, "difference_unit": "TOKEN"}
    lines = list(row_words(rows_of(part | half, {}), with_table=True))
    assert lines[1:] == [
        "  quant             same next token %  answers kept  others part at (median)",
        "  F16, asked again              100.0         12/12",
        "  Q4_K_M                    89.7 \u00b12.9          2/12  token 8, "
        "the earliest at 1",
        "  Q2_K                           89.7          2/12",
    ]
    assert list(row_words(rows_of(part | half, {}), with_table=False)) == lines[:1]


def test_a_server_without_lists_has_a_table_of_answers_alone():
    bare = {"status": "UNSUPPORTED", "reason": "NO_LOGPROBS", "level": "DIVERGENCE"}
    none = {"same_top_ppm": None, "same_top_positions": None}
    lines = list(row_words(rows_of(bare | none)[1:], with_table=True))
    assert lines[0].endswith(
        "kept word for word: Q4_K_M 2 (by recorded answers alone: no logprobs)."
    )
    assert lines[2].split() == ["Q4_K_M", "2/12"]


def test_where_the_reference_does_no_task_the_order_is_called_no_advice():
    out = {"ineligible_reasons": ["NO_BASELINE_ADHERENCE"]}
    session = {
        "per_quant": [
            out
            | {"quant_tag": tag, "fidelity": FOUND, "separable": None, "pairs": None}
            for tag in ("F16", "Q4_K_M")
        ],
        "recommendation_detail": {
            "minimum_viable_quant": None,
            "best_value_quant": None,
        },
        "baseline_quant": "F16",
    }
    ladder, advice = fidelity_words(session)
    assert "Q4_K_M 89" in ladder
    assert advice.startswith("That order is all that is known of them, and it is no")


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
        "Fidelity: of F16's 12 answers, kept word for word: Q4_K_M 5 "
        "(by recorded answers alone: no logprobs)."
    )
    (_, _, row) = row_words(rows_of(apart)[1:], with_table=True)
    assert row.endswith("5/12  character 48, the earliest at 3")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (
            "FAITHFUL_BUT_FAILS",
            "Q4_K_M keeps 2 of 12 answers word for word, and loses 9",
        ),
        (
            "DIFFERS_BUT_PASSES",
            "none of the tasks that F16 did is lost: Q4_K_M 10 of 12",
        ),
        (None, None),
    ],
)
def test_fidelity_and_tasks_that_disagree_are_told(code, words):
    pairs = {"n": 12, "flips_lost": 9, "baseline_passes": 10}
    lines = said({"disagreement": code}, pairs=pairs, separable=True)
    told = [line for line in lines if "tasks disagree" in line]
    assert len(told) == (words is not None)
    assert all(words in line for line in told)


def test_the_sentence_and_the_table_have_one_figure():
    """97.94 is 97.9 in both: the one cut to 97 would be another than the other."""
    entry = FOUND | {"positions": 1000, "same_top_positions": 979, "same_top": 0.979}
    (line,) = [line for line in said({}, entry) if "Q2_K" in line]
    assert "Q2_K 97.9 (" in line
    assert same_share(entry).startswith("97.9")
