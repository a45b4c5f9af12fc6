"""What sources write into, and files that are read again and again at little cost."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from orket.machine.registry import DENIED, ERROR, UNAVAILABLE

BUFFER_BYTES = 65536
"""Longest file read: /proc/vmstat has about 6 kB, /proc/stat 4 kB and more."""

MAX_KEPT_TOGETHER = 64
"""A process may often hold 1024 files only, and Orket needs some for itself."""


class Readings:
    """The values of one reading, and the reason for each that is missing."""

    __slots__ = ("broken", "gaps", "values")

    def __init__(self) -> None:
        self.values: dict[str, int | bool] = {}
        self.gaps: dict[str, str] = {}
        self.broken = False
        """A source failed in a way that it does not tell itself."""

    def put(self, field: str, value: int | bool) -> None:
        self.values[field] = value

    def miss(self, field: str, status: str = UNAVAILABLE) -> None:
        self.gaps[field] = status


class Source(Protocol):
    """Reads one or more sensors, and tells itself why one has no reading."""

    def read(self, into: Readings) -> None: ...

    def close(self) -> None: ...


class KeptFile:
    """A small file of /proc or /sys, held open and read from its start each time.

    Held open because opening costs more than reading; a file that vanishes answers
    with an error or with nothing, also when another takes its name. Where a machine
    has hundreds of them, `keep=False` opens one for each reading instead.
    """

    __slots__ = ("_descriptor", "_keep", "path", "status")

    def __init__(self, path: Path, keep: bool = True) -> None:
        self.path = path
        self.status: str | None = None
        """Why the last reading gave nothing, as a gap's status."""
        self._keep = keep
        self._descriptor = self._open() if keep else None

    def _open(self) -> int | None:
        try:
            return os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            self.status = status_of(error)
            return None

    def read(self, limit: int = BUFFER_BYTES) -> bytes | None:
        """The content, or None with the reason in `status`."""
        descriptor = self._descriptor if self._keep else self._open()
        if descriptor is None:
            return None
        try:
            content = os.pread(descriptor, limit, 0)
        except OSError as error:
            self.status = status_of(error)
            return None
        finally:
            if not self._keep:
                os.close(descriptor)
        self.status = None if content else UNAVAILABLE
        return content or None

    def read_int(self) -> int | None:
        """The content as one whole number, or None with the reason in `status`."""
        content = self.read(64)
        if content is None:
            return None
        try:
            return int(content)
        except ValueError:
            self.status = ERROR
            return None

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def keep_files(paths: Iterable[Path]) -> list[KeptFile]:
    """Files that are read together; only a few are held open."""
    listed = list(paths)
    return [KeptFile(path, keep=len(listed) <= MAX_KEPT_TOGETHER) for path in listed]


def status_of(error: OSError) -> str:
    """The gap status of a failed reading."""
    if error.errno in (errno.EACCES, errno.EPERM):
        return DENIED
    return UNAVAILABLE


def read_text(path: Path) -> str | None:
    """A small text file without its last newline, or None where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def read_number(path: Path) -> int | None:
    """A file that holds one whole number, or None."""
    text = read_text(path)
    try:
        return int(text) if text else None
    except ValueError:
        return None


def is_folder(path: Path) -> bool:
    """Whether `path` is a folder, as far as this user can see; never raises."""
    return os.path.isdir(path)


def is_there(path: Path) -> bool:
    """Whether `path` exists, as far as this user can see; never raises."""
    return os.path.exists(path)


def list_names(folder: Path) -> list[str]:
    """Names in a folder, sorted; none where it cannot be read."""
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
