"""Thresholds: human units in, exact integers out."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st

import orket
from orket.errors import UsageError
from orket.exports.part import describe_parts
from orket.exports.plan_model import CanaryPolicy, RunQualityPolicy, Thresholds
from orket.policy import (
    POLICY_KEYS,
    RATIO,
    Group,
    Policy,
    _threshold,
    build_policy,
    changed_policy,
    declared_thresholds,
    human_value,
    policy_value,
    shown_thresholds,
)
from orket.resources import shipped
from orket.warehouse import Warehouse

PEOPLE_MAY_CHANGE = ("rejudge.py", "options.py", "preset_changes.py")
"""Modules that give a threshold an option of its own on the command line."""

ASKED_BY = {
    "fidelity_start_ppm": "planning/rounds.py",
    "family_correlation_ppm": "planning/rounds.py",
    "fidelity_min_prompts": "sweep/phase_time.py",
}
"""What decides what is asked at all, beside what a view makes of it, and where."""


def test_every_threshold_of_the_policy_can_be_set_once():
    older = {"rival_chi2_milli"}  # Rows of older sweeps have it; nothing reads it.
    assert sorted(entry.field for entry in POLICY_KEYS.values()) == sorted(
        set(Policy.__struct_fields__) - older
    )


def test_a_further_threshold_needs_its_declaration_alone():
    """Key, unit and words follow from it; what is left is the view that compares it."""

    class Further(Policy, frozen=True, kw_only=True):
        max_new_ppm: Annotated[
            int, _threshold("max_new_share", RATIO, Group.RUN_QUALITY, "Something new")
        ] = 5

    added = declared_thresholds(Further)["max_new_share"]
    assert (added.field, added.shown, added.meaning) == (
        "max_new_ppm",
        "max_new_share",
        "Something new",
    )


def test_every_threshold_is_compared_in_a_view_and_named_nowhere_else():
    views = {
        path.name: path.read_text("utf-8") for path in (shipped("sql")).rglob("*.sql")
    }
    package = Path(orket.__file__).parent
    sources = {
        str(path.relative_to(package)): path.read_text("utf-8")
        for path in package.rglob("*.py")
        if path.name not in ("policy.py", *PEOPLE_MAY_CHANGE)
    }
    for entry in POLICY_KEYS.values():
        field = re.compile(rf"\b{entry.field}\b")
        assert [name for name, text in views.items() if field.search(text)], entry.key
        if entry.group in (Group.ANALYSIS, Group.OBJECTIVES):
            assert [name for name, text in sources.items() if field.search(text)] == (
                [ASKED_BY[entry.field]] if entry.field in ASKED_BY else []
            )


def test_the_summary_shows_what_is_declared_in_its_groups():
    describe_parts()
    for part, group in (
        (Thresholds, Group.THRESHOLDS),
        (RunQualityPolicy, Group.RUN_QUALITY),
        (CanaryPolicy, Group.CANARY),
    ):
        assert list(part.model_fields) == [
            entry.shown for entry in shown_thresholds(group)
        ]
        for entry in shown_thresholds(group):
            description = part.model_fields[str(entry.shown)].description
            assert str(description).startswith(entry.meaning)


def test_the_view_says_of_each_threshold_what_is_declared(tmp_path):
    with Warehouse.open(tmp_path).session() as session:
        notes = {
            note.column: note.comment
            for note in session.notes()
            if note.view == "policy"
        }
    for entry in POLICY_KEYS.values():
        assert notes[entry.field].startswith(entry.meaning)
    assert set(notes) == {
        "sweep_id",
        "model_id",
        *(entry.field for entry in POLICY_KEYS.values()),
    }


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("adherence_threshold", Decimal("0.95"), 950_000),
        ("adherence_threshold", 0, 0),
        ("adherence_threshold", 1, 1_000_000),
        ("latency_ceiling_seconds", Decimal("2.5"), 2_500_000_000),
        ("latency_ceiling_seconds", 60, 60_000_000_000),
        ("canary_max_latency_cv", Decimal("0.03"), 30_000),
        ("baseline_max_age_days", 90, 90 * 86_400_000_000),
        ("compare_abs_floor_ms", 50, 50_000_000),
        ("confidence_z", Decimal("1.96"), 1_960),
        ("min_valid_runs", 2, 2),
        ("include_polluted", "fill", "fill"),
        ("allow_unobserved", True, True),
    ],
)
def test_human_units_become_exact_integers(key, value, expected):
    assert policy_value(key, value) == expected


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        ("adherence_threshold", Decimal("0.9500001"), "finest step"),
        ("min_valid_runs", Decimal("1.5"), "finest step"),
        ("adherence_threshold", -1, "0 or more"),
        ("adherence_threshold", Decimal("NaN"), "0 or more"),
        ("adherence_threshold", "0.95", "number"),
        ("adherence_threshold", 95, "95 is no ratio: for 95 % give 0.95"),
        ("adherence_threshold", Decimal("1.5"), "for 1.5 % give 0.015"),
        ("slo_determinism", 1000, "from 0 to 1"),
        ("latency_ceiling_seconds", 0, "above 0"),
        ("min_valid_runs", True, "number"),
        ("min_valid_runs", 10**30, "up to 1000000000000"),
        ("latency_ceiling_seconds", Decimal("1e17"), "up to 1000000"),
        ("latency_ceiling_seconds", Decimal("1e999999999"), "up to 1000000"),
        ("latency_ceiling_seconds", Decimal("1e-999999999"), "finest step"),
        ("latency_ceiling_seconds", Decimal("-1e999999999"), "0 or more"),
        ("include_polluted", "sometimes", "never, fill, always"),
        ("allow_unobserved", 1, "true or false"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(key, value, word):
    with pytest.raises(UsageError, match=word):
        policy_value(key, value)


def test_later_layers_win():
    policy = build_policy(
        {"min_valid_runs": 1, "p95_min_runs": 30}, {"min_valid_runs": 3}
    )
    assert (policy.min_valid_runs, policy.p95_min_runs) == (3, 30)
    assert changed_policy(policy) == {
        "min_valid_runs": (3, 1),
        "p95_min_runs": (30, 20),
    }


@given(st.integers(min_value=0, max_value=10**12))
def test_what_is_shown_is_what_was_written(ppm):
    value = Decimal(ppm) / 10**6
    policy = build_policy({"anchor_max_drift": value})
    assert human_value("anchor_max_drift", policy) == value
