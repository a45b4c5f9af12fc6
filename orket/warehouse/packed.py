"""Rows of views as MessagePack that gives back the very same values, kept by a key."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from orket.warehouse.derived import read_kept, write_kept

BEFORE_ALL = datetime(1970, 1, 1)
"""As the start of a sweep: no event of governance bears on it."""

_MOMENT, _LARGE = 1, 2
"""What MessagePack has no type for: a moment without a zone, an integer of 128 bits."""


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    key: str
    """What the rows are made from."""
    rows: msgspec.Raw


def write_packed(place: Path, key: str, rows: Any) -> None:
    """Keep rows under a key; not at all where they would not come back the same."""
    try:
        packed = pack(rows)
    except TypeError:
        return
    write_kept(place, msgspec.msgpack.encode(_Kept(key, packed)))


def read_packed(place: Path, key: str) -> Any:
    """The rows that are kept under this key; None where there are none."""
    content = read_kept(place)
    if content is None:
        return None
    try:
        kept = msgspec.msgpack.decode(content, type=_Kept)
        return unpack(kept.rows) if kept.key == key else None
    except (msgspec.DecodeError, ValueError):
        return None


def pack(value: Any) -> msgspec.Raw:
    """Rows as MessagePack. Raises TypeError for what would not come back the same."""
    return msgspec.Raw(msgspec.msgpack.encode(_plain(value)))


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        is_small = -(2**63) <= value < 2**63
        return value if is_small else msgspec.msgpack.Ext(_LARGE, b"%d" % value)
    if isinstance(value, datetime) and value.tzinfo is None:
        return msgspec.msgpack.Ext(_MOMENT, value.isoformat().encode())
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _plain(item) for key, item in value.items()}
    raise TypeError(f"a {type(value).__name__} is not kept")


def _read_ext(code: int, data: memoryview) -> Any:
    text = bytes(data).decode()
    if code == _MOMENT:
        return datetime.fromisoformat(text)
    if code == _LARGE:
        return int(text)
    raise ValueError(f"no extension {code}")


def unpack(content: msgspec.Raw | bytes) -> Any:
    """What `pack` packed. Raises DecodeError or ValueError for what it did not."""
    return _DECODER.decode(content)


_DECODER = msgspec.msgpack.Decoder(ext_hook=_read_ext)
