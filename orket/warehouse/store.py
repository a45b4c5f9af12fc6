"""The warehouse: a folder of immutable Parquet parts, and the way into its views."""

from __future__ import annotations

import os
from collections.abc import (
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from orket.admission import admit
from orket.errors import UsageError, WarehouseError
from orket.records import DATASETS, GOVERNANCE, EventRow, Record
from orket.warehouse.claim import Claim, Executor, find_executor
from orket.warehouse.derived import Stat, stat_part
from orket.warehouse.journal import Journal
from orket.warehouse.locks import Holder
from orket.warehouse.object_store import is_url
from orket.warehouse.parts import (
    ListedParts,
    list_partitions,
    list_parts,
    partition_name,
    partition_names,
    partition_sweep,
    sweep_tag,
)
from orket.warehouse.tolerance import LeftOut, Tolerance

if TYPE_CHECKING:
    from orket.warehouse.bounded import BoundedSession
    from orket.warehouse.event_index import EventIndex, Events
    from orket.warehouse.lease import Lease
    from orket.warehouse.locked import LockedSession
    from orket.warehouse.mirror import Mirror
    from orket.warehouse.quarantine import Missing
    from orket.warehouse.query import QueryLimits
    from orket.warehouse.query_worker import QueryWorker
    from orket.warehouse.session import Session
    from orket.warehouse.stored_folds import StoredFolds


class Warehouse:
    """One warehouse. Reading an empty one, or one that is not there yet, is normal."""

    def __init__(
        self,
        path: Path,
        *,
        tolerance: Tolerance = Tolerance.NONE,
        mirror: Mirror | None = None,
    ) -> None:
        self.path = path
        self._mirror = mirror
        self.left_out = LeftOut(tolerance)
        self._asked: set[str] = set()

    @classmethod
    def open(
        cls, path: str | Path | None = None, *, tolerance: Tolerance = Tolerance.NONE
    ) -> Warehouse:
        """The warehouse at `path`, else at $ORKET_WAREHOUSE, else ./warehouse.

        A URL (`s3://bucket/folder`) names one in an object store: it is read and
        written through a folder of this machine. With a `tolerance` what cannot be
        read is left out, and `require_whole` says so at the end.
        """
        named = str(path or os.environ.get("ORKET_WAREHOUSE") or "warehouse")
        if is_url(named):
            from orket.warehouse.mirror import Mirror

            mirror = Mirror(named)
            return cls(mirror.folder, tolerance=tolerance, mirror=mirror)
        chosen = Path(named)
        if chosen.exists() and not chosen.is_dir():
            raise WarehouseError(
                f"{chosen} is a file, not a warehouse",
                "name a folder: with -w, or in orket.open()",
            )
        return cls(chosen, tolerance=tolerance)

    @property
    def place(self) -> str:
        """What names it in a command: its folder, or the URL of its store."""
        return str(self.path) if self._mirror is None else self._mirror.store.url

    @property
    def is_mirrored(self) -> bool:
        """Whether its folder only stands for an object store that others write too."""
        return self._mirror is not None

    def publish(self) -> None:
        """Store what was written into the folder, where it stands for an object store.

        Raises WarehouseError when the store cannot be written: the parts wait here.
        """
        if self._mirror is not None:
            self._mirror.publish()

    def fetch(self, sweep_id: str | None = None) -> None:
        """Have all that an object store holds in the folder, or all of one sweep."""
        for dataset in DATASETS:
            self._pull(dataset, None if dataset == "events" else sweep_id)

    def fetch_folders(self, sweep_id: str | None, *, anew: bool = False) -> None:
        """Have in the folder what an object store has of one sweep, or of the events.

        `anew`: as it is by now, after all that waits here is stored too. Raises
        WarehouseError.
        """
        if self._mirror is None:
            return
        if anew:
            self._mirror.publish()
            self._mirror.forget()
        for dataset in DATASETS:
            if (dataset == "events") is (sweep_id is None):
                self._pull(dataset, sweep_id)

    def crowded(self, dataset: str) -> list[str]:
        """Names of the folders of sweeps in which an object store has much to fold;
        none of a folder of this machine."""
        return [] if self._mirror is None else self._mirror.crowded(dataset)

    def stored_folds(self) -> StoredFolds | None:
        """What folds parts in an object store; None of a folder of this machine."""
        if self._mirror is None:
            return None
        from orket.warehouse.stored_folds import StoredFolds

        return StoredFolds(self._mirror)

    def settled_parts(self, folder: Path) -> list[Path]:
        """The parts of a folder that may be folded: of a store's, those that it has."""
        parts = list_parts(folder)
        if self._mirror is None:
            return parts
        prefix = folder.relative_to(self.path).as_posix()
        stored = self._mirror.sizes(prefix)
        return [part for part in parts if f"{prefix}/{part.name}" in stored]

    def refuse_moving(self, verb: str) -> None:
        """Raise UsageError where the folder only stands for an object store."""
        if self._mirror is not None:
            raise UsageError(
                f"{verb} moves and removes parts, and those of {self.place} are for "
                "others too",
                f"copy them to a folder and do it there: {self.path} has them",
            )

    def require_there(self) -> None:
        """Raise UsageError where a folder is no warehouse: nothing is whole there."""
        if self._mirror is None and not any(
            (self.path / dataset).exists() for dataset in DATASETS
        ):
            raise UsageError(
                f"there is no warehouse in {self.path}",
                "name it with -w, or in ORKET_WAREHOUSE",
            )

    def _pull(self, dataset: str, sweep_id: str | None = None) -> None:
        """See to it that the folder has what an object store has of a dataset."""
        if self._mirror is not None:
            own = [] if sweep_id is None else [partition_name(sweep_id)]
            self._mirror.pull("/".join([dataset, *own]))

    def _partitions(self, dataset: str) -> list[str]:
        """Names of the folders of all sweeps in a dataset."""
        if self._mirror is not None:
            return self._mirror.partitions(dataset)
        return partition_names(self.path / dataset)

    @property
    def is_tolerant(self) -> bool:
        """Whether sweeps that cannot be read are left out."""
        return self.left_out.tolerance is Tolerance.ALL

    def strict(self) -> Warehouse:
        """The same, for what cannot say itself that anything was left out of it."""
        found = Warehouse(self.path, mirror=self._mirror)
        found.left_out = LeftOut(Tolerance.NONE, self.left_out.damages)
        return found

    def require_whole(self) -> None:
        """Raise WarehouseError naming what was left out, if anything was."""
        from orket.warehouse.quarantine import missing_parts

        missing = self.left_out.bearing()
        if missing:
            named = "; ".join(str(damage) for damage in missing)
            others = "" if len(missing) == 1 else "; orket verify names all of them"
            raise WarehouseError(
                f"not all is shown: {named}", f"{missing[0].remedy}{others}"
            )
        parts = missing_parts(self.path)
        told = {part.sweep_id for part in parts if part.dataset == "sweeps"}
        # Of named sweeps alone: to go through all of them costs more than to show one.
        lacking = (
            sorted(filter(self._lacks_manifest, self._asked))
            if self._asked
            else self.sweeps_without_manifest()
        )
        for sweep_id in lacking:
            if sweep_id not in told:
                raise self._without_manifest(sweep_id)

    def missing(self) -> list[Missing]:
        """What lies in quarantine: of the sweeps that were named, else of all."""
        from orket.warehouse.quarantine import missing_parts

        return [
            part
            for part in missing_parts(self.path)
            if not self._asked or any(map(part.may_bear_on, self._asked))
        ]

    def _without_manifest(self, sweep_id: str) -> WarehouseError:
        return WarehouseError(
            f"sweep {sweep_id} has rows in {self.place} and no manifest",
            f"put back a copy of {self.folder('sweeps', sweep_id)}, or ingest the file "
            "that its rows came from again",
        )

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
        part = write_part(
            self.folder(dataset, sweep_id), arrow_table(dataset, rows), _tag(rows)
        )
        if self._mirror is not None:
            self._mirror.publish_soon()
        return part

    def journal(self, sweep_id: str, dataset: str = "runs") -> Journal:
        """A journal for the rows of one sweep, of a dataset that has journals."""
        return Journal(self.folder(dataset, sweep_id), dataset)

    def claim(self, sweep_id: str, purpose: str = "run") -> Claim:
        """The right to run one sweep; a `with` takes it, or says who has it.

        `purpose` is what others are told that is being done with the sweep.
        """
        return Claim(self.folder("runs", sweep_id), f"sweep {sweep_id}", purpose)

    def folding_lease(self, sweep_id: str | None, *, take_over: bool) -> Lease | None:
        """The right to fold the parts of one sweep, or the events, among all machines
        that reach an object store; None of a folder."""
        if self._mirror is None:
            return None
        from orket.warehouse.lease import Lease

        purpose = "compacted"
        return Lease(self._mirror, sweep_id, take_over=take_over, purpose=purpose)

    def lease(
        self, sweep_id: str, *, take_over: bool = False
    ) -> AbstractContextManager[object]:
        """The right to run one sweep among all machines that reach an object store.

        A `with` takes it, or says who has it; with `take_over` even where another
        machine did not end. Of a folder there is none: its claim holds for all.
        """
        if self._mirror is None:
            return nullcontext()
        from orket.warehouse.lease import Lease

        return Lease(self._mirror, sweep_id, take_over=take_over)

    def claim_events(self) -> Claim:
        """The right to fold the parts of events; appending needs none."""
        return Claim(self.folder("events"), "the folder of events", "folded")

    def executor(self, sweep_id: str) -> Executor:
        """Whether a process runs one sweep now.

        Of a sweep that no process of this machine ran, an object store tells nothing.
        """
        found = find_executor(self.folder("runs", sweep_id))
        if self._mirror is not None and not found.name:
            return Executor(Holder.UNKNOWN, "")
        return found

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
        if dataset == "events":
            self._pull(dataset)
            return list_parts(self.folder(dataset))
        self._pull(dataset, sweep_id)
        if sweep_id is not None:
            return list_parts(self.folder(dataset, sweep_id))
        folders = list_partitions(self.path / dataset)
        return [part for folder in folders for part in list_parts(folder)]

    def part_stats(self, dataset: str, sweep_id: str) -> list[Stat]:
        """The parts of a sweep as they lie there; none is fetched for it.

        A part that is taken away meanwhile is left out: whoever reads it says so.
        """
        folder = self.folder(dataset, sweep_id)
        if self._mirror is None:
            return list(_stats(list_parts(folder)))
        # A part is created once, wherever it lies: when it was changed says nothing.
        prefix = f"{dataset}/{folder.name}"
        stored = {
            name.rpartition("/")[2]: size
            for name, size in self._mirror.sizes(prefix).items()
        }
        # What the store had and has no more was folded; what it never had waits here.
        waiting = {
            stat.name: stat.size
            for stat in _stats(list_parts(folder))
            if not self._mirror.may_be_stored(f"{prefix}/{stat.name}")
        }
        sizes = {**waiting, **stored}
        return [Stat(name, size, 0) for name, size in sorted(sizes.items())]

    def list_ahead(self) -> None:
        """Ask an object store once for what is asked of each sweep otherwise."""
        if self._mirror is not None:
            for dataset in DATASETS:
                self._mirror.sizes(dataset)

    def sweep_ids(self) -> list[str]:
        """All sweeps, oldest first by their manifests."""
        from orket.warehouse.starts import first_manifests

        self._pull("sweeps")
        starts = [
            (first, partition_sweep(Path(name)))
            for name, first in first_manifests(self.path).items()
        ]
        return [sweep for _, sweep in sorted(starts)]

    def sweeps_without_manifest(self) -> list[str]:
        """Sweeps of which there are rows, but not the row that says what they are."""
        from orket.warehouse.starts import first_manifests

        self._pull("sweeps")
        known = first_manifests(self.path)
        others = [
            (dataset, partition_sweep(Path(name)))
            for dataset in ("runs", "sidecars")
            for name in self._partitions(dataset)
            if name not in known
        ]
        return sorted(
            {sweep for dataset, sweep in others if self.parts(dataset, sweep)}
        )

    def resolve(self, name: str) -> str:
        """The sweep that `name` means: `latest`, a full id, or its unique prefix."""
        self._asked.add(name)
        found = self.find_sweep(name)
        self._asked.add(found)
        return found

    def find_sweep(self, name: str) -> str:
        """The same for a look at what is there, not at what it says."""
        if name != "latest" and self._has_parts("sweeps", name):
            return name
        if self._lacks_manifest(name):
            raise self._without_manifest(name)
        known = self.sweep_ids()
        if not known:
            raise UsageError(
                f"there is no sweep in {self.place}", "run one: orket run quickstart"
            )
        if name == "latest":
            return known[-1]
        matches = [sweep for sweep in known if sweep.startswith(name)]
        if len(matches) == 1:
            return matches[0]
        shown = ", ".join((matches or known)[-5:])
        problem = "is ambiguous" if matches else "is not in the warehouse"
        raise UsageError(f"sweep {name!r} {problem}", f"try one of: {shown}")

    def _lacks_manifest(self, name: str) -> bool:
        """Whether there are rows of a sweep, but not the row that says what it is."""
        return not self._has_parts("sweeps", name) and (
            self._has_parts("runs", name) or self._has_parts("sidecars", name)
        )

    def _has_parts(self, dataset: str, name: str) -> bool:
        """Whether there are rows of the sweep of exactly this name."""
        # Where letters of either case are one name, a folder is not what was asked for.
        return partition_name(name) in self._partitions(dataset) and bool(
            self.parts(dataset, name)
        )

    def session(
        self,
        sweep_id: str | None = None,
        overrides: Mapping[str, object] | None = None,
        threads: int | None = None,
    ) -> Session:
        """DuckDB with all views, bound to one sweep's own parts when it is given.

        `overrides` are a what-if: policy fields by name, `buckets` and
        `families` (the tasks to judge by), and `as_of` (a datetime) for
        the events that count.
        """
        bound = None if sweep_id is None else [sweep_id]
        return self._session(self._bound(bound), overrides or {}, threads)

    def session_over(
        self,
        sweep_ids: Sequence[str],
        overrides: Mapping[str, object] | None = None,
        threads: int | None = None,
    ) -> Session:
        """The same over some sweeps, whatever else the warehouse holds."""
        return self._session(self._bound(sweep_ids), overrides or {}, threads)

    def pair_session(
        self,
        before: str,
        after: str,
        overrides: Mapping[str, object] | None = None,
        models: tuple[str, str] | None = None,
        other: Warehouse | None = None,
    ) -> Session:
        """The same over two sweeps that are laid side by side (`v1.diff_quant`).

        `models` names one of each; without it the models of one name are compared.
        `after` may lie in another warehouse.
        """
        from orket.warehouse.raw import PAIR
        from orket.warehouse.session import Session

        named = models or (None, None)
        pair = {
            "before_sweep": before,
            "after_sweep": after,
            "before_model": named[0],
            "after_model": named[1],
        }
        given = {**(overrides or {}), PAIR: pair}
        if other is None or other.path == self.path:
            return self._session(self._bound([before, after]), given, None)
        elsewhere = other

        def list_both(dataset: str, sweep: str | None) -> list[Path]:
            if sweep is None:
                return [*self.parts(dataset), *elsewhere.parts(dataset)]
            return (self if sweep == before else elsewhere).parts(dataset, sweep)

        both = ListedParts(list_both, [before, after])
        return Session(both, given, None, self.left_out)

    def pairs_session(self, pairs: Iterable[tuple[str, str, str]]) -> Session:
        """The same over many pairs at once: two sweeps, and the model of both."""
        from orket.warehouse.raw import PAIR

        named = [
            {
                "before_sweep": before,
                "after_sweep": after,
                "before_model": model,
                "after_model": model,
            }
            for before, after, model in pairs
        ]
        sweeps = dict.fromkeys(
            sweep
            for pair in named
            for sweep in (pair["before_sweep"], pair["after_sweep"])
        )
        return self._session(self._bound(list(sweeps)), {PAIR: named}, None)

    def recent_session(self, count: int) -> Session:
        """The same over the newest `count` sweeps, whatever the warehouse holds."""
        return self.session_over(self.sweep_ids()[-count:])

    def locked_session(
        self,
        sweep_id: str | None = None,
        limits: QueryLimits | None = None,
        idle: list[QueryWorker] | None = None,
    ) -> BoundedSession:
        """Queries over the same views in memory, with every way out of it closed.

        They run in a process of their own, out of `idle` where one is there.
        """
        from orket.warehouse.bounded import BoundedSession
        from orket.warehouse.query import Over, QueryLimits

        over = Over(
            warehouse=self.place if self.is_mirrored else str(self.path.absolute()),
            sweep_id=sweep_id,
            tolerance=self.left_out.tolerance,
            limits=limits or QueryLimits(),
        )
        return BoundedSession(over, self.left_out, idle)

    def unbounded_session(
        self,
        sweep_id: str | None,
        limits: QueryLimits,
        on_clock: Callable[[bool], object],
    ) -> LockedSession:
        """The same in this process, which no limit of time or memory can end."""
        from orket.warehouse.locked import LockedSession

        parts = self._bound(None if sweep_id is None else [sweep_id])
        return LockedSession(parts, limits, on_clock, self.left_out, self.events(parts))

    def events(self, parts: Mapping[str, Sequence[Path]]) -> Events:
        """The events among these parts, as far as their rows are kept together."""
        from orket.warehouse.event_index import Events

        return Events(self.path, parts)

    def index_events(self, sweeps: Collection[str] | None = None) -> EventIndex | None:
        """What each part of events bears on; None where nobody can tell.

        `sweeps` are those that it is asked for. Raises WarehouseError where one that
        cannot be read may bear on them and must not be left out.
        """
        events = self.events({"events": self.parts("events")})
        index = events.index()
        if index is not None:
            self.left_out.require(events.unread(), sweeps)
        return index

    def _session(
        self, parts: ListedParts, overrides: Mapping[str, object], threads: int | None
    ) -> Session:
        from orket.warehouse.session import Session

        events = self.events(parts)
        return Session(parts, overrides, threads, self.left_out, events)

    def _bound(self, sweep_ids: Sequence[str] | None) -> ListedParts:
        return ListedParts(self.parts, sweep_ids)


def _tag(rows: Sequence[Record]) -> str:
    """What the name of a part says of it: the one sweep on which its events bear."""
    owners = {
        None if row.event.startswith(GOVERNANCE) else row.sweep_id
        for row in rows
        if isinstance(row, EventRow)
    }
    (owner,) = owners if len(owners) == 1 else (None,)
    return "" if owner is None else sweep_tag(owner)


def _stats(parts: Iterable[Path]) -> Iterator[Stat]:
    for part in parts:
        with suppress(OSError):
            yield stat_part(part)
