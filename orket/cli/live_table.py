"""The table that stands on a terminal while a sweep runs, as lines of text.

Nothing here asks for the time, draws or computes a figure: all figures are the views'.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from orket.exports.figures import (
    decimals,
    duration,
    seconds,
    size,
    time_words,
    why_out,
    words,
)
from orket.exports.scale import MICRO, MILLI, NANO, scale
from orket.planning.estimate import Span
from orket.sweep.reporter import Ahead, Key
from orket.text import printable
from orket.warehouse.reasons import code_of

Row = Mapping[str, Any]

MOST_SENTENCE_LINES = 3
MOST_NEXT = 4
GAP = "  "

_STATES = {
    "BASELINE": "reference",
    "PROVEN": "shown",
    "CANNOT_BE_PROVEN": "cannot be shown here",
    "NOT_ANSWERING": "out: no answer",
    "NOT_ASKED": "not asked yet",
    "OPEN": "not decided yet",
    "PASSES": "passes so far",
}


@dataclass(slots=True)
class Board:
    """All that the table shows."""

    quants: Sequence[Key]
    """Every quant of the plan, by model, the most precise first."""
    standing: dict[Key, Row] = field(default_factory=dict)
    busiest: str | None = None
    """Who disturbs, by the last look."""
    fidelity: dict[Key, Row] = field(default_factory=dict)
    lines: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Of each model, what would be recommended by now."""
    asked: set[Key] = field(default_factory=set)
    """Quants that were asked a task, also since the views were read."""
    place: Key | None = None
    """The quant that is asked now."""
    doing: str = "starting"
    calls: int = 0
    total: int = 0
    troubles: str = ""
    """Failed, cancelled and polluted calls, in words."""
    ahead: Ahead | None = None
    since: float = 0.0
    """Seconds since that was told."""
    budget: float | None = None


class Line(NamedTuple):
    """A line, and whether it stands out."""

    text: str
    is_strong: bool = False


def show_board(board: Board, width: int, height: int) -> list[Line]:
    """The table in lines that fit the screen; none of them is broken by it."""
    models = list(dict.fromkeys(model for model, _ in board.quants))
    current = board.place[0] if board.place else models[0]
    above = list(_sentence(board, current, width))
    below = [Line(line) for line in _footer(board, width)]
    shown = list(board.quants)
    names_models = len(models) > 1
    if names_models and len(above) + len(shown) + len(models) + len(below) >= height:
        shown = [key for key in shown if key[0] == current]
    rows = list(_table(board, shown, width, names_models))
    # The quants come first, then the times; the sentence is told at the end again.
    if len(above) + len(rows) + len(below) > height:
        above = []
    room = max(height - len(below), 2)
    if len(rows) > room:
        hidden = len(rows) - room + 1
        rows = [*rows[: room - 1], Line(f"... and {hidden} more")]
    lines = [*above, *rows, *below]
    return [Line(_cut(line.text, width), line.is_strong) for line in lines][:height]


def _sentence(board: Board, model_id: str, width: int) -> Iterator[Line]:
    if board.standing:
        told = board.lines.get(model_id) or ["no quant can be recommended yet."]
        yield from map(Line, _fold(f"So far: {told[0]}", width, MOST_SENTENCE_LINES))
        yield Line("")


def _fold(text: str, width: int, most: int) -> list[str]:
    """The text in lines of this width; what is beyond `most` lines is left out."""
    return textwrap.wrap(
        printable(text),
        width,
        max_lines=most,
        placeholder=" ...",
        subsequent_indent=GAP,
        break_on_hyphens=False,
    )


class _Column(NamedTuple):
    header: str
    show: Callable[[Board, Key], str]
    is_left: bool = False


def _table(
    board: Board, keys: Sequence[Key], width: int, names_models: bool
) -> Iterator[Line]:
    # Fidelity comes before the first task: what is not there by now will not be.
    left_out = set() if board.fidelity else {_SAME}
    standing = board.standing.values()
    if standing and all(row["is_quality_only"] for row in standing):
        left_out.add(_SPEED)
    columns = [column for column in _COLUMNS if column not in left_out]
    cells = {
        column: [printable(column.show(board, key)) for key in keys]
        for column in columns
    }
    if _width(columns, cells) > width:
        cells[_STATE] = [printable(_short_state(board, key)) for key in keys]
    for dropped in _DROPPABLE:
        if _width(columns, cells) <= width:
            break
        if dropped in columns:
            columns.remove(dropped)
    widths = [max(map(_cells, [column.header, *cells[column]])) for column in columns]
    yield Line(_join((column.header for column in columns), columns, widths), True)
    model = None
    for place, key in enumerate(keys):
        if names_models and key[0] != model:
            model = key[0]
            yield Line(printable(model))
        row = (cells[column][place] for column in columns)
        yield Line(_join(row, columns, widths), key == board.place)


def _width(columns: Sequence[_Column], cells: Mapping[_Column, list[str]]) -> int:
    return sum(
        max(map(_cells, [column.header, *cells[column]])) + len(GAP)
        for column in columns
    ) - len(GAP)


def _join(
    cells: Iterable[str], columns: Sequence[_Column], widths: Sequence[int]
) -> str:
    parts = []
    for cell, column, width in zip(cells, columns, widths, strict=True):
        filling = " " * (width - _cells(cell))
        parts.append(cell + filling if column.is_left else filling + cell)
    return GAP.join(parts).rstrip()


def _cells(text: str) -> int:
    """Columns of the screen that a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _cut(text: str, width: int) -> str:
    if _cells(text) <= width:
        return text
    from rich.cells import set_cell_size

    return set_cell_size(text, width)


def _quant(board: Board, key: Key) -> str:
    return key[1]


def _state(board: Board, key: Key) -> str:
    if key == board.place:
        return "asked now"
    row = board.standing.get(key)
    if key in board.asked and (row is None or row["state"] == "NOT_ASKED"):
        return "to be judged"
    if row is None:
        return "waits"
    if row["state"] == "SHOWN_NOT_VIABLE":
        return f"out: {why_out(code_of('quant', 'adherence_below'))}"
    if row["state"] == "OUT":
        return f"out: {', '.join(map(why_out, row['out_reasons']))}"
    return _STATES.get(row["state"], words(row["state"]))


def _short_state(board: Board, key: Key) -> str:
    """Without the reasons, so that the table keeps its figures."""
    return _state(board, key).partition(":")[0]


def _tasks(board: Board, key: Key) -> str:
    row = board.standing.get(key)
    return f"{row['adherence_tasks']}/{row['planned_tasks']}" if row else "-"


def _same(board: Board, key: Key) -> str:
    """The share of places with the reference's next token: cut, never rounded up."""
    row = board.fidelity.get(key)
    if row is None or row["same_top_ppm"] is None:
        return "-"
    tenths = row["same_top_ppm"] // 1000
    return f"{tenths // 10}.{tenths % 10}"


def _adherence(board: Board, key: Key) -> str:
    row = board.standing.get(key)
    if row is None or row["adherence_score_micro"] is None:
        return "-"
    score = scale(row["adherence_score_micro"], MICRO, 6)
    low, high = (
        decimals(scale(bound, MICRO, 6) * 100, 0)
        for bound in row["adherence_interval_micro"]
    )
    return f"{decimals(score * 100, 1)} ({low} to {high})"


def _speed(board: Board, key: Key) -> str:
    row = board.standing.get(key)
    if row is None or row["is_quality_only"]:
        return "-"
    rate = row["generation_tokens_per_second_milli"]
    if rate is not None:
        return f"{decimals(scale(rate, MILLI, 3), 1)} t/s"
    latency = row["total_latency_ns"]
    return "-" if latency is None else f"{seconds(scale(latency, NANO, 9))} a run"


def _memory(board: Board, key: Key) -> str:
    row = board.standing.get(key)
    return size(row["peak_memory_bytes"]) if row else "-"


def _polluted(board: Board, key: Key) -> str:
    row = board.standing.get(key)
    return str(row["polluted_runs"]) if row else "-"


_STATE = _Column("state", _state, is_left=True)
_TASKS = _Column("judged", _tasks)
_SAME = _Column("same token %", _same)
_SPEED = _Column("speed", _speed)
_MEMORY = _Column("memory", _memory)
_POLLUTED = _Column("polluted", _polluted)
_COLUMNS = (
    _Column("quant", _quant, is_left=True),
    _STATE,
    _TASKS,
    _SAME,
    _Column("adherence %", _adherence),
    _SPEED,
    _MEMORY,
    _POLLUTED,
)
_DROPPABLE = (_MEMORY, _TASKS, _SPEED, _SAME, _POLLUTED)
"""What a narrow terminal goes without."""


def _footer(board: Board, width: int) -> Iterator[str]:
    yield ""
    place = " ".join(board.place) if board.place else ""
    doing = f"Now: {board.doing} {place}".rstrip()
    calls = f"call {board.calls} of {board.total}"
    troubles = f", {board.troubles}" if board.troubles else ""
    who = f": {board.busiest}" if board.busiest and troubles else ""
    yield from _fold(f"{doing}, {calls}{troubles}{who}", width, 2)
    if board.ahead is not None:
        yield from _fold(_times(board, board.ahead), width, 2)
        following = _following(board, board.ahead)
        if following:
            yield from _fold(f"Next: {following}", width, 1)


def _times(board: Board, ahead: Ahead) -> str:
    within = f" of {duration(board.budget)}" if board.budget is not None else ""
    used = f"{duration(ahead.used + board.since)}{within} used"
    usual, whole = (_later(part, board.since) for part in (ahead.mostly, ahead.whole))
    bound = None if ahead.bound is None else max(ahead.bound - board.since, 0.0)
    told = time_words(usual, whole, bound, " left")
    if not told:
        return f"{used}; how much is left cannot be told yet"
    is_grid = ahead.usual is None and bound is None
    return f"{used}, {told}{', and more for what is disturbed' if is_grid else ''}"


def _later(span: Span | None, seconds: float) -> Span | None:
    """What is left of a span of time when so much of it has passed."""
    if span is None:
        return None
    return Span(max(span.low - seconds, 0.0), max(span.high - seconds, 0.0))


def _following(board: Board, ahead: Ahead) -> str:
    models = {model for model, _ in board.quants}
    keys = [key for key in dict.fromkeys(ahead.next) if key != board.place]
    names = [quant if len(models) == 1 else f"{model} {quant}" for model, quant in keys]
    more = ["..."] if len(names) > MOST_NEXT else []
    return ", ".join([*names[:MOST_NEXT], *more])
