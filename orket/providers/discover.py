"""Finds quant ladders: in a folder of GGUF files, or in what a server has installed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from orket.errors import UsageError
from orket.gguf import (
    BadGguf,
    GgufHeader,
    file_parts,
    normalise_tag,
    read_header,
)
from orket.providers.contract import Adapter, ListsModels, ModelRef

UNKNOWN_QUANT = "unknown"
"""The tag of a model whose quant nobody names."""

_TAG = re.compile(
    r"(?<![A-Za-z0-9])"
    r"((?:UD-)?(?:I?Q[1-8](?:_[0-9KSMLX]+)*|TQ[12]_0|MXFP4(?:_MOE)?|NVFP4"
    r"|BF16|FP?16|FP?32|FP8|INT[48]|W[48]A(?:8|16)|AWQ|GPTQ(?:-INT[1-8])?"
    r"|[3-8]-?BIT))"
    r"(?![A-Za-z0-9])",
    re.IGNORECASE,
)
_LATER_PART = re.compile(r"-(?!00001)\d{5}-of-\d{5}$")
_PART = re.compile(r"-\d{5}-of-\d{5}$")


def discover(source: Path | Adapter, model: str | None = None) -> list[ModelRef]:
    """The quant ladder of one model, from a folder or from an adapter's server.

    Raises UsageError when there is none, or more than one and none is named.
    """
    if isinstance(source, Path):
        return pick_ladder(discover_folder(source), model)
    return pick_ladder(discover_server(source), model)


def discover_folder(folder: Path) -> list[ModelRef]:
    """The models in a folder of GGUF files, by model and size.

    What is no language model of its own (projectors, adapters, vocabularies, later
    parts of a split file) is passed over. Raises UsageError when nothing is found.
    """
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}", "name a folder of GGUF files")
    found = [
        (ref, size)
        for path in sorted(folder.rglob("*.gguf"))
        if not _LATER_PART.search(path.stem)
        for ref, size in _read_model(path)
    ]
    if not found:
        raise UsageError(
            f"no GGUF model lies in {folder}", "name a folder of GGUF files"
        )
    found.sort(key=lambda pair: (pair[0].model_id, -pair[1], pair[0].name))
    return [ref for ref, _ in found]


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


def pick_ladder(found: Iterable[ModelRef], model: str | None = None) -> list[ModelRef]:
    """The quants of one model: the one named, or the only one there is.

    Raises UsageError naming the models to choose from.
    """
    by_model: dict[str, list[ModelRef]] = {}
    for ref in found:
        by_model.setdefault(ref.model_id, []).append(ref)
    names = ", ".join(sorted(by_model))
    if model is None and len(by_model) == 1:
        return next(iter(by_model.values()))
    if model is None:
        raise UsageError(
            f"{len(by_model)} models were found", f"choose one with --model: {names}"
        )
    wanted = model.casefold()
    chosen = [refs for name, refs in by_model.items() if name.casefold() == wanted]
    if not chosen:
        raise UsageError(f"no model {model!r} was found", f"found are: {names}")
    return chosen[0]


def split_name(name: str) -> tuple[str, str | None]:
    """The model and the quant tag in a name; None for a name without one.

    `Llama-3.2-3B-Instruct-Q4_K_M` is that model in Q4_K_M.
    """
    found = list(_TAG.finditer(name))
    if not found:
        return name, None
    last = found[-1]
    rest = name[: last.start()].rstrip("-_.:/ ") + name[last.end() :]
    return rest.strip("-_.:/ ") or name, _spell(last.group(1))


def _read_model(path: Path) -> list[tuple[ModelRef, int]]:
    """The model in a file, and its size; none for what is no language model."""
    try:
        header = read_header(path)
    except (BadGguf, OSError):
        return []
    kind = header.metadata.get("general.type", "model")
    if header.architecture in (None, "clip") or kind != "model":
        return []
    if not header.parameters and not _PART.search(path.stem):
        return []
    stem = _PART.sub("", path.stem)
    model_id, named = split_name(stem)
    size = sum(part.stat().st_size for part in file_parts(path) if part.is_file())
    return [(ModelRef(model_id, _choose_tag(named, header), stem, path), size)]


def _choose_tag(named: str | None, header: GgufHeader) -> str:
    """The header decides, but for a finer name such as UD-Q4_K_XL."""
    if named is not None and (header.quant_tag is None or normalise_tag(named) is None):
        return named
    return header.quant_tag or UNKNOWN_QUANT


def _spell(tag: str) -> str:
    known = normalise_tag(tag)
    return known if known is not None else tag.upper()
