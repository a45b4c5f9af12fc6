"""Orket measures which quantization of a local model to run, and says why.

import orket
warehouse = orket.open("warehouse")
warehouse.view("recommendation")      # a Polars frame
orket.SweepSummary.model_validate_json(...)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = ["SweepSummary", "__version__", "open"]

if TYPE_CHECKING:
    from orket.exports.model import SweepSummary
    from orket.warehouse.notebook import open_warehouse as open  # noqa: A004


def __getattr__(name: str) -> object:
    # Loaded on first use: `orket --help` must not pay for DuckDB or Pydantic.
    if name == "SweepSummary":
        from orket.exports.model import SweepSummary

        return SweepSummary
    if name == "open":
        from orket.warehouse.notebook import open_warehouse

        return open_warehouse
    raise AttributeError(f"module 'orket' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
