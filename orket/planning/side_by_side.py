"""One model at several servers, one for each quant: asked what they are and hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from orket.errors import UsageError
from orket.planning.preset import Change, Preset, override
from orket.providers.contract import ListsModels, ModelRef, ServerOptions
from orket.providers.identity import is_other_quant
from orket.providers.recognise import recognise
from orket.providers.registry import create_adapter
from orket.quants import UNKNOWN_QUANT
from orket.urls import without_secret


def fill_servers(
    preset: Preset, urls: Mapping[str, str], provider: str | None, model: str | None
) -> Preset:
    """The preset with a server for each quant: `urls` by quant.

    The servers are asked what they are and which model they hold; `provider` and
    `model` say it instead. Raises ServerError where one is not there, UsageError where
    they do not go together, naming both.
    """
    options = preset.table.provider.options()
    at = {quant: replace(options, url=url) for quant, url in urls.items()}
    kind = provider or _one_kind(at)
    held = {quant: _held_at(kind, quant, each) for quant, each in at.items()}
    ids = {ref.model_id: quant for quant, ref in held.items()}
    if len(ids) > 1 and model is None:
        told = " and ".join(f"{name} ({quant})" for name, quant in ids.items())
        raise UsageError(
            f"the servers go by the names of several models: {told}",
            "if they hold one model, name it with --model; else measure each alone",
        )
    names = {quant: _as_template(ref.name) for quant, ref in held.items()}
    table = dict(preset.content["models"][0])
    table |= {
        "id": model or next(iter(ids)),
        "quants": list(urls),
        "names": {kind: {"quants": names, "urls": dict(urls)}},
    }
    shown = [f"{table['id']} {quant}" for quant in urls]
    known = [own.id for own in preset.table.models]
    return override(
        preset,
        [
            Change("provider.name", kind),
            Change("models", [table], shown=shown, shown_before=known),
        ],
    )


def _one_kind(at: Mapping[str, ServerOptions]) -> str:
    """The adapter for all the servers. Raises UsageError where they differ."""
    kinds: dict[str, str] = {}
    for quant, options in at.items():
        found = recognise(options)
        if found.provider is None:
            raise UsageError(f"{found.url} {found.note}")
        kinds.setdefault(found.provider, f"{quant} at {found.url}")
    if len(kinds) > 1:
        told = ", ".join(f"{place} is {kind}" for kind, place in kinds.items())
        raise UsageError(
            f"the servers are of several kinds: {told}",
            "their figures do not mean the same; speak to all of them alike with "
            "--provider openai",
        )
    return next(iter(kinds))


def _held_at(kind: str, quant: str, options: ServerOptions) -> ModelRef:
    """What one server holds, which is to be this quant. Raises UsageError."""
    adapter = create_adapter(kind, options)
    try:
        adapter.describe()
        listed = adapter.installed_models() if isinstance(adapter, ListsModels) else []
    finally:
        adapter.close()
    where = without_secret(options.url or "")
    held = [ref for ref in listed if not ref.barred]
    if len(held) != 1:
        names = ", ".join(ref.name for ref in held) or "nothing"
        raise UsageError(
            f"the server of {quant} at {where} holds {names}; one model is wanted",
            "write a preset that names it: [models.names.PROVIDER] quants",
        )
    (ref,) = held
    if ref.quant_tag != UNKNOWN_QUANT and is_other_quant(quant, ref.quant_tag):
        raise UsageError(
            f"{kind} at {where} holds {ref.name}, which is {ref.quant_tag} and not "
            f"{quant}",
            "give each quant the server that holds it",
        )
    return ref


def _as_template(name: str) -> str:
    """A name as a template that has nothing to fill in."""
    return name.replace("{", "{{").replace("}", "}}")
