"""What a query of anybody's may take, and what comes back of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orket.errors import LimitReached
from orket.warehouse.tolerance import Tolerance


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryLimits:
    """What one query may take before it is ended."""

    seconds: float = 300
    memory_bytes: int = 4 << 30
    """In DuckDB, and again for the rows that come out of it."""
    more_seconds: str = "limits=QueryLimits(seconds=...)"
    more_memory: str = "limits=QueryLimits(memory_bytes=...)"
    """How whoever asks can give more, for the errors."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows of a query, under column names that are all different."""

    columns: list[str]
    rows: list[tuple[Any, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Over:
    """What queries go over, and what each of them may take."""

    warehouse: str
    """Its URL, or its absolute folder: the process that asks may go elsewhere."""
    sweep_id: str | None
    """One sweep; None is all of them."""
    tolerance: Tolerance
    """What may be left out where it cannot be read, and is said."""
    limits: QueryLimits


def too_late(limits: QueryLimits) -> LimitReached:
    """The error of a query whose time is over."""
    return LimitReached(
        f"the query took more than {limits.seconds:g} s",
        f"give it more with {limits.more_seconds}, or ask for less",
    )


def out_of_memory(limits: QueryLimits) -> LimitReached:
    """The error of a query that asks for more memory than it may have."""
    return LimitReached(
        f"the query needs more memory than {limits.memory_bytes >> 20} MiB",
        f"give it more with {limits.more_memory}, or ask for less",
    )
