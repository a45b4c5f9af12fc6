"""Opens DuckDB as the warehouse uses it: no extension fetched, nothing left behind."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import duckdb

from orket.warehouse.settings import memory_mib, most_threads

_DEAR_TO_PLAN = frozenset(
    {
        "join_order",
        "statistics_propagation",
        "common_subexpressions",
        "common_subplan",
        "join_filter_pushdown",
        "projection_placement",
        "projection_pullup",
        "self_join_aggregate",
    }
)
"""What DuckDB thinks about longest, and what spares work where there is much of it."""


@cache
def _left_to_many_rows() -> str:
    """Those of them that this DuckDB has, as its setting names them."""
    with duckdb.connect(":memory:") as any_one:
        rows = any_one.execute("SELECT name FROM duckdb_optimizers()").fetchall()
    return ",".join(sorted(_DEAR_TO_PLAN & {name for (name,) in rows}))


class Connection:
    """DuckDB in memory, which spills into a private folder that goes with it."""

    def __init__(self, threads: int | None = None) -> None:
        memory = memory_mib()
        self._spill = tempfile.TemporaryDirectory(prefix="orket-duckdb-")
        self.duckdb = duckdb.connect(":memory:")
        run = self.duckdb.execute
        if threads is not None:
            run(f"SET threads = {threads}")
        run(f"SET memory_limit = '{memory} MiB'")
        run("SET TimeZone = 'UTC'")
        run("SET autoinstall_known_extensions = false")
        run("SET autoload_known_extensions = false")
        run("SET python_enable_replacements = false")
        run(f"SET temp_directory = {literal(self._spill.name)}")

    def plan_for_few_rows(self) -> None:
        """Join as it is written: of few rows planning costs more than computing."""
        self.duckdb.execute(f"SET disabled_optimizers = '{_left_to_many_rows()}'")

    def plan_for_many_rows(self) -> None:
        """Plan with all that DuckDB has for it."""
        self.duckdb.execute("RESET disabled_optimizers")

    def use_threads(self) -> None:
        """Compute with all threads that there may be."""
        threads = most_threads()
        if threads is None:
            self.duckdb.execute("RESET threads")
        else:
            self.duckdb.execute(f"SET threads = {threads}")

    @property
    def spill(self) -> Path:
        """Its private folder, which goes with it."""
        return Path(self._spill.name)

    def close(self) -> None:
        """Close it and take its folder away."""
        self.duckdb.close()
        self._spill.cleanup()


def literal(text: str) -> str:
    """A SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def file_literal(path: Path) -> str:
    """A SQL string literal that names this file, for what reads files.

    To DuckDB every name is a pattern: one with marks in it would name other files too,
    or instead.
    """
    return literal(without_marks(str(path)))


def without_marks(name: str) -> str:
    """A name as a pattern that fits this name alone."""
    return "".join(f"[{mark}]" if mark in "*?[{" else mark for mark in name)
