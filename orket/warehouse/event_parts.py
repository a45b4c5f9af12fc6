"""What is known of each part of events, and the file in which their rows are kept."""

from __future__ import annotations

from pathlib import Path

import msgspec

from orket.warehouse.derived import KeptRows, Stat, read_kept

MOST_LOOSE = 8
"""So many parts are opened beside the kept file before it is written anew."""


Act = tuple[int, str]
"""An event of governance: when, us since 1970, and a hash of its row."""
NO_ACTS = msgspec.msgpack.encode(())


class Index(msgspec.Struct, frozen=True, array_like=True):
    """All parts of events of a warehouse, as the kept file of this name has them.

    By what stands in their rows: in which part a row lies says nothing of a sweep.
    """

    code: str
    parts: tuple[Stat, ...] = ()
    file: str = ""
    """Name of the file that holds the rows of the first `folded` parts; '' is none."""
    folded: int = 0
    governed: tuple[tuple[int, str], ...] = ()
    """For each moment of governance, in order, a hash of all acts up to it."""
    ends: dict[str, tuple[str, ...]] = {}
    """Sweep -> a hash of the row of each of its other events, in order."""
    acts: msgspec.Raw = msgspec.Raw(NO_ACTS)
    """All acts in order, for when more come: few looks need them, and they are many."""

    def is_complete(self, folder: Path, parts: int) -> bool:
        """Whether all parts are known, and enough of their rows are together."""
        return (
            len(self.parts) == parts
            and parts - self.folded <= MOST_LOOSE
            and (not self.file or (folder / self.file).exists())
        )

    def copy_rows(self, folder: Path, spill: Path) -> KeptRows | None:
        """The rows that are kept together, copied to `spill`; None where none are."""
        content = read_kept(folder / self.file) if self.file else None
        if content is None:
            return None
        # A copy: another process may write another file and take this one away.
        place = spill / "events.parquet"
        place.write_bytes(content)
        names = [part.name for part in self.parts[: self.folded]]
        return KeptRows(place, frozenset(names))
