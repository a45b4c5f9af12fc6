"""Many sweeps as a table and sentences: what terminal, file and page say alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from orket.exports.cost import Price
from orket.exports.figures import decimals, words
from orket.exports.markdown import markdown_table, markdown_text
from orket.exports.scale import MICRO, MILLI, NANO, scale

Row = Mapping[str, Any]

_SCALES = {
    "_micro": (MICRO, 6),
    "_milli": (MILLI, 3),
    "_ns": (NANO, 9),
    "_uj": (MICRO, 6),
    "_ppm": (MICRO, 6),
}
_UNITS = {"_ns": "_seconds", "_uj": "_joules"}
_WALL_TIMES = ("wall_per_pass_ns", "wall_per_pass_low_ns", "wall_per_pass_high_ns")
_PERCENT_PPM = 10_000
_DAY = 86_400
_THOUSAND = 1000


def plain_row(row: Row, price: Price | None = None) -> dict[str, Any]:
    """A row of the matrix or of a change for programs: plain decimals, seconds, joules.

    With a price also what 1000 passed tasks cost; the price itself stands beside it.
    """
    plain: dict[str, Any] = {}
    for name, value in row.items():
        ending = next((end for end in _SCALES if name.endswith(end)), None)
        if name == "drift":
            plain[name] = [plain_row(found) for found in value]
        elif ending is None:
            plain[name] = value
        else:
            shown = name.removesuffix(ending) + _UNITS.get(ending, "")
            plain[shown] = None if value is None else scale(value, *_SCALES[ending])
    if price is not None:
        amount = price.of(plain.get("wall_per_pass_seconds"), _THOUSAND)
        plain["price_per_hour"] = price.per_hour
        plain["currency"] = price.currency
        plain["cost_per_1000_passed_tasks"] = (
            None if amount is None else round(amount, 9)
        )
    return plain


def hardware_names(rows: Sequence[Row]) -> dict[str | None, str]:
    """Fingerprint -> what a person calls the machine; never two the same."""
    labels = {row["hardware_fingerprint"]: row["hardware_label"] for row in rows}
    names: dict[str | None, str] = {}
    for fingerprint, label in labels.items():
        if fingerprint is None:
            names[None] = "not known"
            continue
        shown = label or fingerprint
        alike = [other for other, name in labels.items() if other and name == label]
        names[fingerprint] = shown if len(alike) == 1 else f"{shown} [{fingerprint}]"
    return names


def runtime_name(row: Row) -> str:
    """A runtime with its version."""
    return " ".join(filter(None, (row["provider"], row["provider_version"])))


def use_words(row: Row) -> str:
    """What to use, in few words; a question mark where nothing is shown."""
    if row["use_quant"]:
        return str(row["use_quant"])
    return f"{row['passing_quant']}?" if row["passing_quant"] else "none"


def sure_words(row: Row) -> str:
    """How sure that is, in words that need no statistics."""
    tasks = f"{row['tasks']} {'task' if row['tasks'] == 1 else 'tasks'}"
    if row["standing"] == "SHOWN":
        return f"shown, {tasks}"
    if row["standing"] == "SAFE_CHOICE":
        return f"safe choice, {tasks}"
    if row["standing"] == "NO_ANSWER":
        return "no quant may be used"
    if row["confidence"] == "PROVISIONAL":
        return f"provisional, {tasks}"
    return f"not shown yet, {tasks}"


_LEGEND = {
    "SAFE_CHOICE": "safe choice: the reference; nothing smaller is shown to do as well",
    "NOT_SHOWN": "?: passes, and is not shown yet to do the work of the reference",
}


def legend(matrix: Sequence[Row]) -> list[str]:
    """What the words of the table mean, as far as they are in it."""
    there = {row["standing"] for row in matrix}
    return [text for standing, text in _LEGEND.items() if standing in there]


def agreement_words(row: Row) -> str:
    """How many sweeps say so, and what the others say."""
    answering, same = row["answering_sweeps"], row["agreeing_sweeps"]
    if not answering:
        return f"none of {row['sweeps']}"
    told = [f"{same} of {answering}" if answering > 1 else "1"]
    others = ", ".join(
        f"{entry['quant_tag']} in {entry['sweeps']}" for entry in row["other_answers"]
    )
    if others:
        told.append(others)
    if row["objecting_sweeps"]:
        told.append(f"out in {row['objecting_sweeps']}")
    if row["has_other_weights"]:
        told.append("other weights under this name")
    text = "; ".join(told)
    return f"CONTRADICTED: {text}" if row["agreement"] == "CONTRADICTED" else text


def age_words(measured_at: datetime, now: datetime) -> str:
    """How long ago it was, in days; both UTC without a zone."""
    days = int((now - measured_at).total_seconds() // _DAY)
    if days < 1:
        return "today"
    return "1 day" if days == 1 else f"{days} days"


def change_words(change: Row, name: str) -> Iterator[str]:
    """A change of a runtime's version: a headline, and what followed from it."""
    since = change["since"].date().isoformat()
    yield (
        f"{change['model_id']} on {name}: {change['provider']} "
        f"{change['after_version']} since {since}, {change['before_version']} before"
    )
    if change["reason"]:
        yield f"Not compared: {comparison_reason(change['reason'])}."
        return
    drift = change["drift"]
    if not drift:
        yield "Not compared: the two sweeps have no quant in common that can be read."
        return
    for row in drift:
        if row["reason"]:
            why = comparison_reason(row["reason"])
            yield f"{row['quant_tag']}: not compared: {why}."
    compared = [row for row in drift if not row["reason"]]
    yield from _times(compared)
    yield from _answers(compared)


_TIMES = {"WORSE": "Slower", "BETTER": "Faster"}
_ANSWERS = {"WORSE": "Answers worse", "BETTER": "Answers better"}


def _times(rows: Sequence[Row]) -> Iterator[str]:
    for verdict, word in _TIMES.items():
        for row in rows:
            if row["times_verdict"] == verdict:
                yield (
                    f"{word}: {row['quant_tag']}, time of a call "
                    f"{_signed(row['change_ppm'])}{_noise(row)} over {row['blocks']} "
                    f"repetitions{_rates(row)}."
                )
    same = [row for row in rows if row["times_verdict"] == "NO_DIFFERENCE"]
    if same:
        told = ", ".join(
            f"{row['quant_tag']} {_signed(row['change_ppm'])}{_noise(row)}"
            for row in same
        )
        yield f"No difference of times shown: {told}."
    yield from _not_compared(rows, "times")


def _answers(rows: Sequence[Row]) -> Iterator[str]:
    for verdict, word in _ANSWERS.items():
        for row in rows:
            if row["answers_verdict"] == verdict:
                yield (
                    f"{word}: {row['quant_tag']}, {row['lost']} lost and "
                    f"{row['gained']} gained of {row['pairs']} tasks."
                )
    alike: dict[tuple[int, int, int], list[str]] = {}
    for row in rows:
        if row["answers_verdict"] == "NO_DIFFERENCE":
            counts = row["lost"], row["gained"], row["pairs"]
            alike.setdefault(counts, []).append(row["quant_tag"])
    told = [
        f"{', '.join(tags)} ({lost} lost, {gained} gained of {pairs} tasks)"
        for (lost, gained, pairs), tags in alike.items()
    ]
    if told:
        yield f"No difference of answers shown: {'; '.join(told)}."
    yield from _not_compared(rows, "answers")


def _not_compared(rows: Sequence[Row], what: str) -> Iterator[str]:
    """Each reason once, with the quants that have it."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row[f"{what}_verdict"] == "NOT_COMPARABLE":
            reasons.setdefault(row[f"{what}_reason"], []).append(row["quant_tag"])
    for code, tags in reasons.items():
        yield f"{what.capitalize()} of {', '.join(tags)}: {comparison_reason(code)}."


def comparison_reason(code: str) -> str:
    """Why two sweeps are not compared, in words."""
    from orket.warehouse.reasons import reason_named

    known = reason_named("comparison", code)
    return known.meaning if known else words(code)


def _noise(row: Row) -> str:
    """What the blocks bound: a change within it is no change."""
    if row["noise_ppm"] is None:
        return ""
    return f" (noise {decimals(scale(row['noise_ppm'], _PERCENT_PPM, 1), 1)} %)"


def _rates(row: Row) -> str:
    old, new = (row[f"{side}_tokens_per_second_milli"] for side in ("before", "after"))
    if old is None or new is None:
        return ""
    return f"; decode {scale(old, MILLI, 1)} -> {scale(new, MILLI, 1)} tokens/s"


def _signed(change_ppm: int) -> str:
    """Percent with its sign; what rounds to nothing has none."""
    percent = scale(change_ppm, _PERCENT_PPM, 1)
    return f"{percent:+} %" if percent else "0.0 %"


HEADERS = ("machine", "model", "use", "how sure", "runtime", "tasks", "sweeps")
"""Of the matrix for a person; an age or a date, and a price, stand beside them."""


def table_cells(row: Row, names: Mapping[str | None, str]) -> list[str]:
    """The cells of a row under HEADERS."""
    return [
        names[row["hardware_fingerprint"]],
        str(row["model_id"]),
        use_words(row),
        sure_words(row),
        runtime_name(row),
        str(row["task_bank"]),
        agreement_words(row),
    ]


def price_header(price: Price) -> str:
    """The header of what 1000 passed tasks cost."""
    return f"1000 passed, {price.currency}" if price.currency else "1000 passed"


def price_cell(row: Row, price: Price) -> str:
    """What 1000 passed tasks cost, with the interval of the share that passes."""
    middle, low, high = (
        None if row[name] is None else scale(row[name], NANO, 9) for name in _WALL_TIMES
    )
    if middle is None:
        return "-"
    upper = "and more" if high is None else f"to {price.text(high, _THOUSAND)}"
    lower = price.text(low, _THOUSAND)
    return f"{price.text(middle, _THOUSAND)} ({lower} {upper})"


def render_markdown(
    matrix: Sequence[Row], changes: Sequence[Row], price: Price | None
) -> str:
    """The matrix as a Markdown table, and the changes of versions as lists."""
    return "".join(f"{line}\n" for line in _markdown(matrix, changes, price))


def _markdown(
    matrix: Sequence[Row], changes: Sequence[Row], price: Price | None
) -> Iterator[str]:
    names = hardware_names([*matrix, *changes])
    headers = [*HEADERS, "measured", *([price_header(price)] if price else [])]
    yield from markdown_table(
        headers,
        [
            [
                *table_cells(row, names),
                row["measured_at"].date().isoformat(),
                *([price_cell(row, price)] if price else []),
            ]
            for row in matrix
        ],
    )
    for text in legend(matrix):
        yield ""
        yield markdown_text(text)
    for change in changes:
        headline, *told = change_words(change, names[change["hardware_fingerprint"]])
        yield ""
        yield f"**{markdown_text(headline)}**"
        yield ""
        for line in told:
            yield f"- {markdown_text(line)}"
