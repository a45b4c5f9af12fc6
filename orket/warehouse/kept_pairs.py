"""What two sweeps say beside each other (`v1.drift`), kept like what one says alone.

A kept file names the parts and events of both sweeps and the code that judges; it
counts only while they are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from orket.errors import WarehouseError
from orket.warehouse.derived import code_digest, derived_folder, digest_of
from orket.warehouse.kept import parts_key
from orket.warehouse.packed import BEFORE_ALL, read_packed, write_packed

if TYPE_CHECKING:
    from orket.warehouse.event_index import EventIndex
    from orket.warehouse.store import Warehouse

_QUERY = "SELECT * FROM v1.drift ORDER BY quant_rank DESC NULLS LAST, quant_tag"
_MOST_PAIRS = 50
"""How many are derived at once."""


class Pair(NamedTuple):
    """Two sweeps of one machine, and the model that both have."""

    before_sweep: str
    after_sweep: str
    model_id: str


def read_pairs(
    warehouse: Warehouse, pairs: Sequence[Pair]
) -> Mapping[Pair, list[dict[str, Any]]]:
    """The rows of `v1.drift` of each pair, most precise quant first.

    A pair that cannot be read is left out where the warehouse tolerates that; raises
    WarehouseError where it does not.
    """
    found: dict[Pair, list[dict[str, Any]]] = {}
    missing: dict[Pair, str | None] = {}
    index = _index(warehouse, pairs)
    for pair in dict.fromkeys(pairs):
        key = _key(warehouse, index, pair)
        rows = None if key is None else read_packed(_place(warehouse, pair), key)
        if rows is None:
            missing[pair] = key
        else:
            found[pair] = rows
    listed = list(missing)
    for start in range(0, len(listed), _MOST_PAIRS):
        batch = listed[start : start + _MOST_PAIRS]
        try:
            found.update(_derive(warehouse, batch, missing))
        except WarehouseError:
            if not warehouse.is_tolerant:
                raise
    return found


def _derive(
    warehouse: Warehouse, pairs: Sequence[Pair], keys: Mapping[Pair, str | None]
) -> Iterator[tuple[Pair, list[dict[str, Any]]]]:
    with warehouse.pairs_session(pairs) as session:
        rows = session.rows(_QUERY)
    damaged = warehouse.left_out.sweeps()
    index = _index(warehouse, pairs)
    for pair in pairs:
        own = [row for row in rows if Pair(*(row[key] for key in Pair._fields)) == pair]
        key = keys[pair]
        is_whole = damaged.isdisjoint((pair.before_sweep, pair.after_sweep))
        if is_whole and key is not None and _key(warehouse, index, pair) == key:
            write_packed(_place(warehouse, pair), key, own)
        yield pair, own


def _place(warehouse: Warehouse, pair: Pair) -> Path:
    return derived_folder(warehouse.path) / f"pair-{digest_of(pair)[:32]}"


def _index(warehouse: Warehouse, pairs: Iterable[Pair]) -> EventIndex | None:
    sweeps = {sweep for before, after, _ in pairs for sweep in (before, after)}
    return warehouse.index_events(sweeps)


def _key(warehouse: Warehouse, index: EventIndex | None, pair: Pair) -> str | None:
    """What the rows of a pair are made from; None where events cannot be read."""
    if index is None:
        return None
    lines = [_QUERY, *pair]
    for sweep in (pair.before_sweep, pair.after_sweep):
        lines.append(parts_key(warehouse, code_digest(), sweep)[0])
        lines.append(index.watermark(sweep, BEFORE_ALL))
    return digest_of(lines)
