"""What there is to measure here, and the plan for it: without what does not fit."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import TYPE_CHECKING

from orket.cli import messages
from orket.cli.output import print_prose, print_rows
from orket.errors import ServerError, UsageError

if TYPE_CHECKING:
    from orket.planning.plan import Plan
    from orket.planning.preset import Change, Preset
    from orket.planning.survey import Survey


def print_choices() -> None:
    """List what answers and what lies here, each with the line that measures it."""
    from orket.planning.nearby import find_choices

    choices = find_choices()
    rows = [
        {
            "to measure": choice.what,
            "type": shlex.join(
                ["orket", "run", choice.argument]
                + (["--model", choice.model] if choice.model else [])
            ),
        }
        for choice in choices
    ]
    shipped = {
        "to measure": "the model that Orket ships, in nine quants",
        "type": "orket run quickstart",
    }
    print_rows([*rows, shipped], ["to measure", "type"], "table")
    if not choices:
        _say_how_to_begin()
    print_prose("Any other: orket run FOLDER, orket run URL, a preset (orket presets)")


def _say_how_to_begin() -> None:
    from orket.planning.nearby import model_folders

    places = ", ".join(map(str, model_folders()))
    print_prose(
        "No model server answers here, and no GGUF file lies in the usual folders "
        f"({places})."
    )
    print_prose("To measure a model of your own, have at least two quants of it:")
    print_prose("  with Ollama: ollama pull llama3.2:3b-instruct-q8_0")
    print_prose("               ollama pull llama3.2:3b-instruct-q4_K_M")
    print_prose("               orket run llama3.2:3b-instruct")
    print_prose("  with files:  put the GGUF files of a model into ./models")
    print_prose("               orket run ./models")
    print_prose()


def fit_preset(preset: Preset, ask: bool = True) -> Preset:
    """The preset without the quants that were found and do not fit; each is told."""
    return plan_fitting(preset, "<sweep>", ask=ask)[1]


def plan_fitting(
    preset: Preset, sweep_id: str, skip_canary: bool = False, ask: bool = True
) -> tuple[Plan, Preset, Survey]:
    """The plan of a preset without what does not fit here; each is told.

    Quants that the memory does not hold, and tasks whose prompt no context holds. Only
    quants that were found are left out, and tasks of them: what a preset asks for by
    name is told and tried. A preset alone asks a server only with `ask`. Raises
    UsageError where nothing fits.
    """
    from orket.planning.neutral import NEUTRAL_PRESET
    from orket.planning.plan import build_plan
    from orket.planning.preset import Change, override
    from orket.planning.served import SERVED
    from orket.planning.survey import say_unfit, survey_plan

    asked_for = preset.table.models[0].quants
    plan = build_plan(preset, sweep_id, skip_canary=skip_canary)
    is_named = SERVED in asked_for or plan.server.command is not None
    is_found = preset.name == NEUTRAL_PRESET and not is_named
    survey = survey_plan(plan, ask or is_found)
    _require_any(plan, survey)
    unfit = say_unfit(survey)
    if not unfit or not is_found:
        for reason in unfit.values():
            messages.note(f"may not fit: {reason}")
        changes = _leave_tasks_out(plan) if is_found else []
        tags: set[str] = set()
    else:
        tags = {ref.quant_tag for ref in unfit}
        kept = [quant for quant in asked_for if quant not in tags]
        if not kept:
            raise _nothing_fits(unfit.values(), survey)
        for reason in unfit.values():
            messages.note(f"left out: {reason}")
        quants = Change("quants", kept, (("models", 0, "quants"),))
        changes = [quants, *_leave_tasks_out(plan)]
    if not changes:
        return plan, preset, survey
    preset = override(preset, changes)
    plan = build_plan(preset, sweep_id, skip_canary=skip_canary)
    return plan, preset, survey.without(tags)


def _leave_tasks_out(plan: Plan) -> list[Change]:
    """The change that leaves out tasks whose prompt cannot fit; they are told.

    Raises UsageError where none is left.
    """
    from orket.planning.preset import Change
    from orket.planning.readiness import find_too_long

    too_long = find_too_long(plan)
    if not too_long:
        return []
    tokens = min(too_long.values())
    kept = [task.id for task in plan.tasks if task.id not in too_long]
    if not kept:
        raise UsageError(
            f"no prompt of these tasks fits into a context of {tokens} tokens",
            "ask for a larger --context, for shorter tasks, or take another model",
        )
    first = next(task.test_id for task in plan.tasks if task.id in too_long)
    messages.note(
        f"left out: {len(too_long)} of {len(plan.tasks)} tasks ({first} ...): a "
        f"context of {tokens} tokens cannot hold their prompts"
    )
    shown = f"{len(kept)} of {len(plan.tasks)}, whose prompts fit into {tokens} tokens"
    return [Change("tasks.select", kept, shown=shown)]


def _nothing_fits(reasons: Iterable[str], survey: Survey) -> UsageError:
    from orket.planning.fit import FITS, GPU_AND_RAM

    smaller = [
        absent.command
        for seen in survey.models
        for absent in seen.absent
        if absent.fit in (FITS, GPU_AND_RAM)
    ]
    return UsageError(
        f"nothing fits here: {'; '.join(reasons)}",
        f"fetch a smaller quant: {'; '.join(smaller)}"
        if smaller
        else "close other programs, or find smaller quants",
    )


def _require_any(plan: Plan, survey: Survey) -> None:
    """Raise ServerError where a server has no quant of any model of the plan."""
    if any(seen.found for seen in survey.models):
        return
    commands = [absent.command for seen in survey.models for absent in seen.absent]
    models = ", ".join(seen.model_id for seen in survey.models)
    raise ServerError(
        f"{plan.server.provider} has no quant of {models}",
        f"fetch what is to be compared: {'; '.join(commands)}",
    )
