"""Task banks: what a sweep asks a model, read strictly from TOML.

A bank is a file of presets/tasks, or any file by its path.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from orket.errors import UsageError
from orket.resources import shipped
from orket.tasks.checks import KINDS, Case, Check
from orket.tasks.toml_source import TomlSource, read_toml

SCHEMA_VERSION = 1
BUCKETS = ("logic", "refactor", "mixed")
TIERS = (1, 2, 3)
LANGUAGES = ("de", "en", "es", "fr", "it", "ja", "ko", "pt", "ru", "zh")

Fields = TypeVar("Fields", bound=msgspec.Struct)

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


class Samples(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Answers that must pass every check, and answers that must fail one."""

    passing: list[str] = msgspec.field(name="pass")
    failing: list[str] = msgspec.field(name="fail")


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


class BankFields(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The keys of a bank."""

    schema_version: int
    bank: str
    title: str
    tasks: list[dict[str, Any]]
    description: str = ""
    selections: dict[str, list[str]] = {}


@dataclass(frozen=True)
class Task:
    """One question with the checks on its answer."""

    bank: str
    id: str
    bucket: str
    tier: int
    prompt: str
    system: str | None
    max_tokens: int
    language: str
    checks: tuple[Check, ...]
    samples: Samples

    @property
    def test_id(self) -> str:
        """`bank/task`, unique over all banks."""
        return f"{self.bank}/{self.id}"

    @property
    def needs_sandbox(self) -> bool:
        """Whether a check runs the answer's code."""
        return any(check.needs_sandbox for check in self.checks)

    @property
    def revision(self) -> str:
        """Hash of all that can change whether an answer passes."""
        content = {
            "prompt": self.prompt,
            "system": self.system,
            "max_tokens": self.max_tokens,
            "checks": [msgspec.to_builtins(check) for check in self.checks],
        }
        text = json.dumps(
            content, ensure_ascii=False, sort_keys=True, separators=(",", ":")
        )
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class TaskBank:
    """A named set of tasks, in the order of the file."""

    bank: str
    title: str
    description: str
    tasks: tuple[Task, ...]
    selections: dict[str, tuple[str, ...]]
    """Named short selections: name -> task ids."""


def bank_names() -> list[str]:
    """Names of the shipped banks."""
    return sorted(path.stem for path in (shipped("presets") / "tasks").glob("*.toml"))


def load_bank(name_or_path: str | Path) -> TaskBank:
    """Read a shipped bank by name, or any bank by path. Raises UsageError."""
    return _read_bank(read_toml(_find_bank(name_or_path)))


def _find_bank(name_or_path: str | Path) -> Path:
    """File of a bank: a plain name is a shipped one, anything else a path."""
    name = str(name_or_path)
    if isinstance(name_or_path, Path) or name.endswith(".toml") or "/" in name:
        return Path(name_or_path)
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
                    hint=_nearest(task_id, known),
                )
    return TaskBank(
        bank=fields.bank,
        title=fields.title,
        description=fields.description,
        tasks=tuple(tasks),
        selections={name: tuple(ids) for name, ids in fields.selections.items()},
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
    if not _NAME.fullmatch(fields.id):
        raise source.error(
            f"task {fields.id!r}: the id is not made of a-z, 0-9, . _ and -", *at, "id"
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
            hint=_nearest(str(kind), KINDS),
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
                hint=_nearest(unknown[1], known),
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


def _nearest(word: str, known: Iterable[str]) -> str:
    """What to offer for a word that is not known."""
    options = list(known)
    close = get_close_matches(word, options, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    return "known are " + ", ".join(options)


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


def select_tasks(
    bank: TaskBank,
    buckets: Iterable[str] | None = None,
    ids: Iterable[str] | None = None,
    limit: int | None = None,
) -> tuple[Task, ...]:
    """Tasks of these buckets and names, in the bank's order, at most `limit`.

    A name is a task id, a test id, a pattern with * or ?, or a selection of the bank.
    `limit` takes evenly from buckets and tiers. Raises UsageError on an unknown name
    and when nothing is left.
    """
    tasks = bank.tasks
    if buckets is not None:
        wanted = list(buckets)
        for bucket in wanted:
            if bucket not in BUCKETS:
                raise UsageError(
                    f"no bucket named {bucket!r}", _nearest(bucket, BUCKETS)
                )
        tasks = tuple(task for task in tasks if task.bucket in wanted)
    if ids is not None:
        names = {found for name in ids for found in _expand(bank, name)}
        tasks = tuple(task for task in tasks if task.id in names)
    if limit is not None:
        if limit < 1:
            raise UsageError(f"a limit of {limit} tasks leaves none", "use 1 or more")
        tasks = _spread(tasks, limit)
    if not tasks:
        raise UsageError(
            f"no task of the bank {bank.bank!r} is left",
            "the buckets and the task names exclude each other",
        )
    return tasks


def _expand(bank: TaskBank, name: str) -> list[str]:
    """Task ids that a name stands for."""
    if name in bank.selections:
        return list(bank.selections[name])
    found = [
        task.id
        for task in bank.tasks
        if fnmatch.fnmatchcase(task.id, name) or fnmatch.fnmatchcase(task.test_id, name)
    ]
    if found:
        return found
    known = [*bank.selections, *(task.id for task in bank.tasks)]
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    raise UsageError(
        f"no task of the bank {bank.bank!r} is named {name!r}",
        f"did you mean {close[0]!r}?" if close else f"e.g. {', '.join(known[:3])}",
    )


def _spread(tasks: Sequence[Task], limit: int) -> tuple[Task, ...]:
    """Take from each bucket in turn, within it from each tier in turn."""
    queues = {
        bucket: _rotate([task for task in tasks if task.bucket == bucket])
        for bucket in BUCKETS
    }
    taken: set[str] = set()
    while len(taken) < min(limit, len(tasks)):
        for queue in queues.values():
            if queue and len(taken) < limit:
                taken.add(queue.pop(0).id)
    return tuple(task for task in tasks if task.id in taken)


def _rotate(tasks: Sequence[Task]) -> list[Task]:
    """Order tasks tier by tier in turn: the first of each tier, the second, ..."""
    ranked: list[tuple[int, int, Task]] = []
    for tier in TIERS:
        same = [task for task in tasks if task.tier == tier]
        ranked += [(place, tier, task) for place, task in enumerate(same)]
    return [task for _, _, task in sorted(ranked, key=lambda item: item[:2])]
