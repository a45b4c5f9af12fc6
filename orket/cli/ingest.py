"""`orket ingest`: import telemetry from files, strictly and never twice."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orket.cli import messages
from orket.cli.options import warehouse_option
from orket.cli.output import print_rows

if TYPE_CHECKING:
    from orket.ingest.importer import FileReport

_FORMATS = (
    "auto",
    "orket",
    "llama-bench",
    "determinism",
    "baseline",
    "lm-eval",
    "guidellm",
)
_EXIT_REJECTED = 2
_MOST_WORKERS = 4
_DATASETS = ("runs", "sidecars", "events", "sweeps")


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
    type=click.Choice(_FORMATS),
    default="auto",
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
@warehouse_option
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
    warehouse: str | None,
) -> None:
    """Import telemetry from files.

    Takes Orket's own JSONL rows, llama-bench output, lm-eval samples, GuideLLM
    reports, and determinism reports and baselines in an earlier, separate JSON
    layout. A bad row is rejected with its line, field and reason; good rows go in.
    The same file twice counts once.
    """
    from orket.ingest.importer import ingest_file
    from orket.ingest.origin import SourceOptions
    from orket.warehouse import Warehouse

    store = Warehouse.open(warehouse)
    options = SourceOptions(
        model_id=model_id,
        quant_tag=quant_tag,
        sweep_id=store.resolve(sweep) if sweep else None,
    )
    if rejects is not None and rejects.exists():
        rejects.write_bytes(b"")
    reports = []
    for path in files:
        report = ingest_file(
            store,
            path,
            format_name=format_name,
            options=options,
            rejects_path=rejects,
            workers=_worker_count(),
        )
        reports.append(report)
        _tell(report)
    print_rows([_row(report) for report in reports], _columns(), None)
    if any(report.rejected for report in reports) and not allow_rejects:
        context.exit(_EXIT_REJECTED)


def _worker_count() -> int:
    usable = getattr(os, "sched_getaffinity", None)
    count = len(usable(0)) if usable else os.cpu_count() or 1
    # The other half is for DuckDB, which copies a large file while it is judged.
    return max(1, min(count // 2, _MOST_WORKERS))


def _tell(report: FileReport) -> None:
    if report.rejected:
        rows = "row" if report.rejected == 1 else "rows"
        messages.warn(
            f"{report.path}: {report.rejected} {rows} rejected, "
            f"see {report.rejects_path}"
        )


def _columns() -> list[str]:
    return ["file", "format", *_DATASETS, "rejected", "sweeps_touched"]


def _row(report: FileReport) -> dict[str, Any]:
    return {
        "file": str(report.path),
        "format": report.format,
        **{name: report.accepted.get(name, 0) for name in _DATASETS},
        "rejected": report.rejected,
        "sweeps_touched": len(report.sweeps),
    }
