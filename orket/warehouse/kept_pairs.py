"""What two sweeps say beside each other (`v1.drift`), kept like what one says alone.

A kept file names the parts and events of both sweeps and the code that judges; it
counts only while they are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from orket.errors import WarehouseError
from orket.warehouse.derived import (
    code_digest,
    derived_folder,
    digest_of,
    read_kept,
    write_kept,
)
from orket.warehouse.kept import parts_key
from orket.warehouse.packed import pack, unpack

if TYPE_CHECKING:
    from orket.warehouse.event_index import EventIndex
    from orket.warehouse.store import Warehouse

_BEFORE_ALL = datetime(1970, 1, 1)
"""As the start of a sweep: no event of governance bears on it."""
_QUERY = "SELECT * FROM v1.drift ORDER BY quant_rank DESC NULLS LAST, quant_tag"
_MOST_PAIRS = 50
"""How many are derived at once."""


class Pair(NamedTuple):
    """Two sweeps of one machine, and the model that both have."""

    before_sweep: str
    after_sweep: str
    model_id: str


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    key: str
    rows: msgspec.Raw


def read_pairs(
    warehouse: Warehouse, pairs: Sequence[Pair]
) -> Mapping[Pair, list[dict[str, Any]]]:
    """The rows of `v1.drift` of each pair, most precise quant first.

    A pair that cannot be read is left out where the warehouse tolerates that; raises
    WarehouseError where it does not.
    """
    found: dict[Pair, list[dict[str, Any]]] = {}
    missing: dict[Pair, str | None] = {}
    index = _index(warehouse)
    for pair in dict.fromkeys(pairs):
        key = _key(warehouse, index, pair)
        rows = _take(warehouse, pair, key)
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
    before = warehouse.count_left_out()
    with warehouse.pairs_session(pairs) as session:
        rows = session.rows(_QUERY)
    is_whole = warehouse.count_left_out() == before
    index = _index(warehouse)
    for pair in pairs:
        own = [row for row in rows if Pair(*(row[key] for key in Pair._fields)) == pair]
        key = keys[pair]
        if is_whole and key is not None and _key(warehouse, index, pair) == key:
            _put(_place(warehouse, pair), key, own)
        yield pair, own


def _put(place: Path, key: str, rows: list[dict[str, Any]]) -> None:
    try:
        packed = pack(rows)
    except TypeError:
        return
    write_kept(place, msgspec.msgpack.encode(_Kept(key, packed)))


def _take(
    warehouse: Warehouse, pair: Pair, key: str | None
) -> list[dict[str, Any]] | None:
    content = read_kept(_place(warehouse, pair))
    if content is None or key is None:
        return None
    try:
        kept = msgspec.msgpack.decode(content, type=_Kept)
        if kept.key != key:
            return None
        rows: list[dict[str, Any]] = unpack(kept.rows)
    except (msgspec.DecodeError, ValueError):
        return None
    return rows


def _place(warehouse: Warehouse, pair: Pair) -> Path:
    return derived_folder(warehouse.path) / f"pair-{digest_of(pair)[:32]}"


def _index(warehouse: Warehouse) -> EventIndex | None:
    return warehouse.events({"events": warehouse.parts("events")}).index()


def _key(warehouse: Warehouse, index: EventIndex | None, pair: Pair) -> str | None:
    """What the rows of a pair are made from; None where events cannot be read."""
    if index is None:
        return None
    lines = [_QUERY, *pair]
    for sweep in (pair.before_sweep, pair.after_sweep):
        lines.append(parts_key(warehouse, code_digest(), sweep)[0])
        lines.append(index.watermark(sweep, _BEFORE_ALL))
    return digest_of(lines)
