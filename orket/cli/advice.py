"""What a run quality reason means to a person, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

UNKNOWN_REASON = "see docs/views.md"

_PROVISIONAL = "accept provisional results with --include-polluted fill"
_ANSWERS_ALONE = "judge the answers alone with --quality-only"


def advise(reason: str, session: Mapping[str, Any]) -> str:
    """What a reason means and what to do that this session has not done already."""
    from orket.warehouse.reasons import reason_named

    known = reason_named("run", reason)
    advice = f"{known.meaning}: {known.remedy}" if known else UNKNOWN_REASON
    if "{way_out}" not in advice:
        return advice
    return advice.format(way_out=_way_out(session))


def _way_out(session: Mapping[str, Any]) -> str:
    """What lets disturbed runs count, where it is not in force already."""
    policy = session["run_quality_policy"]
    ways = [_ANSWERS_ALONE]
    if looser := _find_looser_profiles(policy["max_foreign_cpu_share"]):
        ways.insert(
            0, f"choose a looser control profile: --profile {' or '.join(looser)}"
        )
    elif policy["include_polluted"] == "never":
        ways.insert(0, _PROVISIONAL)
    return ", or ".join(ways)


def _find_looser_profiles(foreign_cpu_share: Any) -> list[str]:
    """Known profiles that leave other programs more of the CPU, strictest first."""
    from orket.errors import OrketError
    from orket.planning.preset import known_profiles, load_profile

    shares = {}
    for name in known_profiles():
        try:
            share = load_profile(name).table.policy.get("max_foreign_cpu_share")
        except OrketError:
            continue  # A broken profile of the user's cannot be advised.
        if share is not None and share > foreign_cpu_share:
            shares[name] = share
    return sorted(shares, key=lambda name: (shares[name], name))
