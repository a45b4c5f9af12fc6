"""Folds of parts in an object store, by the same notes as in a folder.

A note is created first, then the new part, each once; only when both are listed are the
old parts removed, and the note last. Whoever reads meanwhile has the rows in the old
parts, in the new one, or in both, where they count once. What a process that died had
begun is ended by whoever has the lease next.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from orket.errors import WarehouseError
from orket.records import DATASETS
from orket.warehouse.folds import Fold, is_whole, note_path, parse_note
from orket.warehouse.mirror import Mirror
from orket.warehouse.parts import partition_name


class StoredFolds:
    """Folds of one store, by who has the lease of what is folded."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._store = mirror.store

    def has_notes(self, sweep_id: str | None) -> bool:
        """Whether somebody began to fold parts of a sweep, or the events."""
        folders = (
            ["events"]
            if sweep_id is None
            else [
                f"{dataset}/{partition_name(sweep_id)}"
                for dataset in DATASETS
                if dataset != "events"
            ]
        )
        return any(map(self._mirror.notes, folders))

    def settle(self, folder: Path) -> list[str] | None:
        """End what others had begun in a folder; new parts that are damaged.

        None: nothing was begun. The new parts are here already. Raises WarehouseError.
        """
        prefix = self._prefix(folder)
        damaged: list[str] = []
        if not (notes := self._mirror.notes(prefix)):
            return None
        for name in notes:
            content = self._store.read(name)
            note = parse_note(name.rpartition("/")[2], content)
            if note is None or not self._is_there(prefix, note.into):
                self._store.remove([name])
            elif is_whole(folder, note):
                self._end(prefix, note)
            else:
                damaged.append(note.into)
        self._mirror.forget()
        return damaged

    def resume(self, folder: Path, note: Fold) -> bool:
        """End what this machine had begun; False where others folded its parts.

        Raises WarehouseError.
        """
        prefix = self._prefix(folder)
        if not self._is_there(prefix, note.into) and not all(
            self._is_there(prefix, name) for name in note.parts
        ):
            self._mirror.put_aside(f"{prefix}/{note.into}")
            return False
        self.put(folder, note)
        return True

    def put(self, folder: Path, note: Fold) -> None:
        """Let a new part take the place of those that it stands for.

        Raises WarehouseError: the old ones stay until the new one is seen there.
        """
        prefix = self._prefix(folder)
        named = f"{prefix}/{note_path(folder, note.into).name}"
        self._store.create(named, msgspec.json.encode(note))
        try:
            content = (folder / note.into).read_bytes()
        except OSError as error:
            raise WarehouseError(
                f"{folder / note.into} cannot be read ({error.strerror or error})"
            ) from error
        self._store.create(f"{prefix}/{note.into}", content)
        self._mirror.forget()
        if self._mirror.sizes(prefix).get(f"{prefix}/{note.into}") != len(content):
            raise WarehouseError(
                f"{prefix}/{note.into} is not in {self._store.url} as it was written",
                "nothing was removed: run orket compact again",
            )
        self._mirror.note_stored([f"{prefix}/{note.into}"])
        self._end(prefix, note)

    def _end(self, prefix: str, note: Fold) -> None:
        """Remove what the new part stands for, then the note."""
        self._store.remove([f"{prefix}/{name}" for name in note.parts])
        self._store.remove([f"{prefix}/{note_path(Path(), note.into).name}"])
        self._mirror.forget()

    def _is_there(self, prefix: str, name: str) -> bool:
        return f"{prefix}/{name}" in self._mirror.sizes(prefix)

    def _prefix(self, folder: Path) -> str:
        return folder.relative_to(self._mirror.folder).as_posix()
