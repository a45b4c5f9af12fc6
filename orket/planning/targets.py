"""What each planned model and quant is called, where it lies and who serves it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from orket.errors import UsageError
from orket.levels import Level, split_level, without_level
from orket.planning.preset_file import ModelTable, NameTable
from orket.planning.weights import read_weights
from orket.providers.contract import ModelRef
from orket.providers.http.endpoint import require_url
from orket.providers.registry import EMBEDDED
from orket.quants import ollama_spelling, same_quant
from orket.resources import shipped
from orket.urls import is_loopback

MODELS_VARIABLE = "ORKET_MODELS"
"""Folders of GGUF files, separated like PATH."""


@dataclass(frozen=True, slots=True)
class Target:
    """One model in one quant at one server."""

    ref: ModelRef
    url: str | None = None
    digest: str | None = None
    """sha256 of the file; None where the server alone knows the weights."""
    model_bytes: int | None = None
    parameters: int | None = None
    tensor_types: tuple[tuple[str, int], ...] = ()
    publisher: str | None = None
    level: Level | None = None
    """What it asks for beside its weights: an entry of the ladder of its own."""
    command: str | None = None
    """What Orket starts its server by, without secrets; the port stays open."""
    missing: str | None = None
    """Why it cannot be run here, where that is known before the server is asked."""


def resolve_target(
    model: ModelTable,
    quant: str,
    provider: str,
    url: str | None,
    folder: Path,
    is_served: bool = False,
) -> Target:
    """The target of one quant. Raises UsageError for a name that cannot be made.

    A file that is not there is told by `missing`: a plan needs no files. Where a
    command serves each quant alone, it needs no name at its server.
    """
    names = _names_for(model, provider, is_served)
    base, level = split_level(quant)
    words = _words(model.id, base)
    server_url = _fill_url(_own(names.urls, quant) or names.url or url, words)
    if server_url is not None:
        require_url(server_url)
    called = _own(names.quants, quant)
    if names.file is None:
        template = called or names.name or names.tag or names.key or ""
        name = _fill(template, words) or ""
        return Target(ModelRef(model.id, quant, name), server_url, level=level)
    pattern = _fill(called or names.file, words) or ""
    place = f"{model.id} {quant}"
    given = _fill(names.name or names.tag or names.key, words)
    found, stem = _find_files(pattern, folder), Path(pattern).stem
    if len(found) != 1:
        ref = ModelRef(model.id, quant, given or ("" if is_served else stem))
        said = f"{place}: {_say_missing(pattern, found, folder)}"
        return Target(ref, server_url, level=level, missing=said)
    path = found[0]
    try:
        weights = read_weights(path)
    except UsageError as error:
        raise UsageError(f"{place}: {error.message}", error.hint) from error
    return Target(
        ModelRef(model.id, quant, given or ("" if is_served else path.stem), path),
        server_url,
        weights.digest,
        weights.model_bytes,
        weights.parameters,
        weights.tensor_types,
        weights.publisher,
        level,
    )


def say_shared(targets: Sequence[Target]) -> list[str]:
    """Which quants are one and the same thing: a figure of it would have two names."""
    seen: dict[tuple[Any, ...], ModelRef] = {}
    said = []
    for target in targets:
        ref = target.ref
        key = _place(target.url), ref.name, ref.path, target.level, target.command
        other = seen.setdefault(key, ref)
        if other != ref:
            place = str(
                ref.path or ref.name or target.command or "what one server holds"
            )
            said.append(
                f"model {ref.model_id}: {other.quant_tag} and {ref.quant_tag} are both"
                f" {place}: give each its own name, or its own server with --url"
                " QUANT=URL"
            )
    return said


def _place(url: str | None) -> str | None:
    """A server by its address: this machine has several names."""
    parts = urlsplit(url) if url is not None else None
    if parts is None or not parts.hostname:
        return url
    host = "localhost" if is_loopback(parts.hostname) else parts.hostname
    return f"{host}:{parts.port}{parts.path.rstrip('/').removesuffix('/v1')}"


def _names_for(model: ModelTable, provider: str, is_served: bool) -> NameTable:
    if provider in model.names:
        return model.names[provider]
    if is_served:
        # A file is a file, whoever serves it.
        return model.names.get(EMBEDDED, NameTable())
    raise UsageError(
        f"model {model.id} has no name for the provider {provider}",
        f"it has names for {', '.join(sorted(model.names))}; add "
        f"[models.names.{provider}] to the preset",
    )


def _own(by_quant: Mapping[str, str], quant: str) -> str | None:
    """What stands under a quant, however its key is spelled.

    A level has the name of its quant, where it has none of its own.
    """
    for tag in dict.fromkeys((quant, without_level(quant))):
        if keys := [key for key in by_quant if same_quant(key, tag)]:
            return by_quant[tag if tag in keys else keys[0]]
    return None


def _words(model_id: str, quant: str) -> dict[str, str]:
    return {
        "model": model_id,
        "quant": quant,
        "quant_lower": quant.lower(),
        "quant_ollama": ollama_spelling(quant),
    }


def _fill(template: str | None, words: Mapping[str, str]) -> str | None:
    if template is None:
        return None
    try:
        return template.format_map(words)
    except (KeyError, ValueError, IndexError) as error:
        known = ", ".join("{" + word + "}" for word in words)
        raise UsageError(
            f"{words['model']} {words['quant']}: the name {template!r} has an unknown "
            f"placeholder ({error})",
            f"known: {known}",
        ) from error


def _fill_url(url: str | None, words: Mapping[str, str]) -> str | None:
    """The URL with its placeholders filled; a password may hold any letter."""
    user_info, mark, place = (url or "").rpartition("@")
    filled = _fill(place, words)
    return f"{user_info}{mark}{filled}" if filled else None


def _folders(preset_folder: Path) -> list[Path]:
    named = os.environ.get(MODELS_VARIABLE, "")
    listed = [Path(part).expanduser() for part in named.split(os.pathsep) if part]
    own = [preset_folder, *listed, Path("models"), Path(), shipped("presets")]
    return list(dict.fromkeys(folder.resolve() for folder in own))


def _find_files(pattern: str, preset_folder: Path) -> list[Path]:
    """The matches in the first folder that has any."""
    path = Path(pattern).expanduser()
    if path.is_absolute():
        return _matches(path.parent, path.name)
    for folder in _folders(preset_folder):
        if found := _matches(folder, pattern):
            return found
    return []


def _matches(folder: Path, pattern: str) -> list[Path]:
    path = folder / pattern
    if path.is_file():
        # Brackets may stand in a file's own name.
        return [path]
    if any(letter in pattern for letter in "*?["):
        return sorted(path for path in folder.glob(pattern) if path.is_file())
    return []


def _say_missing(pattern: str, found: list[Path], folder: Path) -> str:
    """Why a file cannot be had."""
    if found:
        shown = ", ".join(str(path) for path in found[:3])
        return f"{pattern} matches {len(found)} files ({shown}): name one"
    if Path(pattern).expanduser().is_absolute():
        return f"there is no file {pattern}"
    looked = ", ".join(str(place) for place in _folders(folder)[:-1])
    return (
        f"there is no file {pattern} (looked in {looked}): put it there or name its "
        f"folder in {MODELS_VARIABLE}"
    )
