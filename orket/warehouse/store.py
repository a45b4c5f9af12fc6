"""The warehouse: a folder of immutable Parquet parts, and the way into its views."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from orket.admission import admit
from orket.errors import UsageError, WarehouseError
from orket.records import DATASETS, Record
from orket.warehouse.claim import Claim
from orket.warehouse.journal import Journal
from orket.warehouse.parts import list_parts, partition_name, partition_sweep

if TYPE_CHECKING:
    from orket.warehouse.session import LockedSession, Session


class Warehouse:
    """One warehouse. Reading an empty one, or one that is not there yet, is normal."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def open(cls, path: str | Path | None = None) -> Warehouse:
        """The warehouse at `path`, else at $ORKET_WAREHOUSE, else ./warehouse."""
        chosen = Path(path or os.environ.get("ORKET_WAREHOUSE") or "warehouse")
        if chosen.exists() and not chosen.is_dir():
            raise WarehouseError(
                f"{chosen} is a file, not a warehouse",
                "name a folder: with -w, or in orket.open()",
            )
        return cls(chosen)

    def append(
        self, dataset: str, rows: Sequence[Record], sweep_id: str | None = None
    ) -> Path:
        """Append rows as one atomic part, after proving each one valid.

        Every dataset but `events` is kept by sweep, so its rows need `sweep_id`.
        Raises UsageError naming the field of an invalid row, WarehouseError when
        the place cannot be written.
        """
        from orket.warehouse.parts import write_part
        from orket.warehouse.schema import arrow_table

        for row in rows:
            try:
                admit(row)
            except msgspec.ValidationError as error:
                raise UsageError(f"invalid row for {dataset}: {error}") from error
        return write_part(self.folder(dataset, sweep_id), arrow_table(dataset, rows))

    def journal(self, sweep_id: str) -> Journal:
        """A journal for the runs of one sweep."""
        return Journal(self.folder("runs", sweep_id))

    def claim(self, sweep_id: str) -> Claim:
        """The right to run one sweep; a `with` takes it, or says who has it."""
        return Claim(self.folder("runs", sweep_id), sweep_id)

    def folder(self, dataset: str, sweep_id: str | None = None) -> Path:
        """Where the parts of a dataset (of one sweep) lie."""
        if dataset not in DATASETS:
            raise ValueError(f"no dataset {dataset!r}")
        base = self.path / dataset
        if dataset == "events":
            return base
        if not sweep_id:
            raise ValueError(f"{dataset} are kept by sweep: a sweep_id is needed")
        return base / partition_name(sweep_id)

    def parts(self, dataset: str, sweep_id: str | None = None) -> list[Path]:
        """The parts of a dataset, of one sweep if given; events are always whole."""
        if dataset == "events" or sweep_id is not None:
            return list_parts(self.folder(dataset, sweep_id))
        base = self.path / dataset
        return sorted(base.glob("sweep_id=*/part-*.parquet"))

    def sweep_ids(self) -> list[str]:
        """All sweeps, oldest first by their manifests."""
        folders = (self.path / "sweeps").glob("sweep_id=*")
        starts = [
            (parts[0].name, partition_sweep(folder))
            for folder in folders
            if (parts := list_parts(folder))
        ]
        return [sweep for _, sweep in sorted(starts)]

    def resolve(self, name: str) -> str:
        """The sweep that `name` means: `latest`, a full id, or its unique prefix."""
        known = self.sweep_ids()
        if not known:
            raise UsageError(
                f"there is no sweep in {self.path}", "run one: orket run quickstart"
            )
        if name == "latest":
            return known[-1]
        if name in known:
            return name
        matches = [sweep for sweep in known if sweep.startswith(name)]
        if len(matches) == 1:
            return matches[0]
        shown = ", ".join((matches or known)[-5:])
        problem = "is ambiguous" if matches else "is not in the warehouse"
        raise UsageError(f"sweep {name!r} {problem}", f"try one of: {shown}")

    def session(
        self,
        sweep_id: str | None = None,
        overrides: Mapping[str, object] | None = None,
        threads: int = 1,
    ) -> Session:
        """DuckDB with all views, bound to one sweep's own parts when it is given.

        `overrides` are a what-if: policy fields by name, and `as_of` (a datetime) for
        the events that count.
        """
        from orket.warehouse.session import Session

        return Session(self._bound(sweep_id), overrides or {}, threads)

    def locked_session(
        self, sweep_id: str | None = None, overrides: Mapping[str, object] | None = None
    ) -> LockedSession:
        """The same views in memory, with every way out of it closed."""
        from orket.warehouse.session import LockedSession

        return LockedSession(self._bound(sweep_id), overrides or {})

    def _bound(self, sweep_id: str | None) -> dict[str, list[Path]]:
        return {dataset: self.parts(dataset, sweep_id) for dataset in DATASETS}
