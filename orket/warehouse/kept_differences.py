"""What `orket diff` reads of two sweeps side by side, kept like what one says alone.

The second sweep may lie in another warehouse, and a what-if may judge both. A kept file
names all that its rows were made from, and counts only while it is the same. It lies in
the warehouse of the first sweep.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from orket.warehouse.derived import code_digest, derived_folder, digest_of
from orket.warehouse.kept import parts_key
from orket.warehouse.packed import BEFORE_ALL, read_packed, write_packed

if TYPE_CHECKING:
    from orket.warehouse.store import Warehouse

QUERIES = {
    "facts": "SELECT * FROM v1.diff_fact ORDER BY model_id, place",
    "quants": "SELECT * FROM v1.diff_quant "
    "ORDER BY model_id, quant_rank DESC NULLS LAST, quant_tag",
    "tasks": "SELECT * FROM v1.diff_task WHERE change IN ('LOST', 'GAINED') "
    "ORDER BY model_id, quant_tag, change, family, test_id",
    "counts": "SELECT sweep_id, model_id, quant_tag, valid_runs, polluted_used "
    "FROM v1.quant_aggregate ORDER BY ALL",
}
"""What is read, by the field of `DifferenceRows` that has it."""
MODELS = "SELECT sweep_id, model_id FROM v1.session ORDER BY model_id, sweep_id"


class DifferenceRows(msgspec.Struct, frozen=True):
    """What the views say of two sweeps."""

    facts: list[dict[str, Any]]
    """Rows of `v1.diff_fact`, by model."""
    quants: list[dict[str, Any]]
    """Rows of `v1.diff_quant`, by model, most precise quant first."""
    tasks: list[dict[str, Any]]
    """Rows of `v1.diff_task` that are lost or gained, by model and quant."""
    counts: list[dict[str, Any]]
    """Of each quant of both sweeps, the runs that count."""
    models: list[dict[str, Any]]
    """The models of both sweeps, where there are no facts: no model is in both."""


def read_difference_rows(
    before: tuple[Warehouse, str],
    after: tuple[Warehouse, str],
    models: tuple[str, str] | None = None,
    overrides: Mapping[str, object] | None = None,
) -> DifferenceRows:
    """The rows of two sweeps of different names, kept or derived now.

    `models` names one of each. Raises WarehouseError as a session does.
    """
    (store, old), (other, new) = before, after
    asked = [old, new, other.place, *(models or ())]
    asked.append(json.dumps(dict(overrides or {}), sort_keys=True, default=str))
    place = derived_folder(store.path) / f"diff-{digest_of([json.dumps(asked)])[:32]}"
    can_keep = "as_of" not in (overrides or {})
    key = _key(before, after, asked) if can_keep else None
    kept = None if key is None else _take(place, key)
    if kept is not None:
        return kept
    with store.pair_session(old, new, overrides, models, other) as session:
        found = {name: session.rows(query) for name, query in QUERIES.items()}
        # Only who finds nothing to compare wants to know what there is.
        models_there = [] if found["facts"] else session.rows(MODELS)
    rows = DifferenceRows(**found, models=models_there)
    damaged = store.left_out.sweeps() | other.left_out.sweeps()
    is_whole = damaged.isdisjoint((old, new))
    # Appended to meanwhile: of which rows this is nobody knows.
    if is_whole and key is not None and _key(before, after, asked) == key:
        write_packed(place, key, msgspec.structs.asdict(rows))
    return rows


def _take(place: Path, key: str) -> DifferenceRows | None:
    rows = read_packed(place, key)
    try:
        return None if rows is None else msgspec.convert(rows, DifferenceRows)
    except msgspec.ValidationError:
        return None


def _key(
    before: tuple[Warehouse, str], after: tuple[Warehouse, str], asked: list[str]
) -> str | None:
    """What the rows are made from; None where events cannot be read."""
    lines = [json.dumps(asked), *QUERIES.values(), MODELS]
    old, new = before[1], after[1]
    for store, sweep in (before, after):
        lines.append(parts_key(store, code_digest(), sweep)[0])
        # Events of either sweep count, in whichever of the warehouses they lie.
        index = store.index_events([old, new])
        if index is None:
            return None
        lines += [index.watermark(one, BEFORE_ALL) for _, one in (before, after)]
    return digest_of(lines)
