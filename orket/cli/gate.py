"""`orket gate`: whether a quant may go on being used, for CI."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orket.cli.options import RowFormat, judging_store_option, past_options
from orket.cli.output import print_line, print_prose, print_rows
from orket.cli.rejudge import Rejudge
from orket.cli.writable import check_output
from orket.errors import CheckFailed

if TYPE_CHECKING:
    from orket.exports.gate import Gate
    from orket.warehouse import Warehouse

_STATES = {"PASSED": "passed", "FAILED": "FAILED", "NOT_JUDGED": "NOT JUDGED"}
_SHOWN = 5


@click.command()
@click.argument("sweep", default="latest")
@click.option(
    "--quant",
    "quants",
    metavar="TAG",
    multiple=True,
    required=True,
    help="The quant in use; may be repeated.",
)
@click.option("--model", metavar="ID", help="Only of this model.")
@click.option(
    "--baseline/--no-baseline",
    "with_baseline",
    default=True,
    show_default=True,
    help="Hold it against stored baselines too, which have to be there.",
)
@click.option("--junit", metavar="FILE", help="Write JUnit XML to this file too.")
@click.option(
    "--format",
    "output_format",
    type=RowFormat("github"),
    default="table",
    show_default=True,
    help="Sentences, all of it as JSON, a row for each check as CSV, or annotations of "
    "a GitHub workflow.",
)
@judging_store_option
@past_options
def gate(
    sweep: str,
    quants: tuple[str, ...],
    model: str | None,
    with_baseline: bool,
    junit: str | None,
    output_format: str,
    store: Warehouse,
    rejudge: Rejudge,
) -> None:
    """May a quant go on being used? Exits with 4 when not, or when that is not known.

    It has to be eligible still, and no test may be answered worse or take longer than
    its stored baseline. What was not measured passes nothing. SWEEP is an id, the start
    of one, or `latest`.
    """
    from orket.exports.gate import ROW_KEYS, github_lines, read_gates, render_junit
    from orket.exports.json_text import render_json
    from orket.exports.load import write_file

    check_output(junit, "name another file with --junit")
    sweep_id = store.resolve(sweep)
    found = read_gates(
        store, sweep_id, quants, model, with_baseline, rejudge.policy_overrides()
    )
    if junit is not None:
        write_file(Path(junit), render_junit(found))
    if output_format == "json":
        click.echo(render_json([part.document() for part in found]))
    elif output_format == "csv":
        rows = [row for part in found for row in part.rows()]
        print_rows(rows, ROW_KEYS, "csv")
    elif output_format == "github":
        for line in github_lines(found):
            print_line(line)
    else:
        _print_gates(found)
    missed = [f"{part.model_id} {part.quant_tag}" for part in found if part.missed]
    if missed:
        raise CheckFailed(
            f"the gate is not passed by {', '.join(missed)}", "see its checks above"
        )


def _print_gates(found: list[Gate]) -> None:
    for place, part in enumerate(found):
        if place:
            click.echo()
        verdict = "does not pass" if part.missed else "passes"
        print_prose(f"{part.model_id} {part.quant_tag}: {verdict} the gate")
        for check in part.checks:
            name = check["check_name"].lower()
            print_prose(f"  {name:<9} {_STATES[check['state']]:<11} {check['words']}")
            if worse := check["worse_tests"]:
                more = len(worse) - _SHOWN
                rest = f", and {more} more" if more > 0 else ""
                print_prose(f"    {', '.join(worse[:_SHOWN])}{rest}")
            if check["remedy"]:
                print_prose(f"    {check['remedy']}")
        for note in part.notes:
            print_prose(f"  Note: {note}")
