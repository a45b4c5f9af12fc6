"""Facts of GGUF files on this machine: digest, size, number of weights.

Hashing a ladder of a 7B model takes a minute, so that the digest of a file is kept
beside its size and times, and read again only when one of them changed.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from orket.errors import UsageError

_MAGIC = b"GGUF"
_SCALAR_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY = 8, 9
_MOST = 1 << 24
"""Entries of a header beyond which a file is taken to be damaged."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What a file of weights is, whoever serves it."""

    digest: str
    model_bytes: int
    parameters: int | None
    """None where the header cannot be read."""


def read_weights(path: Path) -> Weights:
    """The facts of one file. Raises UsageError when it cannot be read."""
    try:
        status = path.stat()
        key = f"{path.resolve()}|{status.st_size}|{status.st_mtime_ns}|{status.st_ino}"
        known = _read_cache()
        if key in known:
            digest, parameters = known[key]
        else:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                parameters = count_parameters(file)
            _write_cache(known | {key: (digest, parameters)})
    except OSError as error:
        raise UsageError(f"cannot read {path} ({error.strerror})") from error
    return Weights(f"sha256:{digest}", status.st_size, parameters)


def count_parameters(file: BinaryIO) -> int | None:
    """Number of weights by a GGUF header; None when it is not one."""
    try:
        file.seek(0)
        if file.read(4) != _MAGIC:
            return None
        _, tensors, entries = struct.unpack("<IQQ", _exactly(file, 20))
        if max(tensors, entries) > _MOST:
            return None
        for _ in range(entries):
            _skip_string(file)
            _skip_value(file, _number(file, "<I"))
        return sum(_tensor_size(file) for _ in range(tensors))
    except (ValueError, KeyError):
        return None


def _tensor_size(file: BinaryIO) -> int:
    _skip_string(file)
    dimensions = _number(file, "<I")
    if dimensions > 8:
        raise ValueError("too many dimensions")
    sizes = struct.unpack(f"<{dimensions}Q", _exactly(file, 8 * dimensions))
    _exactly(file, 12)
    return math.prod(sizes)


def _skip_value(file: BinaryIO, kind: int) -> None:
    if kind == _STRING:
        _skip_string(file)
    elif kind == _ARRAY:
        inner = _number(file, "<I")
        count = _number(file, "<Q")
        if inner in _SCALAR_BYTES:
            file.seek(_SCALAR_BYTES[inner] * count, os.SEEK_CUR)
            return
        if count > _MOST:
            raise ValueError("array too long")
        for _ in range(count):
            _skip_value(file, inner)
    else:
        file.seek(_SCALAR_BYTES[kind], os.SEEK_CUR)


def _skip_string(file: BinaryIO) -> None:
    file.seek(_number(file, "<Q"), os.SEEK_CUR)


def _number(file: BinaryIO, layout: str) -> int:
    (value,) = struct.unpack(layout, _exactly(file, struct.calcsize(layout)))
    return int(value)


def _exactly(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise ValueError("file ends early")
    return data


def _cache_path() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "orket" / "weights.json"


def _read_cache() -> dict[str, tuple[str, int | None]]:
    """Digest and parameters by file; a cache that cannot be read is empty."""
    try:
        content = json.loads(_cache_path().read_bytes())
        return {
            key: (str(digest), parameters)
            for key, (digest, parameters) in content.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _write_cache(known: dict[str, tuple[str, int | None]]) -> None:
    """Keep the cache; where it cannot be written, files are hashed again next time."""
    path = _cache_path()
    hidden = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        hidden.write_text(json.dumps(known), encoding="utf-8")
        hidden.replace(path)
    except OSError:
        hidden.unlink(missing_ok=True)
