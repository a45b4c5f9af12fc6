"""`orket verify`: is all that was recorded there, and whole?"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orket.cli.options import RowFormat, bare_store_option
from orket.cli.output import print_line, print_rows
from orket.errors import CheckFailed, UsageError
from orket.exports.json_text import render_json
from orket.text import storable

if TYPE_CHECKING:
    from orket.warehouse import Warehouse
    from orket.warehouse.faults import Fault
    from orket.warehouse.leftovers import LeftOver
    from orket.warehouse.quarantine import Missing
    from orket.warehouse.verify import Verdict

_COLUMNS = (
    "dataset",
    "parts",
    "rows",
    ("as_written", "as written"),
    ("not_recorded", "no checksum"),
    "damaged",
)

_FOUND = ("found", "dataset", "sweep_id", "path", "what", "then")
"""Of a thing found, as a file of comma-separated values has it."""


@click.command()
@click.argument("sweep", required=False, metavar="[SWEEP|FILE.tar]")
@click.option(
    "--quarantine",
    is_flag=True,
    help="Move what is damaged to .quarantine in the warehouse; deletes nothing.",
)
@click.option(
    "--clean",
    is_flag=True,
    help="Clear what killed writers left; rows that are in no part become one.",
)
@bare_store_option
@click.option(
    "--format",
    "output_format",
    type=RowFormat(),
    default="table",
    show_default=True,
    help="For a person; all of it as JSON; a row for each thing found as CSV.",
)
def verify(
    sweep: str | None,
    quarantine: bool,
    clean: bool,
    store: Warehouse,
    output_format: str,
) -> None:
    """Read every part, or those of SWEEP and all events, and say what is damaged.

    Looks at recorded checksums, columns, rows, the sweep that each row is of,
    manifests, and what killed writers left. Exits with 4 if anything is damaged. Of a
    bundle, it also computes the summary anew from the rows.
    """
    if sweep and _is_bundle(sweep, store):
        if quarantine or clean:
            raise click.UsageError("a bundle is only looked at")
        _verify_bundle(Path(sweep), output_format)
        return
    store.require_there()
    from orket.warehouse.leftovers import find_leftovers
    from orket.warehouse.verify import named_sweep
    from orket.warehouse.verify import verify as look

    if quarantine:
        store.refuse_moving("verify --quarantine")
    sweep_id = named_sweep(store, sweep) if sweep else None
    verdict = look(store, sweep_id)
    leftovers = [*find_leftovers(store, sweep_id), *_twins(verdict)]
    moved = _move(store, verdict) if quarantine else {}
    cleared = _clear(store, leftovers) if clean else {}
    missing = [
        part
        for part in store.missing()
        if sweep_id is None or part.sweep_id in (None, sweep_id)
    ]
    report = _Report(store.path, verdict, leftovers, missing, moved, cleared)
    if output_format == "json":
        click.echo(render_json(report.document()))
    elif output_format == "csv":
        print_rows(report.rows(), _FOUND, "csv")
    else:
        report.print()
    if verdict.faults:
        raise report.failure()


def _is_bundle(name: str, store: Warehouse) -> bool:
    """Whether an argument names a bundle; a sweep that is called so goes before.

    Raises UsageError for a bundle that is not there.
    """
    path = Path(name)
    if path.suffix == ".tar" and path.is_file():
        return True
    if path.is_file() and tarfile.is_tarfile(path):
        return name not in store.sweep_ids()
    if path.suffix == ".tar" and name not in store.sweep_ids():
        raise UsageError(f"there is no file {name}", "name the bundle, or a sweep")
    return False


def _verify_bundle(path: Path, output_format: str) -> None:
    from orket.exports.bundle import verify_bundle

    found = verify_bundle(path)
    counts = found.verdict.counts.values() if found.verdict else ()
    rows = [_count_row(count) for count in counts]
    if output_format == "json":
        document = {
            "bundle": str(path),
            "sweep_id": found.sweep_id,
            "orket_version": found.orket_version,
            "datasets": rows,
            "damaged": found.faults,
            "same_summary": found.is_same,
        }
        click.echo(render_json(document))
    elif output_format == "csv":
        faults = [{"found": "damaged", "what": fault} for fault in found.faults]
        print_rows(faults, _FOUND, "csv")
    else:
        if rows:
            print_rows(rows, _COLUMNS, "table")
        for fault in found.faults:
            print_line(f"damaged: {fault}")
        if found.is_same:
            print_line(
                f"Sweep {found.sweep_id}: nothing is damaged, and its summary is "
                "computed anew to the same bytes."
            )
    if found.faults:
        raise CheckFailed(
            f"{path} is not what was written", "ask for the bundle once more"
        )


def _twins(verdict: Verdict) -> Iterator[LeftOver]:
    from orket.warehouse.leftovers import TWIN, LeftOver
    from orket.warehouse.locks import Holder

    for path in verdict.copies:
        yield LeftOver(kind=TWIN, path=path, sweep_id=None, holder=Holder.NONE)


def _move(store: Warehouse, verdict: Verdict) -> dict[Path, Path]:
    from orket.warehouse.quarantine import move_to_quarantine

    return {
        fault.path: move_to_quarantine(store.path, fault)
        for fault in verdict.faults
        if fault.is_movable
    }


def _clear(store: Warehouse, leftovers: Sequence[LeftOver]) -> dict[Path, str]:
    from orket.warehouse.leftovers import clear

    done = {found.path: clear(store, found) for found in leftovers}
    return {path: what for path, what in done.items() if what is not None}


class _Report:
    """What was found and done, for a person and for a program."""

    def __init__(
        self,
        root: Path,
        verdict: Verdict,
        leftovers: Sequence[LeftOver],
        missing: Sequence[Missing],
        moved: dict[Path, Path],
        cleared: dict[Path, str],
    ) -> None:
        self._root = root
        self._verdict = verdict
        self._leftovers = leftovers
        self._missing = missing
        self._moved = moved
        self._cleared = cleared

    def document(self) -> dict[str, Any]:
        """All of it as plain values; paths are those below the warehouse."""
        counts = [_count_row(count) for count in self._verdict.counts.values()]
        return {
            "warehouse": str(self._root),
            "datasets": counts,
            "damaged": [
                {
                    "dataset": fault.dataset,
                    "sweep_id": fault.sweep_id,
                    "path": self._below(fault.path),
                    "what": fault.what,
                    "remedy": fault.remedy,
                    "moved_to": self._moved_to(fault),
                }
                for fault in self._verdict.faults
            ],
            "left_over": [
                {
                    "kind": found.kind,
                    "sweep_id": found.sweep_id,
                    "path": self._below(found.path),
                    "writer": found.holder.value,
                    "dataset": found.dataset,
                    "rows": found.rows,
                    "cleared": self._cleared.get(found.path),
                }
                for found in self._leftovers
            ],
            "in_quarantine": [
                {
                    "dataset": part.dataset,
                    "sweep_id": part.sweep_id,
                    "path": self._below(part.path),
                    "what": part.what,
                }
                for part in self._missing
            ],
        }

    def rows(self) -> list[dict[str, Any]]:
        """A flat row for each thing found, under _FOUND."""
        whole = self.document()
        return [
            {
                **found,
                "found": kind,
                "what": found.get("what") or found.get("kind"),
                "then": found.get("moved_to")
                or found.get("cleared")
                or found.get("remedy"),
            }
            for kind in ("damaged", "left_over", "in_quarantine")
            for found in whole[kind]
        ]

    def print(self) -> None:
        """A table of what was looked at, and a line for each thing found."""
        counts = [_count_row(count) for count in self._verdict.counts.values()]
        print_rows(counts, _COLUMNS, "table")
        for fault in self._verdict.faults:
            target = self._moved_to(fault)
            then = f"moved to {target}" if target else fault.remedy
            print_line(f"damaged: {self._below(fault.path)}: {fault.what}: {then}")
        for found in self._leftovers:
            print_line(self._leftover_line(found))
        for part in self._missing:
            if part.path not in self._moved.values():
                print_line(f"in quarantine: {self._below(part.path)}: {part.what}")
        if not self._verdict.faults:
            further = " else" if self._missing else ""
            print_line(f"Nothing{further} is damaged.")

    def failure(self) -> CheckFailed:
        """How a look that found damage ends."""
        count = len(self._verdict.faults)
        named = "1 thing is" if count == 1 else f"{count} things are"
        left = [f for f in self._verdict.faults if f.path not in self._moved]
        if not left:
            hint = "it is in quarantine now; put sound copies back into their places"
        elif any(fault.is_movable for fault in left):
            hint = "move it out of the way with: orket verify --quarantine"
        else:
            hint = left[0].remedy
        return CheckFailed(f"{named} damaged in {self._root}", hint)

    def _moved_to(self, fault: Fault) -> str | None:
        target = self._moved.get(fault.path)
        return self._below(target) if target is not None else None

    def _below(self, path: Path) -> str:
        return storable(path.relative_to(self._root).as_posix())

    def _leftover_line(self, found: LeftOver) -> str:
        from orket.warehouse.locks import Holder

        rows = "" if found.rows is None else f" with {_number(found.rows, 'row')}"
        what = f"{found.kind}{rows}"
        if found.holder is Holder.LIVING:
            return f"being written: {self._below(found.path)}: {what}"
        if done := self._cleared.get(found.path):
            then = done
        elif found.holder is Holder.UNKNOWN:
            then = "whether its writer lives cannot be told: let be"
        else:
            then = "--clean clears it"
        return f"left over: {self._below(found.path)}: {what}: {then}"


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _count_row(count: Any) -> dict[str, Any]:
    return {
        "dataset": count.dataset,
        "parts": count.parts,
        "rows": count.rows,
        "as_written": count.as_written,
        "not_recorded": count.not_recorded,
        "damaged": count.damaged,
    }
