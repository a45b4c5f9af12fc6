"""`orket init`: what one argument finds, as a preset to edit."""

from __future__ import annotations

from pathlib import Path

import click

from orket.cli import messages
from orket.cli.chosen_preset import load_chosen_preset
from orket.cli.own_model import fit_preset
from orket.cli.sweep_options import SweepOptions, sweep_options
from orket.cli.writable import check_output
from orket.errors import UsageError


@click.command()
@click.argument("subject", metavar="MODEL|FOLDER|URL")
@sweep_options
@click.option(
    "-o",
    "--output",
    default="preset.toml",
    show_default=True,
    metavar="FILE",
    help="Where the preset goes.",
)
def init(subject: str, chosen: SweepOptions, output: str) -> None:
    """Write the preset that stands behind `orket run MODEL|FOLDER|URL`, to edit it.

    Nothing is run, and a file that is there is not written over.
    """
    from orket.planning.neutral import NEUTRAL_PRESET
    from orket.planning.preset_text import render_preset

    if Path(output).exists():
        raise UsageError(f"{output} is there already", "name another file with -o")
    check_output(output)
    preset = load_chosen_preset(subject, chosen)
    if preset.name != NEUTRAL_PRESET:
        raise UsageError(
            f"{subject} is a preset already",
            f"copy it, or write your own over it with: extends = {subject!r}",
        )
    text = render_preset(fit_preset(preset), output)
    try:
        with Path(output).open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(
            f"{output} is there already", "name another file with -o"
        ) from None
    except OSError as failure:
        raise UsageError(
            f"cannot write {output}: {failure.strerror}", "name another file with -o"
        ) from None
    messages.note(f"wrote {output}; run it with: orket run {output}")
