"""The command of a report plans the sweep again."""

from __future__ import annotations

from decimal import Decimal

import pytest

from orket.cli.run import run
from orket.report.command import OPTIONS, SWITCHES, command_of, imported_from


@pytest.mark.parametrize(
    "overrides, command, left",
    [
        ({}, "orket run quickstart", {}),
        (
            {"fidelity.enabled": True, "tasks.limit": 24, "repetitions": 2},
            "orket run quickstart --fidelity --tasks 24 --runs 2",
            {},
        ),
        (
            {
                "quants": ["Q8_0", "Q4_K_M"],
                "policy.adherence_threshold": Decimal("0.90"),
            },
            "orket run quickstart --quants Q8_0,Q4_K_M --adherence-threshold 0.9",
            {},
        ),
        (
            {"provider.url": "http://h/$(rm -rf x)", "order": "grouped"},
            "orket run quickstart --url 'http://h/$(rm -rf x)'",
            {"order": "grouped"},
        ),
        ({"policy.quality_only": False}, "orket run quickstart --no-quality-only", {}),
    ],
)
def test_overrides_become_options(overrides, command, left):
    summary = {"preset": "quickstart", "overrides": overrides}
    assert command_of(summary) == (command, left)


def test_a_sweep_without_a_preset_is_named_by_its_model():
    summary = {"preset": "any-model", "overrides": {"models": ["llama3.1:8b"]}}
    assert command_of(summary) == ("orket run llama3.1:8b", {})


def test_every_option_is_one_of_the_verb():
    known = {name for param in run.params for name in param.opts + param.secondary_opts}
    named = {*OPTIONS.values(), *(flag for pair in SWITCHES.values() for flag in pair)}
    assert named <= known


@pytest.mark.parametrize(
    "preset, source, command",
    [
        ("ingest:lm-eval", "lm-eval", "orket ingest --format lm-eval FILE..."),
        (
            "ingest:determinism-report-2",
            "determinism",
            "orket ingest --format determinism FILE...",
        ),
        ("ingest", "orket", "orket ingest FILE..."),
        ("quickstart", None, "orket run quickstart"),
    ],
)
def test_what_was_imported_is_imported_again_and_never_run(preset, source, command):
    summary = {"preset": preset, "overrides": {}}
    assert imported_from(summary) == source
    assert command_of(summary) == (command, {})
