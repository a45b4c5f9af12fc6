"""`orket kpi`: stability KPIs of one sweep or of the history, held against SLOs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from orket.cli import messages
from orket.cli.options import format_option, reading_store_option
from orket.cli.output import choose_format, print_rows, show_value
from orket.errors import CheckFailed
from orket.exports.scale import MICRO, scale

if TYPE_CHECKING:
    from orket.warehouse import Warehouse

_KPIS = (
    ("determinism_rate", "deterministic_groups", "determinism_groups"),
    ("slo_determinism_rate", "slo_deterministic_groups", "slo_determinism_groups"),
    ("missing_telemetry_rate", "missing_telemetry_runs", "attempts"),
    ("polluted_run_rate", "polluted_runs", "attempts"),
    ("failed_run_rate", "failed_runs", "attempts"),
    ("frontier_success_rate", "recommended_sessions", "sessions"),
)
"""KPI, with the columns of its count and of what it is a share of."""

_SLO_OF = {"slo_determinism_rate": "determinism_rate", "determinism_rate": None}
"""The determinism objective reads bucket logic under a fixed seed, not all groups."""

_COLUMNS = ("kpi", "value", "count", "of", "objective", "target", "met")
_SHOWN = ("kpi", "value", "count", "of", "goal", "met")
"""A table says objective and target in one."""


@click.command()
@click.argument("sweep", required=False)
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
    metavar="DATE",
    help="Sweeps that started on or after this date, UTC.",
)
@click.option("--check", is_flag=True, help="Exit with 4 unless every SLO is met.")
@reading_store_option
@format_option
def kpi(
    sweep: str | None,
    since: datetime | None,
    check: bool,
    store: Warehouse,
    output_format: str | None,
) -> None:
    """Show stability KPIs of SWEEP, or of the whole history, each with its counts.

    A history is weighted by runs, not by sweeps, and judged by the newest targets. What
    was not measured never passes.
    """

    if sweep and since:
        raise click.UsageError("give a sweep or --since, not both")
    row = _one_sweep(store, sweep) if sweep else _history(store, since)
    if row is None:
        if check:
            raise CheckFailed("no objective was measured", "there is no such sweep")
        messages.note(f"there is no such sweep in {store.path}")
        if choose_format(output_format) != "table":
            print_rows([], _COLUMNS, output_format)
        return
    rows = list(_kpi_rows(row))
    is_table = choose_format(output_format) == "table"
    print_rows(rows, _SHOWN if is_table else _COLUMNS, output_format)
    if check:
        _check(row["slo"])


def _one_sweep(store: Warehouse, name: str) -> dict[str, Any] | None:
    from orket.warehouse.kept import read_sweeps

    found = list(read_sweeps(store, [store.resolve(name)]))
    return found[0].kpi if found else None


def _history(store: Warehouse, since: datetime | None) -> dict[str, Any] | None:
    from orket.warehouse.history import read_history

    rows = read_history(store, since or datetime(1970, 1, 1))
    if rows:
        count = rows[0]["sweeps"]
        named = "1 sweep" if count == 1 else f"{count} sweeps"
        messages.note(f"{named} from {rows[0]['since_sweep_id']} on")
    return rows[0] if rows else None


def _kpi_rows(row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    objectives = {slo["name"]: slo for slo in row["slo"]}
    for name, count, total in _KPIS:
        slo = objectives.get(_SLO_OF.get(name, name) or "")
        target = _ratio(slo["target_ppm"]) if slo else None
        yield {
            "kpi": name,
            "value": _ratio(row[f"{name}_micro"]),
            "count": row[count],
            "of": row[total],
            "objective": slo["comparison"] if slo else None,
            "target": target,
            "goal": f"{slo['comparison']} {show_value(target)}" if slo else None,
            "met": slo["met"] if slo else None,
        }


def _ratio(value: int | None) -> Any:
    return None if value is None else scale(value, MICRO, 6).normalize()


def _check(slos: list[Mapping[str, Any]]) -> None:
    """Raise CheckFailed naming every objective that is not met."""
    missed = [_missed(slo) for slo in slos if slo["met"] is not True]
    if missed:
        raise CheckFailed("; ".join(missed), "see docs/runbook.md")


def _missed(slo: Mapping[str, Any]) -> str:
    if slo["met"] is None:
        return f"{slo['name']} is not measured"
    value, target = _ratio(slo["value_micro"]), _ratio(slo["target_ppm"])
    return (
        f"{slo['name']} is {show_value(value)}, "
        f"must be {slo['comparison']} {show_value(target)}"
    )
