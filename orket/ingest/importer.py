"""Ingests files: finds the format, judges every row, keeps good ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

import msgspec

from orket.errors import UsageError
from orket.ingest.detect import AUTO, detect_format
from orket.ingest.formats import OF_RESULTS, format_named
from orket.ingest.lm_eval import is_told_by
from orket.ingest.manifest import write_manifests
from orket.ingest.origin import UNKNOWN, Origin, SourceOptions
from orket.ingest.orket_file import ingest_orket_rows
from orket.ingest.orket_rows import prove
from orket.ingest.parsed import Item, Parsed
from orket.ingest.reading import BadDocument
from orket.ingest.recognised import (
    alone_with,
    find_note,
    may_be_noted,
    name_content,
    write_note,
)
from orket.ingest.rejection import Rejection, explain_invalid
from orket.ingest.sink import Sink
from orket.ingest.together import ReadFile, find_repeated, join
from orket.records import NO_JSON, EventRow
from orket.text import storable
from orket.warehouse import Warehouse

if TYPE_CHECKING:
    from orket.warehouse.damage import Damage

REJECTS = "rejects"
"""In place of a format: rows that were rejected before, which are passed over."""
_REJECTS_ENDING = ".rejects.jsonl"
_REJECT_KEYS = {"file", *Rejection.__dataclass_fields__}
_LONGEST_REJECT = 1 << 20


@dataclass(slots=True)
class FileReport:
    """What became of one file."""

    path: Path
    format: str
    accepted: dict[str, int] = field(default_factory=dict)
    """Rows taken, by dataset."""
    rejected: int = 0
    first_rejection: Rejection | None = None
    known: int = 0
    """Rows that are in the warehouse already."""
    sweeps: list[str] = field(default_factory=list)
    rejects_path: Path | None = None
    notes: list[str] = field(default_factory=list)
    """What is to be said of what was taken."""
    damaged: list[Damage] = field(default_factory=list)
    """Of its sweeps, what cannot be read: their plan lacks what was taken."""
    unsaid: set[str] = field(default_factory=set)
    """`model` or `quant` where neither it nor an option says it of some row."""
    is_joined: bool = False
    """Whether its rows are part of a sweep that compares it with other files."""

    @property
    def is_empty(self) -> bool:
        """Whether the file gave nothing at all."""
        return not self.known and not any(self.accepted.values())


def ingest_files(
    warehouse: Warehouse,
    paths: Sequence[Path],
    *,
    format_name: str = AUTO,
    options: SourceOptions | None = None,
    rejects_path: Path | None = None,
    workers: int = 1,
) -> Iterator[FileReport]:
    """Ingest files, those that compare quants of one model as one sweep.

    What is `damaged` is known of every report once the last of them has come.

    Errors as of `ingest_file` and `together.join`, before anything is taken.
    """
    options = options or SourceOptions()
    rejects = {path for path in paths if _holds_rejects(path, rejects_path)}
    unlike = {
        path: _format_of(path, format_name) for path in paths if path not in rejects
    }
    read = {
        path: _read_results(path, name, options)
        for path, name in unlike.items()
        if name in OF_RESULTS
    }
    files = [file for file in read.values() if isinstance(file, ReadFile)]
    again = find_repeated(files)
    files = [file for file in files if file.path not in again]
    for path, name in unlike.items():
        if name not in OF_RESULTS:
            options.naming(path)
    join(files, options)
    taken: dict[Path, FileReport] = {}
    for place, path in enumerate(paths):
        if path in rejects:
            note = "rows that were rejected before: passed over"
            yield FileReport(path, REJECTS, known=1, notes=[note])
            continue
        if isinstance(read.get(path), BadDocument) and is_told_by(path, paths):
            note = "read for what it says of the samples beside it"
            yield FileReport(path, unlike[path], known=1, notes=[note])
            continue
        first = again.get(path, path if path in paths[:place] else None)
        if first is not None and unlike[path] in OF_RESULTS:
            note = f"the same as {first}, which counts once"
            yield FileReport(path, unlike[path], known=1, notes=[note])
            continue
        taken[path] = ingest_file(
            warehouse,
            path,
            format_name=unlike[path],
            options=options,
            rejects_path=rejects_path,
            workers=workers,
            read=read.get(path),
        )
        yield taken[path]
    for file in files:
        if file.is_joined:
            taken[file.path].damaged = write_manifests(
                warehouse, {row.sweep_id for row in file.runs()}, file.origin
            )


def _format_of(path: Path, format_name: str) -> str:
    if not path.exists():
        raise UsageError(f"{path}: no such file", "check the path")
    if not path.is_file():
        raise UsageError(f"{path} is not a file", "name files, not folders")
    return format_named(
        detect_format(path) if format_name == AUTO else format_name
    ).name


def _read_results(
    path: Path, name: str, options: SourceOptions
) -> ReadFile | BadDocument:
    """A result file, read whole; what is wrong with it as a whole, where it is bad."""
    try:
        parsed = format_named(name).parse(path, options)
        return ReadFile(path, name, list(parsed.items), parsed.origin)
    except BadDocument as error:
        return error


def ingest_file(
    warehouse: Warehouse,
    path: Path,
    *,
    format_name: str = AUTO,
    options: SourceOptions | None = None,
    rejects_path: Path | None = None,
    workers: int = 1,
    read: ReadFile | BadDocument | None = None,
) -> FileReport:
    """Ingest one file; what is rejected goes to a file beside it, as JSON lines.

    Several files may share one `rejects_path`: it is appended to.

    `read` is the file where it was read before. `workers` processes judge a large file
    of Orket's own rows. Raises UsageError for a file that cannot be read or whose
    format is not known.
    """
    name = _format_of(path, format_name)
    if name == "orket":
        return _ingest_own(warehouse, path, rejects_path, workers)
    return _ingest(warehouse, path, name, options, rejects_path, workers, read)[0]


def _ingest_own(
    warehouse: Warehouse, path: Path, rejects_path: Path | None, workers: int
) -> FileReport:
    """Ingest a file of Orket's own rows, unless all of it was taken before."""
    before = path.stat()
    # Of a new file the hash is only needed at the end, and made while it is judged.
    with alone_with(warehouse, before.st_size), ThreadPoolExecutor(1) as beside:
        naming = beside.submit(name_content, path)
        if may_be_noted(warehouse, before.st_size) and (
            note := find_note(warehouse, naming.result())
        ):
            return FileReport(
                path,
                "orket",
                known=note.rows,
                sweeps=note.sweeps,
                notes=[_say_known(0, note.rows)],
            )
        report, sink = _ingest(
            warehouse, path, "orket", None, rejects_path, workers, None
        )
        rows = report.known + sum(report.accepted.values())
        after = path.stat()
        is_same = (before.st_size, before.st_mtime_ns) == (
            after.st_size,
            after.st_mtime_ns,
        )
        is_whole = not (report.rejected or report.damaged)
        if rows and is_whole and is_same:
            parts = {
                part
                for sweep_id in report.sweeps
                for part in warehouse.parts("sweeps", sweep_id)
            }.union(sink.parts)
            if report.known:
                parts.update(*(sink.known_parts(name) for name in sink.accepted))
            write_note(warehouse, naming.result(), rows, report.sweeps, sorted(parts))
    return report


def _ingest(
    warehouse: Warehouse,
    path: Path,
    name: str,
    options: SourceOptions | None,
    rejects_path: Path | None,
    workers: int,
    read: ReadFile | BadDocument | None,
) -> tuple[FileReport, Sink]:
    report = FileReport(path, name)
    if isinstance(read, ReadFile):
        report.notes = read.notes
        report.is_joined = read.is_joined
    rejects = _RejectsFile(rejects_path, path)
    origin: Origin | None = None
    try:
        with Sink(warehouse, path) as sink:
            if name == "orket":
                found: Iterator[Rejection] = ingest_orket_rows(path, sink, workers)
            else:
                known = _known_events(warehouse) if name == "baseline" else frozenset()
                source = read or _parse(name, path, options or SourceOptions())
                found, origin = _ingest_foreign(source, sink, known, report)
            for rejection in found:
                rejects.write(rejection)
                report.first_rejection = report.first_rejection or rejection
                report.rejected += 1
    finally:
        rejects.close()
    if sink.known:
        taken = sum(sink.accepted.values())
        report.notes = [*report.notes, _say_known(taken, taken + sink.known)]
    report.known += sink.known
    report.accepted = {
        name: count for name, count in sorted(sink.accepted.items()) if count
    }
    report.rejects_path = rejects.path if report.rejected else None
    touched = sink.sweeps.get("runs", set()) | sink.sweeps.get("sidecars", set())
    report.sweeps = sorted(
        touched.union(*(sink.sweeps.get(name, ()) for name in ("sweeps", "fidelity")))
    )
    if touched and not (isinstance(read, ReadFile) and read.is_joined):
        report.damaged = write_manifests(warehouse, touched, origin)
    return report, sink


def _say_known(new: int, rows: int) -> str:
    """How many rows of a file are new, where some are in the warehouse already."""
    if not new:
        return f"0 new of {rows:,}: all of them are there already"
    return f"{new:,} new of {rows:,}: the other {rows - new:,} are there already"


def rejects_beside(path: Path) -> Path:
    """Where the rejected rows of a file go unless told otherwise."""
    return path.with_name(path.name + _REJECTS_ENDING)


def _holds_rejects(path: Path, rejects_path: Path | None) -> bool:
    """Whether a file is one that an earlier call wrote rejected rows to.

    A pattern that named the files then names it too.
    """
    if not path.is_file():
        return False
    if rejects_path is not None and path.resolve() == rejects_path.resolve():
        return True
    with path.open("rb") as file:
        first = file.readline(_LONGEST_REJECT)
    if not first.strip():
        return path.name.endswith(_REJECTS_ENDING)
    try:
        row = msgspec.json.decode(first)
    except NO_JSON:
        return False
    return isinstance(row, dict) and row.keys() == _REJECT_KEYS


def _known_events(warehouse: Warehouse) -> frozenset[str]:
    """Events that are there: an act imported again must not look like a newer one."""
    with warehouse.session() as session:
        rows = session.rows("SELECT event_id FROM raw.events")
    return frozenset(row["event_id"] for row in rows)


def _parse(name: str, path: Path, options: SourceOptions) -> Parsed | BadDocument:
    try:
        return format_named(name).parse(path, options.naming(path))
    except BadDocument as error:
        return error


def _ingest_foreign(
    source: Parsed | ReadFile | BadDocument,
    sink: Sink,
    known_events: frozenset[str],
    report: FileReport,
) -> tuple[Iterator[Rejection], Origin | None]:
    if isinstance(source, BadDocument):
        rejection = Rejection(source.line, source.field, source.reason)
        return iter([rejection]), None
    return _take(source.items, sink, known_events, report), source.origin


def _take(
    items: Iterable[Item],
    sink: Sink,
    known_events: frozenset[str],
    report: FileReport,
) -> Iterator[Rejection]:
    for line, row in items:
        if isinstance(row, Rejection):
            yield row
            continue
        if isinstance(row, EventRow) and row.event_id in known_events:
            report.known += 1
            continue
        report.unsaid.update(
            what
            for what, key in (("model", "model_id"), ("quant", "quant_tag"))
            if getattr(row, key, None) == UNKNOWN
        )
        try:
            sink.add(prove(row))
        except msgspec.ValidationError as error:
            yield explain_invalid(line, repr(row), error)


class _RejectsFile:
    """Rejected rows as JSON lines; the file is made when the first one comes."""

    def __init__(self, shared: Path | None, source: Path) -> None:
        self.path = shared or rejects_beside(source)
        self._is_shared = shared is not None
        self._source = source
        self._file: IO[bytes] | None = None

    def write(self, rejection: Rejection) -> None:
        if self._file is None:
            self._file = self._open()
        line = {"file": storable(str(self._source)), **asdict(rejection)}
        self._file.write(msgspec.json.encode(line) + b"\n")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _open(self) -> IO[bytes]:
        try:
            return self.path.open("ab" if self._is_shared else "wb")
        except OSError as error:
            raise UsageError(
                f"cannot write the rejected rows to {self.path} ({error.strerror})",
                "name another place with --rejects",
            ) from error
