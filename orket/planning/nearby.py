"""What can be measured here: servers that answer, GGUF files in the usual places."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orket.errors import OrketError
from orket.planning.subject import OLLAMA, ollama_url
from orket.planning.targets import MODELS_VARIABLE
from orket.providers.contract import ListsModels, ModelRef
from orket.providers.discover import by_rank
from orket.providers.gguf_folder import read_folder
from orket.providers.options import ServerOptions
from orket.providers.recognise import recognise, scan_default_ports
from orket.providers.registry import create_adapter

FOLDERS = (
    "models",
    "~/models",
    "~/.lmstudio/models",
    "~/.cache/lm-studio/models",
    "~/.cache/llama.cpp",
    "~/Library/Caches/llama.cpp",
    "~/.cache/huggingface/hub",
)
"""Where LM Studio, llama.cpp, the hub's client and people keep GGUF files."""
CACHES = {"LLAMA_CACHE": "", "HF_HUB_CACHE": "", "HF_HOME": "hub"}
"""Variables that move such a folder, and what stands behind their value."""


def model_folders() -> list[Path]:
    """The folders that are looked into, those of the user's own variables first."""
    said = os.environ.get(MODELS_VARIABLE, "").split(os.pathsep)
    moved = [
        str(Path(os.environ[name], rest))
        for name, rest in CACHES.items()
        if os.environ.get(name)
    ]
    words = [*filter(None, said), *moved, *FOLDERS]
    return list(dict.fromkeys(Path(word).expanduser() for word in words))


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing that could be measured, and what to type for it."""

    argument: str
    model: str | None
    """What --model has to say; None where the argument is enough."""
    what: str


def find_choices() -> list[Choice]:
    """Servers first, then folders; what cannot be looked into is told as such."""
    return [*_served(), *_lying()]


def _served() -> Iterator[Choice]:
    found = {answer.url: answer.provider for answer in scan_default_ports()}
    own = ollama_url()
    if own not in found:
        try:
            answer = recognise(ServerOptions(url=own))
            found[answer.url] = answer.provider
        except OrketError:
            # Nothing answers where Ollama would: there is nothing to list.
            found.pop(own, None)
    for url, provider in sorted(found.items()):
        if provider is None:
            continue
        try:
            refs = _installed(provider, url)
        except OrketError as error:
            yield Choice(url, None, f"{provider}: {error}")
            continue
        yield from _by_model(refs, url, provider, is_own=url == own)


def _by_model(
    refs: list[ModelRef], url: str, provider: str, is_own: bool
) -> Iterator[Choice]:
    models: dict[str, list[ModelRef]] = {}
    for ref in refs:
        if not ref.barred:
            models.setdefault(ref.model_id, []).append(ref)
    if not models:
        yield Choice(url, None, f"{provider}: it says of no model that it is there")
    for model, quants in sorted(models.items()):
        what = f"{model} in {_list(quants)}, at {provider} {url}"
        if is_own and provider == OLLAMA:
            yield Choice(_shared_name(quants), None, what)
        else:
            yield Choice(url, None if len(models) == 1 else model, what)


def _shared_name(quants: list[ModelRef]) -> str:
    """The name of a model on Ollama: the part that all its quants share."""
    names = [ref.name for ref in quants]
    shared = os.path.commonprefix(names)
    if shared in names:
        return shared
    return shared.rpartition("-")[0] or shared.partition(":")[0]


def _installed(provider: str, url: str) -> list[ModelRef]:
    adapter = create_adapter(provider, ServerOptions(url=url))
    try:
        return adapter.installed_models() if isinstance(adapter, ListsModels) else []
    finally:
        adapter.close()


def _lying() -> Iterator[Choice]:
    seen: set[Path] = set()
    for folder in model_folders():
        if not folder.is_dir() or folder.resolve() in seen:
            continue
        seen.add(folder.resolve())
        try:
            refs, _ = read_folder(folder)
        except OrketError as error:
            yield Choice(str(folder), None, str(error))
            continue
        models: dict[str, list[ModelRef]] = {}
        for ref in refs:
            models.setdefault(ref.model_id, []).append(ref)
        argument = f"./{folder}" if not folder.is_absolute() else str(folder)
        for model, quants in sorted(models.items()):
            alone = len(models) == 1
            what = f"{model} in {_list(quants)}, GGUF files"
            yield Choice(argument, None if alone else model, what)


def _list(quants: list[ModelRef]) -> str:
    return ", ".join(dict.fromkeys(ref.quant_tag for ref in by_rank(quants)))
