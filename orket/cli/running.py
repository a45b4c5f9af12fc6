"""What every verb that runs a sweep does: run it, and say how it ended."""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from orket.cli import messages
from orket.errors import OrketError, WarehouseError

if TYPE_CHECKING:
    from orket.cli.rejudge import Rejudge
    from orket.planning.plan import Plan
    from orket.sweep.execute import Outcome
    from orket.warehouse import Warehouse

EXIT_INTERRUPTED = 130


def new_id(preset: str) -> str:
    """A fresh sweep id."""
    from orket.planning.identity import new_sweep_id

    return new_sweep_id(preset, datetime.now(UTC))


def run_plan(
    plan: Plan,
    store: Warehouse,
    resume: bool = False,
    yes: bool = False,
    take_over: bool = False,
) -> Outcome:
    """Execute a plan under the live display; an early Ctrl-C records nothing.

    Raises what stopped a sweep of which no call could have been answered.
    """
    from orket.cli.sweep_progress import SweepProgress
    from orket.sweep.execute import INTERRUPTED, STOPPED, Outcome, run_sweep
    from orket.sweep.interrupts import Interrupted

    with SweepProgress(yes) as progress:
        try:
            outcome = run_sweep(
                plan, store, progress, resume=resume, take_over=take_over
            )
        except Interrupted:
            return Outcome(plan.sweep_id, INTERRUPTED, 0)
        except WarehouseError:
            if plan.sweep_id in store.sweep_ids():
                messages.note(
                    "every call recorded so far is kept; once what follows is mended: "
                    + resume_line(plan.sweep_id, store)
                )
            raise
    if outcome.status == STOPPED and outcome.cause is not None:
        raise outcome.cause
    if outcome.was_complete:
        messages.note(f"sweep {plan.sweep_id} is already complete: nothing was run")
    return outcome


def failure_of(outcome: Outcome, resume_with: str | None) -> OrketError | None:
    """The error of a sweep that lost a server for good; None of any other.

    `resume_with` is the command that goes on with it, where one can.
    """
    cause = outcome.cause
    if cause is None:
        return None
    runs = (
        "1 planned run was"
        if outcome.unmeasured == 1
        else f"{outcome.unmeasured} planned runs were"
    )
    on = f"go on with: {resume_with}" if resume_with else None
    hint = "; ".join(said for said in (cause.hint, on) if said)
    return OrketError(f"{runs} not measured: {cause.message}", hint or None)


def explain_interrupt(
    sweep_id: str, store: Warehouse, calls: int, resume_with: str | None
) -> int:
    """Say what was kept and how to go on, where one can; the exit code."""
    if sweep_id not in store.sweep_ids():
        messages.note("interrupted before the first call; nothing was recorded")
        return EXIT_INTERRUPTED
    messages.note(f"interrupted; {calls} calls of sweep {sweep_id} are kept")
    if resume_with:
        messages.note(f"go on with: {resume_with}")
    return EXIT_INTERRUPTED


def ended_before_anything(
    outcome: Outcome, plan: Plan, summary: Mapping[str, Any], store: Warehouse
) -> OrketError | None:
    """The error of a budget that was over before a quant was asked anything."""
    from orket.exports.figures import duration
    from orket.sweep.resume import BUDGET_ENDED

    budget = plan.budget_seconds
    if outcome.stop_reason != BUDGET_ENDED or budget is None or _has_found(summary):
        return None
    more = max(1, math.ceil((budget + (outcome.further_seconds or 60)) / 60))
    return OrketError(
        f"the budget of {duration(budget)} was over before anything was asked",
        f"give it more: {resume_line(plan.sweep_id, store)} --budget {more}m",
    )


def _has_found(summary: Mapping[str, Any]) -> bool:
    """Whether any quant was asked a task, or has a fidelity."""
    return _has_asked(summary) or any(
        (quant["fidelity"] or {}).get("positions") for quant in _quants_of(summary)
    )


def _has_asked(summary: Mapping[str, Any]) -> bool:
    return any(quant["runs"]["attempts"] > 0 for quant in _quants_of(summary))


def _quants_of(summary: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [quant for entry in summary["sessions"] for quant in entry["per_quant"]]


def explain_budget(
    outcome: Outcome, plan: Plan, summary: Mapping[str, Any], store: Warehouse
) -> None:
    """Say what more time would bring, where the sweep ended before it was decided."""
    from orket.cli.fidelity_words import knows_no_more
    from orket.exports.figures import duration, span_words
    from orket.sweep.resume import BUDGET_ENDED, MACHINE_BUSY

    if outcome.stop_reason == MACHINE_BUSY:
        messages.note(
            "the machine was too busy for anything more to count; when it is quieter: "
            f"{resume_line(plan.sweep_id, store)}"
        )
    budget = plan.budget_seconds
    if outcome.stop_reason != BUDGET_ENDED or budget is None:
        return
    if _has_asked(summary) and all(map(knows_no_more, summary["sessions"])):
        return  # The reference does none of the tasks: more of them are no good offer.
    if outcome.is_disturbed:
        again = f"{resume_line(plan.sweep_id, store)} --budget"
        messages.note(
            f"the budget of {duration(budget)} ended first, and most runs were "
            "disturbed: what more time would bring cannot be told; when the machine is "
            "quieter: "
            f"{again} {max(1, math.ceil(2 * budget / 60))}m"
        )
        return
    tasks, seconds = outcome.further_tasks, outcome.further_seconds
    more, takes = float(budget), ""
    if seconds is not None:
        low, high = (seconds * factor for factor in outcome.further_slack)
        more, takes = max(1.2 * seconds, high), f", {span_words(low, high)} more"
    if tasks:
        brings = f"the next proof takes at least {tasks} such tasks{takes}"
    else:
        brings = f"the next round is no proof yet{takes}"
    minutes = math.ceil((budget + more) / 60)
    line = resume_line(plan.sweep_id, store)
    had = "" if _has_asked(summary) else " (fidelity is all there was time for)"
    messages.note(
        f"the budget of {duration(budget)} ended first{had}; {brings}: "
        f"{line} --budget {max(minutes, 1)}m"
    )


def say_how_far(plan: Plan, store: Warehouse) -> None:
    """How much of the plan of a sweep was asked before it goes on."""
    from orket.sweep.resume import count_asked

    tasks = [task.test_id for task in plan.tasks]
    runs = sum(run.phase == "matrix" for run in plan.runs)
    added = len(plan.added_tests)
    told = f", {added} of its {len(tasks)} tasks are added" if added else ""
    messages.note(
        f"sweep {plan.sweep_id} goes on: {count_asked(store, plan.sweep_id, tasks)} of "
        f"{runs} runs were made{told}"
    )


def explain_added(plan: Plan, store: Warehouse) -> None:
    """Say when tasks that were added are evidence of nothing that is open."""
    from orket.sweep.resume import count_asked

    added = plan.added_tests
    if added and not count_asked(store, plan.sweep_id, added):
        messages.note(
            f"none of the {len(added)} added tasks was asked: by this sweep's rules "
            "they settle nothing that is open; --until point asks them of every quant "
            "near the threshold, and a new sweep proves by all of them"
        )


_FURTHER = {
    "use": "prints the line that runs it",
    "report": "writes it as a page, with pictures and every answer",
}
"""Verbs that go on from a sweep, with what each does."""


def say_what_next(
    summary: Mapping[str, Any], store: Warehouse, rejudge: Rejudge | None = None
) -> None:
    """The lines that a person may want to type next, as far as they would work.

    `rejudge` is how the summary was judged anew: the lines judge in the same way.
    Nothing but the way to an answer where nobody sits before a terminal.
    """
    from orket.cli.rejudge import Rejudge

    rejudge = rejudge or Rejudge()
    _say_answers_alone(summary, store, rejudge)
    if not sys.stderr.isatty():
        return
    from orket.cli.main import installed_verbs

    for verb in installed_verbs():
        if verb not in _FURTHER:
            continue
        if verb == "use" and not _can_be_used(summary, store, rejudge):
            continue
        messages.note(f"{_line(verb, summary, store, rejudge)}  # {_FURTHER[verb]}")


def _line(
    verb: str, summary: Mapping[str, Any], store: Warehouse, rejudge: Rejudge
) -> str:
    words = ["orket", verb, summary["sweep_id"], *rejudge.words(), *place_words(store)]
    return shlex.join(words)


def _can_be_used(
    summary: Mapping[str, Any], store: Warehouse, rejudge: Rejudge
) -> bool:
    """Whether a quant is advised that `orket use` has a line for."""
    if rejudge.is_scoped or not any(
        session["efficiency_frontier"]["advised_quant_tag"]
        for session in summary["sessions"]
    ):
        return False  # `use` judges by all tasks.
    from orket.exports.handover import read_handovers
    from orket.providers.serving.shells import SHELLS

    found = read_handovers(
        store, summary["sweep_id"], overrides=rejudge.policy_overrides()
    )
    return any(chosen.lines(shell) for chosen in found for shell in SHELLS)


def _say_answers_alone(
    summary: Mapping[str, Any], store: Warehouse, rejudge: Rejudge
) -> None:
    """The command that has an answer at once, where disturbed runs stand against it."""
    if not any(map(_lacks_quiet, summary["sessions"])):
        return
    from orket.exports.load import load_answers

    alone = replace(rejudge, quality_only=True)
    answers = load_answers(store, summary["sweep_id"], alone.policy_overrides())
    if any(answer["advised_quant"] for answer in answers):
        messages.note(
            "disturbed runs stand against an answer; the same runs judged for answers "
            f"alone give one, nothing is run: {_line('show', summary, store, alone)}"
        )


def _lacks_quiet(session: Mapping[str, Any]) -> bool:
    """Whether no quant is advised by times, and runs were thrown out or disturbed."""
    return (
        not session["run_quality_policy"]["quality_only"]
        and session["efficiency_frontier"]["advised_quant_tag"] is None
        and any(quant["run_quality_reason_counts"] for quant in session["per_quant"])
    )


def show_line(sweep_id: str, store: Warehouse, rejudge: Rejudge | None = None) -> str:
    """The command that shows a sweep, judged as by `rejudge`."""
    anew = rejudge.words() if rejudge else []
    return shlex.join(["orket", "show", sweep_id, *anew, *place_words(store)])


def resume_line(sweep_id: str, store: Warehouse, output: str | None = None) -> str:
    """The command that goes on with a sweep: its manifest has the rest."""
    where = ["-o", output] if output else []
    return shlex.join(
        ["orket", "run", "--resume", sweep_id, *place_words(store), *where]
    )


def place_words(store: Warehouse) -> list[str]:
    """What a command needs to find this warehouse; nothing for the default one."""
    from orket.warehouse import Warehouse

    is_default = store.place == Warehouse.open().place
    return [] if is_default else ["-w", store.place]
