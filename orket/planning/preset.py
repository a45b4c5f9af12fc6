"""Finds presets and control profiles by name or path, and layers them.

A preset lies on the preset it `extends`: tables are merged key by key, lists are
replaced. Options of the command line are one more layer, and each of them is kept
as an override for the manifest.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from typing import Any

from orket.errors import UsageError
from orket.planning.preset_file import (
    PresetTable,
    ProfileTable,
    check_table,
    read_preset_toml,
)
from orket.providers.serving.command import shown_command
from orket.quants import same_quant
from orket.records import Override
from orket.resources import shipped
from orket.tasks.bank import names_bank_file
from orket.text import nearest
from orket.urls import without_secret

DEFAULT_PROFILE = "quiet"
QUANT_CATALOGUE = "quants"
"""Lies beside the presets and is none."""
URL_KEYS = frozenset({"provider.url", "urls"})
"""Keys of changes whose values are URLs: their passwords are not recorded."""
_DEEPEST_EXTENDS = 8


@dataclass(frozen=True, slots=True)
class Preset:
    """A preset with all it extends, and what the command line put over it."""

    name: str
    path: Path
    table: PresetTable
    content: dict[str, Any]
    """The merged content that `table` was judged from."""
    overrides: tuple[Override, ...] = ()


@dataclass(frozen=True, slots=True)
class Profile:
    """A control profile: controls and thresholds that belong to a machine."""

    name: str
    path: Path
    table: ProfileTable


@dataclass(frozen=True, slots=True)
class Change:
    """One value of the command line that goes over a preset."""

    key: str
    """Dotted key, as it is recorded."""
    value: Any
    paths: tuple[tuple[str | int, ...], ...] = ()
    """Where it goes in the content; empty means the key itself."""
    shown: Any = None
    """Recorded in place of the value and of the preset's, where they are long."""
    shown_before: Any = None


def user_folder() -> Path:
    """Where a user's own control profiles lie: $ORKET_HOME, else ~/.orket."""
    return Path(os.environ.get("ORKET_HOME") or Path.home() / ".orket")


def known_presets() -> dict[str, Path]:
    """Shipped presets by name."""
    found = _by_name(shipped("presets"))
    return {name: path for name, path in found.items() if name != QUANT_CATALOGUE}


def known_profiles() -> dict[str, Path]:
    """Control profiles by name: the shipped ones, then the user's own over them."""
    shipped_ones = _by_name(shipped("presets") / "controls")
    return shipped_ones | _by_name(user_folder() / "controls")


def load_preset(name_or_path: str) -> Preset:
    """Read a preset by name or path with everything it extends.

    Raises UsageError: an unknown name lists the known ones; a mistake in the file
    names file, line and the nearest valid key.
    """
    path = _find(name_or_path, known_presets(), "preset")
    content = _load_layers(path, seen=())
    table = check_table(PresetTable, content, path)
    _require(table, path)
    return Preset(path.stem, path, table, content)


def load_profile(name_or_path: str) -> Profile:
    """Read a control profile by name or path. Raises UsageError."""
    path = _find(name_or_path, known_profiles(), "control profile")
    source = read_preset_toml(path)
    table = check_table(ProfileTable, source.data, path, source)
    return Profile(path.stem, path, table)


def override(preset: Preset, changes: Sequence[Change]) -> Preset:
    """The preset with values of the command line over its own. Raises UsageError."""
    content = _copied(preset.content)
    records = list(preset.overrides)
    for change in changes:
        paths = change.paths or (tuple(change.key.split(".")),)
        before = [_get(content, path) for path in paths]
        for path in paths:
            _set(content, path, change.value)
        own = before[0] if all(value == before[0] for value in before) else before
        if own == change.value:
            continue
        if change.shown is not None:
            records.append(_record(change.key, change.shown, change.shown_before))
        else:
            records.append(_record(change.key, change.value, own))
    table = check_table(PresetTable, content, "command line")
    _require(table, preset.path)
    return replace(preset, table=table, content=content, overrides=tuple(records))


def _by_name(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def _find(name_or_path: str, known: Mapping[str, Path], kind: str) -> Path:
    if name_or_path in known:
        return known[name_or_path]
    path = Path(name_or_path).expanduser()
    if path.is_file():
        return path
    if path.suffix == ".toml" or os.sep in name_or_path:
        raise UsageError(f"there is no {kind} file {path}", "check the path")
    hint = nearest(name_or_path, known, list_all=True)
    raise UsageError(f"no {kind} {name_or_path!r}", hint)


def _load_layers(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    source = read_preset_toml(path)
    content = source.data
    check_table(PresetTable, content, path, source)
    base_name = content.pop("extends", None)
    content = _anchored(content, path.parent)
    if base_name is None:
        return content
    if len(seen) >= _DEEPEST_EXTENDS or path in seen:
        raise UsageError(f"{path}: extends goes in a circle", "remove one `extends`")
    known = known_presets()
    beside = path.parent / base_name
    base = beside if beside.is_file() else _find(base_name, known, "preset")
    return _merged(_load_layers(base, (*seen, path)), content)


def _anchored(content: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Make banks and control profiles by path relative to the file that says so."""
    tasks = content.get("tasks")
    bank = tasks.get("bank") if isinstance(tasks, dict) else None
    if isinstance(bank, str) and names_bank_file(bank):
        file = str(folder / Path(bank).expanduser())
        content = {**content, "tasks": {**content["tasks"], "bank": file}}
    models = content.get("models")
    if isinstance(models, list):
        profiled = [_with_profile_beside(model, folder) for model in models]
        content = {**content, "models": profiled}
    return _with_profile_beside(content, folder)


def _with_profile_beside(table: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The table with its control profile found beside the file, where one lies there.

    A name stays a name, and so does a path that leads somewhere from where Orket runs.
    """
    named = table.get("control_profile")
    if isinstance(named, str) and Path(named).suffix == ".toml":
        beside = folder / named
        if beside.is_file():
            return {**table, "control_profile": str(beside)}
    return table


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        both = isinstance(below, dict) and isinstance(value, dict)
        result[key] = _merged(below, value) if both else value  # type: ignore[arg-type]
    return result


def _require(table: PresetTable, path: Path) -> None:
    missing = [
        key
        for key, value in (
            ("provider.name", table.provider.name),
            ("models", table.models),
            ("tasks.bank", table.tasks.bank),
        )
        if not value
    ]
    if missing:
        raise UsageError(
            f"{path}: {', '.join(missing)} missing",
            "add it, or `extends` a preset that has it",
        )
    ids = [model.id for model in table.models]
    if len(set(ids)) < len(ids):
        raise UsageError(f"{path}: two models share an id", "give each its own id")
    for model in table.models:
        for one, other in combinations(model.quants, 2):
            if same_quant(one, other):
                both = one if one == other else f"{one} and {other}, one quant"
                raise UsageError(
                    f"{path}: model {model.id} lists a quant twice: {both}",
                    "list each once",
                )


def _copied(content: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _copied(value)
        if isinstance(value, dict)
        else [_copied(v) if isinstance(v, dict) else v for v in value]
        if isinstance(value, list)
        else value
        for key, value in content.items()
    }


def _get(content: Any, path: Sequence[str | int]) -> Any:
    for part in path:
        try:
            content = content[part]
        except (KeyError, IndexError, TypeError):
            return None
    return content


def _set(content: Any, path: Sequence[str | int], value: Any) -> None:
    for part in path[:-1]:
        if isinstance(part, str):
            content = content.setdefault(part, {})
        else:
            content = content[part]
    content[path[-1]] = value


def _record(key: str, value: Any, preset_value: Any) -> Override:
    if key == "provider.serve_cmd":
        value, preset_value = map(_shown_command, (value, preset_value))
    if key in URL_KEYS:
        value, preset_value = _shown(value), _shown(preset_value)
    return Override(
        key=key,
        value=_json(value),
        preset_value=None if preset_value is None else _json(preset_value),
    )


def _shown_command(command: Any) -> Any:
    return shown_command(command) if isinstance(command, str) else command


def _shown(urls: Any) -> Any:
    """URLs as they may be kept: a manifest holds no password."""
    if isinstance(urls, dict):
        return {key: _shown(url) for key, url in urls.items()}
    if isinstance(urls, list):
        return [_shown(url) for url in urls]
    return without_secret(urls) if isinstance(urls, str) else urls


def _json(value: Any) -> str:
    return json.dumps(value, default=_plain, ensure_ascii=False, sort_keys=True)


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"{value!r} is not JSON")
