"""The views for anybody's SQL: in memory, and with every way out closed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import duckdb

from orket.errors import UsageError
from orket.records import DATASETS
from orket.warehouse.session import Session
from orket.warehouse.view_files import VIEW_VERSION

if TYPE_CHECKING:
    import polars as pl

    from orket.warehouse.store import Warehouse


class LockedSession(Session):
    """Views as tables in memory; nothing else can be reached or changed."""

    def __init__(
        self,
        warehouse: Warehouse,
        sweep_id: str | None,
        overrides: Mapping[str, object],
    ) -> None:
        super().__init__(warehouse, sweep_id, overrides, threads=1)
        self.comment()
        run = self._connection.execute
        for dataset in DATASETS:
            # The raw views still point at files: an unlocked way to the disk.
            run(f"CREATE TABLE staged.raw_{dataset} AS SELECT * FROM raw.{dataset}")
            run(
                f"CREATE OR REPLACE VIEW raw.{dataset} AS "
                f"SELECT * FROM staged.raw_{dataset}"
            )
        run(f"SET search_path = '{VIEW_VERSION},main'")
        run("SET enable_external_access = false")
        run("SET lock_configuration = true")

    def query(self, text: str) -> pl.DataFrame:
        """The rows of a single SELECT. Raises UsageError for anything else."""
        try:
            statements = self._connection.extract_statements(text)
        except duckdb.Error as error:
            raise UsageError(str(error).splitlines()[0]) from error
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise UsageError(
                "only a single SELECT is run here",
                "the views are read-only; see the columns with: orket sql",
            )
        return self.frame(text)
