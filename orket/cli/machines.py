"""Which machine is meant: an option that several verbs share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import click

from orket.errors import UsageError

HERE = "here"
"""As a machine: the one that the command runs on."""

_Command = TypeVar("_Command", bound=Callable[..., Any])


def machine_option(flag: str) -> Callable[[_Command], _Command]:
    """An option that names a machine, for `machine_named`."""
    return click.option(
        flag,
        metavar="FINGERPRINT",
        help="Only sweeps of this machine: its fingerprint or the start of it, or "
        "`here`.",
    )


def machine_named(rows: Iterable[Mapping[str, Any]], machine: str) -> str:
    """The fingerprint that is meant, of those of the rows.

    Raises UsageError where no sweep, or several, fit.
    """
    from orket.machine.fingerprint import read_fingerprint

    wanted = read_fingerprint().id if machine == HERE else machine
    known = {str(row["hardware_fingerprint"] or "") for row in rows}
    if wanted in known:
        return str(wanted)
    fitting = {found for found in known if found.startswith(wanted or "")}
    if len(fitting) != 1:
        shown = ", ".join(sorted(known - {""})) or "none"
        problem = "several machines are" if fitting else "no machine of a sweep is"
        raise UsageError(f"{problem} {wanted}", f"there are: {shown}")
    return fitting.pop()
