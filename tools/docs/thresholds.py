"""The tables of thresholds, from their declarations in `orket/policy.py`."""

from __future__ import annotations

from orket.policy import (
    DAYS,
    MILLISECONDS,
    POLICY_KEYS,
    SECONDS,
    Group,
    Policy,
    human_value,
)
from tools.docs.pages import markdown_table

_UNITS = {SECONDS: "seconds", MILLISECONDS: "ms", DAYS: "days"}


def thresholds() -> str:
    """A table for each group: key, default and meaning."""
    return "\n\n".join(f"{group.words}:\n\n{_table(group)}" for group in Group)


def _table(group: Group) -> str:
    defaults = Policy()
    rows = [
        [f"`{key}`", _spell(human_value(key, defaults)), _words(key)]
        for key, entry in POLICY_KEYS.items()
        if entry.group is group
    ]
    return markdown_table(["key", "default", "meaning"], rows)


def _spell(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value}"


def _words(key: str) -> str:
    entry = POLICY_KEYS[key]
    unit = _UNITS.get(entry.unit, "")
    return ", ".join(filter(None, (entry.meaning, unit)))
