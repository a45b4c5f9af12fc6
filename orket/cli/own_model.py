"""What there is to measure here, and what of it fits into memory."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from orket.cli import messages
from orket.cli.output import print_line, print_rows
from orket.errors import UsageError

if TYPE_CHECKING:
    from orket.planning.plan import Plan
    from orket.planning.preset import Preset


def print_choices() -> None:
    """List what answers and what lies here, each with the line that measures it."""
    from orket.planning.nearby import FOLDERS, find_choices

    choices = find_choices()
    if not choices:
        places = ", ".join(FOLDERS)
        messages.note(
            "no model server answers here, and no GGUF file lies in the usual folders "
            f"({places})"
        )
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
    print_line("Any other: orket run FOLDER, orket run URL, a preset (orket presets)")


def fit_to_memory(plan: Plan, preset: Preset) -> Preset:
    """The preset without the quants that do not fit here; each is told.

    Only quants that were found are left out: what a preset asks for by name is told
    and tried. Raises UsageError where nothing fits.
    """
    from orket.machine.memory import read_free_memory
    from orket.planning.fit import find_needs, say_unfit
    from orket.planning.preset import Change, override
    from orket.planning.subject import NEUTRAL_PRESET

    unfit = say_unfit(find_needs(plan), read_free_memory())
    if preset.name != NEUTRAL_PRESET:
        for reason in unfit.values():
            messages.note(f"may not fit: {reason}")
        return preset
    if not unfit:
        return preset
    tags = {ref.quant_tag for ref in unfit}
    kept = [quant for quant in preset.table.models[0].quants if quant not in tags]
    if not kept:
        raise UsageError(
            f"nothing fits here: {'; '.join(unfit.values())}",
            "close other programs, or find smaller quants",
        )
    for reason in unfit.values():
        messages.note(f"left out: {reason}")
    return override(preset, [Change("quants", kept, (("models", 0, "quants"),))])
