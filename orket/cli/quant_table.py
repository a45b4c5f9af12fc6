"""The quants of a session as a table: whole, or as much as a narrow terminal holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from orket.cli.fidelity_words import kept_share, same_share
from orket.cli.output import (
    least_width,
    print_prose,
    print_table,
    screen_width,
    table_width,
)
from orket.exports.figures import (
    decimals,
    run_quality,
    seconds,
    size,
    why_out,
    whys_out,
    words,
)
from orket.exports.kept_answers import tells_kept
from orket.exports.untimed import why_no_times
from orket.levels import without_level
from orket.text import printable

if TYPE_CHECKING:
    from rich.table import Table

Document = Mapping[str, Any]

_USE, _SHOWN, _PASSES, _ALIKE = "*", "+", "<", "~"
_MARKS = (
    (_USE, "use this"),
    (_SHOWN, "smallest shown"),
    (_PASSES, "smallest that passes"),
)
_SAFE = "safe choice"
"""What is said in the place of `use this` where nothing smaller is shown."""
_UNTOLD = "?"
_UNTOLD_LEGEND = f"{_UNTOLD} measured, but not shown to repeat: tells no quant faster"
_ALIKE_LEGEND = f"{_ALIKE} not to be told from the reference by these tasks"


_QUALITIES = ("CLEAN", "POLLUTED")
"""Codes of judged runs; what was not run to the end is told in words."""
_TIMED = ("latency", "tokens/s")
"""Headers of columns that are marked where times are not shown to repeat."""
LEAST_VERDICT = 14
"""Characters of a line of reasons: broken after every word nobody reads them."""


class _Column(NamedTuple):
    header: str
    show: Callable[[Document, Document], str]
    """The cell of a quant, given its session."""
    is_left: bool = False
    can_wrap: bool = False


def print_quants(session: Document) -> None:
    """Print a row for each quant, nothing of it cut.

    Where the terminal is too narrow, with short words and fewer columns; only the
    reasons of a quant that is out may then take a second line.
    """
    figures = _figures(session)
    table = _build_table(session, (_QUANT, *figures, _QUALITY, _VERDICT))
    if table_width(table) <= screen_width():
        print_table(table)
        _explain(session, figures)
        return
    figures = [_SHORT_SAME if column == _SAME else column for column in figures]
    for dropped in (None, *_DROPPED):
        figures = [column for column in figures if column != dropped]
        columns = (_SHORT_QUANT, *figures, _QUALITY, _SHORT_VERDICT)
        table = _build_table(session, columns)
        if least_width(table) <= screen_width():
            break
    print_table(table, least_width(table))
    if marks := _mark_legend(session):
        print_prose(marks)
    _explain(session, figures)


def quant_cells(session: Document) -> tuple[list[str], list[list[str]], list[int]]:
    """The whole table: headers, the cells of each quant, and which columns are numbers.

    Nothing in the cells is escaped.
    """
    columns = (_QUANT, *_figures(session), _QUALITY, _VERDICT)
    return (
        [_header(column, session) for column in columns],
        [
            [column.show(quant, session) for column in columns]
            for quant in session["per_quant"]
        ],
        [place for place, column in enumerate(columns) if not column.is_left],
    )


def quant_legends(session: Document) -> list[str]:
    """What the marks in the whole table mean, as far as it has any."""
    return _legends(session, _figures(session))


def _legends(session: Document, figures: Sequence[_Column]) -> list[str]:
    told = []
    if any(map(_is_alike, session["per_quant"])):
        told.append(_ALIKE_LEGEND)
    if any(_is_untold(column, session) for column in figures):
        told.append(_UNTOLD_LEGEND)
    if why := why_no_times(session):
        told.append(f"no latency and no tokens/s: {why}")
    return told


def tells_speed(session: Document) -> bool:
    """Whether anything may be said of speed: times count, and are shown to repeat."""
    told: bool | None = session["recommendation_detail"]["tells_speed"]
    return told is not False


def _mark_legend(session: Document) -> str:
    """What the marks behind names mean, those that there are."""
    words = dict(_MARKS)
    if _is_safe(session):
        words[_USE] = _SAFE
    return ", ".join(
        f"{mark} {words[mark]}"
        for (mark, _), tag in zip(_MARKS, _standing(session), strict=True)
        if tag
    )


def _is_safe(session: Document) -> bool:
    """Whether what is advised is the reference itself."""
    frontier = session["efficiency_frontier"]
    advised = frontier["advised_quant_tag"]
    return advised is not None and advised == session["baseline_quant"]


def _header(column: _Column, session: Document) -> str:
    mark = _UNTOLD if _is_untold(column, session) else ""
    return f"{column.header}{mark}"


def _is_untold(column: _Column, session: Document) -> bool:
    """Whether a column has times, and none that would tell a quant faster."""
    if column.header not in _TIMED or tells_speed(session):
        return False
    return any(column.show(quant, session) != "-" for quant in session["per_quant"])


def _explain(session: Document, figures: Sequence[_Column]) -> None:
    if common := _common_reasons(session):
        print_prose(f"No quant is eligible: {', '.join(map(why_out, common))}")
    for legend in _legends(session, figures):
        print_prose(legend)


def _build_table(session: Document, columns: tuple[_Column, ...]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    frontier = session["efficiency_frontier"]
    quants = session["per_quant"]
    is_narrow = columns[-1] is _SHORT_VERDICT
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        padding=0 if is_narrow else (0, 1),
    )
    for column in columns:
        cells = [printable(column.show(quant, session)) for quant in quants]
        header = _header(column, session)
        table.add_column(
            Text(header),
            justify="left" if column.is_left else "right",
            no_wrap=not column.can_wrap,
            min_width=LEAST_VERDICT
            if column.can_wrap
            else max(map(len, [header, *cells])),
        )
    for quant in quants:
        row = [Text(printable(c.show(quant, session))) for c in columns]
        if quant["quant_tag"] == frontier["advised_quant_tag"]:
            row[0].stylize("bold")
        clean = run_quality(quant) == "CLEAN"
        row[-2].stylize("green" if clean else "yellow")
        row[-1].stylize("green" if quant["eligible"] else "dim")
        table.add_row(*row)
    return table


def _tag(quant: Document) -> str:
    return str(quant["quant_tag"])


def _quant(quant: Document, session: Document) -> str:
    return _tag(quant)


def _marked_quant(quant: Document, session: Document) -> str:
    tag = quant["quant_tag"]
    advised, shown, passes = _standing(session)
    marks = (
        (_USE, tag == advised),
        (_SHOWN, tag == shown),
        (_PASSES, tag == passes),
    )
    return f"{tag} {''.join(mark for mark, holds in marks if holds)}".rstrip()


def _standing(session: Document) -> tuple[str | None, str | None, str | None]:
    """The advised quant, the smallest shown and the smallest that passes: each once."""
    frontier = session["efficiency_frontier"]
    advised = frontier["advised_quant_tag"]
    shown = frontier["smallest_supported_quant_tag"]
    passes = frontier["minimum_viable_quant_tag"]
    return (
        advised,
        shown if shown != advised else None,
        passes if passes not in (shown, advised) else None,
    )


def _bits(quant: Document, session: Document) -> str:
    return decimals(quant["bits_per_weight"], 2)


def _size(quant: Document, session: Document) -> str:
    return size(quant["model_bytes"])


def _memory(quant: Document, session: Document) -> str:
    return size(quant["peak_memory_bytes"])


def _kv_size(quant: Document, session: Document) -> str:
    return size(quant["kv_cache_bytes"])


def _adherence(quant: Document, session: Document) -> str:
    score, interval = quant["adherence_score"], quant["adherence_interval"]
    if score is None or not interval:
        return "-"
    low, high = (decimals(bound * 100, 0) for bound in interval)
    alike = _ALIKE if _is_alike(quant) else ""
    return f"{alike}{decimals(score * 100, 1)} ({low} to {high})"


def _is_alike(quant: Document) -> bool:
    """Whether its tasks cannot tell it from the reference."""
    pairs = quant["pairs"] or {}
    return bool(pairs.get("n")) and quant["separable"] is False


def _same(quant: Document, session: Document) -> str:
    """The share of places with the reference's next token, and its error."""
    return same_share(quant["fidelity"] or {})


def _bare_same(quant: Document, session: Document) -> str:
    return _same(quant, session).partition(" ")[0]


def _kept(quant: Document, session: Document) -> str:
    """How many of the reference's answers it gives word for word."""
    found = quant["fidelity"] or {}
    is_read = found.get("status") not in ("NOT_RUN", "DETERMINISM_LOST")
    is_told = is_read and tells_kept(quant, session["per_quant"])
    return kept_share(found) if is_told else ""


def _latency(quant: Document, session: Document) -> str:
    return seconds(quant["total_latency"])


def _speed(quant: Document, session: Document) -> str:
    return decimals(quant["token_metrics"]["generation_tokens_per_second"], 1)


def _runs(quant: Document, session: Document) -> str:
    return f"{quant['runs']['valid']}/{quant['runs']['planned']}"


def _quality(quant: Document, session: Document) -> str:
    quality = run_quality(quant)
    return quality if quality in _QUALITIES else words(quality)


def _verdict(quant: Document, session: Document) -> str:
    if not quant["eligible"]:
        return _short_verdict(quant, session)
    advised, shown, passes = _standing(session)
    marks = {
        advised: _SAFE if _is_safe(session) else "use this",
        shown: "smallest shown",
        passes: "smallest that passes",
    }
    mark = marks.get(quant["quant_tag"])
    return f"yes: {mark}" if mark else "yes"


def _short_verdict(quant: Document, session: Document) -> str:
    if quant["eligible"]:
        return "yes"
    told = whys_out(quant)
    reasons = [told[code] for code in _own_reasons(quant, session)]
    return f"no: {', '.join(reasons)}" if reasons else "no"


def _common_reasons(session: Document) -> list[str]:
    """Reasons for which all quants alike are out: told once, below the table."""
    quants = session["per_quant"]
    if len(quants) < 2 or any(quant["eligible"] for quant in quants):
        return []
    reasons = [quant["ineligible_reasons"] or [] for quant in quants]
    return [code for code in reasons[0] if all(code in own for own in reasons)]


def _own_reasons(quant: Document, session: Document) -> list[str]:
    """Why it is out, without what all are out for."""
    common = _common_reasons(session)
    return [code for code in quant["ineligible_reasons"] or [] if code not in common]


def _figures(session: Document) -> list[_Column]:
    """The columns between the name and the verdict, as far as there is anything."""
    quants = session["per_quant"]
    left_out = {
        column
        for column in (_KV, _MEMORY, _SAME, _KEPT)
        if not any(column.show(quant, session) not in ("", "-") for quant in quants)
    }
    if not any(without_level(_tag(quant)) != _tag(quant) for quant in quants):
        left_out.add(_KV)
    if why_no_times(session):
        left_out |= {_LATENCY, _SPEED}
    return [column for column in _FIGURES if column not in left_out]


_QUANT = _Column("quant", _quant, is_left=True)
_BITS = _Column("bpw", _bits)
_SIZE = _Column("size", _size)
_KV = _Column("KV cache", _kv_size)
"""Only where quants are asked at levels: the same weights take another memory."""
_MEMORY = _Column("memory", _memory)
_ADHERENCE = _Column("adherence %", _adherence)
_SAME = _Column("same token %", _same)
"""Only where fidelity was measured."""
_KEPT = _Column("answers kept", _kept)
"""Word for word; only where it was asked."""
_LATENCY = _Column("latency", _latency)
_SPEED = _Column("tokens/s", _speed)
_RUNS = _Column("runs", _runs)
_FIGURES = (
    _BITS,
    _SIZE,
    _KV,
    _MEMORY,
    _ADHERENCE,
    _SAME,
    _KEPT,
    _LATENCY,
    _SPEED,
    _RUNS,
)
_QUALITY = _Column("quality", _quality, is_left=True)
_VERDICT = _Column("eligible", _verdict, is_left=True)
_SHORT_QUANT = _Column("quant", _marked_quant, is_left=True)
_SHORT_SAME = _Column("same %", _bare_same)
_SHORT_VERDICT = _Column("eligible", _short_verdict, is_left=True, can_wrap=True)
_DROPPED = (
    _KEPT,
    _SIZE,
    _BITS,
    _KV,
    _RUNS,
    _LATENCY,
    _MEMORY,
    _SPEED,
    _SHORT_SAME,
)
"""What a narrow terminal goes without, the first one first."""
