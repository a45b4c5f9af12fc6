"""`orket ingest`: import telemetry from files, strictly and never twice."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orket.cli.importing import import_files
from orket.cli.options import store_option
from orket.ingest.detect import AUTO, FORMATS

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
    help="What the files are.",
)
@click.option(
    "--model", "model_id", metavar="NAME", help="Model, where a file does not say it."
)
@click.option(
    "--quant", "quant_tag", metavar="TAG", help="Quant, where a file does not say it."
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
    quant_tag: str | None,
    sweep: str | None,
    rejects: Path | None,
    allow_rejects: bool,
    store: Warehouse,
) -> None:
    """Import telemetry from files.

    Takes Orket's own JSONL rows, llama-bench output, lm-eval samples, GuideLLM
    reports, and determinism reports and baselines in an earlier, separate JSON
    layout. A bad row is rejected with its line, field and reason; good rows go in.
    The same file twice counts once.
    """
    from orket.ingest.origin import SourceOptions

    options = SourceOptions(
        model_id=model_id,
        quant_tag=quant_tag,
        sweep_id=store.resolve(sweep) if sweep else None,
    )
    code = import_files(store, files, format_name, options, rejects, allow_rejects)
    context.exit(code)
