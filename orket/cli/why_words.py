"""Why a quant is recommended or not, on a terminal."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from orket.cli.output import print_line, print_prose, screen_width
from orket.cli.side_by_side import side_by_side
from orket.exports.answers import failed_checks
from orket.exports.cost import cost_words
from orket.exports.figures import words
from orket.exports.reasoning import Reasoning
from orket.exports.scale import MILLI, scale
from orket.exports.stops import is_open, stop_words

Row = dict[str, Any]

_GATE_STATES = {"MET": "met", "NOT_MET": "NOT MET", "NOT_JUDGED": "not judged"}
_RULES = {"YARDSTICK": "reference"}
"""Rules that a person knows by another word than their code."""
_OTHER_STATES = {"MET": "yes", "NOT_MET": "no"}


def print_why(found: Reasoning, answers: int, place: Sequence[str] = ()) -> None:
    """Print one quant; `answers` lost tasks, and so many gained ones, with answers.

    `place` are the words by which a further command finds the same warehouse.
    """
    print_prose(f"{found.why['model_id']}: {found.why['headline']}.")
    print_prose()
    for rule in found.rules:
        if not rule["is_gate"] and rule["state"] == "NOT_JUDGED":
            continue
        states = _GATE_STATES if rule["is_gate"] else _OTHER_STATES
        name = _RULES.get(rule["rule"]) or words(rule["rule"])
        print_prose(f"  {name:<10} {states[rule['state']]:<11} {rule['words']}")
    if changes := found.why["changes"]:
        print_prose()
        print_prose("What would change it:")
        for change in changes:
            print_prose(f"  {change}.")
    if is_open(found.why["stop_code"]):
        print_prose()
        print_prose(f"Stopped: {stop_words(found.why['stop_code'])}.")
    if told := list(cost_words(found.cost)):
        print_prose()
        for line in told:
            print_prose(line)
    if found.why["pairs"]:
        print_prose()
        for line in _losses(found):
            print_prose(line)
        for line in _length(found.why):
            print_prose(line)
        _print_tasks("Lost", found.lost, found.why, answers, place)
        _print_tasks("Gained", found.gained, found.why, answers, place)


def _losses(found: Reasoning) -> Iterator[str]:
    why = found.why
    reference = why["baseline_quant_tag"]
    if not found.families:
        return
    fails = why["pairs"] - why["baseline_passes"]
    yield (
        f"Against {reference}: it loses {why['flips_lost']} of the "
        f"{why['baseline_passes']} tasks that {reference} passes, and gains "
        f"{why['flips_gained']} of the {fails} that it fails."
    )
    lossy = [row for row in found.families if row["lost_tasks"] or row["gained_tasks"]]
    # Of one family all is said above.
    if lossy and len(found.families) > 1:
        told = ", ".join(
            f"{_family(row)} {row['lost_tasks']}"
            + (f" (gains {row['gained_tasks']})" if row["gained_tasks"] else "")
            + f" of {row['tasks']}"
            for row in lossy
        )
        yield f"Lost by family: {told}."
    if why["flips_lost"]:
        damaged = sum(row["lost_by_format"] for row in found.families)
        wrong = sum(row["lost_by_content"] for row in found.families)
        kinds = ", ".join(
            f"{entry['tasks']} {words(entry['damage'])}"
            for entry in why["format_damages"]
        )
        yield (
            f"Of the lost: {wrong} with the wrong content, {damaged} damaged in their "
            f"form{f' (of all that fail: {kinds})' if kinds else ''}."
        )


def _family(row: Row) -> str:
    """What the tasks have in common; of a file that does not say it, nothing."""
    from orket.ingest.origin import UNKNOWN

    return "without a family" if row["family"] == UNKNOWN else str(row["family"])


def _length(why: Row) -> Iterator[str]:
    own, other = why["mean_tokens_milli"], why["reference_tokens_milli"]
    change = why["length_change_micro"]
    if own is None or other is None or change is None or not why["baseline_quant_tag"]:
        return
    if why["quant_tag"] == why["baseline_quant_tag"]:
        return
    drift = " beyond the limit: do not compare its latency alone"
    yield (
        f"Length: {scale(own, MILLI, 1)} tokens a task, {why['baseline_quant_tag']} "
        f"{scale(other, MILLI, 1)} ({_signed(change)} %)"
        f"{drift if why['output_length_differs'] else ''}."
    )


def _signed(change_micro: int) -> str:
    """Percent with its sign; what rounds to nothing has none."""
    percent = scale(change_micro, 10_000, 1)
    return f"{percent:+}" if percent else "0.0"


def _print_tasks(
    title: str, tasks: Sequence[Row], why: Row, most: int, place: Sequence[str]
) -> None:
    if not tasks:
        return
    shown = tasks[:most]
    print_prose()
    more = len(tasks) - len(shown)
    rest = f", {len(shown)} shown: --answers {len(tasks)} shows all" if more else ""
    print_prose(f"{title}: {len(tasks)}{rest}")
    for task in shown:
        reason = "; ".join(_problems(task))
        print_line()
        print_prose(f"{task['test_id']}{f': {reason}' if reason else ''}")
        texts = [
            (why["baseline_quant_tag"], task["baseline_answer_text"]),
            (why["quant_tag"], task["answer_text"]),
        ]
        width = screen_width()
        for line in side_by_side(texts, task["first_difference"], width):
            print_line(line)
        line = shlex.join(["orket", "explain", task["run_id"][:12], *place])
        print_prose(f"  see {line}")


def _problems(task: Row) -> Iterator[str]:
    if task["format_damage"]:
        yield words(task["format_damage"])
    yield from failed_checks(task["check_details"])
