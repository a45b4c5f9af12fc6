"""`orket sql`: ad-hoc SQL over the views, read-only in fact."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from orket.cli.options import Amount, format_option, reading_store_option
from orket.cli.output import print_rows
from orket.errors import UsageError
from orket.text import close_words

if TYPE_CHECKING:
    from orket.warehouse import Warehouse
    from orket.warehouse.bounded import BoundedSession

_NO_TABLE = re.compile(r"Table with name (\w+) does not exist")
_BINDINGS = re.compile(r'Candidate bindings: (".*)')


@click.command()
@click.argument("query", required=False)
@click.option("--sweep", metavar="SWEEP", help="Bind the views to one sweep.")
@click.option(
    "--timeout",
    type=Amount(min=0, min_open=True),
    default=300,
    show_default=True,
    metavar="SECONDS",
    help="End the query after this time.",
)
@click.option(
    "--memory",
    type=click.IntRange(min=64),
    default=4096,
    show_default=True,
    metavar="MIB",
    help="End the query when it needs more memory than this.",
)
@reading_store_option
@format_option
def sql(
    query: str | None,
    sweep: str | None,
    timeout: float,
    memory: int,
    store: Warehouse,
    output_format: str | None,
) -> None:
    """Run one SELECT over the views; without QUERY, ask for one after another.

    In a pipe, and where QUERY is -, it is read from stdin. On a terminal there is a
    prompt with history, and Tab completes views and columns. The views are copied into
    memory first: a query can neither reach a file nor change the warehouse. orket views
    lists what there is.
    """
    from orket.cli.sql_prompt import can_prompt, run_prompt
    from orket.warehouse.query import QueryLimits

    sweep_id = store.resolve(sweep) if sweep else None
    limits = QueryLimits(
        seconds=timeout,
        memory_bytes=memory << 20,
        more_seconds="--timeout",
        more_memory="--memory",
    )
    with store.locked_session(sweep_id, limits) as session:
        if query is None and can_prompt():
            run_prompt(lambda text: _answer(session, text, output_format))
            return
        text = sys.stdin.read() if query in (None, "-") else query
        if not text.strip():
            raise UsageError(
                "there is no query on stdin",
                'give one: orket sql "SELECT ..."; orket views lists what there is',
            )
        _answer(session, text, output_format)


def _answer(session: BoundedSession, text: str, output_format: str | None) -> None:
    """Print what a query gives. Errors as of `BoundedSession.answer`, with a hint."""
    try:
        answer = session.answer(text)
    except UsageError as error:
        hint = error.hint or _find_hint(error, session.view_names())
        raise UsageError(error.message.rstrip("!"), hint) from error
    found = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
    print_rows(found, answer.columns, output_format, layout="fit")


def _find_hint(error: UsageError, views: Sequence[str]) -> str:
    """What the query may have meant, of the views there are and what DuckDB tells."""
    told = str(error.__cause__ or error)
    if missing := _NO_TABLE.search(told):
        near = close_words(missing[1], views, most=2)
        if near:
            return "did you mean " + " or ".join(f"v1.{view}" for view in near) + "?"
    elif bindings := _BINDINGS.search(told):
        near = list(dict.fromkeys(re.findall(r'"([^"]+)"', bindings[1])))[:3]
        return f"did you mean {' or '.join(near)}?"
    return "orket views lists views and columns"
