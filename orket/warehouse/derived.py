"""What was derived once and is kept in the hidden folder `.derived` of a warehouse.

Nothing in it is a fact: each file says what it was made from and carries a checksum,
and is made again where either does not fit. The folder may be deleted at any time;
where it cannot be written, everything is derived anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path

import msgspec

from orket import __version__
from orket.resources import shipped
from orket.warehouse import disk
from orket.warehouse.parts import time_ordered_id
from orket.warehouse.view_files import VIEW_VERSION

_MAGIC = b"orket-derived-1\n"
_CHECKSUM = hashlib.sha256().digest_size
SOURCES = (
    "admission.py",
    "evidence.py",
    "limits.py",
    "policy.py",
    "records/*.py",
    "row_types.py",
    "text.py",
    "warehouse/event_fold.py",
    "warehouse/evidence_tables.py",
    "warehouse/raw.py",
    "warehouse/schema.py",
    "warehouse/statements.py",
    "warehouse/view_files.py",
    "warehouse/views.py",
)
"""The modules that have a say in what the views give."""


class Stat(msgspec.Struct, frozen=True, order=True, array_like=True):
    """A part as it lies there: written again, it is another."""

    name: str
    size: int
    changed_ns: int


class KeptRows(msgspec.Struct, frozen=True):
    """Rows of a dataset that were read before, as they are declared."""

    file: Path
    """A Parquet file of them, each with the name of its part."""
    parts: frozenset[str]
    """The names of the parts whose rows it has."""


def stat_part(path: Path) -> Stat:
    """A part as it lies there. Raises OSError when it is gone."""
    found = path.stat()
    return Stat(path.name, found.st_size, found.st_mtime_ns)


def derived_folder(warehouse: Path) -> Path:
    """Where a warehouse keeps what was derived."""
    return warehouse / ".derived"


@cache
def code_digest() -> str:
    """A hash of all that decides what the views make of rows."""
    package = Path(__file__).resolve().parent.parent
    files = [
        *sorted((shipped("sql") / VIEW_VERSION).glob("*.sql")),
        *sorted((shipped("sql") / "evidence").glob("*.sql")),
        *(file for name in SOURCES for file in sorted(package.glob(name))),
    ]
    digest = hashlib.sha256(__version__.encode())
    for file in files:
        content = file.read_bytes()
        digest.update(f"\n{file.name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def digest_of(lines: Iterable[str]) -> str:
    """A hash of lines of text."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode())
        digest.update(b"\n")
    return digest.hexdigest()


def read_kept(path: Path) -> bytes | None:
    """The content of a kept file; None where there is none, or it is damaged."""
    try:
        content = disk.read_plain(path)
    except OSError:
        return None
    start = len(_MAGIC) + _CHECKSUM
    if content[: len(_MAGIC)] != _MAGIC:
        return None
    if hashlib.sha256(content[start:]).digest() != content[len(_MAGIC) : start]:
        return None
    return content[start:]


def open_derived(warehouse: Path) -> None:
    """Make the folder of what was derived, and those above it. Raises OSError."""
    disk.make_folder(warehouse)
    _open_folder(derived_folder(warehouse))


def _open_folder(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(exist_ok=True)
        # A warehouse may lie in a repository, what is derived from it should not.
        disk.write_file(folder / ".gitignore", b"*\n")


def write_kept(path: Path, content: bytes) -> bool:
    """Put a file in its place as a whole, or leave what is there; says whether.

    Another process may do the same at once: what one of them wrote stands in the end.
    """
    hidden = path.with_name(f".{time_ordered_id()}.tmp")
    checksum = hashlib.sha256(content).digest()
    try:
        _open_folder(path.parent)
        # Not synced: what a power cut tears does not fit its checksum.
        with disk.create(hidden) as file:
            disk.write(file.fileno(), _MAGIC + checksum + content, hidden)
            disk.rename_locked(file, hidden, path)
    except OSError:
        with suppress(OSError):
            hidden.unlink(missing_ok=True)
        return False
    return True
