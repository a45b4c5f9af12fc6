"""Collects the judged rows of one file by sweep and hands them to the warehouse."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from orket.ingest.orket_rows import Proven, Span
from orket.ingest.reading import open_file
from orket.warehouse import Warehouse

_COPY_BYTES = 8 << 20

_Key = tuple[str, str | None]


@dataclass(slots=True)
class _Pile:
    """What goes into one part."""

    spans: list[Span] = field(default_factory=list)
    spool: Path | None = None


class Sink:
    """Takes rows; all of them are in the warehouse when the context is left.

    A file of one sweep whose lines are stored as they stand is copied by DuckDB
    straight from where it lies.
    """

    def __init__(self, warehouse: Warehouse, source: Path) -> None:
        self.accepted: Counter[str] = Counter()
        """Rows by dataset."""
        self.sweeps: dict[str, set[str]] = {}
        """Sweeps that got rows, by dataset."""
        self._warehouse = warehouse
        self._source = source
        self._piles: dict[_Key, _Pile] = {}

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="orket-ingest-")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                for key, pile in self._piles.items():
                    self._store(key, pile)
        finally:
            self._folder.cleanup()

    def add_span(self, span: Span) -> None:
        """Take lines of the source file as they stand."""
        pile = self._pile((span.dataset, span.sweep_id), span.rows)
        last = pile.spans[-1] if pile.spans else None
        if last is not None and last.end == span.start:
            last.end = span.end
        else:
            pile.spans.append(span)

    def add(self, row: Proven) -> None:
        """Take one row by its bytes."""
        pile = self._pile((row.dataset, row.sweep_id), 1)
        if pile.spool is None:
            pile.spool = Path(self._folder.name) / f"{len(self._piles)}.jsonl"
        with pile.spool.open("ab") as file:
            file.write(row.line + b"\n")

    def _pile(self, key: _Key, rows: int) -> _Pile:
        dataset, sweep_id = key
        self.accepted[dataset] += rows
        if sweep_id is not None:
            self.sweeps.setdefault(dataset, set()).add(sweep_id)
        return self._piles.setdefault(key, _Pile())

    def _store(self, key: _Key, pile: _Pile) -> None:
        from orket.warehouse.bulk import copy_json_lines

        if self._is_whole_source(pile):
            copy_json_lines(self._warehouse, *key, self._source)
            return
        if pile.spool is None:
            pile.spool = Path(self._folder.name) / "spans.jsonl"
        with pile.spool.open("ab") as target, open_file(self._source) as source:
            for span in pile.spans:
                _copy_span(source, target, span)
        copy_json_lines(self._warehouse, *key, pile.spool)
        pile.spool.unlink()

    def _is_whole_source(self, pile: _Pile) -> bool:
        if pile.spool is not None or len(pile.spans) != 1:
            return False
        span = pile.spans[0]
        return span.start == 0 and span.end == self._source.stat().st_size


def _copy_span(source: IO[bytes], target: IO[bytes], span: Span) -> None:
    source.seek(span.start)
    left = span.end - span.start
    while left > 0 and (piece := source.read(min(_COPY_BYTES, left))):
        target.write(piece)
        left -= len(piece)
