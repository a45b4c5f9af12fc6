"""The preset that a command line means: a preset, a folder, a server or a model.

The options lie over it as `preset_changes` says.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orket.cli import messages
from orket.cli.preset_changes import (
    model_changes,
    option_changes,
    read_urls,
    server_changes,
)
from orket.cli.sweep_options import SweepOptions
from orket.errors import OrketError, SeveralModels, UsageError
from orket.text import close_words

if TYPE_CHECKING:
    from orket.planning.preset import Preset
    from orket.planning.subject import Subject
    from orket.providers.options import ServerOptions

SERVER = "server"
"""As the value of --discover: what the server has installed."""


def names_itself(chosen: SweepOptions) -> bool:
    """Whether the options alone say what is to be measured."""
    return bool(chosen.server.get("serve_cmd") or read_urls(chosen.urls)[0])


def load_chosen_preset(name: str | None, chosen: SweepOptions) -> Preset:
    """The preset that the argument means, with the options over it.

    Raises UsageError, and ServerError where a server has to be asked and is not there.
    """
    from orket.planning.neutral import NEUTRAL_PRESET
    from orket.planning.preset import load_preset, override
    from orket.planning.served import fill_subject
    from orket.planning.subject import find_subject, is_model_name

    if chosen.server.get("serve_cmd") and (name is None or is_model_name(name)):
        return _served_model(name, chosen)
    if name is None:
        return _side_by_side(chosen)
    subject = find_subject(name, _server_options(chosen), chosen.provider)
    if subject is None:
        return bend_preset(load_preset(name), chosen)
    if chosen.discover:
        raise UsageError(
            f"{name} says already where the quants are", "leave out --discover"
        )
    if subject.note is not None:
        messages.note(subject.note)
    preset = override(load_preset(NEUTRAL_PRESET), server_changes(chosen))
    try:
        filled, left_out = fill_subject(preset, subject, _one_model(chosen))
    except SeveralModels as failure:
        raise UsageError(
            failure.message, _one_at_a_time(name, failure.models)
        ) from None
    except OrketError as failure:
        if (meant := _meant_preset(name, subject)) is None:
            if subject.model is not None:
                failure.message = (
                    f"{name!r} is no folder that is here, and as a model of "
                    f"{subject.provider}: {failure.message}"
                )
            raise
        raise UsageError(
            f"no preset is called {name!r}, and as a model: {failure.message}",
            f"did you mean the preset {meant}? or else: {failure.hint}",
        ) from failure
    _tell(left_out)
    return override(filled, option_changes(filled, chosen))


def _one_at_a_time(name: str, models: Sequence[str]) -> str:
    """The lines that measure one of the models that an argument means."""
    context = click.get_current_context(silent=True)
    verb = context.info_name if context and context.info_name else "run"
    lines = [shlex.join(["orket", verb, name, "--model", model]) for model in models]
    return f"choose one with --model, as in {' or '.join(lines)}"


def _served_model(name: str | None, chosen: SweepOptions) -> Preset:
    """A model that a command serves, by the quants that the options name."""
    from orket.planning.neutral import NEUTRAL_PRESET
    from orket.planning.preset import Change, load_preset, override

    model = name or _one_model(chosen)
    if model is None:
        raise UsageError(
            "which model the command serves is not said",
            "name it: orket run MODEL --quants ... --serve-cmd ...",
        )
    if not chosen.quants:
        raise UsageError(
            f"which quants of {model} the command serves is not said",
            "name them: --quants BF16,FP8,AWQ",
        )
    preset = override(load_preset(NEUTRAL_PRESET), server_changes(chosen))
    table = {**preset.content["models"][0], "id": model, "quants": list(chosen.quants)}
    table["names"] = {str(chosen.provider): {"name": ""}}
    change = Change("models", [table], shown=[model], shown_before=["any-model"])
    return override(override(preset, [change]), option_changes(preset, chosen))


def _side_by_side(chosen: SweepOptions) -> Preset:
    """One model at several servers, one for each quant, as --url names them."""
    from orket.planning.neutral import NEUTRAL_PRESET
    from orket.planning.preset import load_preset, override
    from orket.planning.side_by_side import fill_servers
    from orket.quants import canonical_tag

    pairs, _ = read_urls(chosen.urls)
    urls = {canonical_tag(quant) or quant: url for quant, url in pairs.items()}
    if len(urls) < len(pairs):
        raise UsageError(
            f"{', '.join(pairs)} are one quant twice",
            "tell them apart by labels: AWQ@one=URL, AWQ@two=URL",
        )
    preset = override(load_preset(NEUTRAL_PRESET), server_changes(chosen))
    filled = fill_servers(preset, urls, chosen.provider, _one_model(chosen))
    return override(filled, option_changes(filled, chosen))


def _meant_preset(name: str, subject: Subject) -> str | None:
    """The preset that a word may be which no server knows: it is spelled wrong."""
    from orket.planning.preset import known_presets

    near = close_words(name, known_presets())
    return near[0] if near and subject.model is not None else None


def bend_preset(preset: Preset, chosen: SweepOptions) -> Preset:
    """A preset with the options over it. Raises UsageError."""
    from orket.planning.preset import override

    preset = override(preset, server_changes(chosen))
    # Models first: the paths of the other options count them.
    if chosen.discover:
        preset = _discover(preset, chosen)
    else:
        preset = override(preset, model_changes(preset, chosen))
    return override(preset, option_changes(preset, chosen))


def _discover(preset: Preset, chosen: SweepOptions) -> Preset:
    """The preset with the ladder of `--discover`: a folder, or `server`."""
    from orket.planning.served import fill_discovered

    folder = None if chosen.discover == SERVER else Path(str(chosen.discover))
    filled, left_out = fill_discovered(preset, folder, _one_model(chosen))
    _tell(left_out)
    return filled


def _one_model(chosen: SweepOptions) -> str | None:
    """The model that --model picks among those found."""
    if len(chosen.models) > 1:
        raise UsageError("one model is found at a time", "name one --model")
    return next(iter(chosen.models), None)


def _tell(left_out: Sequence[str]) -> None:
    for line in left_out:
        messages.note(f"left out: {line}")


def _server_options(chosen: SweepOptions) -> ServerOptions:
    from orket.providers.options import build_options

    _, urls = read_urls(chosen.urls)
    return build_options({"url": urls[0] if urls else None, **chosen.server})


def with_budget(
    preset: Preset,
    chosen: SweepOptions,
    budget: str | None,
    until: str | None,
    grid: bool,
) -> Preset:
    """The preset asked by rounds, as far and as long as told, or as the full grid.

    Raises UsageError for both at once, and for repetitions of rounds.
    """
    from orket.planning.budget import read_budget
    from orket.planning.preset import Change, override

    asked = "--budget" if budget is not None else "--until" if until else None
    if asked and grid:
        raise UsageError(f"{asked} and --grid exclude each other", "leave out one")
    if asked and chosen.runs is not None:
        raise UsageError(
            f"--runs repeats tasks, and {asked} has no time for answers that repeat",
            "leave it out, or add --grid",
        )
    if grid or chosen.runs is not None:
        # Repetitions are a wish for the grid, whatever the preset says.
        keys = [key for key in ("budget", "until") if getattr(preset.table, key)]
        return override(preset, [Change(key, None) for key in keys])
    if budget is not None:
        read_budget(budget)
    changes = [("budget", budget), ("until", until)]
    bent = override(preset, [Change(k, value) for k, value in changes if value])
    if bent.table.budget is not None and read_budget(bent.table.budget) == 0:
        raise UsageError(
            f"a budget of {bent.table.budget} leaves no time to ask anything",
            "give some, as in --budget 20m; orket plan shows what would be asked",
        )
    return bent
