"""What every verb that imports files does: import them, and say what went in."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orket.cli import messages
from orket.cli.output import choose_format, print_rows
from orket.cli.writable import check_output, check_warehouse
from orket.errors import WarehouseError

if TYPE_CHECKING:
    from orket.ingest.importer import FileReport
    from orket.ingest.origin import SourceOptions
    from orket.warehouse import Warehouse

_EXIT_REJECTED = 2
_MOST_WORKERS = 4
_DATASETS = ("runs", "sidecars", "fidelity", "events", "sweeps")


def import_files(
    store: Warehouse,
    files: Sequence[Path],
    format_name: str,
    options: SourceOptions | None = None,
    rejects: Path | None = None,
    allow_rejects: bool = False,
) -> int:
    """Import files, print a row for each, and give the exit code."""
    from orket.ingest.importer import ingest_files

    check_warehouse(store)
    check_output(rejects, "name another place with --rejects")
    if rejects is not None and rejects.exists():
        rejects.write_bytes(b"")
    reports = []
    for report in ingest_files(
        store,
        files,
        format_name=format_name,
        options=options,
        rejects_path=rejects,
        workers=_worker_count(),
    ):
        reports.append(report)
        _tell(report)
        _warn_of_unsaid(report, store, options)
    rows = [_row(report) for report in reports]
    print_rows(rows, _columns(rows), None)
    _tell_compared(reports, store)
    _require_whole(reports)
    rejected = any(report.rejected for report in reports) and not allow_rejects
    is_empty = any(report.is_empty for report in reports)
    return _EXIT_REJECTED if rejected or is_empty else 0


def _require_whole(reports: Sequence[FileReport]) -> None:
    """Raise WarehouseError where a sweep was damaged before its rows came."""
    damaged = list(dict.fromkeys(part for report in reports for part in report.damaged))
    if damaged:
        named = "; ".join(map(str, damaged))
        where = ", ".join(str(one.part) for one in damaged if one.part is not None)
        raise WarehouseError(
            f"rows were taken, and the plan of their sweep lacks them: {named}",
            "put back a copy, or move it away with orket verify --quarantine; then "
            f"ingest the file again{': ' * bool(where)}{where}",
        )


def _worker_count() -> int:
    usable = getattr(os, "sched_getaffinity", None)
    count = len(usable(0)) if usable else os.cpu_count() or 1
    # The other half is for DuckDB, which copies a large file while it is judged.
    return max(1, min(count // 2, _MOST_WORKERS))


def _tell(report: FileReport) -> None:
    for note in report.notes:
        messages.note(f"{report.path}: {note}")
    first = report.first_rejection
    if first is None:
        if report.is_empty:
            messages.warn(f"{report.path}: nothing was taken: it holds no rows")
        return
    rows = "row" if report.rejected == 1 else "rows"
    taken = "nothing was taken, " if report.is_empty else ""
    place = f"line {first.line}" + (f", {first.field}" if first.field else "")
    messages.warn(
        f"{report.path}: {taken}{report.rejected} {rows} rejected "
        f"({place}: {first.reason}), see {report.rejects_path}"
    )


_NOTHING_NEW = "are one comparison that is there already: nothing is new"
_SAID_BY = {"model": "--model NAME", "quant": "--quant TAG"}


def _warn_of_unsaid(
    report: FileReport, store: Warehouse, options: SourceOptions | None
) -> None:
    """That rows are of nobody knows what, how to say it, and how to take them out.

    No folder is named of a sweep that has other rows than these.
    """
    if not report.unsaid:
        return
    unsaid = sorted(report.unsaid)
    again = " ".join(_SAID_BY[what] for what in unsaid)
    own = report.sweeps if options is None or options.sweep_id is None else []
    folders = ", ".join(f"{store.place}/*/sweep_id={name}" for name in own)
    out = f", once the folders {folders} are deleted" if folders else ""
    messages.warn(
        f"{report.path} does not say its {' and its '.join(unsaid)}: its rows stand "
        "under `unknown` and are compared with nothing; ingest it again with "
        f"{again}{out}"
    )


def _tell_compared(reports: Sequence[FileReport], store: Warehouse) -> None:
    """Which files became one sweep, and what shows it."""
    from orket.cli.running import show_line

    files = Counter(
        sweep for report in reports if report.is_joined for sweep in report.sweeps
    )
    new = Counter[str]()
    for report in reports:
        for sweep in report.sweeps:
            new[sweep] += sum(report.accepted.values())
    for sweep_id, count in files.items():
        if count > 1:
            became = "became one comparison" if new[sweep_id] else _NOTHING_NEW
            messages.note(
                f"{count} files {became}, sweep {sweep_id}; next: "
                f"{show_line(sweep_id, store)}"
            )


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """All of them for a program; for a person those that have a count."""
    counts = [*_DATASETS, "rejected", "sweeps_touched"]
    if choose_format(None) == "table":
        counts = [name for name in counts if any(row[name] for row in rows)]
    return ["file", "format", *counts]


def _row(report: FileReport) -> dict[str, Any]:
    return {
        "file": str(report.path),
        "format": report.format,
        **{name: report.accepted.get(name, 0) for name in _DATASETS},
        "rejected": report.rejected,
        "sweeps_touched": len(report.sweeps),
    }
