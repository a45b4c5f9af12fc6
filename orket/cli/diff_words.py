"""Two sweeps on a terminal: what is not alike, a table of verdicts, the tasks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orket.cli.output import print_line, print_prose, print_rows
from orket.exports.difference import Difference
from orket.exports.figures import words
from orket.exports.scale import scale

Row = dict[str, Any]

_VERDICTS = {
    "WORSE": "WORSE",
    "BETTER": "better",
    "NO_DIFFERENCE": "no difference shown",
    "NOT_COMPARABLE": "not comparable",
}
_TIMES = {"WORSE": "slower", "BETTER": "faster", "NO_DIFFERENCE": "no difference shown"}
_PERCENT_PPM = 10_000


def print_difference(found: Difference, most: int) -> None:
    """Print one model of two sweeps; of a quant at most so many tasks of a kind."""
    name = found.model_id
    if found.after_model != name:
        name = f"{name} and {found.after_model}"
    print_prose(f"{name}: {found.after_sweep} against {found.before_sweep}")
    print_prose(_verdicts(found))
    print_line()
    for line in _facts(found):
        print_prose(line)
    print_line()
    print_rows(
        [_quant_row(row) for row in found.quants],
        [
            "quant",
            "verdict",
            ("pairs", "tasks"),
            "passed",
            "lost",
            "gained",
            "time",
        ],
        "table",
        layout="fit",
        rigid="quant",
    )
    print_line()
    alike: dict[tuple[str, ...], list[str]] = {}
    for row in found.quants:
        alike.setdefault(tuple(_behind(found, row, most)), []).append(row["quant_tag"])
    for (first, *rest), tags in alike.items():
        print_prose(f"{', '.join(tags)}: {first}")
        for line in rest:
            print_prose(line)


def _verdicts(found: Difference) -> str:
    """The answer: which quants are worse, which better, and which neither."""
    told = []
    for verdict, said in _VERDICTS.items():
        tags = [row["quant_tag"] for row in found.quants if row["verdict"] == verdict]
        if tags:
            told.append(f"{said[0].upper()}{said[1:].lower()}: {', '.join(tags)}.")
    return " ".join(told) or "No quant is in both sweeps."


def _facts(found: Difference) -> Iterator[str]:
    differing = [row for row in found.facts if not row["is_same"]]
    for row in differing:
        forbids = [
            what
            for what, key in (
                ("answers", "forbids_answers"),
                ("times", "forbids_times"),
            )
            if row[key]
        ]
        so = f": {' and '.join(forbids)} are not compared" if forbids else ""
        yield (
            f"Differs: {words(row['fact'])}, {row['before'] or 'not known'} -> "
            f"{row['after'] or 'not known'}{so}"
        )
    same = [
        words(row["fact"])
        for row in found.facts
        if row["is_same"] and row["fact"] not in ("model", "orket_version")
    ]
    if same:
        yield f"The same: {', '.join(same)}"


def _quant_row(row: Row) -> dict[str, Any]:
    is_judged = row["answers_reason"] is None
    change = row["change_ppm"]
    return {
        "quant": row["quant_tag"],
        "verdict": _VERDICTS[row["verdict"]],
        "pairs": row["pairs"] if row["pairs"] else None,
        "passed": f"{row['before_passes']} -> {row['after_passes']}"
        if is_judged
        else None,
        "lost": row["lost"] if is_judged else None,
        "gained": row["gained"] if is_judged else None,
        "time": None if change is None else _signed(change),
    }


def _behind(found: Difference, row: Row, most: int) -> Iterator[str]:
    """What stands behind the verdict of a quant, without its name."""
    tag = row["quant_tag"]
    if row["answers_reason"] == row["times_reason"] is not None:
        yield f"not compared: {_why(row['answers_reason'])}."
    else:
        yield f"{_answers(row)}; {_times(row)}."
    if row["weights"] == "OTHER":
        yield f"  Other weights: {_weights(row, 'before')} -> {_weights(row, 'after')}"
    elif row["weights"] == "NOT_KNOWN":
        yield "  Whether these are the same weights is not known."
    if row["unanswered"]:
        yield f"  Every call of {row['unanswered']} tasks failed in the second sweep."
    if row["answers_reason"] is None:
        for change in ("LOST", "GAINED"):
            tasks = found.changed(tag, change)
            if tasks and most:
                more = len(tasks) - most
                rest = f", and {more} more" if more > 0 else ""
                yield f"  {change.lower()}: {', '.join(tasks[:most])}{rest}"


def _answers(row: Row) -> str:
    if row["answers_reason"]:
        return f"answers not compared: {_why(row['answers_reason'])}"
    counts = f"{row['lost']} lost and {row['gained']} gained of {row['pairs']} tasks"
    families = row["lost_families"]
    if row["answers_verdict"] == "WORSE":
        return f"{counts}, in {families} families: more than chance does"
    if row["answers_verdict"] == "BETTER":
        return f"{counts}: more than chance does"
    if row["lost"] + row["gained"] == 0:
        return f"the same {row['after_passes']} of {row['pairs']} tasks pass"
    needed = f"; {row['needed']} one way would be" if row["needed"] else ""
    return f"{counts}, which is not beyond chance{needed}"


def _times(row: Row) -> str:
    if row["times_reason"]:
        return f"times not compared: {_why(row['times_reason'])}"
    over = f"time {_signed(row['change_ppm'])} over {row['blocks']} blocks"
    if within := row["times_within"]:
        return f"{over}, not beyond {', nor '.join(within)}"
    return f"{over}, {_TIMES[row['times_verdict']]}"


def _signed(change_ppm: int) -> str:
    """Percent with its sign; what rounds to nothing has none."""
    percent = scale(change_ppm, _PERCENT_PPM, 1)
    return f"{percent:+} %" if percent else "0.0 %"


def _weights(row: Row, side: str) -> str:
    publisher = row[f"{side}_publisher"]
    return f"{row[f'{side}_digest']}{f' of {publisher}' if publisher else ''}"


def _why(code: str) -> str:
    from orket.warehouse.reasons import reason_named

    known = reason_named("comparison", code)
    return known.meaning if known else words(code)
