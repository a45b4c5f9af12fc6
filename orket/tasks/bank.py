"""Task banks: what a sweep asks a model, read strictly from TOML.

A bank is a file of presets/tasks, or any file by its path.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from orket.errors import UsageError
from orket.resources import shipped
from orket.tasks.checks import KINDS, Case, Check
from orket.tasks.selection import select_tasks
from orket.tasks.task import BUCKETS, LANGUAGES, TIERS, Samples, Task, TaskBank
from orket.text import nearest
from orket.toml_source import TomlSource, read_toml

__all__ = [
    "Samples",
    "Task",
    "TaskBank",
    "bank_names",
    "load_bank",
    "names_bank_file",
    "select_tasks",
]

SCHEMA_VERSION = 1
Fields = TypeVar("Fields", bound=msgspec.Struct)

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


class TaskFields(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The keys of one task in a bank; the checks are read by kind."""

    id: str
    bucket: str
    prompt: str
    max_tokens: int
    checks: list[dict[str, Any]]
    samples: Samples
    tier: int = 1
    system: str | None = None
    language: str = "en"
    family: str | None = None


class BankFields(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The keys of a bank."""

    schema_version: int
    bank: str
    title: str
    tasks: list[dict[str, Any]]
    description: str = ""
    selections: dict[str, list[str]] = {}


def bank_names() -> list[str]:
    """Names of the shipped banks."""
    return sorted(path.stem for path in (shipped("presets") / "tasks").glob("*.toml"))


def load_bank(name_or_path: str | Path) -> TaskBank:
    """Read a shipped bank by name, or any bank by path. Raises UsageError."""
    return _read_bank(read_toml(_find_bank(name_or_path)))


def names_bank_file(name: str) -> bool:
    """Whether a bank's name is the path of a file; a plain name is a shipped bank."""
    return name.endswith(".toml") or "/" in name or os.sep in name


def _find_bank(name_or_path: str | Path) -> Path:
    """File of a bank: a plain name is a shipped one, anything else a path."""
    name = str(name_or_path)
    if isinstance(name_or_path, Path) or names_bank_file(name):
        return Path(name_or_path).expanduser()
    path = shipped("presets") / "tasks" / f"{name}.toml"
    if _NAME.fullmatch(name) and path.is_file():
        return path
    raise UsageError(
        f"no task bank named {name!r}",
        f"known are {', '.join(bank_names()) or 'none'}; or give a path to a TOML file",
    )


def _read_bank(source: TomlSource) -> TaskBank:
    """Prove a parsed file to be a bank."""
    fields = _convert(source, source.data, BankFields, ())
    if fields.schema_version != SCHEMA_VERSION:
        raise source.error(
            f"schema_version {fields.schema_version} is unknown",
            "schema_version",
            hint=f"this Orket reads version {SCHEMA_VERSION}",
        )
    if not _NAME.fullmatch(fields.bank):
        raise source.error(
            f"bank {fields.bank!r} is not a name of a-z, 0-9, . _ and -", "bank"
        )
    tasks = [
        _read_task(source, fields.bank, raw, index)
        for index, raw in enumerate(fields.tasks)
    ]
    if not tasks:
        raise source.error("the bank has no tasks", "tasks")
    _refuse_duplicates(source, tasks)
    known = {task.id for task in tasks}
    for name, ids in fields.selections.items():
        for task_id in ids:
            if task_id not in known:
                raise source.error(
                    f"selection {name!r} names the unknown task {task_id!r}",
                    "selections",
                    name,
                    hint=nearest(task_id, known),
                )
    return TaskBank(
        bank=fields.bank,
        title=fields.title,
        description=fields.description,
        tasks=tuple(tasks),
        selections={name: tuple(ids) for name, ids in fields.selections.items()},
        path=source.path,
    )


def _read_task(source: TomlSource, bank: str, raw: Any, index: int) -> Task:
    """Prove one task."""
    at = ("tasks", index)
    fields = _convert(source, raw, TaskFields, at)
    for key, allowed in (
        ("bucket", BUCKETS),
        ("tier", TIERS),
        ("language", LANGUAGES),
    ):
        value = getattr(fields, key)
        if value not in allowed:
            options = ", ".join(str(option) for option in allowed)
            raise source.error(
                f"task {fields.id!r}: {key} is {value!r}",
                *at,
                key,
                hint=f"use {options}",
            )
    for key, name in (("id", fields.id), ("family", fields.family)):
        if name is not None and not _NAME.fullmatch(name):
            raise source.error(
                f"task {fields.id!r}: the {key} is not made of a-z, 0-9, . _ and -",
                *at,
                key,
            )
    if fields.max_tokens < 1:
        raise source.error(
            f"task {fields.id!r}: max_tokens is not positive", *at, "max_tokens"
        )
    if not fields.prompt.strip():
        raise source.error(f"task {fields.id!r}: the prompt is empty", *at, "prompt")
    if not fields.checks:
        raise source.error(f"task {fields.id!r}: there are no checks", *at)
    if not fields.samples.passing or len(fields.samples.failing) < 2:
        raise source.error(
            f"task {fields.id!r}: too few sample answers",
            *at,
            "samples",
            hint="give at least one in `pass` and two in `fail`",
        )
    return Task(
        bank=bank,
        id=fields.id,
        bucket=fields.bucket,
        tier=fields.tier,
        prompt=fields.prompt,
        system=fields.system,
        max_tokens=fields.max_tokens,
        language=fields.language,
        checks=tuple(
            _read_check(source, fields.id, check, (*at, "checks", number))
            for number, check in enumerate(fields.checks)
        ),
        samples=fields.samples,
        family=fields.family,
    )


def _read_check(
    source: TomlSource, task_id: str, raw: dict[str, Any], at: tuple[str | int, ...]
) -> Check:
    """Prove one check by its kind."""
    kind = raw.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        said = "has no kind" if kind is None else f"has the unknown kind {kind!r}"
        raise source.error(
            f"task {task_id!r}: check {said}",
            *at,
            "kind",
            hint=nearest(str(kind), KINDS),
        )
    check = _convert(source, raw, KINDS[kind], at)
    try:
        check.prove()
    except ValueError as error:
        raise source.error(f"task {task_id!r}: {kind}: {error}", *at) from None
    return check


def _convert(
    source: TomlSource, raw: Any, kind: type[Fields], at: tuple[str | int, ...]
) -> Fields:
    """Convert strictly; an unknown key is answered with the nearest valid one."""
    try:
        return msgspec.convert(raw, type=kind, strict=True)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `$")
        inner = _path_of(where.rstrip("`"))
        unknown = re.search(r"unknown field `(.+)`", message)
        if unknown:
            holders: dict[str, type[msgspec.Struct]] = {
                "samples": Samples,
                "cases": Case,
            }
            holder = holders.get(str((*inner, "")[0]), kind)
            known = [field.encode_name for field in msgspec.structs.fields(holder)]
            raise source.error(
                f"unknown key {unknown[1]!r}",
                *at,
                *inner,
                unknown[1],
                hint=nearest(unknown[1], known),
            ) from None
        message = message.replace("Object missing required field", "missing key")
        place = "".join(f".{part}" for part in inner).lstrip(".")
        said = f"{place}: {message}" if place else message
        raise source.error(said, *at, *inner) from None


def _path_of(where: str) -> tuple[str | int, ...]:
    """Read the path in an error: `.samples.pass[0]`."""
    return tuple(
        int(index) if index else name
        for name, index in re.findall(r"\.([^.\[]+)|\[(\d+)\]", where)
    )


def _refuse_duplicates(source: TomlSource, tasks: Sequence[Task]) -> None:
    """Ids and prompts are unique: a task twice would weigh twice."""
    for key in ("id", "prompt"):
        seen: dict[tuple[str, str | None], str] = {}
        for index, task in enumerate(tasks):
            value = (getattr(task, key), task.system if key == "prompt" else None)
            if value in seen:
                raise source.error(
                    f"task {task.id!r} has the same {key} as {seen[value]!r}",
                    "tasks",
                    index,
                    key,
                )
            seen[value] = task.id
