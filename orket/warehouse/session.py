"""A session over the views: rows and frames, and the name of what cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import duckdb

from orket.errors import LimitReached, UsageError, WarehouseError
from orket.records import DATASETS
from orket.warehouse.damage import (
    Damage,
    Parts,
    breaking_sweeps,
    damaged_parts,
    explain,
    first_line,
    full_disk,
)
from orket.warehouse.event_index import Events
from orket.warehouse.parts import ListedParts, partition_sweep
from orket.warehouse.settings import MEMORY_VARIABLE, memory_mib
from orket.warehouse.tolerance import LeftOut, Tolerance
from orket.warehouse.view_comments import comment_human, comment_views
from orket.warehouse.view_files import (
    HUMAN_SCHEMA,
    VIEW_VERSION,
    datasets_named,
    human_views_named,
    view_files,
    views_below,
    views_named,
)
from orket.warehouse.views import Views

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

_Result = TypeVar("_Result")
_MOST_LISTS = 9
"""So often parts are listed again that were gone when they were to be opened."""


@dataclass(frozen=True, slots=True)
class ColumnNote:
    """One column of a view with its comment."""

    view: str
    column: str
    type: str
    comment: str


class Session:
    """The views over the parts of a warehouse.

    A part that cannot be read, or a row that breaks a view, is a WarehouseError that
    names it, unless `left_out` admits that one goes on without it.
    """

    def __init__(
        self,
        parts: ListedParts,
        overrides: Mapping[str, object],
        threads: int | None,
        left_out: LeftOut | None = None,
        events: Events | None = None,
    ) -> None:
        self._given = parts
        self._parts = parts
        self._events = events
        self._overrides = dict(overrides)
        self._threads = threads
        self._left_out = left_out or LeftOut(Tolerance.NONE)
        self._wanted: set[str] = set()
        self._wanted_raw: set[str] = set()
        self._wanted_human: set[str] = set()
        self._views: Views | None = None
        self._open()

    def _open(self) -> None:
        """Open what queries need in any case."""
        self._guarded(lambda views: None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._views is not None:
            self._views.close()
            self._views = None

    def rows(
        self, query: str, parameters: Sequence[object] | Mapping[str, object] = ()
    ) -> list[dict[str, Any]]:
        """The rows of a query as dictionaries, drained at once.

        `parameters` are those of `?` in order, or those of `$name` by name.
        """

        def read(views: Views) -> list[dict[str, Any]]:
            cursor = views.connection.execute(query, parameters)
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

        return self._ask(read, query)

    def frame(self, query: str, parameters: Sequence[object] = ()) -> pl.DataFrame:
        """The rows of a query as a Polars frame."""
        import polars as pl

        def read(views: Views) -> pa.Table:
            relation = views.connection.sql(query, params=list(parameters))
            return relation.to_arrow_table()

        frame = pl.from_arrow(self._ask(read, query))
        assert isinstance(frame, pl.DataFrame)
        return frame

    def view(self, name: str) -> pl.DataFrame:
        """One view of version 1 as a Polars frame, in the view's own row order.

        `v1h.<view>` is the same in units that people read.
        """
        known = self.view_names()
        schema, _, view = name.rpartition(".")
        if view not in known or schema not in ("", VIEW_VERSION, HUMAN_SCHEMA):
            raise UsageError(f"no view {name!r}", f"there are: {', '.join(known)}")
        return self.frame(f"SELECT * FROM {schema or VIEW_VERSION}.{view}")

    def view_names(self) -> list[str]:
        """The views, in dependency order."""
        return list(view_files())

    def stage(self, names: Iterable[str], datasets: Iterable[str] = ()) -> None:
        """Compute these views and all they stand on, and open these datasets."""
        self._guarded(lambda views: None, names, datasets)

    def comment(self, names: Collection[str] | None = None) -> None:
        """Compute all views, or these and those below them, with their comments."""
        views = set(view_files()) if names is None else views_below(names)
        self._guarded(lambda found: comment_views(found.connection, views), views)

    def show_human(self, names: Collection[str] | None = None) -> None:
        """Create all views, or these, in people's units too, with their comments."""
        self.comment(names)
        human = set(view_files()) if names is None else set(names)
        self._guarded(lambda views: comment_human(views.connection, human), human=human)

    def look(
        self,
        act: Callable[[duckdb.DuckDBPyConnection], _Result],
        names: Iterable[str] = (),
        datasets: Iterable[str] = (),
    ) -> _Result:
        """What `act` finds in DuckDB itself, once these views and rows are there."""
        return self._guarded(lambda views: act(views.connection), names, datasets)

    def notes(self) -> list[ColumnNote]:
        """Every column of every view with its comment, in order."""
        self.comment()
        rows = self._described(VIEW_VERSION)
        order = {name: place for place, name in enumerate(self.view_names())}
        return sorted(rows, key=lambda note: order[note.view])

    def columns_of(self, view: str, *, human: bool = False) -> list[ColumnNote]:
        """The columns of one view, or of its form in people's units."""
        (self.show_human if human else self.comment)([view])
        schema = HUMAN_SCHEMA if human else VIEW_VERSION
        return [note for note in self._described(schema) if note.view == view]

    def _described(self, schema: str) -> list[ColumnNote]:
        rows = self.rows(
            "SELECT table_name, column_name, data_type, comment FROM duckdb_columns() "
            "WHERE schema_name = ? ORDER BY table_name, column_index",
            [schema],
        )
        return [
            ColumnNote(
                row["table_name"],
                row["column_name"],
                row["data_type"],
                row["comment"] or "",
            )
            for row in rows
        ]

    def _ask(self, act: Callable[[Views], _Result], query: str) -> _Result:
        """What `act` gives, with all there that the query names."""
        return self._guarded(
            act,
            views_named(query),
            datasets_named(query),
            human_views_named(query),
        )

    def _guarded(
        self,
        act: Callable[[Views], _Result],
        names: Iterable[str] = (),
        datasets: Iterable[str] = (),
        human: Iterable[str] = (),
    ) -> _Result:
        """What `act` gives, once these views are computed over all that can be read.

        Raises WarehouseError naming what cannot be read, unless it may be left out.
        """
        self._wanted.update(names)
        self._wanted_raw.update(datasets)
        self._wanted_human.update(human)
        lists = 0
        while True:
            try:
                if self._views is None:
                    self._views = Views(
                        self._parts,
                        self._overrides,
                        self._threads,
                        is_lazy=True,
                        events=self._events,
                    )
                self._views.bind(self._wanted_raw)
                self._views.stage(self._wanted)
                self._views.show_human(self._wanted_human)
                return act(self._views)
            except duckdb.InterruptException:
                raise
            except duckdb.OutOfMemoryException as error:
                self.close()
                raise _out_of_memory() from error
            except duckdb.Error as error:
                self.close()
                # Parts that were folded into another since they were listed.
                if lists < _MOST_LISTS and self._parts.list_again():
                    lists += 1
                    continue
                if full := full_disk(error):
                    raise _no_room(full) from error
                found = self._find_damage()
                admitted = self._left_out.admit(found, self._parts.sweeps)
                if len(admitted) == len(found) and self._leave_out(found):
                    continue
                worst = [damage for damage in found if damage not in admitted]
                raise _explain(error, worst or found) from error

    def _restrict(self, sweeps: Collection[str] | None) -> None:
        """Read the rows of these sweeps alone; None is all."""
        self._parts = self._given if sweeps is None else self._given.only(sweeps)

    def _find_damage(self) -> list[Damage]:
        events = self._events.unread() if self._events is not None else []
        if met := [one for one in events if one.part in self._parts["events"]]:
            return met
        return damaged_parts(self._parts) or breaking_sweeps(self._parts, self._compute)

    def _compute(self, parts: Parts, attempts: Sequence[str] | None) -> None:
        """Compute the views that are wanted over other parts. Raises duckdb.Error."""
        with Views(parts, self._overrides, self._threads, attempts) as views:
            views.stage(self._wanted)

    def _leave_out(self, found: Sequence[Damage]) -> bool:
        """Go on without damaged parts, and without the sweeps that hang on them.

        Says whether anything is left to go on with.
        """
        sweeps = {damage.sweep_id for damage in found if damage.takes_sweep}
        gone = {damage.part for damage in found}
        for dataset in DATASETS:
            self._parts[dataset] = [
                part
                for part in self._parts[dataset]
                if part not in gone
                and (dataset == "events" or partition_sweep(part.parent) not in sweeps)
            ]
        return bool(found and self._parts["sweeps"])


def _no_room(full: OSError) -> WarehouseError:
    return WarehouseError(
        f"there is no room for what the views spill to the disk ({full.strerror})",
        f"free some space, or give them more memory with {MEMORY_VARIABLE}",
    )


def _out_of_memory() -> LimitReached:
    return LimitReached(
        f"the views need more memory than {memory_mib()} MiB",
        f"give them more with {MEMORY_VARIABLE}, or ask for one sweep",
    )


def _explain(error: duckdb.Error, found: Sequence[Damage]) -> WarehouseError:
    """Name what cannot be read; else say what DuckDB says."""
    if not found:
        return WarehouseError(
            f"the views cannot be read ({first_line(error)})",
            "this is a fault in Orket: please report it",
        )
    return explain(found)
