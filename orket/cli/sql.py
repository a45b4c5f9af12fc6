"""`orket sql`: ad-hoc SQL over the views, read-only in fact."""

from __future__ import annotations

import sys

import click

from orket.cli.options import format_option, warehouse_option
from orket.cli.output import print_rows


@click.command()
@click.argument("query", required=False)
@click.option("--sweep", metavar="SWEEP", help="Bind the views to one sweep.")
@warehouse_option
@format_option
def sql(
    query: str | None,
    sweep: str | None,
    warehouse: str | None,
    output_format: str | None,
) -> None:
    """Run one SELECT over the views; without QUERY, list views and columns.

    QUERY of - is read from stdin. The views are copied into memory first: a query can
    neither reach a file nor change the warehouse.
    """
    from orket.warehouse import Warehouse

    store = Warehouse.open(warehouse)
    sweep_id = store.resolve(sweep) if sweep else None
    if query is None:
        with store.session(sweep_id) as session:
            notes = session.notes()
        rows = [
            {"view": n.view, "column": n.column, "type": n.type, "meaning": n.comment}
            for n in notes
        ]
        print_rows(rows, ("view", "column", "type", "meaning"), output_format)
        return
    text = sys.stdin.read() if query == "-" else query
    with store.locked_session(sweep_id) as session:
        frame = session.query(text)
    print_rows(frame.to_dicts(), frame.columns, output_format)
