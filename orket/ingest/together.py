"""Result files of several quants of one model become one sweep, paired by test.

Each file is read as ever; where files that are given together hold several quants of a
model, their rows are those of one sweep. What cannot be paired is left out and told.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TypeGuard

import msgspec

from orket.errors import UsageError
from orket.identity import content_id
from orket.ingest.origin import UNKNOWN, Origin, SourceOptions
from orket.ingest.parsed import Item
from orket.ingest.reading import open_file
from orket.records import RunRecord

_NAMED = 3
"""Tests that a note names; it counts the others."""


@dataclass(slots=True)
class ReadFile:
    """One result file, read whole."""

    path: Path
    format: str
    items: list[Item]
    origin: Origin
    notes: list[str] = field(default_factory=list)
    is_joined: bool = False

    def runs(self) -> list[RunRecord]:
        """Its good rows."""
        return [row for _, row in self.items if isinstance(row, RunRecord)]

    def sources(self) -> set[tuple[str, str, str]]:
        """The evaluations that its rows are of, each with its model and quant."""
        return {(row.sweep_id, row.model_id, row.quant_tag) for row in self.runs()}


def find_repeated(files: Sequence[ReadFile]) -> dict[Path, Path]:
    """Files that are an earlier one once more -> that one.

    One that holds the same bytes and is of another evaluation, by its name or by what
    is said of it, is only told: two quants may give the same answers.
    """
    first: dict[str, ReadFile] = {}
    found: dict[Path, Path] = {}
    for file in files:
        with open_file(file.path) as opened:
            other = first.setdefault(_digest(opened), file)
        if other is file:
            continue
        if other.sources() == file.sources():
            found[file.path] = other.path
        else:
            file.notes.append(
                f"it holds the very bytes of {other.path}: is it another quant?"
            )
    return found


def _digest(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def join(files: Sequence[ReadFile], options: SourceOptions) -> None:
    """Make one sweep of the quants of each model that these files compare.

    A model of which they hold one quant keeps its own sweep. Raises UsageError where
    two files claim one quant, where one has no name, and where nothing can be paired.
    """
    unused = [name for name, _ in options.quants if name not in options.used]
    if unused:
        raise UsageError(
            f"no file, folder or model is called {unused[0]}",
            "--quant NAME=TAG names one as it stands in the command or in a file",
        )
    groups: dict[tuple[str, str], dict[str, list[ReadFile]]] = {}
    for file in files:
        for model, quant in sorted({(r.model_id, r.quant_tag) for r in file.runs()}):
            by_quant = groups.setdefault((file.format, model), {})
            by_quant.setdefault(quant, []).append(file)
    if options.quants:
        _require_one_model(groups)
    for (format_name, model), by_quant in groups.items():
        if len(by_quant) > 1:
            _join_model(format_name, model, by_quant)


def _require_one_model(
    groups: Mapping[tuple[str, str], Mapping[str, Sequence[ReadFile]]],
) -> None:
    """Refuse quants that are named to be compared and belong to several models."""
    models = sorted({model for _, model in groups})
    if len(models) > 1 and all(len(quants) == 1 for quants in groups.values()):
        raise UsageError(
            f"these files are of several models ({', '.join(models)})",
            "if they are quants of one, name it with --model",
        )


def _join_model(
    format_name: str, model: str, by_quant: Mapping[str, Sequence[ReadFile]]
) -> None:
    if UNKNOWN in by_quant:
        path = by_quant[UNKNOWN][0].path
        raise UsageError(
            f"{path} does not say which quant it is of",
            f"say it with --quant {path}=TAG",
        )
    files = list(
        {id(file): file for each in by_quant.values() for file in each}.values()
    )
    rows = [
        (file, row) for file in files for row in file.runs() if row.model_id == model
    ]
    _require_one_owner(rows)
    shared = _shared_tests(rows)
    if not shared:
        raise UsageError(
            f"no test is in the files of all quants of {model} "
            f"({', '.join(sorted(by_quant))})",
            "give result files of the same tasks",
        )
    rows = [(file, row) for file, row in rows if row.test_id in shared]
    _require_same_tests(rows)
    sources = sorted({row.sweep_id for _, row in rows})
    sweep_id = f"compare-{format_name}-{content_id(model, *sources)}"
    has_verdicts = any(row.checks is not None for _, row in rows)
    for file in files:
        _tell_left_out(file, model, shared)
        file.items = [
            (line, _moved(row, sweep_id) if _belongs(row, model) else row)
            for line, row in file.items
            if not _belongs(row, model) or row.test_id in shared
        ]
        policy = msgspec.structs.replace(file.origin.policy, quality_only=has_verdicts)
        file.origin = replace(file.origin, policy=policy)
        file.is_joined = True
    _tell_prompts(rows, files[-1])


def _belongs(row: object, model: str) -> TypeGuard[RunRecord]:
    return isinstance(row, RunRecord) and row.model_id == model


def _moved(row: RunRecord, sweep_id: str) -> RunRecord:
    """A run as one of another sweep; its ids follow from what it is, as ever."""
    run_id = content_id(
        sweep_id, row.model_id, row.quant_tag, row.test_id, row.repetition
    )
    return msgspec.structs.replace(
        row, sweep_id=sweep_id, run_id=run_id, attempt_id=content_id(run_id, 1)
    )


def _require_one_owner(rows: Sequence[tuple[ReadFile, RunRecord]]) -> None:
    """Refuse two evaluations that both answer a test for one quant."""
    owners: dict[tuple[str, str, int], tuple[ReadFile, str]] = {}
    for file, row in rows:
        key = (row.quant_tag, row.test_id, row.repetition)
        owner, source = owners.setdefault(key, (file, row.sweep_id))
        if source != row.sweep_id:
            raise UsageError(
                f"{owner.path} and {file.path} both claim to be {row.quant_tag} of "
                f"{row.model_id}",
                "say which is which with --quant FILE=TAG, or leave one away",
            )


def _shared_tests(rows: Sequence[tuple[ReadFile, RunRecord]]) -> set[str]:
    """The tests that every quant was asked."""
    tests: dict[str, set[str]] = {}
    for _, row in rows:
        tests.setdefault(row.quant_tag, set()).add(row.test_id)
    return set.intersection(*tests.values())


def _require_same_tests(rows: Sequence[tuple[ReadFile, RunRecord]]) -> None:
    """Refuse tests that go by one name and ask something else."""
    first: dict[str, tuple[ReadFile, str]] = {}
    for file, row in rows:
        other, revision = first.setdefault(row.test_id, (file, row.task_revision))
        if (
            UNKNOWN not in (revision, row.task_revision)
            and revision != row.task_revision
        ):
            raise UsageError(
                f"{row.test_id} asks something else in {file.path} than in "
                f"{other.path}",
                "compare files that one version of the task wrote",
            )


def _tell_left_out(file: ReadFile, model: str, shared: set[str]) -> None:
    tests = {row.test_id for row in file.runs() if row.model_id == model} - shared
    if tests:
        named = sorted(tests)
        more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
        count = "1 test is" if len(named) == 1 else f"{len(named)} tests are"
        file.notes.append(
            f"{count} not in the files of every quant and left out: "
            f"{', '.join(named[:_NAMED])}{more}"
        )


def _tell_prompts(rows: Sequence[tuple[ReadFile, RunRecord]], file: ReadFile) -> None:
    """Say where the same test was put in other words: not the quant alone differs."""
    prompts: dict[tuple[str, int], set[str]] = {}
    for _, row in rows:
        if row.prompt_sha256 is not None:
            key = (row.test_id, row.repetition)
            prompts.setdefault(key, set()).add(row.prompt_sha256)
    other = {test for (test, _), told in prompts.items() if len(told) > 1}
    if other:
        total = len({row.test_id for _, row in rows})
        file.notes.append(
            f"{len(other)} of {total} tests were asked with another prompt for another "
            "quant (examples or template): not the quant alone differs"
        )
