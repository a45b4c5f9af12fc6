"""One run on a terminal: its figures, where they come from, how it was judged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orket.cli.output import print_line, print_prose, show_value
from orket.exports.answers import failed_checks
from orket.exports.explanation import Explained
from orket.exports.figures import words
from orket.exports.json_text import read_json, render_json

Row = dict[str, Any]

_STATES = {"HOLDS": "holds", "NOTED": "noted"}


def print_run(found: Explained, place: int, attempts: int) -> None:
    """Print one attempt, of so many."""
    attempt = found.attempt
    print_prose(
        f"{attempt['model_id']} {attempt['quant_tag']}, {attempt['test_id']}, "
        f"{attempt['phase']}, repetition {attempt['repetition']}: {_standing(found)}"
    )
    print_prose(f"run {attempt['run_id']} of sweep {attempt['sweep_id']}")
    nth = f", {place} of {attempts}" if attempts > 1 else ""
    print_prose(
        f"attempt {attempt['attempt_id']}{nth}, {show_value(attempt['started_at'])}"
    )
    for part in (_answer, _figures, _raw, _evidence):
        lines = list(part(found))
        if lines:
            print_line()
        for line in lines:
            print_prose(line)


def _standing(found: Explained) -> str:
    status = words(found.quality["run_quality_status"])
    reasons = found.quality["run_quality_reasons"]
    why = f" ({', '.join(map(words, reasons))})" if reasons else ""
    return f"{status}{why}, {'counts' if found.counts else 'does not count'}"


def _answer(found: Explained) -> Iterator[str]:
    attempt = found.attempt
    if attempt["outcome"] != "OK":
        cause = ": ".join(
            filter(None, (attempt["error_class"], attempt["error_message"]))
        )
        yield f"The call {words(attempt['outcome'])}{f': {cause}' if cause else ''}"
    if attempt["answer_text"] is not None:
        yield f"Answer, ended by {attempt['stop_reason'] or 'an unknown reason'}:"
        for line in attempt["answer_text"].split("\n"):
            yield f"  {line}"
    for check in failed_checks(attempt["check_details"]):
        yield f"Check not passed: {check}"


def _figures(found: Explained) -> Iterator[str]:
    rows = [row for row in found.figures if not row["is_of_others"]]
    yield "Figures, and where they come from:"
    yield from map(_figure, rows)
    others = [
        row for row in found.figures if row["is_of_others"] and row["value"] is not None
    ]
    if others:
        yield ""
        yield "Another tool may count otherwise, and get from the same run:"
        yield from map(_figure, others)


def _figure(row: Row) -> str:
    if row["value"] is None:
        return f"  {row['figure']}: unknown ({words(row['status'])})"
    how = f", {row['formula']}" if row["formula"] else ""
    status = "" if row["status"] == "OK" else f" ({words(row['status'])})"
    return f"  {row['figure']}: {row['value']}{status}{how}"


def _raw(found: Explained) -> Iterator[str]:
    attempt = found.attempt
    if attempt["raw_figures"]:
        yield f"What the server said, read by {attempt['formula_id']}:"
        for line in _pretty(attempt["raw_figures"]).split("\n"):
            yield f"  {line}"
    if attempt["count_note"]:
        yield f"Note: {attempt['count_note']}"
    differing = list(_controls(attempt))
    if differing:
        yield f"Controls: {', '.join(differing)}"


def _pretty(raw: str) -> str:
    found = read_json(raw)
    return raw if isinstance(found, str) else render_json(found)


def _controls(attempt: Row) -> Iterator[str]:
    effective = attempt["effective"] or {}
    for name, asked in (attempt["requested"] or {}).items():
        if asked is None:
            continue
        found = effective.get(name)
        verified = "not verified" if found is None else f"effective {found}"
        yield f"{words(name)} {asked} ({verified})"


def _evidence(found: Explained) -> Iterator[str]:
    """What holds, is noted or was not observed; then what is within its limits."""
    for state, title in _STATES.items():
        for row in found.evidence:
            if row["state"] == state:
                yield f"{title}: {words(row['reason'])}, {row['meaning']}{_limits(row)}"
    unseen = [
        words(row["reason"]) for row in found.evidence if row["state"] == "NOT_OBSERVED"
    ]
    if unseen:
        yield f"not observed: {', '.join(unseen)}"
    clear = [row for row in found.evidence if row["state"] == "CLEAR" and row["value"]]
    if clear:
        yield "Within limits:"
    for row in clear:
        yield f"  {words(row['reason'])}{_limits(row)}"


def _limits(row: Row) -> str:
    if row["value"] is None:
        return ""
    limit = f", limit {row['limit_text']}" if row["limit_text"] else ""
    return f": {row['value']}{limit}"
