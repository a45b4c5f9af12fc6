"""Rows of views as MessagePack that gives back the very same values."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

_MOMENT, _LARGE = 1, 2
"""What MessagePack has no type for: a moment without a zone, an integer of 128 bits."""


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
