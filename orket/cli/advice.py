"""What a run quality reason means to a person, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

UNKNOWN_REASON = "see docs/views.md"

_PROVISIONAL = "accept provisional results with --include-polluted fill"


def advise(reason: str, session: Mapping[str, Any]) -> str:
    """What a reason means and what to do that this session has not done already."""
    from orket.warehouse.reasons import reason_named

    known = reason_named("run", reason)
    advice = f"{known.meaning}: {known.remedy}" if known else UNKNOWN_REASON
    if "{way_out}" not in advice:
        return advice
    way_out = _way_out(session)
    # Without a way out the rest of the remedy stands alone.
    return advice.format(way_out=way_out) if way_out else advice.split(", or {")[0]


def _way_out(session: Mapping[str, Any]) -> str | None:
    """What lets disturbed runs count, where it is not in force already."""
    policy = session["run_quality_policy"]
    if looser := _find_looser_profiles(policy["max_foreign_cpu_share"]):
        return f"choose a looser control profile: --profile {' or '.join(looser)}"
    return _PROVISIONAL if policy["include_polluted"] == "never" else None


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
