"""Every step by which a file of a warehouse is changed, so that each can be watched.

What a killed process, a full disk or a power cut leaves behind depends on the order of
a few steps: write, sync, rename, remove. All writers take them here. A watcher is
called before each; it may raise an OSError in the step's place.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple

from orket.warehouse.locks import create_locked, move_locked


class Step(NamedTuple):
    """One change that is about to be made."""

    what: str
    """`create`, `write`, `sync`, `truncate`, `rename`, `remove`, `make_folder` or
    `sync_folder`."""
    path: Path
    target: Path | None = None
    """Where a `rename` leads."""


watcher: Callable[[Step], None] | None = None
"""Called before each step; None, as ever outside of tests: nobody is."""


def step(what: str, path: Path, target: Path | None = None) -> None:
    """Tell of a step that the caller takes itself. Raises OSError."""
    if watcher is not None:
        watcher(Step(what, path, target))


def open_plain(path: Path) -> BinaryIO:
    """Open a file to read, and nothing else: a pipe would never end. Raises OSError."""
    kind = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    handle = os.open(path, os.O_RDONLY | kind)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is no file", str(path))
    return os.fdopen(handle, "rb")


def read_plain(path: Path) -> bytes:
    """All that is in a file, as of `open_plain`."""
    with open_plain(path) as file:
        return file.read()


def create(path: Path) -> BinaryIO:
    """A new locked file to write and read. Raises OSError."""
    step("create", path)
    return create_locked(path)


def write(handle: int, data: bytes, path: Path) -> None:
    """Write all of it at the end, or raise OSError with a part of it written."""
    step("write", path)
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def write_file(path: Path, content: bytes) -> None:
    """Write a whole file that nobody else sees yet, not synced. Raises OSError."""
    step("create", path)
    with path.open("wb", buffering=0) as file:
        write(file.fileno(), content, path)


def sync(handle: int, path: Path) -> None:
    """Make what was written durable. Raises OSError."""
    step("sync", path)
    os.fsync(handle)


def truncate(handle: int, size: int, path: Path) -> None:
    """Cut a file to a size. Raises OSError."""
    step("truncate", path)
    os.ftruncate(handle, size)


def rename(path: Path, target: Path) -> None:
    """Give a file or folder its place, whatever lay there. Raises OSError."""
    step("rename", path, target)
    path.replace(target)


def rename_locked(file: BinaryIO, path: Path, target: Path) -> None:
    """The same for an open file that keeps its lock where it can. Raises OSError."""
    step("rename", path, target)
    move_locked(file, path, target)


def remove(path: Path) -> None:
    """Remove a file that may be gone already. Raises OSError."""
    step("remove", path)
    path.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, each durable. Raises OSError."""
    if folder.is_dir():
        return
    if folder.parent != folder:
        make_folder(folder.parent)
    step("make_folder", folder)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable, where the platform can open one."""
    step("sync_folder", folder)
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
