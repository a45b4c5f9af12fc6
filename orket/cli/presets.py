"""`orket presets`: what can be run, and what a preset says."""

from __future__ import annotations

from typing import Any

import click

from orket.cli.options import format_option
from orket.cli.output import print_line, print_rows

_DROPPABLE = ("repetitions", "bank", "models")
"""What a narrow terminal goes without; `orket presets NAME` tells it."""


@click.command()
@click.argument("name", required=False)
@click.option("--controls", is_flag=True, help="List control profiles instead.")
@format_option
def presets(name: str | None, controls: bool, output_format: str | None) -> None:
    """List the presets, or show the file of the preset NAME."""
    if name is not None:
        _show(name, controls)
        return
    if controls:
        print_rows(_profile_rows(), ["name", "title", "path"], output_format)
        return
    columns = ["name", "title", "provider", "models", "quants", "bank", "repetitions"]
    print_rows(_preset_rows(), columns, output_format, droppable=_DROPPABLE)


def _show(name: str, controls: bool) -> None:
    from orket.planning.preset import load_preset, load_profile

    path = load_profile(name).path if controls else load_preset(name).path
    print_line(f"# {path}")
    for line in path.read_text(encoding="utf-8").splitlines():
        print_line(line)


def _preset_rows() -> list[dict[str, Any]]:
    from orket.planning.preset import known_presets, load_preset

    rows = []
    for name in known_presets():
        table = load_preset(name).table
        rows.append(
            {
                "name": name,
                "title": table.title,
                "provider": table.provider.name,
                "models": ", ".join(model.id for model in table.models),
                "quants": max(len(model.quants) for model in table.models),
                "bank": table.tasks.bank,
                "repetitions": table.repetitions or 1,
            }
        )
    return rows


def _profile_rows() -> list[dict[str, Any]]:
    from orket.planning.preset import known_profiles, load_profile

    return [
        {"name": name, "title": load_profile(name).table.title, "path": str(path)}
        for name, path in known_profiles().items()
    ]
