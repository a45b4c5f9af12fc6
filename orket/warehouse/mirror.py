"""A folder of this machine that stands for a warehouse in an object store.

Parts never change and have names that no two writers choose, so a warehouse is the same
wherever its parts lie: what a command reads is fetched into the folder first, and what
it wrote there is stored afterwards, each part created once. What is gone from the store
was folded into another part, or taken out by somebody: it is put aside here too, once
all that the store has instead has been fetched.

A part that could not be stored, for a network that was gone or a process that was
killed, waits in the folder and is stored by the next command that has something to
store, or by `publish`.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from orket.errors import WarehouseError
from orket.records import DATASETS
from orket.warehouse import disk
from orket.warehouse.folds import PREFIX, SUFFIX, is_note, note_into, read_note
from orket.warehouse.object_store import ObjectGone, ObjectStore
from orket.warehouse.parts import (
    create_folder,
    list_partitions,
    list_parts,
    write_failure,
)

FRESH_SECONDS = 30.0
"""What was listed so lately is not listed again by the same process."""
PATIENCE_SECONDS = 30.0
"""A store that failed during a sweep is not tried again before."""
LEASES = "leases"
"""Where leases of sweeps lie (see `orket.warehouse.lease`), there and here."""
GONE = ".gone"
"""Where copies of parts lie that the store has no more."""
_STORED = ".stored"
"""Names of the parts that the store is known to have, one a line; those that are gone
from it stand there again, after a mark."""
_NO_MORE = "-"
_MOST_LISTS = 9
"""So often a prefix is listed again of which others removed parts meanwhile."""
_EVENTS = re.compile(r"part-[\w.-]+\.parquet", re.ASCII)
_OF_SWEEP = re.compile(r"sweep_id=[\w.%~-]+/part-[\w.-]+\.parquet", re.ASCII)


def mirror_folder(url: str) -> Path:
    """Where the mirror of a URL lies: below $XDG_STATE_HOME, or its default.

    It is no cache: parts may wait there to be stored.
    """
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    url = url.rstrip("/")
    name = re.sub(r"[^A-Za-z0-9.-]+", "-", url.partition("://")[2])[:60].strip("-.")
    # Two stores may have a bucket of one name.
    server = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    key = hashlib.sha256(f"{server or ''} {url}".encode()).hexdigest()[:12]
    return Path(home) / "orket" / "warehouses" / f"{name or 'warehouse'}-{key}"


class _Listing(NamedTuple):
    at: float
    by_folder: dict[str, dict[str, int]]
    """Folder -> sizes, bytes, by name, of the parts in it."""
    notes: frozenset[str]
    """Names of notes of folds."""
    known: frozenset[str]
    """Names of parts that were known to be stored before it was listed."""

    def sizes(self, prefix: str) -> dict[str, int]:
        """Sizes, bytes, by name, of the parts below a prefix."""
        if prefix in self.by_folder or "/" in prefix:
            return self.by_folder.get(prefix, {})
        return {
            name: size for own in self.by_folder.values() for name, size in own.items()
        }

    def gone(self, prefix: str) -> list[str]:
        """Parts below a prefix that were known to be stored, and were not any more."""
        below = f"{prefix}/"
        return sorted(
            name
            for name in self.known.difference(self.sizes(prefix))
            if name.startswith(below)
        )


class Mirror:
    """Keeps a folder and an object store alike, as far as a command needs it."""

    def __init__(self, url: str) -> None:
        """Asks nobody yet. Raises UsageError for what is no such URL."""
        self.store = ObjectStore(url)
        self.folder = mirror_folder(self.store.url)
        self._listed: dict[str, _Listing] = {}
        self._pulled: set[str] = set()
        self._stored: set[str] | None = None
        self._failed_at = float("-inf")

    def pull(self, prefix: str) -> None:
        """Fetch what the store has below a prefix and this folder lacks.

        `sweeps`, `events`, `runs/sweep_id=...`. Raises WarehouseError.
        """
        if prefix in self._pulled and self._fresh(prefix) is not None:
            return
        for _ in range(_MOST_LISTS):
            try:
                self._pull(prefix)
                return
            except ObjectGone:
                self.forget()
        raise WarehouseError(
            f"parts of {self.store.url} go again and again while they are read",
            "wait for the end of orket compact",
        )

    def forget(self) -> None:
        """Ask the store again for all that was listed so far."""
        self._listed.clear()

    def notes(self, prefix: str) -> list[str]:
        """Names of the notes of folds right below a prefix. Raises WarehouseError."""
        return sorted(
            name
            for name in self._listing(prefix).notes
            if name.rpartition("/")[0] == prefix
        )

    def crowded(self, dataset: str) -> list[str]:
        """Names of folders with more than one part, or with notes of folds."""
        listing = self._listing(dataset)
        found = {folder for folder, own in listing.by_folder.items() if len(own) > 1}
        found |= {name.rpartition("/")[0] for name in listing.notes}
        return sorted(folder.rpartition("/")[2] for folder in found)

    def may_be_stored(self, name: str) -> bool:
        """Whether a part here is a copy of what the store has, or had."""
        return name in self._known()

    def _pull(self, prefix: str) -> None:
        listing = self._listing(prefix)
        there = listing.sizes(prefix)
        lacking = []
        for name, size in there.items():
            try:
                here = (self.folder / name).stat().st_size
            except FileNotFoundError:
                lacking.append(name)
                continue
            if here != size:
                raise WarehouseError(
                    f"{name} has {size} bytes in {self.store.url} and {here} in "
                    f"{self.folder}",
                    "one of them is damaged: move the one in the folder away",
                )
        self._fetch(lacking)
        self.note_stored(there)
        # Only now: of what a part was folded into all is here.
        self._put_aside(listing.gone(prefix))
        self._pulled.add(prefix)

    def _put_aside(self, names: Sequence[str]) -> None:
        """Let copies of what the store has no more count no more."""
        try:
            for name in names:
                place = self.folder / name
                if place.exists():
                    aside = self.folder / GONE / name
                    disk.make_folder(aside.parent)
                    disk.rename(place, aside)
        except OSError as error:
            raise write_failure(self.folder, error) from error
        self._write_stored([f"{_NO_MORE}{name}" for name in names])
        self._known().difference_update(names)

    def put_aside(self, name: str) -> None:
        """Let a part of this folder count no more. Raises WarehouseError."""
        self._put_aside([name])

    def sizes(self, prefix: str) -> dict[str, int]:
        """Sizes, bytes, by name, of the parts that the store has below a prefix.

        A listing of a whole dataset tells of each sweep in it. Raises WarehouseError.
        """
        return self._listing(prefix).sizes(prefix)

    def _listing(self, prefix: str) -> _Listing:
        """What the store has below a prefix, or below the dataset it lies in."""
        found = self._fresh(prefix)
        if found is None:
            known = frozenset(self._known())
            listed: dict[str, dict[str, int]] = {}
            notes = set()
            for name, size in self.store.sizes(f"{prefix}/").items():
                folder, _, own = name.rpartition("/")
                if _is_part(name):
                    listed.setdefault(folder, {})[name] = size
                elif is_note(own) and _is_part(f"{folder}/{note_into(own)}"):
                    notes.add(name)
            found = _Listing(time.monotonic(), listed, frozenset(notes), known)
            self._listed[prefix] = found
            self._pulled.discard(prefix)
        return found

    def partitions(self, dataset: str) -> list[str]:
        """Folder names of the sweeps in a dataset, there or here, sorted."""
        there = self.store.folders(f"{dataset}/")
        here = [folder.name for folder in list_partitions(self.folder / dataset)]
        return sorted({*there, *here})

    def publish(self) -> None:
        """Store every part that is here alone. Raises WarehouseError."""
        self._store(self._waiting())

    def publish_soon(self) -> None:
        """The same in the midst of a sweep: a store that fails is tried again later."""
        if time.monotonic() - self._failed_at < PATIENCE_SECONDS:
            return
        try:
            self.publish()
        except WarehouseError:
            # Said at the end, by `publish`, where it is still so.
            self._failed_at = time.monotonic()

    def _fresh(self, prefix: str) -> _Listing | None:
        """What was listed lately of a prefix, or of the dataset that it lies in."""
        since = time.monotonic() - FRESH_SECONDS
        for known in (prefix, prefix.partition("/")[0]):
            listing = self._listed.get(known)
            if listing is not None and listing.at > since:
                return listing
        return None

    def _fetch(self, names: list[str]) -> None:
        """Each under a hidden name first: no reader sees half of a part."""
        hidden = {name: _hidden(self.folder / name) for name in names}
        if not hidden:
            return
        for folder in {path.parent for path in hidden.values()}:
            create_folder(folder)
        try:
            self.store.fetch(hidden)
            for name, path in hidden.items():
                disk.rename(path, self.folder / name)
        except OSError as error:
            raise write_failure(self.folder, error) from error
        finally:
            for path in hidden.values():
                path.unlink(missing_ok=True)

    def _waiting(self) -> Iterator[str]:
        """Parts of this folder that the store is not known to have, oldest first.

        Ends of leases come last: who takes a sweep up then finds all its parts.
        """
        known = self._known()
        for dataset in DATASETS:
            place = self.folder / dataset
            folders = [place] if dataset == "events" else list_partitions(place)
            for folder in folders:
                folded = _being_folded(folder)
                for part in list_parts(folder):
                    if part.name in folded:
                        continue  # Whoever folds it stores it, and says so.
                    name = part.relative_to(self.folder).as_posix()
                    if name not in known:
                        yield name
        for ended in sorted((self.folder / LEASES).glob("*/*.ended")):
            name = ended.relative_to(self.folder).as_posix()
            if name not in known:
                yield name

    def _store(self, names: Iterable[str]) -> None:
        for name in list(names):
            try:
                content = (self.folder / name).read_bytes()
            except OSError as error:
                raise WarehouseError(
                    f"{self.folder / name} cannot be read ({error.strerror or error})",
                    "it is in no store yet: see that it can be read",
                ) from error
            # It may be there: stored by a process that was killed before it noted so.
            self.store.create(name, content)
            self.note_stored([name])

    def _known(self) -> set[str]:
        if self._stored is None:
            try:
                lines = (self.folder / _STORED).read_text("utf-8").splitlines()
            except FileNotFoundError:
                lines = []
            except OSError as error:
                raise write_failure(self.folder, error) from error
            found: set[str] = set()
            for line in lines:
                if line.startswith(_NO_MORE):
                    found.discard(line.removeprefix(_NO_MORE))
                else:
                    found.add(line)
            self._stored = found
        return self._stored

    def note_stored(self, names: Iterable[str]) -> None:
        """A note that gets lost costs that a part is offered again, and refused."""
        known = self._known()
        new = [name for name in names if name not in known]
        self._write_stored(new)
        known.update(new)

    def _write_stored(self, lines: Sequence[str]) -> None:
        if not lines:
            return
        create_folder(self.folder)
        try:
            with (self.folder / _STORED).open("a", encoding="utf-8") as file:
                file.write("".join(f"{line}\n" for line in lines))
        except OSError as error:
            raise write_failure(self.folder, error) from error


def _being_folded(folder: Path) -> set[str]:
    """Names of the parts that a fold makes which has not come to its end."""
    found = set()
    for path in folder.glob(f"{PREFIX}*{SUFFIX}"):
        with suppress(FileNotFoundError):
            note = read_note(path)
            if note is not None:
                found.add(note.into)
    return found


def _is_part(name: str) -> bool:
    """Whether an object is a part where parts lie; what else lies there is let be."""
    dataset, _, rest = name.partition("/")
    pattern = _EVENTS if dataset == "events" else _OF_SWEEP
    return dataset in DATASETS and pattern.fullmatch(rest) is not None


def _hidden(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")
