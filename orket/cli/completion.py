"""What a shell offers where a preset, a sweep, a quant or a view is named.

Asked at every press of a key: from names of files alone, without DuckDB and without
reading a row.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import click
from click.shell_completion import CompletionItem

_NO_PRESET = "quants"
"""The catalogue of quants lies among the presets."""
_Names = Callable[[click.Context], Iterable[str]]


class Named(click.types.StringParamType):
    """Text that is mostly the name of something known."""

    def __init__(self, names: _Names) -> None:
        self._names = names

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The names that begin with what is typed, whatever its case."""
        begun = incomplete.lower()
        try:
            known = dict.fromkeys(self._names(ctx))
        except Exception:
            # A key that is pressed must never print a traceback into the line.
            return []
        # The answer is told in lines: what would break one is no name to be typed.
        found = [
            CompletionItem(name)
            for name in known
            if name.lower().startswith(begun) and name.isprintable()
        ]
        if self._names is _presets:
            # It may be a file too, which the shell completes itself.
            found.append(CompletionItem(incomplete, type="file"))
        return found


def offer_names(command: click.Command) -> None:
    """Let the parameters of a verb, and of the verbs below it, offer what they name."""
    if isinstance(command, click.Group):
        for below in command.commands.values():
            offer_names(below)
    for param in command.params:
        names = _NAMED.get((command.name or "", param.name or "")) or _NAMED.get(
            ("", param.name or "")
        )
        if names is not None and isinstance(param.type, click.types.StringParamType):
            param.type = Named(names)


def _sweeps(ctx: click.Context) -> Iterable[str]:
    """`latest`, and the sweeps of the warehouse, the newest folder first."""
    from orket.warehouse.mirror import mirror_folder
    from orket.warehouse.object_store import is_url
    from orket.warehouse.parts import list_partitions, partition_sweep

    named = ctx.params.get("warehouse") or os.environ.get("ORKET_WAREHOUSE")
    chosen = str(named or "warehouse")
    # Of a store, what was fetched before: a key press waits for no network.
    place = mirror_folder(chosen) if is_url(chosen) else Path(chosen)
    folders = list_partitions(place / "sweeps")
    folders.sort(key=lambda folder: folder.stat().st_mtime_ns, reverse=True)
    return ["latest", *map(partition_sweep, folders)]


def _presets(ctx: click.Context) -> Iterable[str]:
    """The presets that ship."""
    from orket.resources import shipped

    files = shipped("presets").glob("*.toml")
    return sorted(path.stem for path in files if path.stem != _NO_PRESET)


def _quants(ctx: click.Context) -> Iterable[str]:
    """The quants of the catalogue, the most precise first."""
    from orket.quants import catalogue

    return [quant.key for quant in reversed(catalogue())]


def _views(ctx: click.Context) -> Iterable[str]:
    """The views, and their forms in units that people read."""
    from orket.warehouse.view_files import HUMAN_SCHEMA, VIEW_VERSION, view_files

    plain = list(view_files())
    return [
        *plain,
        *(f"{VIEW_VERSION}.{name}" for name in plain),
        *(f"{HUMAN_SCHEMA}.{name}" for name in plain),
    ]


_NAMED: dict[tuple[str, str], _Names] = {
    ("", "sweep"): _sweeps,
    ("", "sweeps"): _sweeps,
    ("", "before"): _sweeps,
    ("", "after"): _sweeps,
    ("", "resume"): _sweeps,
    ("", "preset"): _presets,
    ("presets", "name"): _presets,
    ("", "quant"): _quants,
    ("", "quant_tag"): _quants,
    ("ingest", "quants"): _quants,
    ("views", "view"): _views,
}
"""Verb, or any, and the name of a parameter -> what it names."""
