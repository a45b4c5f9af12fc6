"""Two sweeps on a terminal: what is not alike, a table of verdicts, the tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
        rigid="quant",
    )
    print_line()
    for line in _behind(found, most):
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
    if any(counted.disturbed for counted in found.counted.values()):
        before, after = (
            f"{counted.disturbed} of {counted.runs} in {sweep}"
            for sweep, counted in (
                (found.before_sweep, found.counted["before"]),
                (found.after_sweep, found.counted["after"]),
            )
        )
        yield (
            f"Disturbed runs that count by the policy: {before}, {after}; a difference "
            "of times may be theirs"
        )


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


def _behind(found: Difference, most: int) -> Iterator[str]:
    """What stands behind the verdicts: each thing once, with the quants it holds of."""
    rows = found.quants
    apart = [row for row in rows if _reason(row) is None]
    yield from _of_quants(rows, rows, "Not compared", _reason)
    yield from _of_quants(rows, apart, "Answers", _answers)
    for row in apart:
        if row["answers_reason"] is None:
            yield from _changed(found, row["quant_tag"], most)
    yield from _of_quants(rows, apart, "Times", _times)
    yield from _of_quants(rows, rows, "Calls", _unanswered)
    yield from _of_quants(rows, rows, "Weights", _weights_not_known)
    for row in rows:
        if row["weights"] == "OTHER":
            before, after = (_weights(row, side) for side in ("before", "after"))
            yield f"Other weights of {row['quant_tag']}: {before} -> {after}"


def _of_quants(
    every: list[Row], rows: list[Row], title: str, say: Callable[[Row], str | None]
) -> Iterator[str]:
    """What is said of these quants, each sentence with all that it is said of."""
    told: dict[str, list[str]] = {}
    for row in rows:
        if (text := say(row)) is not None:
            told.setdefault(text, []).append(row["quant_tag"])
    for text, tags in told.items():
        whose = "all" if len(tags) == len(every) > 1 else ", ".join(tags)
        yield f"{title} of {whose}: {text}."


def _reason(row: Row) -> str | None:
    """Why neither answers nor times are compared, where that is one reason."""
    code = row["answers_reason"]
    return _why(code) if code is not None and code == row["times_reason"] else None


def _changed(found: Difference, tag: str, most: int) -> Iterator[str]:
    for change in ("LOST", "GAINED"):
        tasks = found.changed(tag, change)
        if tasks and most:
            more = len(tasks) - most
            rest = f", and {more} more" if more > 0 else ""
            yield f"  {tag} {change.lower()}: {', '.join(tasks[:most])}{rest}"


def _unanswered(row: Row) -> str | None:
    if not row["unanswered"]:
        return None
    return f"every one of {row['unanswered']} tasks failed in the second sweep"


def _weights_not_known(row: Row) -> str | None:
    is_unknown = row["weights"] == "NOT_KNOWN"
    return "whether they are the same is not known" if is_unknown else None


def _answers(row: Row) -> str:
    if row["answers_reason"]:
        return f"not compared: {_why(row['answers_reason'])}"
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
        return f"not compared: {_why(row['times_reason'])}"
    over = f"over {row['blocks']} blocks"
    if within := row["times_within"]:
        return f"no difference shown {over}: not beyond {', nor '.join(within)}"
    return f"{_TIMES[row['times_verdict']]} {over}"


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
