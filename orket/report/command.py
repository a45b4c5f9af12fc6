"""The command that plans a sweep again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from orket.exports.json_text import plain_decimal
from orket.planning.neutral import NEUTRAL_PRESET
from orket.text import printable

OWN_ROWS = "orket"
"""The format of Orket's own rows, which need no `--format`."""
OPTIONS = {
    "repetitions": "--runs",
    "tasks.limit": "--tasks",
    "tasks.select": "--tasks",
    "tasks.buckets": "--bucket",
    "tasks.sandbox": "--sandbox",
    "quants": "--quants",
    "models": "--model",
    "models.0.id": "--model",
    "provider.name": "--provider",
    "provider.url": "--url",
    "control_profile": "--profile",
    "controls.seed": "--seed",
    "controls.threads": "--threads",
    "controls.affinity": "--affinity",
    "controls.warmup": "--warmup",
    "controls.context": "--context",
    "policy.adherence_threshold": "--adherence-threshold",
    "policy.latency_ceiling_seconds": "--latency-ceiling",
    "policy.include_polluted": "--include-polluted",
    "runtime_target": "--runtime-target",
    "execution_mode": "--execution-mode",
}
"""Key of an override -> the option of `orket run` that makes it."""
SWITCHES = {
    "fidelity.enabled": ("--fidelity", "--no-fidelity"),
    "policy.allow_unobserved": ("--allow-unobserved", "--no-allow-unobserved"),
    "policy.quality_only": ("--quality-only", "--no-quality-only"),
}
"""The same of those that are yes or no."""


def command_of(summary: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The command of a sweep, and the overrides that no option of it makes.

    A sweep without a preset is named by its model: that is what one asks for. What was
    imported was not run: it is imported once more.
    """
    if source := imported_from(summary):
        named = [] if source == OWN_ROWS else ["--format", source]
        return shlex.join(["orket", "ingest", *named]) + " FILE...", {}
    overrides = dict(summary["overrides"])
    subject = summary["preset"]
    models = overrides.get("models")
    if subject == NEUTRAL_PRESET and isinstance(models, list) and len(models) == 1:
        subject = str(overrides.pop("models")[0])
    options = list(_options(overrides))
    left = {
        key: value
        for key, value in overrides.items()
        if key not in OPTIONS and key not in SWITCHES
    }
    words = ["orket", "run", subject, *options]
    return " ".join(shlex.quote(printable(word)) for word in words), left


def imported_from(summary: Mapping[str, Any]) -> str | None:
    """The format of the files that an imported sweep came from; None where it was run.

    Which files these were is not recorded.
    """
    preset = str(summary["preset"])
    head, _, source = preset.partition(":")
    if head != "ingest":
        return None
    return "determinism" if source.startswith("determinism") else source or OWN_ROWS


def _options(overrides: Mapping[str, Any]) -> Iterator[str]:
    for key, value in overrides.items():
        if option := OPTIONS.get(key):
            yield from (option, _spell(value))
        elif key in SWITCHES:
            on, off = SWITCHES[key]
            yield on if value else off


def _spell(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(_spell, value))
    return plain_decimal(value) if isinstance(value, Decimal) else str(value)
