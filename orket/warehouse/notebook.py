"""The warehouse for notebooks: every view as a Polars frame."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from orket.errors import WarehouseError
from orket.warehouse.store import Warehouse
from orket.warehouse.view_files import view_files

if TYPE_CHECKING:
    import polars as pl

    from orket.warehouse.query import QueryLimits
    from orket.warehouse.query_worker import QueryWorker


class OpenWarehouse:
    """A warehouse for notebooks: every view as a Polars frame."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._idle: list[QueryWorker] = []
        """A process for the next query, once there was one."""

    def sweeps(self) -> list[str]:
        """All sweeps, oldest first."""
        return self._warehouse.sweep_ids()

    def view(
        self, name: str, sweep: str | None = None, **overrides: object
    ) -> pl.DataFrame:
        """One view, over all sweeps or one (`latest`, an id, a prefix).

        Keyword arguments are a what-if, e.g. `adherence_threshold_ppm=900_000`.
        """
        bound = self._warehouse.resolve(sweep) if sweep else None
        with self._warehouse.session(bound, overrides) as session:
            return session.view(name)

    def sql(
        self, query: str, sweep: str | None = None, limits: QueryLimits | None = None
    ) -> pl.DataFrame:
        """The rows of one SELECT over copies of the views, as a Polars frame.

        As locked as `orket sql`: a query can neither reach a file nor change anything.
        Raises UsageError for whatever is not one SELECT, and LimitReached for a query
        that takes more time or memory than `limits` (`orket.warehouse.query`). It runs
        in a process of its own, which waits for the next and ends with this object.
        """
        bound = self._warehouse.resolve(sweep) if sweep else None
        with self._warehouse.locked_session(bound, limits, self._idle) as session:
            return session.query(query)

    def views(self) -> list[str]:
        """The names of the views, in dependency order."""
        return list(view_files())


def open_warehouse(path: str | Path | None = None) -> OpenWarehouse:
    """The warehouse at `path`, else at $ORKET_WAREHOUSE, else ./warehouse.

    Raises WarehouseError when there is no such folder: a typo is no empty warehouse.
    """
    warehouse = Warehouse.open(path)
    if not warehouse.is_mirrored and not warehouse.path.is_dir():
        raise WarehouseError(
            f"there is no warehouse {warehouse.path}",
            f"name the folder that orket run wrote; this looks in {Path.cwd()}",
        )
    return OpenWarehouse(warehouse)
