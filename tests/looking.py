"""Several questions about one warehouse: its views are computed once for all of them.

To open a session and to plan the views is what a question costs. As long as no part of
a sweep came or went, the session of the last question answers the next one too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orket.records import DATASETS
from orket.warehouse import Warehouse
from orket.warehouse.session import Session

_Seen = tuple[str, str | None, tuple[str, ...]]
_open: dict[_Seen, Session] = {}
"""The session of the last question, by what it read: one at most."""


def ask(
    warehouse: Warehouse,
    query: str,
    sweep_id: str | None = "s",
    parameters: Sequence[object] = (),
) -> list[dict[str, Any]]:
    """The rows of a query over a sweep, or over all of them (None)."""
    parts = tuple(
        str(part) for dataset in DATASETS for part in warehouse.parts(dataset, sweep_id)
    )
    seen = (str(warehouse.path), sweep_id, parts)
    if seen not in _open:
        look_no_more()
        _open[seen] = warehouse.session(sweep_id)
    return _open[seen].rows(query, parameters)


def look_no_more() -> None:
    """Close the session of the last question."""
    while _open:
        _open.popitem()[1].close()
