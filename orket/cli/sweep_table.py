"""One sweep for a person: the table, the recommendation, and how far to trust it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from orket.cli.advice import advise
from orket.cli.canary_words import profile_that_passes
from orket.cli.fidelity_words import fidelity_words
from orket.cli.output import print_prose, show_value
from orket.cli.quant_table import print_quants, tells_speed
from orket.exports.by_now import INTERRUPTED, RUNNING, UNKNOWN, say_missing
from orket.exports.figures import (
    count_runs,
    exact_percent,
    exact_seconds,
    limit_percent,
    percent,
    words,
)
from orket.exports.stops import status_words
from orket.exports.untimed import gate_words

Document = Mapping[str, Any]

FIRST_LINES = 3
"""Of the recommendation, above the table: what to use, what else, how sure."""

_ENDLESS = (INTERRUPTED, RUNNING, UNKNOWN)
_FOUND = frozenset({"models", "quants", "provider.name", "provider.url"})
"""What one argument stands for: nobody changed it against anything."""


def print_sweep(
    summary: Document, with_polluted: Callable[[], Document] | None = None
) -> None:
    """Print a summary document: the answer, the table, why, and at last what was run.

    `with_polluted` gives the same sweep judged with polluted runs. It is asked, and its
    table shown too, only where pollution alone stands against a recommendation.
    """
    if not _is_completed(summary):
        print_prose(_headline(summary))
        print_prose()
    for place, session in enumerate(summary["sessions"]):
        if place:
            print_prose()
        first, further = _split_words(session)
        for line in first:
            print_prose(line)
        print_prose()
        print_quants(session)
        if further:
            print_prose()
        for line in further:
            print_prose(line)
    if with_polluted and any(map(_lost_to_pollution, summary["sessions"])):
        _print_polluted(with_polluted())
    for said in (_failures, _disturbances, _about):
        for line in said(summary):
            print_prose(line)


def _split_words(session: Document) -> tuple[list[str], list[str]]:
    """What is for anybody, above the table; and what is for those who want to know."""
    lines = session["recommendation_lines"] or [session["recommendation"]]
    return lines[:FIRST_LINES], [*lines[FIRST_LINES:], *_further_words(session)]


def _about(summary: Document) -> Iterator[str]:
    """What was run, where, by which rules."""
    yield ""
    if _is_completed(summary):
        yield _headline(summary)
    yield from _missing_words(summary)
    yield from _canary_words(summary)
    yield from map(_session_line, summary["sessions"])
    yield from _policy_words(summary)


def _missing_words(summary: Document) -> Iterator[str]:
    """What no figure has seen, because it was damaged and moved away."""
    if said := say_missing(summary):
        yield f"{said}; orket verify names what is missing"


def _lost_to_pollution(session: Document) -> bool:
    detail = session["recommendation_detail"]
    would_be = detail["if_polluted_included"]
    return detail["best_value_quant"] is None and bool(
        would_be and would_be["best_value_quant"]
    )


def _print_polluted(summary: Document) -> None:
    for session in summary["sessions"]:
        print_prose()
        print_prose(
            f"{session['model_id']} with polluted runs, on which no claim should rest:"
        )
        print_prose()
        print_quants(session)


def _headline(summary: Document) -> str:
    machine = summary["hardware"]["cpu"] or "unknown machine"
    # Behind a model, a folder or a URL stands a preset that nobody named.
    preset = "" if _is_neutral(summary) else f"preset {summary['preset']}, "
    return (
        f"Sweep {summary['sweep_id']} ({status_words(summary)}), {preset}on {machine}"
    )


def _is_completed(summary: Document) -> bool:
    """What did not come to its end says so first."""
    return bool(summary["status"] == "COMPLETED")


def _is_neutral(summary: Document) -> bool:
    from orket.planning.neutral import NEUTRAL_PRESET

    return bool(summary["preset"] == NEUTRAL_PRESET)


def _session_line(session: Document) -> str:
    provider = session["provider"]
    server = " ".join(filter(None, (provider["name"], provider["version"])))
    limits = session["thresholds"]
    baseline = session["baseline_quant"] or "the reference"
    within = f", at most {exact_seconds(limits['latency_ceiling'])} a run"
    is_timed = not session["run_quality_policy"]["quality_only"]
    return (
        f"{session['model_id']} on {server}: keep at least "
        f"{exact_percent(limits['adherence_threshold'])} of {baseline}'s adherence"
        f"{within if is_timed else ''}"
    )


def _further_words(session: Document) -> Iterator[str]:
    detail = session["recommendation_detail"]
    yield from fidelity_words(session)
    yield from _baseline_words(session)
    yield from cut_words(session)
    # Of one quant there is nothing to be sure of: it was compared with none.
    if detail["confidence"] and len(session["per_quant"]) > 1:
        yield f"Confidence: {_confidence(session)}"
    polluted = detail["if_polluted_included"]
    if polluted and polluted["best_value_quant"]:
        yield (
            "If polluted runs counted: smallest that passes "
            f"{polluted['minimum_viable_quant']}, best value "
            f"{polluted['best_value_quant']}{_how_to_include(session)}"
        )


def _baseline_words(session: Document) -> Iterator[str]:
    """How the quants stand against stored baselines, a line for each verdict.

    The worst verdict of its tasks speaks for a quant; how many have it stands beside.
    """
    verdicts: dict[str, list[str]] = {}
    for quant in session["per_quant"]:
        compared = quant["baseline_comparison"]
        if compared and compared["matched_tests"]:
            verdict = compared["verdict"]
            found = compared["verdict_counts"].get(verdict, 0)
            told = f"{quant['quant_tag']} {found} of {compared['matched_tests']}"
            verdicts.setdefault(verdict, []).append(told)
    for verdict, (first, *more) in sorted(verdicts.items()):
        told = ", ".join([f"{first} tasks", *more])
        yield f"Against stored baselines, {words(verdict)}: {told}"


def _how_to_include(session: Document) -> str:
    """The option, unless it was given already."""
    is_given = session["run_quality_policy"]["include_polluted"] != "never"
    return "" if is_given else " (--include-polluted fill)"


def _confidence(session: Document) -> str:
    """The status of each recommendation, for those who look for its code.

    Nothing is the best value where nothing may be said of speed.
    """
    detail = session["recommendation_detail"]
    smallest = f"{detail['minimum_viable_quant']} {detail['confidence']}"
    if not tells_speed(session):
        return f"smallest that passes {smallest}; best value not told without times"
    best = f"best value {detail['best_value_quant']} {detail['best_value_confidence']}"
    status = detail["best_value_status"]
    return (
        f"smallest that passes {smallest}; {best}{f' and {status}' if status else ''}"
    )


def cut_words(session: Document) -> Iterator[str]:
    """Of each quant, how many of its answers were cut, where any was."""
    cut = [
        f"{quant['quant_tag']} {runs['truncated']} of {runs['answered']}"
        for quant in session["per_quant"]
        if (runs := quant["runs"])["truncated"]
    ]
    if cut:
        yield f"Answers cut at their budget: {', '.join(cut)}"


def _canary_words(summary: Document) -> Iterator[str]:
    """How the gates ended; each under its model's name where they did not end alike."""
    sessions, status = summary["sessions"], summary["status"]
    if len(sessions) > 1:
        told = [_canary_line(session["canary"], status) for session in sessions]
        if len(set(told)) > 1:
            for session, line in zip(sessions, told, strict=True):
                yield f"Canary of {session['model_id']}: {line}"
            return
    yield f"Canary: {_canary_line(summary['canary'], status)}"


def _canary_line(canary: Document, status: str) -> str:
    from orket.warehouse.reasons import code_of

    too_few = code_of("canary", "too_few_runs")
    if status in _ENDLESS and too_few in canary["failed_reasons"]:
        # It was not walked to its end: it fails by nothing yet.
        return f"not finished, {canary['runs']} runs so far"
    verdict = words(canary["verdict"])
    profile = canary["control_profile"]
    named = f", control profile {profile}" if profile else ""
    spread, limit = canary["internal_latency_cv"], canary["max_latency_cv"]
    if alone := gate_words(canary):
        # A control profile bounds times alone.
        return alone
    if spread is None or limit is None:
        measured = ""
    else:
        bound = canary["latency_cv_upper"]
        told = f", by no more than {percent(bound)} for sure" if bound else ""
        measured = (
            f", {canary['latency_basis']} time varies by {percent(spread)}{told} "
            f"(limit {limit_percent(limit)})"
        )
    reasons = ", ".join(map(words, canary["failed_reasons"]))
    why = f": {reasons}" if reasons else ""
    passing = profile_that_passes(canary)
    remedy = f"; --profile {passing} would have passed" if passing else ""
    return verdict + why + measured + named + remedy


def _policy_words(summary: Document) -> Iterator[str]:
    """What policies admit beyond clean, observed runs; whose, where models differ."""
    sessions = summary["sessions"]
    admitted = [list(_admitted(session)) for session in sessions]
    if all(words == admitted[0] for words in admitted):
        yield from (f"Policy: {said}" for said in admitted[0])
    else:
        for session, said in zip(sessions, admitted, strict=True):
            ruled = " ".join(said) or "clean, observed runs alone count."
            yield f"Policy of {session['model_id']}: {ruled}"
    sandbox = summary["matrix"]["sandbox"]
    if sandbox == "process":
        yield "Policy: code answers ran as processes of their own (--sandbox process)."
    elif sandbox == "monty+process":
        yield (
            "Policy: code answers that monty cannot run ran as processes of their own "
            "(--sandbox monty+process)."
        )
    is_neutral = _is_neutral(summary)
    changed = ", ".join(
        f"{key}={show_value(value)}"
        for key, value in summary["overrides"].items()
        if not (is_neutral and key in _FOUND)
        # What was asked for when it was shown may be what it ran with.
        and summary["overrides"].get(f"policy.{key}") != value
    )
    if changed:
        yield f"{'Given' if is_neutral else 'Changed against the preset'}: {changed}"


def _admitted(session: Document) -> Iterator[str]:
    policy = session["run_quality_policy"]
    if policy["include_polluted"] != "never":
        yield f"polluted runs may count ({policy['include_polluted']})."
    if policy["allow_unobserved"]:
        yield "runs whose environment was not observed may count."


def _failures(summary: Document) -> Iterator[str]:
    """Why planned runs have no answer: one line a cause, the most frequent first."""
    causes: Counter[tuple[str, str | None]] = Counter()
    places: dict[tuple[str, str | None], list[str]] = {}
    for session in summary["sessions"]:
        for quant in session["per_quant"]:
            for failure in quant["failures"]:
                cause = failure["error_class"], failure["error_message"]
                causes[cause] += failure["runs"]
                places.setdefault(cause, []).append(quant["quant_tag"])
    if not causes:
        return
    yield ""
    yield "Why runs failed:"
    for cause, runs in sorted(causes.items(), key=lambda item: (-item[1], item[0][0])):
        said = ": ".join(filter(None, cause))
        quants = ", ".join(dict.fromkeys(places[cause]))
        yield f"  {said} ({count_runs(runs)} of {quants})"


def _disturbances(summary: Document) -> Iterator[str]:
    """What polluted runs that were answered, with what to do about it."""
    if not any(
        quant["run_quality_reason_counts"]
        for session in summary["sessions"]
        for quant in session["per_quant"]
    ):
        return
    from orket.warehouse.reasons import code_of

    failed, not_run = code_of("run", "run_failed"), code_of("run", "not_run")
    waiting, lines = 0, []
    for session in summary["sessions"]:
        counts = Counter[str]()
        for quant in session["per_quant"]:
            counts.update(quant["run_quality_reason_counts"])
        # What failed is told by its own cause, and what was not run disturbed nothing.
        counts.pop(failed, None)
        waiting += counts.pop(not_run, 0)
        lines += [
            (-runs, reason, advise(reason, session)) for reason, runs in counts.items()
        ]
    merged: dict[tuple[str, str], int] = {}
    for minus_runs, reason, advice in lines:
        merged[reason, advice] = merged.get((reason, advice), 0) - minus_runs
    if waiting:
        yield ""
        yield f"Not run: {count_runs(waiting)}; the sweep stopped before them."
    if not merged:
        return
    yield ""
    yield "What disturbed the measurement:"
    for (reason, advice), runs in sorted(
        merged.items(), key=lambda item: (-item[1], item[0])
    ):
        yield f"  {reason} ({count_runs(runs)}): {advice}"
