"""Raw rows in, views out: the only room that writes Parquet or opens DuckDB."""

from orket.warehouse.store import Warehouse

__all__ = ["Warehouse"]
