"""Where answers alone are judged, no time stands beside them: why, in one text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def why_no_times(session: Mapping[str, Any]) -> str | None:
    """Why a session of a summary shows no times; None where it does.

    A run that is clean for its answer may have been disturbed for long.
    """
    if not session["run_quality_policy"]["quality_only"]:
        return None
    if session["canary"]["yielded_because"]:
        return "the machine was disturbed while they were measured"
    return "answers alone were judged, as was asked"
