"""`orket export`: `sweep_summary.json`, as recorded or judged again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orket.cli import messages
from orket.cli.options import output_option, scope_options, store_option
from orket.cli.rejudge import Rejudge
from orket.errors import UsageError

if TYPE_CHECKING:
    from orket.warehouse import Warehouse


@click.command()
@click.argument("sweep", default="latest")
@output_option
@store_option
@scope_options
def export(sweep: str, output: str | None, store: Warehouse, rejudge: Rejudge) -> None:
    """Write sweep_summary.json; thresholds given here judge again without a re-run.

    SWEEP is an id, the start of one, or `latest`. Without -o it is written to stdout.
    With --bucket or --family it is the answer for these tasks alone (`scope`), and
    takes the place of no other.
    The same rows give the same bytes.
    """
    from orket.exports.load import load_summary_row, write_file
    from orket.exports.summary import render_summary

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
