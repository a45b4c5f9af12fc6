"""A task, its samples and a bank of tasks."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import msgspec

from orket.tasks.checks import Check

BUCKETS = ("logic", "refactor", "mixed")
TIERS = (1, 2, 3)
LANGUAGES = ("de", "en", "es", "fr", "it", "ja", "ko", "pt", "ru", "zh")


class Samples(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Answers that must pass every check, and answers that must fail one."""

    passing: list[str] = msgspec.field(name="pass")
    failing: list[str] = msgspec.field(name="fail")


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
    family: str | None = None
    """Tasks of one template or skill share it: they tend to fail together."""

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
    path: Path | None = None
    """The file it was read from."""
