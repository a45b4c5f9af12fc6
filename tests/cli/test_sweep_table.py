"""The terminal view of one sweep, as a person reads it."""

from __future__ import annotations

from typing import Any

import pytest

from orket.cli.advice import advise
from orket.cli.figures import seconds, size
from orket.cli.sweep_table import print_sweep
from orket.exports.summary import summary_document
from tests.summary_rows import quant_row, summary_row


@pytest.fixture
def shown(capsys):
    def run(**changes):
        row = summary_row() | changes
        print_sweep(summary_document(row))
        return capsys.readouterr().out

    return run


def line_with(text, word):
    return next(line for line in text.splitlines() if word in line)


def test_quants_stand_in_order_with_their_marks(shown):
    text = shown()
    assert text.index("F16") < text.index("Q4_K_M") < text.index("Q2_K")
    best = next(line for line in text.splitlines() if line.startswith("Q4_K_M"))
    assert "yes: best value, minimum viable" in best
    assert "98.5 (90 to 100)" in best
    assert "7/7" in best
    out = next(line for line in text.splitlines() if line.startswith("Q2_K"))
    assert "no: adherence below threshold, run failures" in out
    assert "POLLUTED" in out


def test_the_recommendation_and_its_confidence_follow(shown):
    text = shown()
    assert "Use Q4_K_M." in text.splitlines()
    assert line_with(text, "Confidence: confidence, on 7 tasks")
    assert "Canary: passed" in text


def test_eighty_columns_hold_every_quant_uncut(shown, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    text = shown()
    assert "\x1b" not in text
    table = text[text.index("quant ") : text.index("* best value, < minimum")]
    assert all(len(line) <= 80 for line in table.splitlines())
    assert "\u2026" not in table
    assert line_with(table, "Q4_K_M *<")
    assert "out: adherence" in line_with(table, "Q2_K")


def test_what_disturbed_the_machine_comes_with_advice(shown):
    text = shown()
    busy = line_with(text, "HIGH_FOREIGN_CPU (4 runs)")
    assert "close them, or" in busy
    assert "provisional" in busy or "--profile" in busy
    assert text.index("CPU_STEAL") < text.index("HIGH_FOREIGN_CPU")


def test_a_looser_policy_is_said(shown):
    strict = shown()
    assert "Policy:" not in strict
    loose = shown(
        include_polluted="fill",
        allow_unobserved=True,
        overrides=[{"key": "adherence_threshold_ppm", "value": "900000"}],
    )
    assert "Policy: polluted runs may count (fill)." in loose
    assert "not observed may count" in loose
    assert "adherence_threshold=0.9" in loose
    matrix = {**summary_row()["matrix"], "sandbox": "process"}
    assert "--sandbox process" in shown(matrix=matrix)


def test_a_sweep_lost_to_pollution_still_shows_its_figures(capsys):
    lost = summary_row()
    detail = lost["sessions"][0]["recommendation_detail"]
    would_be = {"best_value_quant": "Q8_0", "minimum_viable_quant": "Q8_0"}
    detail |= {"best_value_quant": None, "if_polluted_included": would_be}
    filled = summary_row()
    filled["sessions"][0]["per_quant"] = [quant_row("FILLED")]
    print_sweep(summary_document(lost), lambda: summary_document(filled))
    text = capsys.readouterr().out
    assert "best value Q8_0" in text
    assert text.index("no claim should rest") < text.index("FILLED")


def test_polluted_figures_are_not_asked_for_without_need(capsys):
    def ask() -> dict[str, Any]:
        raise AssertionError("asked without need")

    print_sweep(summary_document(summary_row()), ask)
    assert "no claim should rest" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (0.0123, "12.3 ms"), (12.346, "12.35 s")]
)
def test_durations(value, text):
    from decimal import Decimal

    assert seconds(None if value is None else Decimal(str(value))) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (3 * 2**20, "3.0 MiB"), (5 * 2**30, "5.00 GiB")],
)
def test_sizes(value, text):
    assert size(value) == text


def test_a_looser_profile_is_advised_only_where_there_is_one(tmp_path, monkeypatch):
    from decimal import Decimal

    monkeypatch.setenv("ORKET_HOME", str(tmp_path))
    strict = advise("HIGH_FOREIGN_CPU", {"max_foreign_cpu_share": Decimal("0.1")})
    assert "--profile desktop or shared" in strict
    loosest = advise("HIGH_FOREIGN_CPU", {"max_foreign_cpu_share": Decimal("0.35")})
    assert "--profile" not in loosest
    assert "provisional results" in loosest
