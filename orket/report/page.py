"""Puts a report together: what the views said, in the order in which it is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orket.exports import figures
from orket.exports.answers import visible
from orket.exports.by_now import say_missing
from orket.exports.cost import Price, cost_table
from orket.exports.json_text import moment_text, plain_decimal, render_json
from orket.exports.markdown import markdown_text
from orket.exports.stops import status_words
from orket.exports.untimed import gate_words, why_no_times
from orket.policy import POLICY_KEYS
from orket.report import charts
from orket.report.answers import MOST_BYTES, AnswerMap, build_map
from orket.report.command import command_of, imported_from
from orket.report.drawing import draw
from orket.report.gather import Gathered
from orket.report.libraries import require_libraries
from orket.report.palette import DARK, NAMES
from orket.text import printable

if TYPE_CHECKING:
    import altair as alt
    import jinja2
    from markupsafe import Markup

Document = Mapping[str, Any]

_WIDE, _NARROW = 700, 265
"""Pixels of a drawing's plot on a screen or sheet, and on a telephone."""
_TEMPLATES = Path(__file__).parent / "templates"
_MOST_TWICE, _MOST_POINTS = 20_000, 40_000
"""Runs that are drawn for both widths, and for the wide one alone."""


@dataclass(frozen=True, slots=True)
class Voice:
    """Sentences of the terminal that the report says too."""

    advise: Callable[[str, Document], str]
    """What a reason means and what to do, given the session."""
    notes: Callable[[Document], Iterable[str]]
    """What is to be noted of a session beside its recommendation."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One chart, for wide and narrow pages."""

    wide: Markup
    narrow: Markup | None


@dataclass(frozen=True, slots=True)
class Disturbance:
    """A reason for pollution, how often it held, and what to do."""

    reason: str
    runs: int
    advice: str
    shape: str


@dataclass(frozen=True, slots=True)
class ModelPart:
    """What the report says of one model."""

    session: Document
    notes: list[str]
    pictures: list[dict[str, Any]]
    size_figure: Figure | None
    speed_figure: Figure | None
    fidelity_figure: Figure | None
    runs_figure: Figure | None
    timeline_figure: Figure | None
    still: list[str]
    unread: list[str]
    disturbances: list[Disturbance]
    points: Counter[str]
    clean_step: int
    """Of so many clean runs one is drawn."""
    answers: AnswerMap
    policy: list[tuple[str, str, str]]
    controls: list[tuple[str, str, str]]
    weights: list[dict[str, Any]]


def render_page(gathered: Gathered, voice: Voice, price: Price | None = None) -> bytes:
    """The report as one HTML page. Raises MissingExtra."""
    require_libraries()
    environment = page_environment()
    command, overrides = command_of(gathered.summary)
    colours = {name: (light, DARK[light]) for name, light in NAMES.items()}
    text = environment.get_template("report.html").render(
        summary=gathered.summary,
        missing=say_missing(gathered.summary),
        status=_status(gathered.summary),
        manifest=gathered.manifest,
        models=[_model_part(gathered, s, voice) for s in gathered.summary["sessions"]],
        costs=[cost_table(s, price) for s in gathered.summary["sessions"]],
        price=price,
        command=command,
        imported=imported_from(gathered.summary),
        overrides=overrides,
        colours=colours,
        marks=charts.MARKS,
    )
    return text.encode()


def render_markdown(
    gathered: Gathered, voice: Voice, price: Price | None = None
) -> bytes:
    """The report as Markdown, for an issue or a model card. Raises MissingExtra."""
    require_libraries()
    environment = _environment(is_page=False)
    command, overrides = command_of(gathered.summary)
    text = environment.get_template("report.md").render(
        summary=gathered.summary,
        missing=say_missing(gathered.summary),
        status=_status(gathered.summary),
        manifest=gathered.manifest,
        notes=[list(voice.notes(s)) for s in gathered.summary["sessions"]],
        costs=[cost_table(s, price) for s in gathered.summary["sessions"]],
        price=price,
        disturbances=[
            _disturbances(s, voice, []) for s in gathered.summary["sessions"]
        ],
        command=command,
        imported=imported_from(gathered.summary),
        overrides=overrides,
    )
    return text.encode()


def _status(summary: Document) -> str:
    """How the sweep ended, in a sentence."""
    status, mark, why = status_words(summary).partition(":")
    return f"{figures.words(status)}{mark}{why}"


def _model_part(gathered: Gathered, session: Document, voice: Voice) -> ModelPart:
    model = session["model_id"]
    name = f"m{[s['model_id'] for s in gathered.summary['sessions']].index(model)}"
    tags = [quant["quant_tag"] for quant in session["per_quant"]]
    pictures = gathered.of(gathered.pictures, model)
    points = gathered.of(gathered.points, model)
    models = len(gathered.summary["sessions"])
    slots = gathered.of(gathered.timeline, model)
    drawn, step = charts.drawn_points(points, _MOST_POINTS // models)
    reasons = _by_frequency(point["leading_reason"] for point in points)
    still, unread = charts.gauges_at_rest(slots)
    has_rates = any(row["rate_middle_milli"] is not None for row in pictures)
    speed = "rate" if has_rates else "wall"
    return ModelPart(
        session=session,
        notes=list(voice.notes(session)),
        pictures=pictures,
        size_figure=_figure(
            lambda width: charts.quality_chart(pictures, width, "size"),
            f"{name}-size",
            f"Quality of {model} against size",
            "Each quant with its adherence and its 95 % interval; the table below has "
            "the same figures.",
        ),
        speed_figure=_figure(
            lambda width: charts.quality_chart(pictures, width, speed),
            f"{name}-speed",
            f"Quality of {model} against speed",
            "Each quant with its adherence and its median speed; the bars span the "
            "middle half of its runs.",
        ),
        fidelity_figure=_figure(
            lambda width: charts.fidelity_chart(session["per_quant"], width),
            f"{name}-fidelity",
            f"How far each quant of {model} does what the reference does",
            "Share of the answers kept and of the next tokens shared, with intervals.",
        ),
        runs_figure=_figure(
            lambda width: charts.distribution_chart(drawn, tags, reasons, width),
            f"{name}-runs",
            f"Wall time of every run of {model}",
            "A point for each run, a row for each quant; polluted runs are marked.",
            is_heavy=len(drawn) > _MOST_TWICE // models,
        ),
        timeline_figure=_figure(
            lambda width: charts.timeline_chart(slots, tags, width),
            f"{name}-time",
            f"What ran when, and what the machine did, for {model}",
            "A row for each quant, and below it the readings of the machine.",
        ),
        still=still,
        unread=unread,
        disturbances=_disturbances(session, voice, reasons),
        clean_step=step,
        points=Counter(point["mark"] for point in points),
        answers=build_map(
            gathered.of(gathered.answers, model), tags, MOST_BYTES // models
        ),
        policy=_policy(gathered, model),
        controls=_controls(session),
        weights=[_weights(quant) for quant in session["per_quant"]],
    )


def _by_frequency(reasons: Iterable[str | None]) -> list[str]:
    counts = Counter(reason for reason in reasons if reason)
    return sorted(counts, key=lambda reason: (-counts[reason], reason))


def _figure(
    make: Callable[[int], alt.TopLevelMixin | None],
    name: str,
    title: str,
    about: str,
    *,
    is_heavy: bool = False,
) -> Figure | None:
    from markupsafe import Markup

    title, about = printable(title), printable(about)
    wide = make(_WIDE)
    if wide is None:
        return None
    # What draw gives is a tree of shapes, written out with every text escaped.
    drawn = Markup(draw(wide, name, title, about))
    if is_heavy:
        return Figure(drawn, None)
    narrow = make(_NARROW)
    assert narrow is not None
    return Figure(drawn, Markup(draw(narrow, f"{name}-narrow", title, about)))


def _disturbances(
    session: Document, voice: Voice, reasons: list[str]
) -> list[Disturbance]:
    """What polluted runs of the matrix that count for nothing, most frequent first."""
    counts = Counter[str]()
    for quant in session["per_quant"]:
        counts.update(quant["run_quality_reason_counts"])
    # A reason of an attempt that was made again stands in the picture alone.
    known = {**dict.fromkeys(reasons, 0), **counts}
    shapes = charts.trace_shapes(reasons)
    return [
        Disturbance(reason, runs, voice.advise(reason, session), shapes.get(reason, ""))
        for reason, runs in sorted(known.items(), key=lambda item: (-item[1], item[0]))
    ]


def _policy(gathered: Gathered, model: str) -> list[tuple[str, str, str]]:
    row = next(row for row in gathered.policies if row["model_id"] == model)
    return [
        (key, _human(row[entry.field], entry.unit.scale), entry.meaning)
        for key, entry in POLICY_KEYS.items()
    ]


def _human(value: Any, scale: Decimal | None) -> str:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "true" if value else "false"
    if scale is None or isinstance(value, str):
        return printable(str(value))
    return plain_decimal(Decimal(value) / scale)


def _controls(session: Document) -> list[tuple[str, str, str]]:
    asked, found = session["experimental_controls"], session["effective_controls"]
    return [
        (
            figures.words(key),
            _shown(value, "not set"),
            _shown(found[key], "not verified") if key in found else "",
        )
        for key, value in asked.items()
    ]


def _shown(value: Any, empty: str) -> str:
    if value is None:
        return empty
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return plain_decimal(value)
    return printable(str(value))


def _weights(quant: Document) -> dict[str, Any]:
    types = quant["tensor_types"] or {}
    return {
        "quant": quant["quant_tag"],
        "digest": quant["model_digest"],
        "bytes": quant["model_bytes"],
        "publisher": quant["publisher"],
        "reported": quant["reported_quant"],
        "types": ", ".join(f"{kind} {count}" for kind, count in types.items()),
    }


def page_environment() -> jinja2.Environment:
    """Templates of pages: what they show is escaped, and nothing in it acts."""
    return _environment(is_page=True)


def _environment(*, is_page: bool) -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=is_page,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_finalize if is_page else _finalize_markdown,
    )
    environment.filters |= {
        "percent": _percent,
        "seconds": figures.seconds,
        "limit_percent": figures.limit_percent,
        "limit_seconds": figures.limit_seconds,
        "size": figures.size,
        "decimals": figures.decimals,
        "words": figures.words,
        "gate_words": gate_words,
        "whys_out": figures.whys_out,
        "run_quality": figures.run_quality,
        "shown": _shown,
        "moment": moment_text,
        "json": lambda value: visible(render_json(value)),
        "interval": _interval,
        "signed": _signed,
        "same_places": _same_places,
        "verbatim": _Verbatim,
        "no_times": why_no_times,
    }
    return environment


class _Verbatim(str):
    """A text that stands in a fenced block of Markdown: nothing is escaped there."""


def _finalize(value: Any) -> Any:
    """What stands in a page: nothing for None, and text in which nothing acts."""
    if value is None:
        return ""
    return visible(value) if type(value) is str else value


def _finalize_markdown(value: Any) -> Any:
    """What stands in Markdown: no character of it is markup unless the template's."""
    if value is None:
        return ""
    return markdown_text(value) if type(value) is str else value


def _percent(ratio: Decimal | None, digits: int = 1) -> str:
    return figures.percent(ratio, digits)


def _same_places(found: Document) -> str:
    """The share of places with the same next token, cut and never rounded up."""
    hundredths = found["same_top_positions"] * 10_000 // found["positions"]
    return f"{hundredths // 100}.{hundredths % 100:02}"


def _interval(bounds: list[Decimal] | None) -> str:
    if not bounds:
        return "-"
    low, high = (figures.decimals(bound * 100, 0) for bound in bounds)
    return f"{low} to {high}"


def _signed(value: Decimal | None, scale: int = 1, digits: int = 1) -> str:
    return "-" if value is None else f"{value * scale:+.{digits}f}"
