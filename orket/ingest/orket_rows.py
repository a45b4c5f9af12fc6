"""Judges Orket's own JSONL rows, line by line, at the declared types.

A line is a row of runs, sidecars, fidelity, events or sweeps. Which one is told by its
identity key (`attempt_id`, `sidecar_id`, `fidelity_id`, `event_id`, `manifest_id`), or
for the whole file by its first line, `{"dataset": "runs"}`.

A line that Orket wrote itself is stored as it stands: its bytes are what encoding the
row gives again, which also proves that no key stands twice and none is left out. Such
lines are judged a block at a time and never copied.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from orket.admission import (
    IDENTITIES,
    MOMENTS,
    OUTCOMES,
    PHASES,
    admit,
    find_fault,
    is_folder_name,
)
from orket.ingest.reading import MAX_LINE_BYTES
from orket.ingest.rejection import Rejection, explain_invalid, shorten
from orket.limits import EARLIEST, LATEST
from orket.records import (
    DATASETS,
    NO_JSON,
    STRAY_SURROGATE,
    Record,
    RunRecord,
    stray_surrogate,
)

_LINES = re.compile(rb"[^\n]*\n|[^\n]+")
_IDENTITY_KEYS = {key: dataset for dataset, key in IDENTITIES.items()}
_DATASET_OF = {row_type: name for name, row_type in DATASETS.items()}
_DECODERS = {
    name: msgspec.json.Decoder(row_type, strict=True)
    for name, row_type in DATASETS.items()
}
_ENCODER = msgspec.json.Encoder()


class Proven(NamedTuple):
    """A row that passed, as the bytes that are stored."""

    dataset: str
    sweep_id: str | None
    line: bytes


def prove(row: Record) -> Proven:
    """A row built by a parser, proven valid. Raises msgspec.ValidationError."""
    if fault := find_fault(row):
        raise msgspec.ValidationError(f"{fault[1]} - at `$.{fault[0]}`")
    row = _in_utc(row)
    dataset = _DATASET_OF[type(row)]
    sweep_id = None if dataset == "events" else getattr(row, "sweep_id", None)
    return Proven(dataset, sweep_id, admit(row))


@dataclass(slots=True)
class Span:
    """Neighbouring lines of one dataset that are stored as they stand."""

    dataset: str
    start: int
    end: int
    rows: int


@dataclass(slots=True)
class Judged:
    """What was found in one stretch of a file. Offsets are bytes of the file."""

    lines: int = 0
    spans: list[Span] = field(default_factory=list)
    rewritten: list[Proven] = field(default_factory=list)
    """Rows whose stored bytes are not those of the file."""
    rejections: list[Rejection] = field(default_factory=list)
    """Line numbers count from the start of the stretch."""

    sweeps: dict[str, set[str]] = field(default_factory=dict)
    """Sweeps that good rows belong to, by dataset."""

    def add_span(self, span: Span, sweep_ids: Iterable[str]) -> None:
        """Take good lines."""
        self.sweeps.setdefault(span.dataset, set()).update(sweep_ids)
        last = self.spans[-1] if self.spans else None
        if last and last.end == span.start and last.dataset == span.dataset:
            last.end = span.end
            last.rows += span.rows
        else:
            self.spans.append(span)


def header_dataset(line: bytes) -> str | None:
    """The dataset a header line names for its file, or None when it is no header."""
    try:
        fields = msgspec.json.decode(line)
    except NO_JSON:
        return None
    if isinstance(fields, dict) and fields.keys() == {"dataset"}:
        name = fields["dataset"]
        return name if name in DATASETS else None
    return None


def peek_dataset(line: bytes) -> str | None:
    """The dataset of one line, if it is a good row; a guess at its neighbours."""
    return next(iter(judge_stretch([(0, line)], None).sweeps), None)


def judge_stretch(blocks: Iterable[tuple[int, bytes]], dataset: str | None) -> Judged:
    """Judge blocks of whole lines, each with its offset in the file.

    `dataset` is what the header names; None leaves it to the keys of each line.
    """
    judged = Judged()
    kind = dataset or "runs"
    for offset, block in blocks:
        if _judge_block(block, offset, kind, judged):
            continue
        for line in _LINES.findall(block):
            judged.lines += 1
            kind = _judge_line(line, offset, kind, dataset is not None, judged)
            offset += len(line)
    return judged


def _judge_block(block: bytes, offset: int, dataset: str, judged: Judged) -> bool:
    """Take a block whose lines are all good and stored as they stand, at once."""
    if len(block) > MAX_LINE_BYTES:
        return False
    try:
        rows: list[Any] = _DECODERS[dataset].decode_lines(block)
    except NO_JSON:
        return False
    if not rows or _ENCODER.encode_lines(rows) != block:
        return False
    if not all(map(_is_plain_run if dataset == "runs" else _is_plain, rows)):
        return False
    sweeps = () if dataset == "events" else {row.sweep_id for row in rows}
    if not all(map(is_folder_name, sweeps)):
        return False
    judged.add_span(Span(dataset, offset, offset + len(block), len(rows)), sweeps)
    judged.lines += len(rows)
    return True


def _judge_line(
    line: bytes, offset: int, dataset: str, is_fixed: bool, judged: Judged
) -> str:
    """Judge one line into `judged`. Returns the dataset to try on the next one."""
    text = line.strip()
    if not text:
        return dataset
    found, dataset = _judge_text(judged.lines, text, dataset, is_fixed)
    if isinstance(found, Rejection):
        judged.rejections.append(found)
    elif line == found.line + b"\n":
        sweeps = () if found.sweep_id is None else (found.sweep_id,)
        judged.add_span(Span(found.dataset, offset, offset + len(line), 1), sweeps)
    else:
        judged.rewritten.append(found)
    return dataset


def _judge_text(
    number: int, text: bytes, dataset: str, is_fixed: bool
) -> tuple[Proven | Rejection, str]:
    if len(text) > MAX_LINE_BYTES:
        reason = f"the line is longer than {MAX_LINE_BYTES} bytes"
        return Rejection(number, None, reason, shorten(text)), dataset
    try:
        row = _DECODERS[dataset].decode(text)
    except msgspec.ValidationError as error:
        other = None if is_fixed else _dataset_by_keys(text)
        if other is not None and other != dataset:
            return _judge_text(number, text, other, True)[0], other
        return explain_invalid(number, text, error), dataset
    except NO_JSON as error:
        field, reason = _syntax_fault(text, error)
        return Rejection(number, field, reason, shorten(text)), dataset
    return _finish(number, text, dataset, row), dataset


def _finish(number: int, line: bytes, dataset: str, row: Any) -> Proven | Rejection:
    """What the types alone do not tell: vocabulary, order, repeated keys, zones."""
    if fault := find_fault(row):
        return Rejection(number, fault[0], fault[1], shorten(line))
    row = _in_utc(row)
    stored = _ENCODER.encode(row)
    if stored != line and (key := _repeated_key(line)) is not None:
        return Rejection(number, key, "the key stands twice", shorten(line))
    return Proven(dataset, None if dataset == "events" else row.sweep_id, stored)


def _is_plain_run(row: RunRecord) -> bool:
    """No fault and every moment in UTC, in one cheap look: bulk files have millions."""
    checks, start, end = row.checks, row.started_ns, row.ended_ns
    return (
        row.call.outcome in OUTCOMES
        and row.phase in PHASES
        and (checks is None or checks.checks_passed <= checks.checks_total)
        and (start is None or end is None or start <= end)
        and row.started_at.tzinfo is UTC
        and row.recorded_at.tzinfo is UTC
        and row.executor_started_at.tzinfo is UTC
        and EARLIEST <= row.started_at < LATEST
        and EARLIEST <= row.recorded_at < LATEST
        and EARLIEST <= row.executor_started_at < LATEST
    )


def _is_plain(row: Any) -> bool:
    return find_fault(row) is None and all(
        (moment := getattr(row, name)) is None or moment.tzinfo is UTC
        for name in MOMENTS[type(row)]
    )


def _in_utc(row: Any) -> Any:
    """The row with every moment in UTC, which is how they are stored."""
    shifted: dict[str, datetime] = {}
    for name in MOMENTS[type(row)]:
        moment = getattr(row, name)
        if moment is not None and moment.tzinfo is not UTC:
            shifted[name] = moment.astimezone(UTC)
    return msgspec.structs.replace(row, **shifted) if shifted else row


def _dataset_by_keys(line: bytes) -> str | None:
    """The dataset an invalid line was meant for, by the identity key it carries."""
    try:
        fields = msgspec.json.decode(line)
    except NO_JSON:
        return None
    if not isinstance(fields, dict):
        return None
    found = [name for key, name in _IDENTITY_KEYS.items() if key in fields]
    return found[0] if len(found) == 1 else None


def _syntax_fault(line: bytes, error: Exception) -> tuple[str | None, str]:
    """Field, where it can be told, and reason of a line that is no JSON."""
    # Asked here, not of the error: parsers word it each in their own way.
    try:
        line.decode()
    except UnicodeDecodeError as broken:
        return None, f"not UTF-8 (byte {line[broken.start]:#04x})"
    try:
        path = stray_surrogate(json.loads(line))
    except (ValueError, RecursionError):
        path = None
    if path is not None:
        return path.removeprefix(".") or None, STRAY_SURROGATE
    if "truncated" in str(error):
        return None, "cut short: the line ends inside the row"
    return None, f"not JSON ({error})"


def _repeated_key(line: bytes) -> str | None:
    """A key that stands twice in one object of the line."""
    found: list[str] = []

    def check_pairs(pairs: list[tuple[str, Any]]) -> None:
        names = [key for key, _ in pairs]
        if len(names) != len(set(names)):
            found.extend(name for name in names if names.count(name) > 1)

    json.loads(line, object_pairs_hook=check_pairs)
    return found[0] if found else None
