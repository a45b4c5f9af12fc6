"""`orket export`: a sweep as `sweep_summary.json`, or all views as a DuckDB file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orket.cli import messages
from orket.cli.options import output_option, reading_store_option, scope_options
from orket.cli.rejudge import Rejudge
from orket.cli.writable import check_output
from orket.errors import UsageError

if TYPE_CHECKING:
    from orket.warehouse import Warehouse


@click.command()
@click.argument("sweeps", nargs=-1, metavar="[SWEEP]...")
@output_option
@click.option(
    "--duckdb",
    "database",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write all views as tables into a new DuckDB file instead.",
)
@click.option("--force", is_flag=True, help="Let --duckdb replace an earlier file.")
@reading_store_option
@scope_options
def export(
    sweeps: tuple[str, ...],
    output: str | None,
    database: Path | None,
    force: bool,
    store: Warehouse,
    rejudge: Rejudge,
) -> None:
    """Write sweep_summary.json; thresholds given here judge again without a re-run.

    SWEEP is an id, the start of one, or `latest`. Without -o it is written to stdout.
    With --bucket or --family it is the answer for these tasks alone (`scope`), and
    takes the place of no other.
    The same rows give the same bytes; only the status of a sweep without an end tells
    whether it runs by now.

    With --duckdb all views are written over the sweeps that are named, or over all:
    tables v1.NAME with their comments, and v1h.NAME in units that people read.
    """
    if database is not None:
        _export_duckdb(store, sweeps, database, output, force, rejudge)
        return
    if force:
        raise UsageError("--force is for --duckdb", "-o replaces a summary in any case")
    if len(sweeps) > 1:
        raise UsageError(
            "a summary is of one sweep", "export several at once with --duckdb FILE"
        )
    _export_summary(store, sweeps[0] if sweeps else "latest", output, rejudge)


def _export_duckdb(
    store: Warehouse,
    sweeps: Sequence[str],
    database: Path,
    output: str | None,
    force: bool,
    rejudge: Rejudge,
) -> None:
    from orket.warehouse.export import export_duckdb

    if output is not None:
        raise UsageError("--duckdb names a file itself", "leave -o away")
    chosen = list(dict.fromkeys(map(store.resolve, sweeps))) or store.sweep_ids()
    if not chosen:
        raise UsageError(
            f"there is no sweep in {store.path}", "name a warehouse with -w"
        )
    overrides = rejudge.policy_overrides()
    # Its tables cannot say that anything is missing.
    export_duckdb(store.strict(), database, chosen, overrides, replace=force)
    count = "1 sweep" if len(chosen) == 1 else f"{len(chosen)} sweeps"
    messages.note(f"wrote the views over {count} to {database}")


def _export_summary(
    store: Warehouse, sweep: str, output: str | None, rejudge: Rejudge
) -> None:
    from orket.exports.load import load_summary_row, write_file
    from orket.exports.summary import render_summary

    check_output(output)
    sweep_id = store.resolve(sweep)
    if output not in (None, "-"):
        _refuse_to_narrow(Path(output), rejudge)
    row = load_summary_row(store, sweep_id, rejudge.policy_overrides())
    content = render_summary(row)
    if output is None or output == "-":
        click.echo(content, nl=False)
        return
    write_file(Path(output), content)
    messages.note(f"wrote {output}")


def _refuse_to_narrow(path: Path, rejudge: Rejudge) -> None:
    """Raise UsageError where the answer for a part would replace another answer."""
    from orket.exports.load import is_special, read_scope

    if not (rejudge.buckets or rejudge.families) or not path.exists():
        return
    if is_special(path):
        return
    scope = read_scope(path) or {}
    asked = {"buckets": sorted(rejudge.buckets), "families": sorted(rejudge.families)}
    if {key: scope.get(key) for key in asked} != asked:
        raise UsageError(
            f"{path} holds another answer than the one for "
            f"{', '.join((*rejudge.buckets, *rejudge.families))}",
            "name another file with -o",
        )
