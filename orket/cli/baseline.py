"""`orket baseline`: govern stored baselines; every act is an event."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from orket.cli import messages
from orket.cli.baseline_rows import (
    CELL,
    GROUP_COLUMNS,
    RECORD_COLUMNS,
    RECORD_NAMES,
    appended_groups,
    appended_row,
    problem_row,
    prune_row,
    record_row,
    resolved_rows,
)
from orket.cli.options import (
    as_of_option,
    format_option,
    judging_store_option,
    reading_store_option,
    store_option,
)
from orket.cli.output import Column, choose_format, print_line, print_rows
from orket.cli.writable import check_folder, check_warehouse
from orket.errors import UsageError

if TYPE_CHECKING:
    from orket.baselines import Appended, Selection
    from orket.warehouse import Warehouse

_Command = TypeVar("_Command", bound=Callable[..., Any])


def selection_options(command: _Command) -> _Command:
    """`--test`, `--model`, `--quant`."""
    for name, help_text in (
        ("quant", "Only this quant."),
        ("model", "Only this model."),
        ("test", "Only this test (bank/task)."),
    ):
        command = click.option(f"--{name}", metavar="NAME", help=help_text)(command)
    return command


@click.group()
def baseline() -> None:
    """Govern stored baselines: what later sweeps are compared with."""


@baseline.command()
@click.argument("sweep", default="latest")
@click.option(
    "--override",
    "reason",
    metavar="REASON",
    help="Store cells that are not CLEAN and complete too; the reason is kept.",
)
@selection_options
@store_option
@format_option
def append(
    sweep: str,
    reason: str | None,
    test: str | None,
    model: str | None,
    quant: str | None,
    store: Warehouse,
    output_format: str | None,
) -> None:
    """Store the cells of a finished sweep as baselines.

    A table tells cells together that fared alike; JSON and CSV have a row for each.
    """
    from orket.baselines import append_from_sweep

    if reason is not None and not reason.strip():
        raise UsageError("an override needs a reason", "say why: --override REASON")
    check_warehouse(store)
    result = append_from_sweep(
        store, store.resolve(sweep), reason, _selection(test, model, quant)
    )
    rows = [
        *(appended_row(cell, "stored") for cell in result.stored),
        *(appended_row(cell, "already stored") for cell in result.already),
        *(appended_row(cell, "blocked") for cell in result.blocked),
    ]
    if choose_format(output_format) == "table":
        print_rows(appended_groups(rows), GROUP_COLUMNS, "table")
    else:
        columns = [*CELL, "runs", "planned_runs", "result", "blocked_reasons"]
        print_rows(rows, columns, output_format)
    explain_append(result)
    if not result.stored and not result.already:
        raise UsageError(
            "no cell of this sweep could be stored",
            "store it nevertheless with: --override REASON",
        )


def explain_append(result: Appended) -> None:
    """Say on stderr what an append did, and how much of it can ever be matched."""
    messages.note(
        f"{len(result.stored)} baselines stored, {len(result.already)} were stored "
        f"already, {len(result.blocked)} blocked because they are not CLEAN and "
        "complete; sweeps that begin from now on are compared with them, and an "
        "earlier one by: orket show SWEEP --as-of DATE"
    )
    explain_matching([*result.stored, *result.already])


def explain_matching(records: Sequence[Mapping[str, Any]]) -> None:
    """Say how many stored cells no sweep will ever be compared with."""
    polluted = sum(record["run_quality_status"] != "CLEAN" for record in records)
    if polluted:
        messages.note(
            f"{len(records) - polluted} of {len(records)} stored baselines can ever "
            f"match: the other {polluted} are not CLEAN"
        )


@baseline.command(name="list")
@click.option("--all", "with_pruned", is_flag=True, help="Pruned ones too.")
@selection_options
@reading_store_option
@format_option
def list_command(
    with_pruned: bool,
    test: str | None,
    model: str | None,
    quant: str | None,
    store: Warehouse,
    output_format: str | None,
) -> None:
    """List stored baselines."""
    from orket.baselines import list_records

    records = list_records(store, _selection(test, model, quant), with_pruned)
    rows = list(map(record_row, records))
    print_rows(rows, RECORD_COLUMNS, output_format, names=RECORD_NAMES)
    explain_matching(records)


@baseline.command()
@click.argument("reference", metavar="BASELINE")
@judging_store_option
@format_option
def show(reference: str, store: Warehouse, output_format: str | None) -> None:
    """Show one stored baseline with all its facts and its history."""
    from orket.baselines import find_record, record_history

    record = find_record(store, reference)
    history = record_history(store, record["event_id"])
    rows = [{"fact": name, "value": value} for name, value in record.items()]
    rows += [
        {
            "fact": act["event"],
            "value": f"{act['recorded_at']:%Y-%m-%d %H:%M:%S}Z {act['event_id']}"
            + (f" ({act['reason']})" if act["reason"] else ""),
        }
        for act in history
    ]
    print_rows(rows, ["fact", "value"], output_format)


@baseline.command()
@click.argument("sweep", default="latest")
@selection_options
@as_of_option
@judging_store_option
@format_option
def resolve(
    sweep: str,
    test: str | None,
    model: str | None,
    quant: str | None,
    as_of: datetime | None,
    store: Warehouse,
    output_format: str | None,
) -> None:
    """Show which baseline each cell of a sweep is compared with, and why.

    One row per candidate: chosen, or the first stage that took it out.
    """
    from orket.baselines import resolve as resolve_cells

    decisions, candidates = resolve_cells(
        store, store.resolve(sweep), _selection(test, model, quant), as_of
    )
    if not decisions:
        raise UsageError("no such cell in this sweep", "see its cells with: orket show")
    rows = resolved_rows(decisions, candidates)
    columns: list[Column] = [
        "test_id",
        "model_id",
        ("quant_tag", "quant"),
        ("decision", "decision"),
        "verdict",
        "candidate",
        ("fate", "candidate is"),
        "differing",
        "pinned",
        "measured_at",
        ("age_days", "age d"),
    ]
    print_rows(rows, columns, output_format, names=(*CELL, "candidate"))


@baseline.command()
@click.argument("reference", metavar="BASELINE")
@click.option("--reason", metavar="TEXT", help="Why; kept with the event.")
@store_option
def pin(reference: str, reason: str | None, store: Warehouse) -> None:
    """Pin a baseline: sweeps of its test, model and quant use it alone."""
    from orket.baselines import pin as pin_record

    check_warehouse(store)
    print_line(f"pinned {pin_record(store, reference, reason)}")


@baseline.command()
@click.argument("reference", metavar="BASELINE")
@click.option("--reason", metavar="TEXT", help="Why; kept with the event.")
@store_option
def unpin(reference: str, reason: str | None, store: Warehouse) -> None:
    """Take the pin off a baseline."""
    from orket.baselines import unpin as unpin_record

    check_warehouse(store)
    print_line(f"unpinned {unpin_record(store, reference, reason)}")


def limit_options(command: _Command) -> _Command:
    """`--max-stale` and the like."""
    for name in ("duplicate", "orphaned", "incompatible", "stale"):
        command = click.option(
            f"--max-{name}",
            type=click.IntRange(min=0),
            metavar="N",
            help=f"Exit with 4 when more than N are {name}.",
        )(command)
    return command


@baseline.command()
@click.option("--check", is_flag=True, help="Limits not given are 0.")
@limit_options
@reading_store_option
@format_option
def health(
    check: bool,
    max_stale: int | None,
    max_incompatible: int | None,
    max_orphaned: int | None,
    max_duplicate: int | None,
    store: Warehouse,
    output_format: str | None,
) -> None:
    """Find stale, incompatible, orphaned and duplicate baselines."""
    from orket.baselines import health as read_health
    from orket.baselines import require_health

    given = {
        "stale": max_stale,
        "incompatible": max_incompatible,
        "orphaned": max_orphaned,
        "duplicate": max_duplicate,
    }
    limits = {
        name: 0 if limit is None else limit
        for name, limit in given.items()
        if limit is not None or check
    }
    totals, problems, passed = read_health(store, limits)
    columns: list[Column] = [
        ("event_id", "baseline"),
        "kind",
        "test_id",
        "model_id",
        ("quant_tag", "quant"),
        "problems",
        "incompatible_reasons",
        "duplicate_of",
        ("age_days", "age d"),
    ]
    rows = list(map(problem_row, problems))
    print_rows(rows, columns, output_format, names=RECORD_NAMES)
    counts = ", ".join(
        f"{totals[name]} {name}"
        for name in ("stale", "incompatible", "orphaned", "duplicate")
    )
    messages.note(f"{totals['records']} stored baselines: {counts}")
    require_health(totals, passed)


@baseline.command()
@click.option(
    "--keep",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    help="Newest records of each key that stay.",
)
@click.option(
    "--older-than",
    type=click.IntRange(min=0),
    metavar="DAYS",
    help="Of the others, only those older than this go.",
)
@click.option("--machine", metavar="FINGERPRINT", help="Records of this machine.")
@click.option("--all-machines", is_flag=True, help="Records of every machine.")
@click.option("--apply", "is_applied", is_flag=True, help="Do it; else only show it.")
@click.option(
    "--undo", metavar="PRUNE", help="Undo a prune: latest, an id or a prefix."
)
@click.option("--reason", metavar="TEXT", help="Why; kept with the event.")
@selection_options
@store_option
@format_option
def prune(
    keep: int,
    older_than: int | None,
    machine: str | None,
    all_machines: bool,
    is_applied: bool,
    undo: str | None,
    reason: str | None,
    test: str | None,
    model: str | None,
    quant: str | None,
    store: Warehouse,
    output_format: str | None,
) -> None:
    """Take old baselines out: shown first, done with --apply, undone with --undo.

    Pinned ones, those a sweep was compared with, and other machines' records stay.
    """
    from orket.baselines import PruneRule, apply_prune, plan_prune, undo_prune

    if undo is not None or is_applied:
        check_warehouse(store)
    if undo is not None:
        event_id, count = undo_prune(store, undo, reason)
        print_line(f"undone {event_id}: {count} baselines are back")
        return
    if machine is None and not all_machines:
        from orket.machine.fingerprint import read_fingerprint

        machine = read_fingerprint().id
    rule = PruneRule(
        keep_last=keep,
        older_than_days=older_than,
        fingerprint=machine,
        all_machines=all_machines,
    )
    planned = plan_prune(store, rule, _selection(test, model, quant))
    going = [row["event_id"] for row in planned if row["kept_because"] is None]
    rows = [prune_row(row) for row in planned]
    columns: list[Column] = [("fate", "prune"), *RECORD_COLUMNS[:-1]]
    print_rows(rows, columns, output_format, names=RECORD_NAMES)
    if not going:
        messages.note("nothing to prune")
    elif is_applied:
        event_id = apply_prune(store, going, reason)
        messages.note(
            f"{len(going)} baselines pruned; undo it with: "
            f"orket baseline prune --undo {event_id}"
        )
    else:
        messages.note(f"{len(going)} baselines would go; do it with --apply")


@baseline.command(name="import")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE..."
)
@click.option("--allow-rejects", is_flag=True, help="Exit with 0 despite rejects.")
@store_option
@click.pass_context
def import_command(
    context: click.Context,
    files: tuple[Path, ...],
    allow_rejects: bool,
    store: Warehouse,
) -> None:
    """Import {test_id}.json files: baselines in an earlier, separate layout."""
    from orket.cli.importing import import_files

    context.exit(import_files(store, files, "baseline", allow_rejects=allow_rejects))


@baseline.command(name="export")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@selection_options
@store_option
def export_command(
    folder: Path,
    test: str | None,
    model: str | None,
    quant: str | None,
    store: Warehouse,
) -> None:
    """Write stored baselines as {test_id}.json files, an earlier layout.

    That separate layout has no place for run counts, run quality and controls: this
    is no backup.
    """
    from orket.baselines import export_legacy

    check_folder(folder, "name another folder")
    for path in export_legacy(store, folder, _selection(test, model, quant)):
        print_line(str(path))


def _selection(test: str | None, model: str | None, quant: str | None) -> Selection:
    from orket.baselines import Selection

    return Selection(test, model, quant)
