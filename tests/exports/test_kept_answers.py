"""Answers kept stand side by side only where they were held against the same."""

from __future__ import annotations

from typing import Any

import pytest

from orket.exports.kept_answers import tells_kept


def quant(
    tag: str, level: str | None, reference: str | None, kept: int | None = 3
) -> dict[str, Any]:
    return {
        "quant_tag": tag,
        "fidelity": {
            "level": level,
            "reference_quant_tag": reference,
            "kept_prompts": kept,
        },
    }


@pytest.mark.parametrize(
    ("quants", "told"),
    [
        # By recorded answers alone: all but the one that they are held against.
        (
            [
                quant("F16", "DIVERGENCE", "F16"),
                quant("Q8_0", "DIVERGENCE", "F16"),
                quant("Q2_K", None, None, None),
            ],
            ["Q8_0"],
        ),
        # Only one has answered anything: it is the yardstick of itself.
        (
            [quant("F16", None, None, None), quant("Q4_K_M", "DIVERGENCE", "Q4_K_M")],
            [],
        ),
        # Q2_K was not reached: its recorded answers are no part of the others' measure.
        (
            [
                quant("F16", "PATH", "F16"),
                quant("Q8_0", "PATH", "F16"),
                quant("Q2_K", "DIVERGENCE", "Q4_K_M"),
            ],
            ["F16", "Q8_0"],
        ),
        (
            [{"quant_tag": "F16", "fidelity": None}, quant("Q8_0", "PREFIX", "F16")],
            ["Q8_0"],
        ),
    ],
)
def test_only_what_was_held_against_the_same_stands_beside(quants, told):
    assert [own["quant_tag"] for own in quants if tells_kept(own, quants)] == told
