"""The screen before anything runs: what was found, what fits, how long it will take."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

from orket.cli.output import print_prose, print_rows
from orket.exports.figures import count_runs, decimals, duration, size, time_words
from orket.exports.scale import MILLI, scale
from orket.urls import without_secret

if TYPE_CHECKING:
    from orket.machine.memory import FreeMemory
    from orket.planning.estimate import Estimate
    from orket.planning.plan import Plan
    from orket.planning.survey import Absent, Found, Seen, Survey
    from orket.planning.targets import Target
    from orket.records import FidelityPlan
    from orket.warehouse import Warehouse

DIGEST_CHARACTERS = 19
"""`sha256:` and the twelve that tell weights apart."""
FIRST, LAST = ("quant", "bpw", "size"), ("memory", "publisher", "digest")


def open_screen(plan: Plan, survey: Survey, store: Warehouse) -> None:
    """Show on stderr what is going to be measured, before anything is."""
    from orket.planning.estimate import estimate_plan
    from orket.planning.past import forecast_from
    from orket.planning.prompts_in_time import fit_plan

    forecast = forecast_from(store, plan, survey.sizes)
    estimate = estimate_plan(fit_plan(plan, forecast), forecast)
    with redirect_stdout(sys.stderr):
        for seen in survey.models:
            print_prose(f"{seen.model_id}, {_place(plan)}; {_memory(survey.free)} free")
            print_seen(seen, survey)
        print_prose(_work(plan))
        print_prose(estimate_line(estimate, plan.budget_seconds))
        if plan.budget_seconds is None and estimate.is_long:
            print_prose("To end sooner, with what is proven by then: --budget 20m")
        print_prose()


def print_seen(seen: Seen, survey: Survey, in_full: bool = False) -> None:
    """Print the quants of one model, and what can be said of them together.

    A file is called by its name, and `in_full` by its path.
    """
    print_rows(
        [_quant_row(found, in_full) for found in seen.found],
        [*FIRST, ("needs", _needs_header(seen)), *LAST, "name"],
        "table",
        droppable=("publisher", "digest", "needs"),
    )
    for line in _remarks(seen, survey):
        print_prose(line)


def _quant_row(found: Found, in_full: bool) -> dict[str, Any]:
    """What is known of one quant, for a person; None where nothing is."""
    target, need = found.target, found.need
    bits = found.bpw_milli
    return {
        "quant": target.ref.quant_tag,
        "bpw": None if bits is None else decimals(scale(bits, MILLI, 3), 2),
        "size": target.model_bytes and size(target.model_bytes),
        "needs": need.total_bytes and size(need.total_bytes),
        "memory": "not there" if target.missing else _fit(found),
        "publisher": target.publisher,
        "digest": target.digest and target.digest[:DIGEST_CHARACTERS],
        "name": _name(target, in_full),
    }


def _name(target: Target, in_full: bool) -> str:
    if target.ref.path is not None:
        return str(target.ref.path) if in_full else target.ref.path.name
    return target.ref.name or "whatever is served"


def _fit(found: Found) -> str | None:
    from orket.planning.fit import UNKNOWN

    return None if found.fit == UNKNOWN else found.fit


def estimate_line(estimate: Estimate, budget: float | None = None) -> str:
    """How long a plan takes, usually and at most, and what stands behind that.

    All of it, within the budget where there is one; nothing that no call here tells.
    """
    disk = f"{estimate.warehouse_bytes / 2**20:.1f} MiB in the warehouse"
    told = time_words(estimate.usual, estimate.whole, budget)
    if not estimate.basis or estimate.whole is None:
        within = f"{told}; " if told else ""
        return (
            f"Estimate: {within}how long it takes the first calls will tell, for no "
            f"earlier ones of these quants are known here; {disk}"
        )
    return f"Estimate: {told}, {disk}; {estimate.basis}, without repeats"


def prompt_words(fidelity: FidelityPlan) -> str:
    """How many prompts the phase asks of each quant: where time sets it, at most."""
    count = len(fidelity.test_ids)
    prompts = f"{count} prompt{'' if count == 1 else 's'}"
    if fidelity.seconds is None:
        return prompts
    return f"at most {prompts}, as many as take about {duration(fidelity.seconds)}"


def _remarks(seen: Seen, survey: Survey) -> Iterator[str]:
    reference = seen.reference
    if reference is None:
        yield "Nothing of it is here."
    elif len(seen.found) == 1:
        yield (
            f"{reference.ref.quant_tag} alone is here: it is measured, and there is "
            "nothing to compare it with."
        )
    else:
        yield (
            f"Reference: {reference.ref.quant_tag}, the most precise here; the others "
            "are held against it."
        )
    if any(found.need.total_bytes for found in seen.found):
        yield (
            "Needs: weights, KV cache and a twentieth of the weights for buffers; the "
            "server's own memory, often some tens of MiB, comes on top and is measured."
        )
    yield from _fetching(seen)
    for reason in survey.silent:
        yield f"Not known (-): {reason}."


def _fetching(seen: Seen) -> Iterator[str]:
    """The commands that fetch what is not here, all at once."""
    if not seen.absent:
        if seen.page is not None and len(seen.found) < 2:
            yield f"Its other quants are listed at {seen.page}"
        return
    yield "Not here; these lines fetch it, where the library has it:"
    for absent in seen.absent:
        yield f"  {absent.command}{_about(absent)}"
    if seen.page is not None:
        yield f"  (all there are: {seen.page})"


def _about(absent: Absent) -> str:
    """A comment behind the command: it is copied with it."""
    from orket.planning.fit import TOO_LARGE

    if absent.about_bytes is None:
        return ""
    fit = ", too large for what is free" if absent.fit == TOO_LARGE else ""
    return f"  # about {size(absent.about_bytes)}{fit}"


def _needs_header(seen: Seen) -> str:
    return f"needs at {seen.context_tokens}" if seen.context_tokens else "needs"


def _place(plan: Plan) -> str:
    url = plan.server.options.url
    where = f" {without_secret(url)}" if url else ""
    return f"at {plan.server.provider}{where}"


def _memory(free: FreeMemory) -> str:
    ram = "unknown memory" if free.ram_bytes is None else size(free.ram_bytes)
    if free.gpu_bytes is None:
        return f"{ram} of memory" if free.ram_bytes is not None else ram
    return f"{size(free.gpu_bytes)} of GPU memory and {ram} of memory"


def _work(plan: Plan) -> str:
    from orket.planning.usual import count_calls

    banks = ", ".join(sorted({entry.bank for entry in plan.task_entries}))
    calls = count_calls(plan)
    quants = sum(len(model.targets) for model in plan.models)
    times = "" if plan.repetitions == 1 else f", each {plan.repetitions} times"
    most = "at most " if plan.is_adaptive else ""
    tasks = "1 task" if len(plan.tasks) == 1 else f"{len(plan.tasks)} tasks"
    parts = [f"{most}{count_runs(calls.runs)} of {tasks} of {banks}{times}"]
    if calls.fidelity and plan.fidelity:
        asked = prompt_words(plan.fidelity)
        parts.append(f"{most}{calls.fidelity} of fidelity ({asked})")
    parts += [f"{calls.gate} of gate and warm-ups"] if calls.gate else []
    several = "quants" if quants > 1 else "quant"
    return f"{quants} {several}, {most}{calls.all} calls: {', '.join(parts)}."
