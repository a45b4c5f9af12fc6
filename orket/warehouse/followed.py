"""The views over one sweep that is still being written.

A sweep that is judged while it runs is looked at again and again, each time with a few
rows more. Opening its parts costs more than judging them, so they are read once: what
was read stays in memory, and the views are computed anew over it, as any session would.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import duckdb

from orket.errors import WarehouseError
from orket.records import DATASETS
from orket.warehouse.raw import bind_dataset
from orket.warehouse.view_files import views_named, views_over, views_over_events
from orket.warehouse.views import Views

if TYPE_CHECKING:
    from orket.warehouse.store import Warehouse

_MOST_TRIES = 9
GROWING = ("runs", "fidelity", "events")
"""Datasets that a running sweep adds to; the first manifest rules it all along."""


class FollowedSweep:
    """The views of one sweep, over all that was appended by the last refresh."""

    def __init__(self, warehouse: Warehouse, sweep_id: str) -> None:
        self._warehouse = warehouse
        self._sweep_id = sweep_id
        self._views: Views | None = None
        self._read: dict[str, set[Path]] = {}
        self._listed: list[Path] = []
        self._lost: set[Path] = set()

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
        """Let go of what was read."""
        if self._views is not None:
            self._views.close()
            self._views = None

    def refresh(self) -> None:
        """Take in what was appended since; what stands on it is computed anew.

        Raises WarehouseError naming what cannot be read.
        """
        for _ in range(_MOST_TRIES):
            try:
                self._take_in()
                return
            except duckdb.InterruptException:
                raise
            except duckdb.Error:
                if not self._is_any_gone() and not self._pass_over():
                    break
                self.close()  # Folded into another meanwhile: read it all anew.
        self._name_damage(())
        raise WarehouseError(f"the parts of sweep {self._sweep_id} cannot be read")

    def rows(
        self, query: str, parameters: Sequence[object] = ()
    ) -> list[dict[str, Any]]:
        """The rows of a query as dictionaries, as `Session.rows` gives them.

        Raises WarehouseError naming what cannot be read.
        """
        if self._views is None:
            self.refresh()
        assert self._views is not None
        try:
            self._views.stage(views_named(query))
            cursor = self._views.connection.execute(query, parameters)
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        except duckdb.InterruptException:
            raise
        except duckdb.Error:
            self._name_damage(views_named(query))
            raise

    def _is_any_gone(self) -> bool:
        return not all(part.exists() for part in self._listed)

    def _pass_over(self) -> bool:
        """Go on without events that surely are of other sweeps; whether there are any.

        Raises WarehouseError naming what cannot be read of this one.
        """
        self._name_damage(())
        known = self._warehouse.left_out.damages
        lost = {damage.part for damage, _ in known if damage.part is not None}
        is_new = not lost <= self._lost
        self._lost |= lost
        return is_new

    def _list(self, dataset: str) -> list[Path]:
        parts = [
            part
            for part in self._warehouse.parts(dataset, self._sweep_id)
            if part not in self._lost
        ]
        self._listed += parts
        return parts

    def _take_in(self) -> None:
        self._listed = []
        if self._views is not None and any(
            self._read[dataset].difference(self._list(dataset)) for dataset in GROWING
        ):
            self.close()  # Folded into another, which has rows that were read.
        if self._views is None:
            parts = {dataset: self._list(dataset) for dataset in DATASETS}
            events = self._warehouse.events(parts)
            self._views = Views(parts, {}, threads=1, events=events)
            for dataset in GROWING:
                self._keep(dataset)
                self._read[dataset] = set(parts[dataset])
            return
        fresh = {
            dataset: [
                part for part in self._list(dataset) if part not in self._read[dataset]
            ]
            for dataset in GROWING
        }
        for dataset, found in fresh.items():
            if found:
                self._views.unstage(self._add(dataset, found))

    def _keep(self, dataset: str) -> None:
        """Turn the view over the parts of a dataset into rows in memory."""
        assert self._views is not None
        run = self._views.connection.execute
        run(
            f"CREATE TABLE raw.followed_{dataset} AS SELECT * FROM raw.{dataset} "
            "WHERE sweep_id = ?",
            [self._sweep_id],
        )
        self._show(dataset)

    def _add(self, dataset: str, parts: Sequence[Path]) -> set[str]:
        """Take in what these parts add; the views that may say something else by now.

        What a round was judged by is kept as an event that no view reads.
        """
        assert self._views is not None
        run = self._views.connection.execute
        run(f"DROP VIEW raw.{dataset}")
        run(f"DROP TABLE IF EXISTS raw.kept_{dataset}")
        bind_dataset(self._views.connection, dataset, parts)
        changed = set(views_over(dataset))
        if dataset == "events":
            kinds = run(
                "SELECT DISTINCT event FROM raw.events WHERE sweep_id = ?",
                [self._sweep_id],
            ).fetchall()
            changed = {view for (kind,) in kinds for view in views_over_events(kind)}
        run(
            f"INSERT INTO raw.followed_{dataset} SELECT * FROM raw.{dataset} "
            "WHERE sweep_id = ?",
            [self._sweep_id],
        )
        self._show(dataset)
        self._views.weigh(parts)
        self._read[dataset].update(parts)
        return changed

    def _show(self, dataset: str) -> None:
        assert self._views is not None
        self._views.connection.execute(
            f"CREATE OR REPLACE VIEW raw.{dataset} AS "
            f"SELECT * FROM raw.followed_{dataset}"
        )

    def _name_damage(self, names: set[str] | tuple[()]) -> None:
        """Ask an ordinary session the same: it knows how to name what is damaged."""
        self.close()
        with self._warehouse.session(self._sweep_id) as session:
            session.stage(names, DATASETS)
