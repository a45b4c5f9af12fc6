"""The charts of a report, made with altair from rows of the views.

Figures become floats here and only here: where on the page a mark stands is all that
hangs on them. What a mark means, the views have said.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orket.exports.kept_answers import tells_kept
from orket.report.palette import ALIKE, APART, BAD, GRID, INK, MUTED
from orket.text import printable

if TYPE_CHECKING:
    import altair as alt

Row = Mapping[str, Any]

_HEIGHT = 320
"""Pixels of a picture's plot."""
_LABEL_ROOM = 64
"""Pixels above the highest bar, in which the names stand upright."""
_LETTER = 7
"""Pixels along which a letter of a name is drawn."""
_LABEL_GAP = 13
"""Pixels between two names."""

MARKS = {
    "ADVISED": ("use this", "diamond"),
    "BEST_VALUE": ("best value", "square"),
    "SMALLEST_SHOWN": ("smallest shown", "triangle-down"),
    "MINIMUM_VIABLE": ("smallest that passes", "triangle-up"),
    "ELIGIBLE": ("passes", "circle"),
    "OUT": ("out", "cross"),
}
"""Mark of a quant -> its words and its shape."""

_TRACE_SHAPES = ("cross", "triangle-up", "square", "diamond", "triangle-left", "stroke")


def quality_chart(
    pictures: Sequence[Row], width: int, axis: str
) -> alt.TopLevelMixin | None:
    """Quality against `axis`: size, rate or wall; None where no quant has both."""
    sizes = [row["model_bytes"] for row in pictures if row["model_bytes"]]
    if axis == "size" and sizes and min(sizes) >= 2**30:
        axis = "size_gib"
    quants = [
        _point(row, axis)
        for row in pictures
        if row["adherence_micro"] is not None and row[_AXES[axis][0]] is not None
    ]
    if not quants:
        return None
    return _layered(quants, width, axis, pictures[0]["needed_adherence_micro"])


_AXES = {
    "size": ("model_bytes", "model_bytes", "model_bytes", 2.0**20, "size, MiB"),
    "size_gib": ("model_bytes", "model_bytes", "model_bytes", 2.0**30, "size, GiB"),
    "rate": (
        "rate_middle_milli",
        "rate_low_milli",
        "rate_high_milli",
        1e3,
        "tokens per second, middle half of the runs",
    ),
    "wall": (
        "wall_middle_ns",
        "wall_low_ns",
        "wall_high_ns",
        1e6,
        "wall time, ms, middle half",
    ),
}
"""Axis -> the columns of a point and of the ends of its bar, their unit, its title."""


def _point(row: Row, axis: str) -> dict[str, Any]:
    middle, low, high, unit, _ = _AXES[axis]
    is_group = row["is_alike"] or row["is_baseline_quant"]
    if middle != "model_bytes":
        is_group = row["is_rival"] or row["is_best_value"]
    return {
        "quant": printable(row["quant_tag"]),
        "x": row[middle] / unit,
        "x_low": row[low] / unit,
        "x_high": row[high] / unit,
        "y": row["adherence_micro"] / 1e4,
        "y_low": row["adherence_low_micro"] / 1e4,
        "y_high": row["adherence_high_micro"] / 1e4,
        "mark": MARKS[row["mark"]][0],
        "group": "together" if is_group else "apart",
    }


def _layered(
    quants: list[dict[str, Any]], width: int, axis: str, needed: int | None
) -> alt.TopLevelMixin:
    import altair as alt

    across = _log_span([q["x_low"] for q in quants], [q["x_high"] for q in quants])
    line = [{"needed": needed / 1e4}] if needed is not None else []
    lowest = min(quant["y_low"] for quant in quants)
    lowest = min([lowest, *(each["needed"] for each in line)])
    lowest = max(0.0, math.floor(lowest / 5) * 5 - 2)
    per_pixel = (100 - lowest) / (_HEIGHT - _LABEL_ROOM)
    _place_names(quants, across, width, per_pixel, lowest)
    x_scale = alt.Scale(type="log", domain=list(across), nice=False)
    x_ticks = _log_ticks(*across, most=5 if width < 500 else 9)
    y_scale = alt.Scale(domain=[lowest, 100 + per_pixel * _LABEL_ROOM], nice=False)
    y_axis = alt.Axis(values=_even_ticks(lowest))

    def x(column: str) -> alt.X:
        axes = alt.Axis(values=x_ticks, format="~g")
        return alt.X(f"{column}:Q", title=_AXES[axis][4], scale=x_scale, axis=axes)

    def y(column: str) -> alt.Y:
        return alt.Y(f"{column}:Q", title="adherence, %", scale=y_scale, axis=y_axis)

    color = alt.Color(
        "group:N",
        scale=alt.Scale(domain=["together", "apart"], range=[ALIKE, APART]),
        legend=None,
    )
    shape = alt.Shape(
        "mark:N",
        scale=alt.Scale(
            domain=[text for text, _ in MARKS.values()],
            range=[form for _, form in MARKS.values()],
        ),
        legend=None,
    )
    base = alt.Chart(_data(quants))
    return alt.layer(
        alt.Chart(_data(line))
        .mark_rule(strokeDash=[5, 4], stroke=BAD, strokeWidth=1.5)
        .encode(y=y("needed")),
        base.mark_rule(stroke=GRID).encode(
            x=x("x"), x2="x_name:Q", y=y("y_high"), y2="y_name:Q"
        ),
        base.mark_rule(strokeWidth=2.5, opacity=0.5).encode(
            x=x("x_low"), x2="x_high:Q", y=y("y"), color=color
        ),
        base.mark_rule(strokeWidth=2).encode(
            x=x("x"), y=y("y_low"), y2="y_high:Q", color=color
        ),
        base.mark_point(filled=True, size=110, opacity=1).encode(
            x=x("x"), y=y("y"), color=color, shape=shape
        ),
        base.mark_text(angle=270, align="left", baseline="middle").encode(
            x=x("x_name"), y=y("y_name"), text="quant:N"
        ),
    ).properties(width=width, height=_HEIGHT)


def _data(rows: list[dict[str, Any]]) -> alt.Data:
    import altair as alt

    return alt.Data(values=rows)  # type: ignore[no-untyped-call]


def _log_span(lows: Sequence[float], highs: Sequence[float]) -> tuple[float, float]:
    low, high = min(lows), max(highs)
    pad = (high / low) ** 0.06 if high > low else 1.3
    return low / pad, high * pad


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers between two ends of a logarithmic axis, not more than `most`."""
    for steps in (
        (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9),
        (1, 1.5, 2, 3, 5, 7),
        (1, 2, 5),
        (1,),
    ):
        found = [
            step * 10.0**power
            for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)))
            for step in steps
            if low <= step * 10.0**power <= high
        ]
        if len(found) <= most:
            return found or [low, high]
    return found[:: len(found) // most + 1]


def _even_ticks(lowest: float) -> list[float]:
    step = next(size for size in (1, 2, 5, 10, 20, 25) if (100 - lowest) / size <= 7)
    first = math.ceil(lowest / step)
    return [float(place * step) for place in range(first, 100 // step + 1)]


def _place_names(
    quants: list[dict[str, Any]],
    across: tuple[float, float],
    width: int,
    per_pixel: float,
    lowest: float,
) -> None:
    """Where each name stands: above its bar, aside of other names and of points."""
    low, high = math.log(across[0]), math.log(across[1])
    taken: list[tuple[float, float, float]] = []
    for quant in quants:
        quant["pixel"] = (math.log(quant["x"]) - low) / (high - low) * width
        # A point takes its own room, from a little below it to a little above.
        taken.append((quant["pixel"], quant["y"] - 7 * per_pixel, 14 * per_pixel))
    for quant in sorted(quants, key=lambda quant: (quant["pixel"], quant["quant"])):
        foot, room = quant["y_high"] + 7 * per_pixel, _LABEL_ROOM * per_pixel
        long = len(quant["quant"]) * _LETTER * per_pixel
        under = quant["y_low"] - 7 * per_pixel - long
        if under > lowest and _is_crossed(quant, foot, foot + long, quants):
            foot, room = under, long
        beside = [
            other
            for other, start, span in taken
            if foot < start + span and start < foot + room
        ]
        place = _free_place(quant.pop("pixel"), beside, width)
        taken.append((place, foot, room))
        quant["x_name"] = math.exp(low + place / width * (high - low))
        quant["y_name"] = foot


def _is_crossed(
    quant: Mapping[str, Any], start: float, end: float, quants: Sequence[Row]
) -> bool:
    """Whether the level bar of another quant goes through these heights there."""
    return any(
        start < other["y"] < end and other["x_low"] <= quant["x"] <= other["x_high"]
        for other in quants
        if other is not quant
    )


def _free_place(wanted: float, taken: Sequence[float], width: int) -> float:
    """The place nearest to the one wanted that is a gap away from all others.

    Right of it before left; beyond the ends of the plot there is none, and where all is
    full the wanted one serves.
    """
    for step in range(width + 1):
        for place in (wanted + step, wanted - step):
            is_inside = -_LABEL_GAP <= place <= width + _LABEL_GAP
            if is_inside and all(abs(place - other) >= _LABEL_GAP for other in taken):
                return place
    return wanted


def fidelity_chart(quants: Sequence[Row], width: int) -> alt.TopLevelMixin | None:
    """Answers kept and next tokens shared, for each quant; None without any figure."""
    import altair as alt

    names = [printable(quant["quant_tag"]) for quant in quants if quant["fidelity"]]
    points: list[dict[str, Any]] = []
    for quant in quants:
        found, name = quant["fidelity"], printable(quant["quant_tag"])
        if not found or not found["prompts"]:
            continue
        if tells_kept(quant, quants) and found["kept_interval"]:
            low, high = (float(bound) * 100 for bound in found["kept_interval"])
            kept = found["kept_prompts"] / found["prompts"] * 100
            points.append(_share(name, "answers kept", kept, low, high))
        if found["same_top"] is not None:
            same = float(found["same_top"]) * 100
            half = float(found["same_top_half_width"] or 0) * 100
            bounds = max(0.0, same - half), min(100.0, same + half)
            points.append(_share(name, "same next token", same, *bounds))
    if not points:
        return None
    base = alt.Chart(_data(points))
    y = alt.Y("quant:N", sort=names, title=None, axis=alt.Axis(labelLimit=0))
    offset = alt.YOffset("what:N", sort=["answers kept", "same next token"])
    color = alt.Color(
        "what:N",
        scale=alt.Scale(
            domain=["answers kept", "same next token"], range=[ALIKE, APART]
        ),
        legend=None,
    )
    lowest = math.floor(min(point["low"] for point in points) / 10) * 10
    scale = alt.Scale(domain=[lowest, 100], nice=False)
    return alt.layer(
        base.mark_rule(strokeWidth=2).encode(
            x=alt.X(
                "low:Q",
                scale=scale,
                title="% of the reference's",
                axis=alt.Axis(tickCount=5 if width < 500 else 10),
            ),
            x2="high:Q",
            y=y,
            yOffset=offset,
            color=color,
        ),
        base.mark_point(filled=True, size=70, opacity=1).encode(
            x=alt.X("at:Q", scale=scale),
            y=y,
            yOffset=offset,
            color=color,
            shape=alt.Shape(
                "what:N",
                scale=alt.Scale(
                    domain=["answers kept", "same next token"],
                    range=["circle", "square"],
                ),
                legend=None,
            ),
        ),
    ).properties(width=width, height=alt.Step(13))


def _share(name: str, what: str, at: float, low: float, high: float) -> dict[str, Any]:
    return {"quant": name, "what": what, "at": at, "low": low, "high": high}


def drawn_points(points: Sequence[Row], most: int) -> tuple[list[Row], int]:
    """The runs that there is room for, and of how many clean ones each is one.

    Polluted runs are all drawn, and clean ones evenly.
    """
    clean = [point for point in points if point["mark"] != "POLLUTED"]
    room = max(most - (len(points) - len(clean)), 1)
    step = -(-len(clean) // room) or 1
    places = {id(point) for point in clean[::step]}
    drawn = [
        point for point in points if point["mark"] == "POLLUTED" or id(point) in places
    ]
    return drawn, step


def trace_shapes(reasons: Sequence[str]) -> dict[str, str]:
    """The shape of each reason, most frequent first; the last shape serves the rest."""
    last = len(_TRACE_SHAPES) - 1
    return {
        reason: _TRACE_SHAPES[min(place, last)] for place, reason in enumerate(reasons)
    }


def distribution_chart(
    points: Sequence[Row], quant_tags: Sequence[str], reasons: Sequence[str], width: int
) -> alt.TopLevelMixin | None:
    """Every run as a point, a row for each quant; None where no run has a time."""
    import altair as alt

    shapes = trace_shapes(reasons)
    runs = [
        {
            "quant": printable(point["quant_tag"]),
            "ms": round(point["wall_ns"] / 1e6, 4),
            # Beside each other, so that all are seen; where exactly says nothing.
            "beside": (point["order_index"] * 37 + place * 11) % 97,
            "what": point["leading_reason"] or "clean",
        }
        for place, point in enumerate(points)
        if point["wall_ns"]
    ]
    if not runs:
        return None
    names = [printable(tag) for tag in quant_tags]
    low, high = _log_span([run["ms"] for run in runs], [run["ms"] for run in runs])
    ticks = _log_ticks(low, high, most=4 if width < 500 else 8)
    x = alt.X(
        "ms:Q",
        title="wall time of a run, ms",
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=alt.Axis(values=ticks, format="~g"),
    )
    y = alt.Y("quant:N", sort=names, title=None, axis=alt.Axis(labelLimit=0))
    offset = alt.YOffset("beside:Q", scale=alt.Scale(domain=[-15, 112]))
    clean = [run for run in runs if run["what"] == "clean"]
    disturbed = [run for run in runs if run["what"] != "clean"]
    layers = [
        alt.Chart(_data(clean))
        .mark_point(shape="circle", size=5, filled=True, color=ALIKE, opacity=1)
        .encode(x=x, y=y, yOffset=offset),
        alt.Chart(_data(disturbed))
        .mark_point(size=26, color=BAD, filled=True, opacity=1)
        .encode(
            x=x,
            y=y,
            yOffset=offset,
            shape=alt.Shape(
                "what:N",
                scale=alt.Scale(domain=list(shapes), range=list(shapes.values())),
                legend=None,
            ),
        ),
    ]
    shown = [layers[0]] * bool(clean) + [layers[1]] * bool(disturbed)
    return alt.layer(*shown).properties(width=width, height=alt.Step(40))


_GAUGES: tuple[tuple[str, str, str, float], ...] = (
    ("foreign_cpu_micro", "CPU used by others", "%", 1e4),
    ("load1_milli", "load average", "", 1e3),
    ("steal_micro", "CPU stolen by the hypervisor", "%", 1e4),
    ("memory_pressure_micro", "stalled on memory", "%", 1e4),
    ("thermal_throttled_micro", "throttled for heat", "%", 1e4),
    ("cpu_frequency_khz", "CPU frequency", "GHz", 1e6),
    ("gpu_temperature_milli_c", "GPU temperature", "degrees C", 1e3),
)
"""Column of the timeline, what it is, its unit, and what makes that unit of it."""


def timeline_chart(
    slots: Sequence[Row], quant_tags: Sequence[str], width: int
) -> alt.TopLevelMixin | None:
    """What ran when, and what the machine did meanwhile; None without any clock."""
    import altair as alt

    if not slots:
        return None
    unit, title = _time_unit(max(slot["to_ns"] for slot in slots))
    end = max(slot["to_ns"] for slot in slots) / unit
    scale = alt.Scale(domain=[0, end], nice=False)
    spans = [
        {
            "quant": printable(slot["quant_tag"]),
            "from": slot["from_ns"] / unit,
            "to": slot["to_ns"] / unit,
            "what": _state(slot),
        }
        for slot in slots
    ]
    names = [printable(tag) for tag in quant_tags]
    known = [gauge for gauge in _GAUGES if _is_read(slots, gauge[0])]
    ran = (
        alt.Chart(_data(spans))
        .mark_rule(strokeWidth=8)
        .encode(
            x=alt.X("from:Q", title=None, scale=scale, axis=alt.Axis(labels=not known)),
            x2="to:Q",
            y=alt.Y("quant:N", sort=names, title=None, axis=alt.Axis(labelLimit=0)),
            color=alt.Color(
                "what:N",
                scale=alt.Scale(
                    domain=["clean", "disturbed", "beside"], range=[ALIKE, BAD, MUTED]
                ),
                legend=None,
            ),
        )
        .properties(width=width, height=alt.Step(14))
    )
    rows: list[Any] = [ran]
    for place, (column, name, shown_in, divisor) in enumerate(known):
        readings = [
            {"at": slot["from_ns"] / unit, "value": slot[column] / divisor}
            for slot in slots
            if slot[column] is not None
        ]
        is_last = place == len(known) - 1
        rows.append(
            alt.Chart(_data(readings))
            .mark_line(interpolate="step-after", color=INK, strokeWidth=1.2)
            .encode(
                x=alt.X(
                    "at:Q",
                    title=title if is_last else None,
                    scale=scale,
                    axis=alt.Axis(labels=is_last),
                ),
                y=alt.Y("value:Q", title=None, axis=alt.Axis(tickCount=3)),
            )
            .properties(
                width=width,
                height=46,
                title=alt.TitleParams(
                    ", ".join(filter(None, (name, shown_in))), fontWeight="normal"
                ),
            )
        )
    return alt.vconcat(*rows, spacing=10)


def _is_read(slots: Sequence[Row], column: str) -> bool:
    """Whether the counter was read, and told anything: a flat zero is a sentence."""
    return any(slot[column] for slot in slots)


def gauges_at_rest(slots: Sequence[Row]) -> tuple[list[str], list[str]]:
    """The counters that said 0 all the time, and those that nobody could read."""
    unread = [
        name
        for column, name, *_ in _GAUGES
        if all(slot[column] is None for slot in slots)
    ]
    still = [
        name
        for column, name, *_ in _GAUGES
        if not _is_read(slots, column) and name not in unread
    ]
    return still, unread


def _state(slot: Row) -> str:
    if slot["polluted_calls"]:
        return "disturbed"
    return "clean" if slot["phase"] == "matrix" else "beside"


def _time_unit(span_ns: int) -> tuple[float, str]:
    for seconds, name in ((3600, "hours"), (60, "minutes")):
        if span_ns > 3 * seconds * 10**9:
            return seconds * 1e9, f"{name} since the start"
    return 1e9, "seconds since the start"
