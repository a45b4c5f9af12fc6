"""Names of files after ids that somebody else chose: no two ids share a file."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from urllib.parse import quote

from orket.limits import MAX_FOLDER_BYTES

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.~")
_DEVICES = frozenset(
    ("con", "prn", "aux", "nul", "conin$", "conout$")
    + tuple(f"{port}{number}" for port in ("com", "lpt") for number in range(10))
)
"""What Windows takes for a device, whatever stands behind the first dot."""


def file_stems(ids: Iterable[str]) -> dict[str, str]:
    """Id -> the name of its file without the ending, quoted as in a URL.

    macOS and Windows take upper and lower case for one name: of ids that differ by it
    alone, each has its upper case quoted too. What no file can be called is cut, with
    a digest of the id behind it.
    """
    plain = {name: quote(name, safe="") for name in ids}
    times = Counter(stem.casefold() for stem in plain.values())
    return {
        name: _fit(
            name,
            _quote_all(name)
            if times[stem.casefold()] > 1 or _is_device(stem)
            else stem,
        )
        for name, stem in plain.items()
    }


def _is_device(stem: str) -> bool:
    return stem.partition(".")[0].casefold() in _DEVICES


def _quote_all(name: str) -> str:
    """Nothing plain but lower case; of a device not its first letter either."""
    stem = "".join(
        char if char in _PLAIN else "".join(f"%{byte:02X}" for byte in char.encode())
        for char in name
    )
    return f"%{ord(stem[0]):02X}{stem[1:]}" if _is_device(stem) else stem


def _fit(name: str, stem: str) -> str:
    if len(stem) <= MAX_FOLDER_BYTES:
        return stem
    digest = hashlib.sha256(name.encode()).hexdigest()[:32]
    return f"{stem[: MAX_FOLDER_BYTES - len(digest) - 1]}-{digest}"
