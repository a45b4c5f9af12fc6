"""One executor for a sweep at a time: a lock that dies with the process that holds it.

Whoever folds the parts of a sweep or the events holds it too.

The file stays where it is; what counts is the lock on it, which the system lets go of
when its holder ends, however it ends. Readers never ask for it. On NFS the lock holds
between machines where the mount has locks (NFSv4, or v3 with lockd); where a file
system has none at all, nothing is claimed and `Claim.is_held` says so.

Who wants to know whether a sweep runs looks at the lock for a moment, and takes it from
nobody: see `find_executor`.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from orket.errors import OrketError
from orket.warehouse.disk import open_plain
from orket.warehouse.locks import Holder, find_locker, is_taken, lock
from orket.warehouse.parts import create_folder, write_failure

_NAME = ".executor.lock"
_LONGEST_NAME = 300


FOLD = "fold"
"""The purpose of a claim that runs nothing."""


@dataclass(frozen=True, slots=True)
class Executor:
    """Whether a process runs a sweep now, as far as this machine can tell."""

    holder: Holder
    """NONE: no process does. UNKNOWN: that cannot be seen here."""
    name: str
    """What took the lock last, for what, where and when; empty: nobody ever did."""

    @property
    def is_running(self) -> bool:
        """A process has it, and not to fold its parts."""
        return self.holder is Holder.LIVING and not self.name.startswith(FOLD)


def find_executor(folder: Path) -> Executor:
    """Who runs the sweep whose runs lie in a folder."""
    path = folder / _NAME
    try:
        with open_plain(path) as file:
            name = _read_holder(file.fileno())
    except FileNotFoundError:
        return Executor(Holder.NONE, "")
    except OSError:
        return Executor(Holder.UNKNOWN, "")
    holder = find_locker(path)
    if holder is Holder.NONE and not _is_of_here(name):
        holder = Holder.UNKNOWN
    return Executor(holder, name)


class Claim:
    """The right to run one sweep, or to fold its parts, from `with` to its end."""

    def __init__(self, folder: Path, what: str, purpose: str = "run") -> None:
        """`what` is named, and `purpose` as the verb, where another is refused."""
        self._path = folder / _NAME
        self._what = what
        self._purpose = purpose
        self._handle: int | None = None
        self.is_held = False
        """False after entering: this file system has no locks."""
        self.is_refused = False
        """Whether another has it."""

    def __enter__(self) -> Claim:
        """Take the lock. Raises OrketError naming who holds it already."""
        create_folder(self._path.parent)
        try:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise write_failure(self._path.parent, error) from error
        try:
            self.is_held = lock(handle)
        except OSError as error:
            holder = _read_holder(handle)
            os.close(handle)
            if not is_taken(error):
                raise write_failure(self._path.parent, error) from error
            self.is_refused = True
            raise self._refuse(holder) from None
        try:
            os.ftruncate(handle, 0)
            os.write(handle, f"{self._purpose} by {name_holder()}".encode())
        except OSError as error:
            os.close(handle)
            raise write_failure(self._path.parent, error) from error
        self._handle = handle
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _refuse(self, holder: str) -> OrketError:
        return OrketError(
            f"{self._what} is being {holder or 'run by another process'}",
            "wait for its end, or stop it and resume then",
        )


def name_holder() -> str:
    """This process, its machine and the time, for whoever is refused."""
    now = datetime.now(UTC)
    host = socket.gethostname()
    return f"process {os.getpid()} on {host} since {now:%Y-%m-%d %H:%M} UTC\n"


def _is_of_here(name: str) -> bool:
    """Whether a lock was taken last on this machine; an empty file says nothing."""
    return not name or f" on {socket.gethostname()} since " in name


def _read_holder(handle: int) -> str:
    os.lseek(handle, 0, os.SEEK_SET)
    return " ".join(os.read(handle, _LONGEST_NAME).decode("utf-8", "replace").split())
