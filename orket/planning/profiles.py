"""Writes a control profile that a canary proved, so that it can be used by name."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

from orket.errors import OrketError, UsageError
from orket.planning.plan import Plan
from orket.planning.preset import user_folder
from orket.records import Controls
from orket.resources import shipped
from orket.text import whole_number

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_KEYS = {
    "seed": "seed",
    "threads": "threads",
    "affinity": "affinity",
    "warmup": "warmup",
    "context_tokens": "context",
    "batch_tokens": "batch",
    "thinking": "thinking",
}
"""Field of `Controls` -> key of a profile; temperature has a unit of its own."""


def check_profile_name(name: str) -> str:
    """The name, if a user's profile may have it. Raises UsageError."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot name a control profile", "use a-z, 0-9, . _ and -"
        )
    if (shipped("presets") / "controls" / f"{name}.toml").exists():
        raise UsageError(
            f"the control profile {name} ships with Orket", "choose another name"
        )
    return name


def save_profile(
    name: str, plan: Plan, canary: dict[str, Any], hardware_fingerprint: str | None
) -> Path:
    """Write the plan's controls and profile thresholds under a name; where they lie."""
    check_profile_name(name)
    if len({model.controls for model in plan.models}) > 1 or (
        len(plan.control_profiles) > 1
    ):
        raise UsageError(
            "the models of this preset have different controls or control profiles",
            "save the profile of one with --model",
        )
    path = user_folder() / "controls" / f"{name}.toml"
    text = _render(name, plan, canary, hardware_fingerprint)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        hidden = path.with_name(f".{path.name}.tmp")
        hidden.write_text(text, encoding="utf-8")
        hidden.replace(path)
    except OSError as error:
        raise OrketError(
            f"cannot write {path} ({error.strerror})", "name a folder in ORKET_HOME"
        ) from error
    return path


def _render(
    name: str, plan: Plan, canary: dict[str, Any], hardware_fingerprint: str | None
) -> str:
    first = plan.models[0]
    controls, profile = _control_values(first.controls), plan.profiles[first.model_id]
    cv = canary["latency_cv_micro"]
    evidence = {
        "sweep_id": plan.sweep_id,
        "hardware_fingerprint": hardware_fingerprint,
        "latency_cv": None if cv is None else Decimal(cv) / 10**6,
        "latency_basis": canary["latency_basis"],
    }
    lines = [
        f"# Saved by orket canary {plan.preset}, after a gate that passed.",
        "schema_version = 1",
        f"title = {_toml(f'{name}, from {profile.name}')}",
        "",
        "[controls]",
        *_assignments(controls),
        "",
        "[policy]",
        *_assignments(dict(profile.table.policy)),
        "",
        "[evidence]",
        *_assignments(evidence),
    ]
    return "\n".join(lines) + "\n"


def _control_values(controls: Controls) -> dict[str, Any]:
    values: dict[str, Any] = {
        key: getattr(controls, field) for field, key in _KEYS.items()
    }
    if controls.temperature_milli is not None:
        values["temperature"] = Decimal(controls.temperature_milli) / 1000
    for key in ("threads", "warmup"):
        number = whole_number(values[key])
        values[key] = values[key] if number is None else number
    return values


def _assignments(values: dict[str, Any]) -> list[str]:
    return [
        f"{key} = {_toml(value)}" for key, value in values.items() if value is not None
    ]


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}"
    # A JSON string is a TOML basic string.
    return (
        json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)
    )
