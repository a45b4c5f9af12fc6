"""Locks on open files: they tell the file of a living writer from a left-over.

The system lets go of a lock when its holder ends, however it ends. On Windows a file
that is open can be neither deleted nor renamed, which says the same.
"""

from __future__ import annotations

import errno
import os
import time
from enum import Enum
from pathlib import Path
from typing import BinaryIO

_TAKEN = (errno.EWOULDBLOCK, errno.EACCES, errno.EAGAIN, errno.EDEADLK)
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
_LOCKED_BYTE = 2**20
"""On Windows a locked byte cannot be read: one far behind the holder's name."""

_PAUSE_SECONDS = 0.001


class Holder(Enum):
    """Whether a process holds a file."""

    LIVING = "living"
    NONE = "none"
    UNKNOWN = "unknown"
    """This file system has no locks, or the file cannot be opened."""


def lock(handle: int, *, is_shared: bool = False) -> bool:
    """Lock an open file at once; False where locks are unknown, OSError where taken."""
    try:
        _lock_now(handle, is_shared)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return False
        raise
    return True


def is_taken(error: OSError) -> bool:
    """Whether a lock failed because another has it."""
    return error.errno in _TAKEN


def create_locked(path: Path) -> BinaryIO:
    """A new file to write and read, which is no left-over for as long as it is open.

    Raises OSError when it cannot be made.
    """
    while True:
        file = path.open("w+b")
        try:
            if lock_new(file.fileno(), path):
                return file
        except OSError:
            file.close()
            raise
        file.close()


def lock_new(handle: int, path: Path) -> bool:
    """Lock a file that was just made; False where it has to be made again.

    Whoever looks for left-overs may come between its making and its lock.
    """
    if os.name == "nt":
        return True
    try:
        lock(handle)
        if os.path.samestat(os.fstat(handle), path.stat()):
            return True
    except FileNotFoundError:
        return False
    except OSError as error:
        if not is_taken(error):
            raise
    time.sleep(_PAUSE_SECONDS)
    return False


def move_locked(file: BinaryIO, path: Path, target: Path) -> None:
    """Give an open file its place, its lock held as long as the system allows."""
    if os.name == "nt":
        file.close()
    path.replace(target)


def find_holder(path: Path) -> Holder:
    """Whether a living process holds this file."""
    if os.name == "nt":
        return Holder.NONE
    try:
        handle = os.open(path, os.O_RDWR)
    except OSError:
        return Holder.UNKNOWN
    try:
        # Shared: two who ask at once must not take each other for the writer.
        return Holder.NONE if lock(handle, is_shared=True) else Holder.UNKNOWN
    except OSError as error:
        return Holder.LIVING if is_taken(error) else Holder.UNKNOWN
    finally:
        os.close(handle)


def find_locker(path: Path) -> Holder:
    """Whether a living process has locked this file, whatever the system."""
    if os.name != "nt":
        return find_holder(path)
    try:
        handle = os.open(path, os.O_RDWR)
    except OSError:
        return Holder.UNKNOWN
    try:
        return Holder.NONE if lock(handle) else Holder.UNKNOWN
    except OSError as error:
        return Holder.LIVING if is_taken(error) else Holder.UNKNOWN
    finally:
        os.close(handle)


def unlink_unheld(path: Path) -> bool:
    """Delete a file that no living process holds; says whether it is gone."""
    try:
        handle = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        if os.name != "nt":
            if not lock(handle):
                return False
            path.unlink(missing_ok=True)
    except OSError:
        return False
    finally:
        os.close(handle)
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return False
    return True


def _lock_now(handle: int, is_shared: bool) -> None:
    try:
        import fcntl
    except ImportError:
        import msvcrt

        os.lseek(handle, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        os.lseek(handle, 0, os.SEEK_SET)
        return
    kind = fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX
    fcntl.flock(handle, kind | fcntl.LOCK_NB)
