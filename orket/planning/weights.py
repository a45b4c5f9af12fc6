"""Facts of GGUF files on this machine: digest, size, number of weights.

Hashing the ladder of a 7B model takes a minute, so that the digest of a file is kept
beside its size and times, and computed again only when one of them changed.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import msgspec

from orket.errors import UsageError
from orket.gguf import BadGguf, file_parts, hash_file, join_digests, read_header
from orket.records import NO_JSON

_Types = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Weights:
    """What a file of weights is, whoever serves it."""

    digest: str
    model_bytes: int
    parameters: int | None
    """None where the header cannot be read."""
    tensor_types: _Types = ()
    """How many tensors are stored in which type."""
    publisher: str | None = None
    """Who made them, by the header's word."""


class _Part(msgspec.Struct, frozen=True, array_like=True):
    """What is kept of one file."""

    digest: str
    parameters: int | None
    tensor_types: _Types
    publisher: str | None


_Known = dict[str, _Part]


def read_weights(path: Path) -> Weights:
    """The facts of one model file with all its parts. Raises UsageError."""
    files = file_parts(path)
    try:
        parts = [_read_part(file) for file in files]
        model_bytes = sum(file.stat().st_size for file in files)
    except OSError as error:
        where = error.filename or path
        raise UsageError(f"cannot read {where} ({error.strerror})") from error
    digests = [part.digest for part in parts]
    counts = [part.parameters for part in parts]
    types: Counter[str] = Counter()
    for part in parts:
        types.update(dict(part.tensor_types))
    return Weights(
        join_digests(digests),
        model_bytes,
        None if None in counts else sum(count or 0 for count in counts),
        tuple(sorted(types.items())),
        parts[0].publisher,
    )


def _read_part(path: Path) -> _Part:
    status = path.stat()
    key = f"{path.resolve()}|{status.st_size}|{status.st_mtime_ns}|{status.st_ino}"
    known = _read_cache()
    if key not in known:
        known[key] = _read_file(path)
        _write_cache(known)
    return known[key]


def _read_file(path: Path) -> _Part:
    digest = hash_file(path)
    try:
        header = read_header(path)
    except BadGguf:
        # A broken file fails when it is loaded, as a recorded fact.
        return _Part(digest, None, (), None)
    return _Part(digest, header.parameters, header.tensor_types, header.publisher)


def _cache_path() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "orket" / "weights.json"


def _read_cache() -> _Known:
    """What is kept by file; a cache that cannot be read is empty."""
    try:
        return msgspec.json.decode(_cache_path().read_bytes(), type=dict[str, _Part])
    except (OSError, *NO_JSON):
        return {}


def _write_cache(known: _Known) -> None:
    """Keep the cache; where it cannot be written, files are hashed again next time."""
    path = _cache_path()
    hidden = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        hidden.write_bytes(msgspec.json.encode(known))
        hidden.replace(path)
    except OSError:
        hidden.unlink(missing_ok=True)
