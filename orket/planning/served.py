"""Finds out what there is to measure, where a preset leaves that open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orket.errors import UsageError
from orket.planning.preset import Change, Preset, override
from orket.planning.subject import Subject, match_names
from orket.providers.contract import Adapter, Identifies, ListsModels, ModelRef
from orket.providers.discover import (
    Ladder,
    by_rank,
    discover,
    discover_server,
    pick_ladder,
)
from orket.providers.gguf_folder import read_folder
from orket.providers.registry import create_adapter
from orket.quants import UNKNOWN_QUANT
from orket.urls import without_secret

SERVED = "served"
"""In place of a list of quants: whatever the server holds."""
CONTEXT_TOKENS = 4096
"""Holds every task of the bank `core`: a token is a byte of its text at least."""


def fill_served(preset: Preset) -> Preset:
    """The preset with what its server says it holds in place of `served`.

    Raises ServerError when the server is not there, UsageError when it does not say.
    """
    open_models = [
        index
        for index, model in enumerate(preset.table.models)
        if list(model.quants) == [SERVED]
    ]
    if not open_models:
        return preset
    held = _ask(preset)
    changes = []
    for index in open_models:
        model = preset.table.models[index]
        changes.append(
            Change("quants", [held.quant_tag], (("models", index, "quants"),))
        )
        if model.any_id and not _is_renamed(preset, index):
            changes.append(
                Change("models.0.id", held.model_id, (("models", index, "id"),))
            )
    return override(preset, changes)


def fill_discovered(
    preset: Preset, folder: Path | None, model: str | None
) -> tuple[Preset, tuple[str, ...]]:
    """The preset with a ladder found in a folder of GGUF files, or on its server.

    Beside it what was found and is not in the ladder, each with the reason. Raises
    UsageError when none is found, or several models and none is named.
    """
    found = discover(folder, model) if folder else _discover_server(preset, model)
    return _fill(preset, found, is_folder=folder is not None), found.left_out


def fill_subject(
    preset: Preset, subject: Subject, model: str | None
) -> tuple[Preset, tuple[str, ...]]:
    """The preset with the ladder that a subject means; see `fill_discovered`."""
    changes = [Change("provider.name", subject.provider)]
    if subject.url is not None:
        changes.append(Change("provider.url", subject.url))
    preset = override(preset, changes)
    if subject.place is not None:
        found = _discover_place(subject.place, model)
        return _fill(preset, found, is_folder=True), found.left_out
    found, context = _discover_subject(preset, model, subject.model)
    if [ref.quant_tag for ref in found.refs] == [UNKNOWN_QUANT]:
        held = found.refs[0]
        raise UsageError(
            f"{subject.provider} at {without_secret(subject.url or '')} holds "
            f"{held.name} and does not say its quant",
            "name it: orket run llama-server --url QUANT=URL, or write a preset",
        )
    return _fill(preset, found, is_folder=False, context=context), found.left_out


def _discover_place(place: Path, model: str | None) -> Ladder:
    """The ladder of a folder, or the one quant of a file."""
    if place.is_dir():
        return discover(place, model)
    refs, left_out = read_folder(place.absolute().parent)
    own = [ref for ref in refs if ref.path and ref.path.samefile(place)]
    why = [line for line in left_out if line.startswith(f"{place.absolute()}: ")]
    if not own:
        reason = why[0] if why else f"{place}: it is no whole model"
        raise UsageError(reason, "name a GGUF file of a language model")
    return pick_ladder(own)


def _fill(
    preset: Preset, found: Ladder, is_folder: bool, context: int | None = None
) -> Preset:
    ladder = found.refs if is_folder else by_rank(found.refs)
    provider = preset.table.provider.name
    assert provider is not None
    quants = {ref.quant_tag: _as_text(ref) for ref in ladder}
    names: dict[str, Any] = {"quants": quants}
    if is_folder:
        names["file"] = "{quant}.gguf"
    # Policy and controls of the preset's first model stay: they are its intention.
    table = dict(preset.content["models"][0])
    table |= {
        "id": ladder[0].model_id,
        "quants": list(quants),
        "names": {provider: names},
    }
    if context is not None:
        table["controls"] = {**table.get("controls", {}), "context": context}
    known = [own.id for own in preset.table.models]
    shown = [f"{ladder[0].model_id} {tag}" for tag in quants]
    change = Change("models", [table], shown=shown, shown_before=known)
    return override(preset, [change])


def _as_text(ref: ModelRef) -> str:
    """Where a quant lies, as a template of a name that has nothing to fill in."""
    place = str(ref.path.absolute()) if ref.path else ref.name
    return place.replace("{", "{{").replace("}", "}}")


def _discover_server(preset: Preset, model: str | None) -> Ladder:
    """The ladder of a model that a preset's server holds."""
    adapter = _create(preset)
    try:
        adapter.describe()
        return discover(adapter, model)
    finally:
        adapter.close()


def _discover_subject(
    preset: Preset, model: str | None, wanted: str | None
) -> tuple[Ladder, int | None]:
    """The ladder that a subject means on its server, and the context to ask for.

    `wanted` is a name or a family of names; of a name that is installed, the other
    quants of that model are its ladder.
    """
    adapter = _create(preset)
    try:
        info = adapter.describe()
        installed = discover_server(adapter)
        if wanted is None:
            place = without_secret(info.endpoint or adapter.name)
            found = pick_ladder(installed, model, what=f"model is held at {place}")
        else:
            meant = _meant(wanted, installed)
            named = [ref for ref in meant if ref.name.casefold() == wanted.casefold()]
            if named and model is None:
                model = named[0].model_id
            found = pick_ladder(meant, model)
        asks = info.capabilities.context_control
        return found, _context(adapter, found) if asks else None
    finally:
        adapter.close()


def _meant(wanted: str, installed: list[ModelRef]) -> list[ModelRef]:
    """Those of a word, and of each model among them every quant that is there."""
    names = set(match_names(wanted, [ref.name for ref in installed]))
    models = {ref.model_id for ref in installed if ref.name in names}
    return [ref for ref in installed if ref.model_id in models]


def _context(adapter: Adapter, found: Ladder) -> int:
    """What is asked of a server that would else take a number of its own.

    No more than the model has been trained for: a server gives no more either.
    """
    limits = []
    if isinstance(adapter, Identifies):
        told = (adapter.identify(ref).context_limit for ref in found.refs)
        limits = [limit for limit in told if limit]
    return min(CONTEXT_TOKENS, *limits)


def _is_renamed(preset: Preset, index: int) -> bool:
    return any(entry.key == f"models.{index}.id" for entry in preset.overrides)


def _create(preset: Preset) -> Adapter:
    table = preset.table.provider
    assert table.name is not None
    return create_adapter(table.name, table.options())


def _ask(preset: Preset) -> ModelRef:
    adapter = _create(preset)
    try:
        adapter.describe()
        listed = adapter.installed_models() if isinstance(adapter, ListsModels) else []
    finally:
        adapter.close()
    held = [ref for ref in listed if not ref.barred]
    for ref in held:
        if ref.clash:
            raise UsageError(f"{ref.name}: {ref.clash}", "name the quant with --quants")
    if len(held) == 1 and held[0].quant_tag != UNKNOWN_QUANT:
        return held[0]
    names = ", ".join(f"{ref.name} {ref.quant_tag}" for ref in held) or "nothing"
    raise UsageError(
        f"the server holds {names}: which quant is to be measured is not clear",
        "name it with --quants",
    )
