"""Archives with entries packed by Zstandard, which Python reads from 3.14 on."""

from __future__ import annotations

import importlib
import sys
import zipfile
import zlib
from typing import IO, Any, cast


def _reader() -> Any:
    """The module that reads archives: Python's own, or the same for earlier ones."""
    if sys.version_info >= (3, 14):
        return zipfile
    return importlib.import_module("backports.zstd.zipfile")


def _zstd_error() -> type[Exception]:
    home = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    return cast(type[Exception], importlib.import_module(home).ZstdError)


def open_zip(file: IO[bytes]) -> zipfile.ZipFile:
    """An archive, open for reading. Raises one of `damage()` where it is none."""
    return cast(zipfile.ZipFile, _reader().ZipFile(file))


def damage() -> tuple[type[Exception], ...]:
    """What is raised where an archive, or an entry of it, cannot be read."""
    return (
        _reader().BadZipFile,
        zlib.error,
        _zstd_error(),
        OSError,
        EOFError,
        ValueError,
    )
