"""An evidence bundle: the raw rows of a sweep and its summary, in one file.

A tar of the sweep's own parts, the parts of events that bear on it, the summary that
they give, and the SHA-256 of each. Order, times and owners are fixed, so that the same
warehouse gives the same bytes. Elsewhere it is unpacked, looked at like any warehouse,
and its summary computed anew.
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from orket import __version__
from orket.errors import OrketError, UsageError
from orket.exports.load import load_recorded_row
from orket.exports.summary import render_summary
from orket.records import DATASETS, NO_JSON
from orket.warehouse import disk
from orket.warehouse.parts import time_ordered_id

if TYPE_CHECKING:
    from orket.warehouse import Warehouse
    from orket.warehouse.verify import Verdict

SUMMARY = "sweep_summary.json"
_INDEX = "bundle.json"
_VERSION = 1
_CHUNK = 1 << 20
_MOST_TRIES = 9
_MOST_INDEX_BYTES = 64 << 20
_PART = re.compile(
    r"warehouse/(events|(sweeps|runs|sidecars|fidelity)/sweep_id=[^/]+)"
    r"/part-[^/]+\.parquet"
)


class _Entry(msgspec.Struct, frozen=True):
    path: str
    bytes: int
    sha256: str


class _Index(msgspec.Struct, frozen=True):
    bundle_version: int
    sweep_id: str
    orket_version: str
    files: list[_Entry]


@dataclass(slots=True)
class BundleVerdict:
    """What a look at a bundle found."""

    sweep_id: str
    orket_version: str
    """Of the Orket that wrote it."""
    faults: list[str] = field(default_factory=list)
    verdict: Verdict | None = None
    """Of its parts; None where not all of its files are as they were written."""
    is_same: bool | None = None
    """Whether its rows give its summary byte for byte; None: that was not tried."""


def write_bundle(warehouse: Warehouse, sweep_id: str, path: Path) -> int:
    """Write the bundle of one sweep; how many parts are in it.

    Raises OrketError when the file cannot be written, or the sweep not be judged.
    """
    content = render_summary(load_recorded_row(warehouse, sweep_id))
    hidden = path.with_name(f".{time_ordered_id()}.tmp")
    tries = 0
    try:
        while True:
            try:
                with disk.create(hidden) as file:
                    count = _write(warehouse, sweep_id, content, file, hidden)
                    disk.sync(file.fileno(), hidden)
                    disk.rename_locked(file, hidden, path)
                disk.sync_folder(path.parent)
                return count
            except _PartGone:
                # Folded into another since it was listed.
                tries += 1
                if tries == _MOST_TRIES:
                    raise
    except OSError as error:
        raise OrketError(
            f"cannot write {path}: {error.strerror or error}",
            "name another file with -o",
        ) from error
    finally:
        with suppress(OSError):
            hidden.unlink(missing_ok=True)


class _PartGone(OSError):
    """A part was there when it was listed, and is not any more."""


def _write(
    warehouse: Warehouse, sweep_id: str, summary: bytes, file: BinaryIO, place: Path
) -> int:
    """Write a bundle into an open file; how many parts are in it."""
    parts = {
        f"warehouse/{part.relative_to(warehouse.path).as_posix()}": part
        for part in _parts(warehouse, sweep_id)
    }
    try:
        files = [
            _Entry(name, part.stat().st_size, _digest(part))
            for name, part in sorted(parts.items())
        ]
        files.append(_Entry(SUMMARY, len(summary), hashlib.sha256(summary).hexdigest()))
        text = msgspec.json.format(
            msgspec.json.encode(_Index(_VERSION, sweep_id, __version__, files))
        )
        with _open_to_write(file) as tar:
            disk.step("write", place)
            _add(tar, _INDEX, len(text), io.BytesIO(text))
            for entry in files[:-1]:
                disk.step("write", place)
                with parts[entry.path].open("rb") as part:
                    _add(tar, entry.path, entry.bytes, part)
            _add(tar, SUMMARY, len(summary), io.BytesIO(summary))
        file.flush()
    except FileNotFoundError as error:
        raise _PartGone(*error.args) from error
    return len(parts)


def _parts(warehouse: Warehouse, sweep_id: str) -> Iterator[Path]:
    for dataset in DATASETS:
        if dataset != "events":
            yield from warehouse.parts(dataset, sweep_id)
    from orket.warehouse.verify import parts_of_events

    yield from parts_of_events(warehouse, sweep_id)


def _open_to_write(file: BinaryIO) -> tarfile.TarFile:
    return tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT)


def _add(tar: tarfile.TarFile, name: str, size: int, source: io.IOBase) -> None:
    member = tarfile.TarInfo(name)
    member.size = size
    tar.addfile(member, source)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify_bundle(path: Path) -> BundleVerdict:
    """Unpack a bundle, look at its rows, and compute its summary anew.

    Raises UsageError for a file that is no bundle.
    """
    try:
        with (
            tempfile.TemporaryDirectory(prefix="orket-bundle-") as folder,
            tarfile.open(path, mode="r:") as tar,
        ):
            index = _read_index(tar)
            found = BundleVerdict(index.sweep_id, index.orket_version)
            found.faults += _unpack(tar, index, Path(folder))
            if not found.faults:
                _judge(Path(folder), found)
            return found
    except (tarfile.TarError, EOFError, *NO_JSON) as error:
        raise UsageError(f"{path} is no whole bundle ({error})") from error


def _read_index(tar: tarfile.TarFile) -> _Index:
    member = tar.next()
    if member is None or member.name != _INDEX or member.size > _MOST_INDEX_BYTES:
        raise tarfile.ReadError(f"it does not begin with {_INDEX}")
    source = tar.extractfile(member)
    if source is None:
        raise tarfile.ReadError(f"{_INDEX} is no file")
    index = msgspec.json.decode(source.read(), type=_Index)
    if index.bundle_version != _VERSION:
        raise tarfile.ReadError(f"it is of version {index.bundle_version}")
    return index


def _unpack(tar: tarfile.TarFile, index: _Index, folder: Path) -> Iterator[str]:
    """Put the files in their places; a line for each that is not as it was written."""
    entries = {entry.path: entry for entry in index.files}
    left = set(entries)
    while (member := tar.next()) is not None:
        name = member.name
        is_known = name == SUMMARY or _PART.fullmatch(name) is not None
        if name not in left or not is_known:
            yield f"{name} does not belong there"
            continue
        left.discard(name)
        is_plain = member.type in (tarfile.REGTYPE, tarfile.AREGTYPE)
        if not is_plain or member.issparse() or member.size != entries[name].bytes:
            yield f"{name} is not the file that was put in"
            continue
        source = tar.extractfile(member)
        assert source is not None
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        with target.open("wb") as file:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                file.write(chunk)
        if digest.hexdigest() != entries[name].sha256:
            yield f"{name} has other bytes than were put in"
    for name in sorted(left):
        yield f"{name} is missing"


def _judge(folder: Path, found: BundleVerdict) -> None:
    from orket.warehouse import Warehouse
    from orket.warehouse.verify import verify

    warehouse = Warehouse(folder / "warehouse")
    found.verdict = verify(warehouse)
    found.faults += [
        f"{fault.path.relative_to(folder).as_posix()}: {fault.what}"
        for fault in found.verdict.faults
    ]
    if found.faults:
        return
    content = render_summary(load_recorded_row(warehouse, found.sweep_id))
    found.is_same = content == (folder / SUMMARY).read_bytes()
    if not found.is_same:
        found.faults.append(
            f"its rows give another {SUMMARY} than it holds (written by Orket "
            f"{found.orket_version}, computed by {__version__})"
        )
