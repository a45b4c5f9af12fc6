"""Finds quant ladders: in a folder of GGUF files, or in what a server has installed.

Nothing that is found vanishes: it is in the ladder, or among what is left out with the
reason, or the ladder is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from orket.errors import SeveralModels, UsageError
from orket.levels import as_label
from orket.providers.contract import Adapter, ListsModels, ModelRef
from orket.providers.gguf_folder import read_folder
from orket.quants import distinctions, find_quant, split_name


@dataclass(frozen=True, slots=True)
class Ladder:
    """The quants of one model, each with a tag of its own."""

    refs: tuple[ModelRef, ...]
    left_out: tuple[str, ...] = ()
    """What else was found, each with the reason why it is no quant of this model."""


def discover(source: Path | Adapter, model: str | None = None) -> Ladder:
    """The quant ladder of one model, from a folder or from an adapter's server.

    Raises UsageError when there is none, or more than one and none is named.
    """
    if isinstance(source, Path):
        found, left_out = read_folder(source)
        return pick_ladder(found, model, left_out, f"GGUF model lies in {source}")
    installed = discover_server(source)
    return pick_ladder(installed, model, (), f"model is installed at {source.name}")


def discover_server(adapter: Adapter) -> list[ModelRef]:
    """The models installed on an adapter's server.

    Raises UsageError for a provider that cannot list them, ServerError from it.
    """
    if not isinstance(adapter, ListsModels):
        raise UsageError(
            f"the provider {adapter.name} cannot list what is installed",
            "name models and quants in a preset, or a folder of GGUF files",
        )
    return adapter.installed_models()


def pick_ladder(
    found: Iterable[ModelRef],
    model: str | None = None,
    left_out: Sequence[str] = (),
    what: str = "model was found",
) -> Ladder:
    """The quants of one model: the one named, or the only one there is.

    Raises UsageError naming the models to choose from, and for quants that are not
    what they are called.
    """
    refs = list(found)
    notes = [*left_out, *(f"{ref.name}: {ref.barred}" for ref in refs if ref.barred)]
    by_model: dict[str, list[ModelRef]] = {}
    for ref in refs:
        if not ref.barred:
            by_model.setdefault(ref.model_id, []).append(ref)
    if not by_model:
        raise _nothing(what, notes)
    chosen = _choose(by_model, model, notes)
    for reduce in (_by_name, _by_weights):
        by_model[chosen], copies = reduce(by_model[chosen])
        notes += copies
    clashes = [f"{_place(ref)}: {ref.clash}" for ref in by_model[chosen] if ref.clash]
    if clashes:
        raise UsageError("; ".join(clashes), "rename it or leave it out of the folder")
    others = [
        f"{_place(ref)}: another model, {name}"
        for name, rest in by_model.items()
        for ref in rest
        if name != chosen
    ]
    return Ladder(tuple(tell_apart(by_model[chosen])), (*notes, *others))


def by_rank(refs: Iterable[ModelRef]) -> list[ModelRef]:
    """The most precise first, by the catalogue; what it does not know comes last."""

    def rank(ref: ModelRef) -> int:
        entry = find_quant(ref.quant_tag)
        return entry.order if entry else -1

    return sorted(refs, key=rank, reverse=True)


def tell_apart(refs: Sequence[ModelRef]) -> list[ModelRef]:
    """The same models, each with a tag of its own.

    Those that share a tag get the part of their place that tells them apart behind
    it: `Q8_0@publisher`. The order stays.
    """
    by_tag: dict[str, list[ModelRef]] = {}
    for ref in refs:
        entry = find_quant(ref.quant_tag)
        key = ref.quant_tag.casefold() if entry is None else ref.quant_tag
        by_tag.setdefault(key, []).append(ref)
    labels: dict[int, str] = {}
    for same in by_tag.values():
        if len(same) > 1:
            places = distinctions([_place(ref) for ref in same])
            labels |= {id(ref): own for ref, own in zip(same, places, strict=True)}
    return [
        replace(ref, quant_tag=f"{ref.quant_tag}{as_label(labels[id(ref)])}")
        if id(ref) in labels
        else ref
        for ref in refs
    ]


def _by_name(refs: Sequence[ModelRef]) -> tuple[list[ModelRef], list[str]]:
    """Each place once, and which were listed more often.

    Raises UsageError for a name of two things: a call by it may reach either.
    """
    places: dict[tuple[str, Path | None], list[ModelRef]] = {}
    for ref in refs:
        places.setdefault((ref.name, ref.path), []).append(ref)
    for same in places.values():
        told = {(ref.quant_tag, ref.digest or "no digest") for ref in same}
        if len(told) > 1:
            shown = " and ".join(" ".join(one) for one in sorted(told))
            raise UsageError(
                f"two models are installed as {_place(same[0])}: {shown}",
                "rename one of them: a call by that name may reach either",
            )
    repeated = [
        f"{_place(same[0])}: listed {len(same)} times"
        for same in places.values()
        if len(same) > 1
    ]
    return [same[0] for same in places.values()], repeated


def _by_weights(refs: Sequence[ModelRef]) -> tuple[list[ModelRef], list[str]]:
    """Each weights once, by the name that says the quant; and the other names of them.

    Two rows of one thing would be compared with each other.
    """
    names: dict[str, ModelRef] = {}
    for ref in sorted(
        refs, key=lambda ref: (split_name(ref.name)[1] is None, ref.name)
    ):
        names.setdefault(ref.digest or f"{ref.name}\n{ref.path}", ref)
    kept = [ref for ref in refs if any(ref is own for own in names.values())]
    copies = [
        f"{_place(ref)}: the same weights as {names[ref.digest].name}"
        for ref in refs
        if ref.digest and names[ref.digest] is not ref
    ]
    return kept, copies


def _choose(
    by_model: dict[str, list[ModelRef]], model: str | None, notes: Sequence[str]
) -> str:
    if model is None and len(by_model) == 1:
        return next(iter(by_model))
    if model is None:
        raise SeveralModels(
            f"{len(by_model)} models were found{_with(notes)}", sorted(by_model)
        )
    wanted = model.casefold()
    chosen = [name for name in by_model if name.casefold() == wanted]
    exact = [name for name in chosen if name == model]
    if len(exact or chosen) == 1:
        return (exact or chosen)[0]
    raise UsageError(
        f"{len(chosen) or 'no'} model{'s' * (len(chosen) > 1)} {model!r} found"
        f"{_with(notes)}",
        f"found are: {', '.join(sorted(by_model))}",
    )


def _nothing(what: str, left_out: Sequence[str]) -> UsageError:
    return UsageError(f"no {what}{_with(left_out)}", "name a folder of GGUF files")


def _with(left_out: Sequence[str]) -> str:
    return f" (left out: {'; '.join(left_out)})" if left_out else ""


def _place(ref: ModelRef) -> str:
    return str(ref.path or ref.name)
