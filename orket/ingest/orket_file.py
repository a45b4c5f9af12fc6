"""Ingests one file of Orket's own JSONL rows, over several processes if it is large."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

from orket.errors import UsageError
from orket.ingest.orket_rows import Judged, header_dataset, judge_stretch, peek_dataset
from orket.ingest.reading import (
    BOM,
    MAX_LINE_BYTES,
    encoding_of,
    open_file,
    read_blocks,
    split_file,
)
from orket.ingest.rejection import Rejection
from orket.ingest.sink import Sink

_STRETCH_BYTES = 16 << 20
_WORTH_EARLY_BYTES = 16 << 20
_TAIL_BYTES = 1 << 20
_WORTH_PROCESSES_BYTES = 512 << 20
"""Below this, starting processes costs more than they save."""


def ingest_orket_rows(path: Path, sink: Sink, workers: int) -> Iterator[Rejection]:
    """Judge every line of `path`, put good rows into `sink`, yield the others."""
    _require_utf8(path)
    dataset, start, line = _read_header(path)
    if start == 0 and path.stat().st_size >= _WORTH_EARLY_BYTES:
        _copy_early(path, sink)
    for judged in _judge_file(path, start, dataset, workers):
        for name, sweep_ids in judged.sweeps.items():
            sink.add_sweeps(name, sweep_ids)
        for span in judged.spans:
            sink.add_span(span)
        for row in judged.rewritten:
            sink.add(row)
        for rejection in judged.rejections:
            yield replace(rejection, line=line + rejection.line)
        line += judged.lines


def _require_utf8(path: Path) -> None:
    with open_file(path) as file:
        encoding = encoding_of(file.read(4))
    if encoding != "utf-8":
        raise UsageError(
            f"{path} is {encoding.upper()}, and rows are read as UTF-8",
            f"convert it: iconv -f {encoding.upper()} -t UTF-8; in PowerShell: "
            "Get-Content FILE | Set-Content -Encoding utf8 NEW",
        )


def _copy_early(path: Path, sink: Sink) -> None:
    """Begin the copy if the ends of the file look like rows of one dataset."""
    with open_file(path) as file:
        first = file.readline(MAX_LINE_BYTES)
        file.seek(-min(path.stat().st_size, _TAIL_BYTES), os.SEEK_END)
        last = file.read().rstrip(b"\n").rpartition(b"\n")[2] + b"\n"
    dataset = peek_dataset(first)
    if dataset is not None and dataset == peek_dataset(last):
        sink.copy_early(dataset)


def _read_header(path: Path) -> tuple[str | None, int, int]:
    """The dataset the first line names, the byte after it, and the lines before."""
    with open_file(path) as file:
        first = file.readline(MAX_LINE_BYTES)
    start = len(BOM) if first.startswith(BOM) else 0
    dataset = header_dataset(first[start:])
    return (dataset, len(first), 1) if dataset else (None, start, 0)


def _judge_file(
    path: Path, start: int, dataset: str | None, workers: int
) -> Iterator[Judged]:
    stretches = split_file(path, start, _STRETCH_BYTES)
    if workers < 2 or path.stat().st_size < _WORTH_PROCESSES_BYTES:
        for begin, end in stretches:
            yield _judge(path, begin, end, dataset)
        return
    # Spawned, because a fork would copy whatever threads the caller has.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting: deque[Future[Judged]] = deque()
        for begin, end in stretches:
            waiting.append(pool.submit(_judge, path, begin, end, dataset))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _judge(path: Path, start: int, end: int, dataset: str | None) -> Judged:
    return judge_stretch(read_blocks(path, start, end), dataset)
