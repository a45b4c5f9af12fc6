"""The map of tasks and quants, with the answers behind it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import groupby
from typing import Any

from orket.exports.answers import failed_checks, visible
from orket.exports.figures import words

Row = Mapping[str, Any]

MOST_BYTES = 1_600_000
"""Of the whole map: a page that a browser opens at once, and a mail takes."""
_CUTS = (4000, 2000, 1000, 500, 250, 120)
"""Characters of an answer that are shown, as many as there is room for."""
_MOST_OPEN = 12
"""Tasks of a group that are shown before one asks for more."""
_LINE_BYTES, _CELL_BYTES, _ANSWER_BYTES = 230, 62, 300
"""What stands around a task, the sign of a quant and an answer."""

SIGNS = {"PASSED": "✓", "FAILED": "✗", "NOT_JUDGED": "?", "LEFT_OUT": "–"}


@dataclass(frozen=True, slots=True)
class Answer:
    """One distinct answer to a task, and the quants that gave it."""

    quants: list[str]
    standing: str
    same: str
    """What it has in common with the reference's, from its start."""
    rest: str
    """What follows the first difference; all of it where it is the reference's own."""
    is_reference: bool
    difference: int | None
    """First character, from 1, in which it differs from the reference's."""
    cut: int
    """Characters that are not shown."""
    problems: list[str]
    run_id: str | None


@dataclass(frozen=True, slots=True)
class TaskLine:
    """A row of the map."""

    name: str
    cells: list[tuple[str, str, str]]
    """Quant, standing and sign, most precise first."""
    said: str
    """The same for whoever hears the page."""
    answers: list[Answer]


@dataclass(frozen=True, slots=True)
class TaskGroup:
    """Tasks of one family, or of one bucket where families are not declared."""

    name: str
    first: list[TaskLine]
    """The tasks on which quants differ, those that most fail first; not all of them."""
    more: list[TaskLine]
    agreeing: list[TaskLine]


@dataclass(frozen=True, slots=True)
class AnswerMap:
    """All tasks of a model."""

    quants: list[str]
    groups: list[TaskGroup]
    shown_characters: int | None
    """Characters at which answers are cut; None where none is."""
    unlisted: int
    """Tasks for which there is no room."""


def build_map(rows: Sequence[Row], quant_tags: Sequence[str], most: int) -> AnswerMap:
    """The map of one model, within `most` bytes.

    Where room is scarce, answers are cut; then those of tasks on which all stand alike
    are left out, then these tasks, then the tasks that fewest quants fail.
    """
    lines: list[tuple[str, TaskLine]] = []
    cut: int | None = None
    for cut in (None, *_CUTS):
        lines = list(_lines(rows, quant_tags, cut))
        if sum(_weight(line) for _, line in lines) <= most:
            return AnswerMap(list(quant_tags), _groups(lines), cut, 0)
    kept = _keep(lines, most)
    return AnswerMap(list(quant_tags), _groups(kept), cut, len(lines) - len(kept))


def _lines(
    rows: Sequence[Row], quant_tags: Sequence[str], cut: int | None
) -> Iterator[tuple[str, TaskLine]]:
    for (group, test_id), alike in groupby(
        rows, lambda r: (_group_of(r), r["test_id"])
    ):
        yield group, _line(test_id, list(alike), quant_tags, cut)


def _keep(lines: list[tuple[str, TaskLine]], most: int) -> list[tuple[str, TaskLine]]:
    """As many tasks as there is room for, those that most quants fail first."""
    bare = [
        (group, replace(line, answers=[]) if _is_agreed(line) else line)
        for group, line in lines
    ]
    order = sorted(
        range(len(bare)),
        key=lambda place: (
            _is_agreed(bare[place][1]),
            -_failures(bare[place][1]),
            place,
        ),
    )
    kept = set()
    for place in order:
        most -= _weight(bare[place][1])
        if most < 0:
            break
        kept.add(place)
    return [line for place, line in enumerate(bare) if place in kept]


def _weight(line: TaskLine) -> int:
    """Bytes of a task in the page, about."""
    answers = sum(
        _ANSWER_BYTES + len(escape(answer.same + answer.rest).encode())
        for answer in line.answers
    )
    return _LINE_BYTES + len(line.said) + _CELL_BYTES * len(line.cells) + answers


def _groups(lines: Sequence[tuple[str, TaskLine]]) -> list[TaskGroup]:
    groups = []
    for name, members in groupby(lines, lambda entry: entry[0]):
        drawn = [line for _, line in members]
        differing = [line for line in drawn if not _is_agreed(line)]
        differing.sort(key=lambda line: (-_failures(line), line.name))
        first, more = differing[:_MOST_OPEN], differing[_MOST_OPEN:]
        groups.append(TaskGroup(name, first, more, list(filter(_is_agreed, drawn))))
    return groups


def _is_agreed(line: TaskLine) -> bool:
    return len({standing for _, standing, _ in line.cells}) <= 1


def _failures(line: TaskLine) -> int:
    return sum(standing == "FAILED" for _, standing, _ in line.cells)


def _group_of(row: Row) -> str:
    return str(row["family"] or row["bucket"] or "tasks")


def _line(
    test_id: str, rows: Sequence[Row], quant_tags: Sequence[str], cut: int | None
) -> TaskLine:
    by_quant = {row["quant_tag"]: row for row in rows}
    present = [tag for tag in quant_tags if tag in by_quant]
    cells = [
        (tag, standing, SIGNS[standing])
        for tag in present
        if (standing := by_quant[tag]["standing"])
    ]
    return TaskLine(
        test_id,
        cells,
        "; ".join(_spoken(cells)),
        list(_answers([by_quant[tag] for tag in present], cut)),
    )


def _spoken(cells: Sequence[tuple[str, str, str]]) -> Iterator[str]:
    for standing in SIGNS:
        named = [tag for tag, found, _ in cells if found == standing]
        if len(named) == len(cells) and len(named) > 1:
            yield f"{words(standing)} by all" if standing != "LEFT_OUT" else "left out"
        elif named:
            yield f"{words(standing)}: {', '.join(named)}"


def _answers(rows: Sequence[Row], cut: int | None) -> Iterator[Answer]:
    """Each distinct answer once; the reference's first, if it is there."""
    kinds: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        key = (row["answer_text"], row["standing"], row["outcome"])
        kinds.setdefault(key, []).append(row)
    reference = rows[0]["baseline_quant_tag"] if rows else None
    ordered = sorted(
        kinds.values(),
        key=lambda alike: reference not in {row["quant_tag"] for row in alike},
    )
    for alike in ordered:
        first = alike[0]
        text = first["answer_text"] or ""
        is_reference = any(row["quant_tag"] == reference for row in alike)
        place = (first["first_difference"] or 1) - 1
        shown = text if cut is None else text[: max(cut, 0)]
        same = "" if is_reference else shown[:place]
        yield Answer(
            quants=[row["quant_tag"] for row in alike],
            standing=first["standing"],
            same=visible(same),
            rest=visible(shown[len(same) :]),
            is_reference=is_reference,
            difference=None if is_reference else first["first_difference"],
            cut=len(text) - len(shown),
            problems=list(_problems(first)),
            run_id=first["run_id"],
        )


def _problems(row: Row) -> Iterator[str]:
    if row["outcome"] not in (None, "OK"):
        yield f"the call {words(row['outcome'])}"
    if row["format_damage"]:
        yield f"form: {words(row['format_damage'])}"
    yield from failed_checks(row["check_details"])
