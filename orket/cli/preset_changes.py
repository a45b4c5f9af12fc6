"""What the options of a sweep change in a preset."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from orket.cli import messages
from orket.cli.rejudge import Rejudge
from orket.cli.sweep_options import SweepOptions
from orket.errors import UsageError
from orket.levels import split_level, without_level
from orket.text import whole_number

if TYPE_CHECKING:
    from orket.planning.preset import Change, Preset

_LEVEL = r"(?:kv|ctx)=[^:=,]*"
_QUANT_URL = re.compile(
    rf"(?P<quant>[^/:=@]+(?:@(?!{_LEVEL})[^/:=@]+)*(?:@{_LEVEL}(?:,{_LEVEL})*)?)"
    r"=(?P<url>.*)",
    re.DOTALL,
)
"""`QUANT=URL`; a level of the quant has a `=` of its own."""


def server_changes(chosen: SweepOptions) -> list[Change]:
    """What the options say of the server: it may be asked for what it has."""
    from orket.planning.preset import Change

    _, urls = read_urls(chosen.urls)
    return [
        Change(f"provider.{key}", value)
        for key, value in (
            ("name", chosen.provider),
            ("url", urls[0] if urls else None),
            *chosen.server.items(),
        )
        if value is not None
    ]


def model_changes(preset: Preset, chosen: SweepOptions) -> list[Change]:
    """Which of the preset's models --model keeps. Raises UsageError."""
    from orket.planning.preset import Change

    if not chosen.models:
        return []
    known = [model.id for model in preset.table.models]
    first = preset.table.models[0]
    if len(known) == len(chosen.models) == 1 and first.any_id:
        return [Change("models.0.id", chosen.models[0], (("models", 0, "id"),))]
    unknown = [model for model in chosen.models if model not in known]
    if unknown:
        raise UsageError(
            f"the preset {preset.name} has no model {unknown[0]!r}",
            f"it has {', '.join(known)}",
        )
    kept = [table for table in preset.content["models"] if table["id"] in chosen.models]
    return [Change("models", kept, shown=list(chosen.models), shown_before=known)]


def option_changes(preset: Preset, chosen: SweepOptions) -> list[Change]:
    """What the options say of all but server and models. Raises UsageError."""
    from orket.planning.preset import Change

    changes = [
        Change(key, value)
        for key, value in (
            ("repetitions", chosen.runs),
            ("tasks.buckets", list(chosen.buckets) or None),
            ("tasks.sandbox", chosen.sandbox),
            ("fidelity.enabled", chosen.fidelity),
            ("runtime_target", chosen.runtime_target),
            ("execution_mode", chosen.execution_mode),
        )
        if value is not None
    ]
    if chosen.profile is not None:
        changes.append(_profile_change(preset, chosen.profile))
    is_strict = chosen.profile is not None or chosen.rejudge.quality_only is False
    if is_strict and preset.table.canary.yields_to:
        # Who names a profile, or asks for times, is not given something else for it.
        changes.append(Change("canary.yields_to", []))
    changes += _quant_changes(preset, chosen)
    changes += _bank_changes(preset, chosen)
    changes += _task_changes(chosen)
    changes += _layered(preset, "controls", _controls(chosen))
    changes += _layered(preset, "policy", _policy(chosen.rejudge))
    changes += [
        Change(f"labels.{key}", value, (("labels", key),))
        for key, value in map(_read_label, chosen.labels)
    ]
    return changes


def _quant_changes(preset: Preset, chosen: SweepOptions) -> list[Change]:
    """The quants of --quants, else those of --url, and the servers of these."""
    from orket.planning.preset import Change

    given, _ = read_urls(chosen.urls)
    pairs = {_spell_quant(preset, quant): url for quant, url in given.items()}
    quants = [_spell_quant(preset, quant) for quant in chosen.quants] or list(pairs)
    provider = chosen.provider or preset.table.provider.name
    models = range(len(preset.table.models))
    changes = []
    if quants:
        _refuse_unknown(preset, quants, provider)
        places = tuple(("models", index, "quants") for index in models)
        changes.append(Change("quants", quants, places))
    if pairs:
        changes += [
            Change("urls", pairs, (("models", index, "names", provider or "", "urls"),))
            for index in models
        ]
    return changes


def _profile_change(preset: Preset, profile: str) -> Change:
    """The profile of the preset and of each model that names one of its own."""
    from orket.planning.preset import Change

    own = [
        ("models", index, "control_profile")
        for index, model in enumerate(preset.content["models"])
        if "control_profile" in model
    ]
    return Change("control_profile", profile, (("control_profile",), *own))


def _bank_changes(preset: Preset, chosen: SweepOptions) -> list[Change]:
    """Another bank; what the preset picks of its own is not in it."""
    from orket.planning.preset import Change

    if chosen.bank is None or chosen.bank == preset.table.tasks.bank:
        return []
    changes = [Change("tasks.bank", chosen.bank)]
    if preset.table.tasks.select and not chosen.tasks:
        changes.append(Change("tasks.select", None))
    if preset.table.canary.task:
        changes.append(Change("canary.task", None))
    return changes


def _task_changes(chosen: SweepOptions) -> list[Change]:
    from orket.planning.preset import Change

    read = [(task, whole_number(task)) for task in chosen.tasks]
    names = [task for task, number in read if number is None]
    numbers = [number for _, number in read if number is not None]
    changes = [Change("tasks.limit", number) for number in numbers[-1:]]
    if names:
        changes.append(Change("tasks.select", names))
    return changes


def _layered(preset: Preset, table: str, values: dict[str, Any]) -> list[Change]:
    """Values for the preset's own table and for each model's that says otherwise."""
    from orket.planning.preset import Change

    changes = []
    for key, value in values.items():
        places: list[tuple[str | int, ...]] = [(table, key)]
        for index, model in enumerate(preset.content["models"]):
            if key in model.get(table, {}):
                places.append(("models", index, table, key))
        changes.append(Change(f"{table}.{key}", value, tuple(places)))
    return changes


def _controls(chosen: SweepOptions) -> dict[str, Any]:
    threads = whole_number(chosen.threads)
    values = {
        "seed": chosen.seed,
        "threads": chosen.threads if threads is None else threads,
        "affinity": chosen.affinity,
        "warmup": chosen.warmup,
        "context": chosen.context,
    }
    return {key: value for key, value in values.items() if value is not None}


def _policy(rejudge: Rejudge) -> dict[str, Any]:
    # A mistake is told by its option, not by the place it has in a preset.
    rejudge.policy_overrides()
    values = {
        "adherence_threshold": rejudge.adherence_threshold,
        "latency_ceiling_seconds": rejudge.latency_ceiling,
        "include_polluted": rejudge.include_polluted,
        "allow_unobserved": rejudge.allow_unobserved,
        "quality_only": rejudge.quality_only,
    }
    return {key: value for key, value in values.items() if value is not None}


def _spell_quant(preset: Preset, quant: str) -> str:
    """A quant as the preset spells it, else as the catalogue does, else as given.

    Raises UsageError where more than one of the preset's goes by that name.
    """
    from orket.quants import canonical_tag, find_at_level, is_coarser

    split_level(quant)
    ladder = [own for model in preset.table.models for own in model.quants]
    meant = find_at_level(quant, list(dict.fromkeys(ladder)))
    meant = meant or [own for own in dict.fromkeys(ladder) if is_coarser(quant, own)]
    if len(meant) > 1:
        raise UsageError(f"{quant} may be {' or '.join(meant)}", "name one of them")
    if meant and is_coarser(quant, meant[0]):
        messages.note(f"{quant} means {meant[0]}, the only one of that kind here")
    return meant[0] if meant else canonical_tag(quant) or quant


def _refuse_unknown(
    preset: Preset, quants: Sequence[str], provider: str | None
) -> None:
    """Raise UsageError for a quant that the server's names could not be made of.

    A file may have any tag in its name: whether it is there, the plan says. Of a
    folder all that is there is known.
    """
    from orket.planning.neutral import NEUTRAL_PRESET
    from orket.quants import find_quant

    for model in preset.table.models:
        names = model.names.get(provider or "")
        template = names and (names.name or names.tag or names.key)
        if names and names.file and preset.name == NEUTRAL_PRESET:
            _require_found(model.quants, quants)
        if names is None or names.file or not template or "{quant" not in template:
            continue
        known = {*model.quants, *names.quants, *names.urls}
        for quant in quants:
            if quant not in known and find_quant(quant) is None:
                raise UsageError(
                    f"no quant is called {quant!r}",
                    f"the preset {preset.name} has {', '.join(model.quants)}",
                )


def _require_found(found: Sequence[str], wanted: Sequence[str]) -> None:
    """Raise UsageError for quants that no file was found of."""
    from orket.quants import same_quant

    absent = [
        quant
        for quant in wanted
        if not any(same_quant(without_level(quant), own) for own in found)
    ]
    if absent:
        raise UsageError(
            f"there is no file of {', '.join(absent)}",
            f"there are: {', '.join(found)}",
        )


def read_urls(given: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Servers by quant (QUANT=URL), and plain URLs. Raises UsageError."""
    pairs: dict[str, str] = {}
    plain: list[str] = []
    for text in given:
        found = _QUANT_URL.match(text)
        if found:
            quant, url = found["quant"], found["url"]
            if quant in pairs:
                raise UsageError(
                    f"{quant} has two servers", "give each quant one --url"
                )
            pairs[quant] = url
        else:
            plain.append(text)
    if len(plain) > 1 or (plain and pairs):
        raise UsageError(
            "several servers need a quant each",
            "write --url Q8_0=http://host:8081 --url Q4_K_M=http://host:8082",
        )
    return pairs, plain


def _read_label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UsageError(f"--label {text} is not a label", "write it as KEY=VALUE")
    return key, value
