"""`orket doctor`: is this machine fit to measure on?"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from orket.cli import messages
from orket.cli.options import format_option
from orket.cli.output import print_rows

_COLUMNS = ("status", "id", "title", "detail", "fix")


@click.command()
@format_option
def doctor(output_format: str | None) -> None:
    """Say whether this machine is fit to measure on, and what to do about it.

    Looks for about a second and changes nothing. Exit code 4 when it is unfit.
    """
    from orket.errors import CheckFailed
    from orket.machine.doctor import examine

    rows: list[dict[str, Any]] = [asdict(finding) for finding in examine()]
    print_rows(rows, _COLUMNS, output_format)
    unfit = [row for row in rows if row["status"] == "unfit"]
    if unfit:
        raise CheckFailed(
            "this machine is not fit to measure on now: "
            + ", ".join(str(row["title"]) for row in unfit),
            "see the fixes, then ask again",
        )
    warned = sum(row["status"] == "warn" for row in rows)
    messages.note(
        "this machine is fit to measure on"
        + (f"; {warned} of its settings could be better" if warned else "")
    )
