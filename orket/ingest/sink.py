"""Collects the judged rows of one file by sweep and hands them to the warehouse."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self

from orket.errors import UsageError, WarehouseError
from orket.ingest.orket_rows import Proven, Span
from orket.ingest.reading import open_file
from orket.warehouse import Warehouse

if TYPE_CHECKING:
    from orket.warehouse.staged import StagedRows

_COPY_BYTES = 8 << 20


@dataclass(slots=True)
class _Pile:
    """The rows of one dataset."""

    spans: list[Span] = field(default_factory=list)
    spool: IO[bytes] | None = None


class Sink:
    """Takes rows; all of them are in the warehouse when the context is left.

    A file of one dataset whose lines are stored as they stand is copied by DuckDB
    straight from where it lies, and a large one already while it is judged.
    """

    def __init__(self, warehouse: Warehouse, source: Path) -> None:
        self.accepted: Counter[str] = Counter()
        """Rows by dataset."""
        self.known = 0
        """Rows that were taken before, of those that would have been accepted."""
        self.parts: list[Path] = []
        """The parts that came of it."""
        self.sweeps: dict[str, set[str]] = {}
        """Sweeps that the rows are of, by dataset."""
        self._warehouse = warehouse
        self._source = source
        self._stamp = _stamp(source)
        self._piles: dict[str, _Pile] = {}
        self._early: tuple[str, Future[StagedRows]] | None = None

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="orket-ingest-")
        self._copier = ThreadPoolExecutor(max_workers=1)
        return self

    def copy_early(self, dataset: str) -> None:
        """Begin to copy the file as if all of it were good rows of one dataset.

        Hidden until the judge has seen every line; where it finds otherwise, the copy
        is thrown away.
        """
        from orket.warehouse.bulk import stage_json_lines

        copy = self._copier.submit(
            stage_json_lines, self._warehouse, dataset, self._source
        )
        self._early = dataset, copy

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                for dataset, pile in self._piles.items():
                    self._store(dataset, pile)
        finally:
            for pile in self._piles.values():
                if pile.spool is not None:
                    pile.spool.close()
            self._copier.shutdown()
            if self._early is not None and (staged := _result(self._early[1])):
                staged.discard()
            self._folder.cleanup()

    def add_sweeps(self, dataset: str, sweep_ids: Iterable[str]) -> None:
        """Note the sweeps that rows of a dataset belong to."""
        self.sweeps.setdefault(dataset, set()).update(sweep_ids)

    def add_span(self, span: Span) -> None:
        """Take lines of the source file as they stand."""
        pile = self._pile(span.dataset, span.rows)
        last = pile.spans[-1] if pile.spans else None
        if last is not None and last.end == span.start:
            last.end = span.end
        else:
            pile.spans.append(span)

    def add(self, row: Proven) -> None:
        """Take one row by its bytes."""
        self.add_sweeps(row.dataset, () if row.sweep_id is None else (row.sweep_id,))
        pile = self._pile(row.dataset, 1)
        self._spool(row.dataset, pile).write(row.line + b"\n")

    def _pile(self, dataset: str, rows: int) -> _Pile:
        self.accepted[dataset] += rows
        return self._piles.setdefault(dataset, _Pile())

    def _spool(self, dataset: str, pile: _Pile) -> IO[bytes]:
        if pile.spool is None:
            path = Path(self._folder.name) / f"{dataset}.jsonl"
            pile.spool = path.open("wb", buffering=1 << 20)
        return pile.spool

    def _store(self, dataset: str, pile: _Pile) -> None:
        from orket.warehouse.bulk import copy_json_lines, copy_new_json_lines

        known = self.known_parts(dataset)
        source = self._source
        if self._is_whole_source(pile):
            staged = self._early_rows(dataset) if not known else None
            if staged is not None:
                self._require_unchanged()
                self.parts += staged.publish()
                return
        else:
            target = self._spool(dataset, pile)
            with open_file(self._source) as lines:
                for span in pile.spans:
                    _copy_span(lines, target, span)
            target.close()
            source = Path(target.name)
        self._require_unchanged()
        if not known:
            self.parts += copy_json_lines(self._warehouse, dataset, source)
            return
        parts, rows = copy_new_json_lines(self._warehouse, dataset, source, known)
        self.parts += parts
        self.known += self.accepted[dataset] - rows
        self.accepted[dataset] = rows

    def known_parts(self, dataset: str) -> list[Path]:
        """Parts in which rows of the file may lie already."""
        if dataset == "events":
            return self._warehouse.parts(dataset)
        return [
            part
            for sweep_id in sorted(self.sweeps.get(dataset, ()))
            for part in self._warehouse.parts(dataset, sweep_id)
        ]

    def _early_rows(self, dataset: str) -> StagedRows | None:
        """The early copy, if it is what turned out to be needed."""
        if self._early is None or self._early[0] != dataset:
            return None
        staged = _result(self._early[1])
        if staged is not None:
            self._early = None
        return staged

    def _require_unchanged(self) -> None:
        if _stamp(self._source) != self._stamp:
            raise UsageError(
                f"{self._source} changed while it was read",
                "ingest it again when its writer is done; nothing was taken",
            )

    def _is_whole_source(self, pile: _Pile) -> bool:
        if pile.spool is not None or len(pile.spans) != 1:
            return False
        span = pile.spans[0]
        return span.start == 0 and span.end == self._stamp[0]


def _result(copy: Future[StagedRows]) -> StagedRows | None:
    """What an early copy gave; None where the file was not what it was taken for."""
    try:
        return copy.result()
    except WarehouseError:
        return None


def _stamp(path: Path) -> tuple[int, int]:
    state = path.stat()
    return state.st_size, state.st_mtime_ns


def _copy_span(source: IO[bytes], target: IO[bytes], span: Span) -> None:
    source.seek(span.start)
    left = span.end - span.start
    while left > 0 and (piece := source.read(min(_COPY_BYTES, left))):
        target.write(piece)
        left -= len(piece)
