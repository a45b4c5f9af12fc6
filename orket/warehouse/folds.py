"""Notes of parts whose rows were folded into a new one, and that are not gone yet.

The note comes first, then the new part. Once both are there, whoever lists the folder
passes over the old ones: so its rows are seen in the old parts or in the new one, and
never in both. Should the new part be lost, the old ones count again.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

import msgspec

from orket.records import NO_JSON
from orket.warehouse.disk import read_plain
from orket.warehouse.seal import check_seal

PREFIX, SUFFIX = ".fold-", ".json"
PART = re.compile(r"part-.*\.parquet")
"""Names of the files that hold rows."""


class Fold(msgspec.Struct, frozen=True, kw_only=True):
    """What one new part stands for."""

    into: str
    """Name of the new part."""
    rows: int
    parts: list[str]
    """Names of the parts whose rows it has."""


def note_path(folder: Path, into: str) -> Path:
    """Where the note of a new part lies."""
    return folder / f"{PREFIX}{into}{SUFFIX}"


def note_into(name: str) -> str:
    """Name of the new part that a note of this name is of."""
    return name.removeprefix(PREFIX).removesuffix(SUFFIX)


def is_note(name: str) -> bool:
    """Whether a file of this name is a note."""
    return name.startswith(PREFIX) and name.endswith(SUFFIX)


def read_note(path: Path) -> Fold | None:
    """A note; None where it is damaged. Raises FileNotFoundError where it is gone.

    One that names anything but parts of its own folder is none of Orket's.
    """
    try:
        content = read_plain(path)
    except FileNotFoundError:
        raise
    except OSError:
        return None
    return parse_note(path.name, content)


def parse_note(name: str, content: bytes) -> Fold | None:
    """What a note of this name says; None where it is damaged, or none of Orket's."""
    try:
        found = msgspec.json.decode(content, type=Fold)
    except NO_JSON:
        return None
    if note_path(Path(), found.into).name != name or found.into in found.parts:
        return None
    return found if all(map(_is_part, (found.into, *found.parts))) else None


def is_whole(folder: Path, note: Fold) -> bool:
    """Whether the new part is there with all rows, so that the old ones may go."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    part = folder / note.into
    try:
        if check_seal(part) is False:
            return False
        with pq.ParquetFile(part) as file:
            return bool(file.metadata.num_rows == note.rows)
    except (OSError, pa.ArrowException):
        return False


def _is_part(name: str) -> bool:
    return PART.fullmatch(name) is not None and "/" not in name and "\\" not in name


def folded_away(folder: Path, names: Collection[str]) -> set[str]:
    """Of the files in a folder, the parts whose rows another part there has.

    Raises FileNotFoundError where a note is gone meanwhile: then list again.
    """
    away: set[str] = set()
    for name in names:
        if is_note(name):
            note = read_note(folder / name)
            if note is not None and note.into in names:
                away.update(note.parts)
    return away
