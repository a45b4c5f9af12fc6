"""`orket ingest`: import telemetry from files, strictly and never twice."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orket.cli.importing import import_files
from orket.cli.options import store_option
from orket.errors import UsageError
from orket.ingest.detect import AUTO
from orket.ingest.formats import NAMES as FORMATS

if TYPE_CHECKING:
    from orket.warehouse import Warehouse


@click.command()
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE...",
    type=click.Path(path_type=Path),
)
@click.option(
    "--format",
    "format_name",
    type=click.Choice((AUTO, *FORMATS)),
    default=AUTO,
    show_default=True,
    metavar="FORMAT",
    help=f"What the files are: {', '.join((AUTO, *FORMATS))}.",
)
@click.option(
    "--model", "model_id", metavar="NAME", help="Model, where a file does not say it."
)
@click.option(
    "--quant",
    "quants",
    multiple=True,
    metavar="[NAME=]TAG",
    help="Quant, where a file does not say it: of all files, or of the file, the "
    "folder or the model of that name; may be repeated.",
)
@click.option(
    "--sweep",
    metavar="SWEEP",
    help="Sweep that llama-bench measurements belong to: latest, an id or a prefix.",
)
@click.option(
    "--rejects",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where rejected rows go. [default: FILE.rejects.jsonl beside each file]",
)
@click.option(
    "--allow-rejects", is_flag=True, help="Exit with 0 even when rows were rejected."
)
@store_option
@click.pass_context
def ingest(
    context: click.Context,
    files: tuple[Path, ...],
    format_name: str,
    model_id: str | None,
    quants: tuple[str, ...],
    sweep: str | None,
    rejects: Path | None,
    allow_rejects: bool,
    store: Warehouse,
) -> None:
    """Import telemetry from files.

    Takes Orket's own JSONL rows, llama-bench output, results of lm-eval, Inspect,
    promptfoo and GuideLLM, and determinism reports and baselines in an earlier,
    separate JSON layout. A bad row is rejected with its line, field and reason; good
    rows go in. The same file twice counts once.

    Result files of several quants of one model that are given together become one
    sweep, compared test by test.
    """
    from orket.ingest.origin import SourceOptions

    of_all, named = _read_quants(quants)
    options = SourceOptions(
        model_id=model_id,
        quant_tag=of_all,
        quants=named,
        sweep_id=store.resolve(sweep) if sweep else None,
    )
    code = import_files(store, files, format_name, options, rejects, allow_rejects)
    context.exit(code)


def _read_quants(
    quants: tuple[str, ...],
) -> tuple[str | None, tuple[tuple[str, str], ...]]:
    """The tag for all files, if there is one, and those of names."""
    pairs = []
    for quant in quants:
        if "=" in quant:
            name, _, tag = quant.rpartition("=")
            pairs.append((name, tag))
    plain = [quant for quant in quants if "=" not in quant]
    if len(set(plain)) > 1:
        raise UsageError(
            f"--quant {plain[0]} and --quant {plain[1]} are both said of all files",
            "say of which file: --quant FILE=TAG",
        )
    for name, tag in pairs:
        if not name or not tag:
            raise UsageError(f"--quant {name}={tag} says nothing", "give NAME=TAG")
    named = dict(pairs)
    if len(named) < len({*pairs}):
        name = next(n for n, tag in pairs if named[n] != tag)
        raise UsageError(f"--quant says two quants of {name}", "give one of them")
    return (plain[0] if plain else None), tuple(named.items())
