"""The preset in the manifest: what a sweep was started from, so that it can go on."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from orket.errors import UsageError
from orket.limits import exact_number
from orket.planning.preset import Preset
from orket.planning.preset_file import PresetTable, check_table
from orket.providers.serving.command import shown_command
from orket.tasks.bank import names_bank_file
from orket.urls import without_secret

COMMAND_KEY = "serve_cmd"
"""Key of a preset's provider that holds a command."""
URL_KEYS = ("url", "urls")
"""Keys of a preset, in its tables of providers and names, that hold URLs."""


@dataclass(frozen=True, slots=True)
class KeptPreset:
    """A preset out of a manifest."""

    preset: Preset
    password_removed: bool
    """A URL of it had a password, or its command a key, which is not kept."""


def keep_preset(preset: Preset) -> str:
    """The resolved content as JSON: options included, paths absolute, no password."""
    kept = {
        "folder": str(preset.path.parent.resolve()),
        "password_removed": _without_passwords(preset.content) != preset.content,
        "content": plain_content(preset),
    }
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":"))


def plain_content(preset: Preset) -> dict[str, Any]:
    """The content in plain values that JSON and TOML have; without a password."""
    content: dict[str, Any] = _spoken(_without_passwords(preset.content))
    return _anchored(content)


def restore_preset(kept: str, name: str, sweep_id: str) -> KeptPreset:
    """The preset of a sweep, from `keep_preset`. Raises UsageError if it is damaged."""
    try:
        found = json.loads(kept, parse_float=exact_number)
        content, folder = found["content"], Path(found["folder"])
        removed = bool(found["password_removed"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UsageError(
            f"the manifest of sweep {sweep_id} keeps no preset that can be read",
            f"name the preset: orket run PRESET --resume {sweep_id}",
        ) from None
    table = check_table(PresetTable, content, f"manifest of sweep {sweep_id}")
    return KeptPreset(Preset(name, folder / f"{name}.toml", table, content), removed)


def with_tasks_of(preset: Preset, other: Preset) -> Preset:
    """The preset with the tasks that another one selects, and nothing else of it."""
    content = {**preset.content, "tasks": other.content.get("tasks", {})}
    table = preset.table.model_copy(update={"tasks": other.table.tasks})
    return replace(preset, table=table, content=content)


def _anchored(content: dict[str, Any]) -> dict[str, Any]:
    """A bank that is a file is found from any folder."""
    bank = content.get("tasks", {}).get("bank")
    if not isinstance(bank, str) or not names_bank_file(bank):
        return content
    file = str(Path(bank).expanduser().resolve())
    return {**content, "tasks": {**content["tasks"], "bank": file}}


def _spoken(value: Any) -> Any:
    """The value as JSON has it."""
    if isinstance(value, dict):
        return {key: _spoken(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_spoken(item) for item in value]
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value


def _without_passwords(value: Any, is_url: bool = False) -> Any:
    """The content without passwords of URLs and secrets of a command.

    A label may have an `@`.
    """
    if isinstance(value, dict):
        return {
            key: shown_command(item)
            if key == COMMAND_KEY and isinstance(item, str)
            else _without_passwords(item, is_url or key in URL_KEYS)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_without_passwords(item, is_url) for item in value]
    return without_secret(value) if is_url and isinstance(value, str) else value
