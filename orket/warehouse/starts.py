"""Which sweeps there are, and in which order, without listing every folder each time.

A folder that has not changed since it was listed holds what it held. One that changed
in the last moments may change again without a later time: it is not relied on.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec

from orket.warehouse.derived import derived_folder, read_kept, write_kept
from orket.warehouse.parts import is_partition, list_parts

_SETTLED_NS = 10_000_000_000
"""File systems tell times to a few seconds at worst, and clocks differ."""


class _Listed(msgspec.Struct, frozen=True, array_like=True):
    changed_ns: int
    first: str
    """Name of its first part; '' is none."""


def first_manifests(warehouse: Path) -> dict[str, str]:
    """Folder of a sweep's manifests -> its first part; none for one without parts.

    Raises WarehouseError when a folder cannot be read.
    """
    place = derived_folder(warehouse) / "starts"
    kept = _read(place)
    found: dict[str, _Listed] = {}
    settled = time.time_ns() - _SETTLED_NS
    for name, changed_ns in _folders(warehouse / "sweeps"):
        listed = kept.get(name)
        if listed is None or listed.changed_ns != changed_ns:
            parts = list_parts(warehouse / "sweeps" / name)
            listed = _Listed(changed_ns, parts[0].name if parts else "")
        found[name] = listed
    sure = {name: one for name, one in found.items() if one.changed_ns < settled}
    if sure != kept:
        write_kept(place, msgspec.msgpack.encode(sure))
    return {name: listed.first for name, listed in found.items() if listed.first}


def _read(place: Path) -> dict[str, _Listed]:
    content = read_kept(place)
    if content is None:
        return {}
    try:
        return msgspec.msgpack.decode(content, type=dict[str, _Listed])
    except msgspec.DecodeError:
        return {}


def _folders(place: Path) -> list[tuple[str, int]]:
    """The folders of sweeps in a dataset, and when each was changed, ns."""
    try:
        with os.scandir(place) as entries:
            return [
                (entry.name, entry.stat().st_mtime_ns)
                for entry in entries
                if is_partition(entry.name)
            ]
    except OSError:
        # Told as it always is: an empty warehouse is normal, an unreadable one is not.
        list_parts(place)
        return []
