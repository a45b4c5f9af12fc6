"""The tables of reasons, from the catalogue that the views read."""

from __future__ import annotations

from orket.warehouse.reasons import Reason, known_reasons
from tools.docs.pages import markdown_table

_TITLES = {
    "run": "Of a run",
    "canary": "Of the canary",
    "quant": "Of a quant",
    "baseline": "Of a stored baseline",
    "comparison": "Of a quant in two sweeps",
    "cost": "Of the cost of a passed task",
}
_WAY_OUT = "choose a looser control profile"


def reasons() -> str:
    """A table for each scope: what a code means, whose it is and what to do."""
    scopes = dict.fromkeys(reason.scope for reason in known_reasons())
    return "\n\n".join(f"### {_TITLES[scope]}\n\n{_table(scope)}" for scope in scopes)


def _table(scope: str) -> str:
    rows = [_row(reason) for reason in known_reasons() if reason.scope == scope]
    headers = ["code", "kind", "whose", "what it means", "what to do"]
    return markdown_table(headers, rows)


def _row(reason: Reason) -> list[str]:
    return [
        f"`{reason.code}`",
        reason.kind,
        reason.fault or "",
        reason.meaning,
        reason.remedy.format(way_out=_WAY_OUT),
    ]
