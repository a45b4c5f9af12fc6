"""Where answers alone are judged, no time stands beside them: why, in one text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orket.exports.figures import words

UNSTEADY = "the machine was not steady"
ASKED = "as by --quality-only"
"""It is in force: by the option, by a preset, or for what was imported has no times."""


def why_alone(canary: Mapping[str, Any]) -> str:
    """Why answers alone were judged, as `v1.answer_line` has it too."""
    return UNSTEADY if canary["yielded_because"] else ASKED


def gate_words(canary: Mapping[str, Any]) -> str | None:
    """What a gate found whose times tell nothing, which is no pass; None of others.

    That is so where answers alone are judged, and where it passed and at least every
    second of its calls was disturbed. `canary` is the canary of a summary.
    """
    if canary["verdict"] == "NOT_RUN":
        return None
    if canary["latency_judged"] is False:
        why = f"times were not judged ({why_alone(canary)})"
    elif canary["mostly_disturbed"] and canary["verdict"] == "PASSED":
        calls = f"{canary['disturbed_runs']} of {canary['runs']}"
        why = f"{calls} were disturbed by other programs"
    else:
        return None
    found = {"PASSED": "equal calls were answered alike"}
    reasons = ", ".join(map(words, canary["failed_reasons"]))
    told = found.get(canary["verdict"]) or f"{words(canary['verdict'])}: {reasons}"
    return f"{told}; {why}, so no speed is told"


def why_no_times(session: Mapping[str, Any]) -> str | None:
    """Why a session of a summary shows no times; None where it does.

    A run that is clean for its answer may have been disturbed for long.
    """
    if not session["run_quality_policy"]["quality_only"]:
        return None
    return f"answers alone were judged ({why_alone(session['canary'])})"
