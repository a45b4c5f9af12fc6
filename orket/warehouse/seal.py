"""The seal of a part: a checksum of all its bytes, recorded in it when it is written.

It stands among the part's own Parquet metadata, so that it goes wherever the file goes.
A part is written with a blank seal; the SHA-256 of the file as it then is takes the
place of the zeros. The seal finds accidents: who can write a part can seal it anew.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import BinaryIO

from orket.warehouse.disk import open_plain

KEY = "orket_seal"
_TAG = "orket-seal:"
_DIGITS = 64
_ZEROS = "0" * _DIGITS
BLANK = _TAG + _ZEROS
"""What a part is written with under the key."""

# The two strings as Thrift's compact protocol writes them: field, length, bytes.
_RECORDED = re.compile(
    b"\x18%c%s\x18%c%s([0-9a-f]{%d})"
    % (len(KEY), KEY.encode(), len(BLANK), _TAG.encode(), _DIGITS)
)
_TRACES = (KEY.encode(), _TAG.encode())
_MAGIC = b"PAR1"
_TAIL = 8
_CHUNK = 1 << 20


def seal(file: BinaryIO) -> None:
    """Record the checksum of a part that was written with a blank seal, in its place.

    Raises OSError.
    """
    found = _find(file)
    if isinstance(found, tuple) and found[1] == _ZEROS:
        digest = _digest(file, found[0])
        file.seek(found[0])
        file.write(digest.encode())
        file.flush()


def check_seal(path: Path) -> bool | None:
    """Whether a part has the bytes it was written with; None: that is not recorded.

    Raises OSError when it cannot be read.
    """
    with open_plain(path) as file:
        found = _find(file)
        if isinstance(found, bool):
            return False if found else None
        start, recorded = found
        if recorded == _ZEROS:
            return None
        return _digest(file, start) == recorded


def _find(file: BinaryIO) -> tuple[int, str] | bool:
    """Where the digits stand in the file, and they; else whether there are traces."""
    size = file.seek(0, os.SEEK_END)
    if size < _TAIL:
        return False
    file.seek(size - _TAIL)
    tail = file.read(_TAIL)
    length = int.from_bytes(tail[:4], "little")
    if tail[4:] != _MAGIC or length > size - _TAIL:
        return False
    start = size - _TAIL - length
    file.seek(start)
    footer = file.read(length)
    # Statistics of the rows come first, and may hold any text.
    matches = list(_RECORDED.finditer(footer))
    if not matches:
        return any(trace in footer for trace in _TRACES)
    return start + matches[-1].start(1), matches[-1][1].decode()


def _digest(file: BinaryIO, start: int) -> str:
    """SHA-256 of a file, with zeros for the digits of the seal."""
    digest = hashlib.sha256()
    file.seek(0)
    left = start
    while left and (chunk := file.read(min(_CHUNK, left))):
        digest.update(chunk)
        left -= len(chunk)
    digest.update(_ZEROS.encode())
    file.seek(start + _DIGITS)
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()
