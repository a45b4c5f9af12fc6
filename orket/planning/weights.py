"""Facts of GGUF files on this machine: digest, size, number of weights.

Hashing the ladder of a 7B model takes a minute, so that the digest of a file is kept
beside its size and times, and computed again only when one of them changed.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from orket.errors import UsageError
from orket.gguf import BadGguf, file_parts, hash_file, read_header
from orket.planning.identity import hash_of

_Known = dict[str, tuple[str, int | None]]


@dataclass(frozen=True, slots=True)
class Weights:
    """What a file of weights is, whoever serves it."""

    digest: str
    model_bytes: int
    parameters: int | None
    """None where the header cannot be read."""


def read_weights(path: Path) -> Weights:
    """The facts of one model file with all its parts. Raises UsageError."""
    parts = file_parts(path)
    try:
        found = [_read_part(part) for part in parts]
    except OSError as error:
        where = error.filename or path
        raise UsageError(f"cannot read {where} ({error.strerror})") from error
    counts = [weights.parameters for weights in found]
    return Weights(
        found[0].digest if len(found) == 1 else hash_of([w.digest for w in found]),
        sum(weights.model_bytes for weights in found),
        None if None in counts else sum(count or 0 for count in counts),
    )


def _read_part(path: Path) -> Weights:
    status = path.stat()
    key = f"{path.resolve()}|{status.st_size}|{status.st_mtime_ns}|{status.st_ino}"
    known = _read_cache()
    if key not in known:
        known[key] = hash_file(path), _count_parameters(path)
        _write_cache(known)
    digest, parameters = known[key]
    return Weights(digest, status.st_size, parameters)


def _count_parameters(path: Path) -> int | None:
    try:
        return read_header(path).parameters
    except BadGguf:
        # A broken file fails when it is loaded, as a recorded fact.
        return None


def _cache_path() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "orket" / "weights.json"


def _read_cache() -> _Known:
    """Digest and parameters by file; a cache that cannot be read is empty."""
    try:
        content = json.loads(_cache_path().read_bytes())
        return {
            str(key): (str(digest), parameters)
            for key, (digest, parameters) in content.items()
            if parameters is None or isinstance(parameters, int)
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _write_cache(known: _Known) -> None:
    """Keep the cache; where it cannot be written, files are hashed again next time."""
    path = _cache_path()
    hidden = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        hidden.write_text(json.dumps(known), encoding="utf-8")
        hidden.replace(path)
    except OSError:
        hidden.unlink(missing_ok=True)
