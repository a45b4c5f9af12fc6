"""Tries the sample answers of a user's bank on its own checks, before any call.

They are what the author of a task was made to write: a task that contradicts them
would judge every model wrongly.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext

from orket.errors import UsageError
from orket.records import CheckFacts
from orket.resources import shipped
from orket.tasks.checkers import check_answer
from orket.tasks.sandbox import Sandbox
from orket.tasks.sandboxes import open_sandbox
from orket.tasks.task import Task, TaskBank

_SHOWN_CHARS = 60


def prove_samples(bank: TaskBank, tasks: Sequence[Task], sandbox: str | None) -> None:
    """Raise UsageError for a sample that contradicts the checks of its task.

    A check that this sandbox cannot run proves nothing. The shipped banks are taken on
    trust: the test suite tries their samples in every sandbox.
    """
    if bank.path is None or bank.path.parent == shipped("presets") / "tasks":
        return
    needs_sandbox = any(task.needs_sandbox for task in tasks)
    opened = open_sandbox(sandbox) if needs_sandbox else None
    with nullcontext() if opened is None else closing(opened):
        for task in tasks:
            for problem in _contradictions(task, opened):
                raise UsageError(
                    f"{bank.path}: bank {bank.bank!r}, task {task.id!r}: {problem}",
                    "mend the sample or the checks",
                )


def _contradictions(task: Task, sandbox: Sandbox | None) -> Iterator[str]:
    """What is wrong with the samples of one task."""
    for number, sample in enumerate(task.samples.passing, start=1):
        facts = check_answer(task, sample, sandbox)
        if facts.checks_passed < facts.checks_total:
            yield f"sample {number} of `pass` ({_show(sample)}) fails {_failed(facts)}"
    for number, sample in enumerate(task.samples.failing, start=1):
        facts = check_answer(task, sample, sandbox)
        if facts.checks_passed == len(task.checks):
            yield f"sample {number} of `fail` ({_show(sample)}) passes every check"


def _show(sample: str) -> str:
    """The beginning of a sample, on one line."""
    cut = sample[:_SHOWN_CHARS]
    return json.dumps(cut, ensure_ascii=False) + ("…" if cut != sample else "")


def _failed(facts: CheckFacts) -> str:
    """The first check that failed, and why."""
    entries = json.loads(facts.check_details or "[]")
    number, entry = next(
        (number, entry)
        for number, entry in enumerate(entries, start=1)
        if entry["status"] == "failed"
    )
    return f"check {number}, {entry['kind']} ({entry['reason']})"
