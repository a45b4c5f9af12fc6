"""Reads what llama-bench prints: json, jsonl, csv, md and sql, of any version.

Its columns have changed often (CUDA, Metal and others became `backends`, mmap became
`load_mode`), so only the few that Orket needs are read, strictly, and every record
is kept whole beside them. Rates are computed from the raw samples where they are
printed (json and jsonl), from the mean time in csv and sql; md says rates alone.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from orket.limits import MAX_BYTES, MAX_RATE
from orket.records import STRAY_SURROGATE, stray_surrogate

TOOL = "llama-bench"

_TABLES = r"(?:llama_bench|test)"
_CREATE = re.compile(rf"^CREATE TABLE IF NOT EXISTS {_TABLES}\b", re.M)
_INSERT = re.compile(rf"^INSERT INTO {_TABLES} \(([^)]*)\) VALUES \((.*)\);\s*$")
_SQL_VALUE = re.compile(r"'([^']*)'(?:, |$)")
_MD_HEADER = re.compile(r"^\|[ *]*model[ *]*\|", re.I)
_MD_RULE = re.compile(r"^\|[ :|-]+\|$")
_MD_BUILD = re.compile(r"^build: (\S+) \((\d+)\)\s*$", re.M)
_MD_TEST = re.compile(r"^(?:pp ?(\d+))?\+?(?:tg ?(\d+))?(?: @ d(\d+))?$")
_MD_RATE = re.compile(r"^(\d+(?:\.\d+)?) *(?:±.*)?$")
_WHOLE_NUMBER = re.compile(r"^\d{1,19}$")
_JSON = re.compile(r'^\s*(\{(?=\s*(?:"|$))|\[(?=\s*(?:\{|$|\])))', re.M)
"""The first line on which an object, or a list of objects, begins."""
_CSV = re.compile(r"^build_commit,", re.M | re.I)
_NOTE = re.compile(r"[^,]*$")
"""What a shell or a tool writes behind a table."""
_SPACE = re.compile(r"[\s,]*")


class BadOutput(Exception):
    """Something in the output is not what llama-bench prints."""

    def __init__(self, field: str | None, reason: str) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field = field
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchTest:
    """One test of llama-bench. What the output does not say is None."""

    test: str
    """`pp` (prefill), `tg` (decode) or `pg` (both in one time)."""
    prompt_tokens: int
    generated_tokens: int
    depth_tokens: int | None
    batch_tokens: int | None
    threads: int | None
    samples_ns: tuple[int, ...] | None
    mean_ns: int | None
    rate_milli: int | None
    """The tool's own tokens per second; only where no time is printed."""
    build: str | None
    model_filename: str | None
    model_type: str | None
    model_bytes: int | None
    parameters: int | None
    tested_at: datetime | None
    raw: str
    """The record as JSON."""


def measured(test: BenchTest) -> dict[str, Any]:
    """What a row of a sidecar says of a test, by its columns."""
    return {
        "tool": TOOL,
        "tool_version": test.build,
        "status": "OK",
        "test": test.test,
        "prompt_tokens": test.prompt_tokens,
        "generated_tokens": test.generated_tokens,
        "depth_tokens": test.depth_tokens,
        "batch_tokens": test.batch_tokens,
        "threads": test.threads,
        "samples_ns": list(test.samples_ns) if test.samples_ns else None,
        "mean_ns": test.mean_ns,
        "rate_milli": test.rate_milli,
        "raw": test.raw,
    }


Found = tuple[int, BenchTest | BadOutput]
"""Line number, from 1, and the test that starts there or why it is none."""


def detect_bench_format(text: str) -> str | None:
    """json, jsonl, csv, md or sql; None when it is no llama-bench output."""
    opening = re.match(r"\s*([\[{])", text) or _JSON.search(text)
    if opening:
        return "json" if opening[1] == "[" else "jsonl"
    if _CSV.search(text):
        return "csv"
    if _CREATE.search(text) or re.search(rf"^INSERT INTO {_TABLES} \(", text, re.M):
        return "sql"
    if any(_MD_HEADER.match(_md_line(line)) for line in text.splitlines()):
        return "md"
    return None


def read_bench_output(text: str) -> Iterator[Found]:
    """The tests in an output, in order, each with the line where it starts.

    Raises BadOutput when it is no llama-bench output at all.
    """
    text = text.removeprefix("\ufeff")
    found = detect_bench_format(text)
    if found is None:
        raise BadOutput(None, "this is not output of llama-bench")
    readers = {
        "json": _read_objects,
        "jsonl": _read_objects,
        "csv": _read_csv,
        "sql": _read_sql,
        "md": _read_md,
    }
    yield from readers[found](text)


def _read_objects(text: str) -> Iterator[Found]:
    """JSON objects one after another, in an array or one per line.

    A tool that was stopped leaves an array without its end: what came before counts.
    """
    decoder = json.JSONDecoder(
        object_pairs_hook=_object, parse_constant=_NotANumber, parse_float=Decimal
    )
    opening = _JSON.search(text)
    place = opening.start(1) if opening else _skip(text, 0)
    is_array = text[place : place + 1] == "["
    if is_array:
        place = _skip(text, place + 1)
    while place < len(text) and text[place] != "]":
        if not is_array and text[place] != "{":
            # A note of a shell or a tool between the records, or behind them.
            end_of_line = text.find("\n", place)
            place = len(text) if end_of_line < 0 else _skip(text, end_of_line)
            continue
        line = text.count("\n", 0, place) + 1
        try:
            fields, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError) as error:
            reason = getattr(error, "msg", None) or "nested too deeply"
            yield line, BadOutput(None, f"not JSON, or cut short ({reason})")
            end_of_line = text.find("\n", place)
            if is_array or end_of_line < 0:
                return
            place = end_of_line
        else:
            yield line, _read_or_refuse(fields)
        place = _skip(text, place)
    if is_array and place >= len(text):
        yield text.count("\n") + 1, BadOutput(None, "cut short: the list does not end")


class _NotANumber(str):
    """NaN or Infinity, which JSON does not have and some writers print."""


class _RepeatedKey(dict[str, Any]):
    """An object in which a key stands twice."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    return fields if len(fields) == len(pairs) else _RepeatedKey(fields)


def _skip(text: str, place: int) -> int:
    match = _SPACE.match(text, place)
    assert match is not None
    return match.end()


def _read_csv(text: str) -> Iterator[Found]:
    opening = _CSV.search(text)
    start = opening.start() if opening else 0
    before = text.count("\n", 0, start)
    rows = csv.reader(io.StringIO(text[start:]), strict=True)
    try:
        names = [name.strip().lower() for name in next(rows)]
        if twice := _repeated(names):
            yield before + 1, _stands_twice(twice)
            return
        for row in rows:
            if row and not (len(row) == 1 and _NOTE.match(row[0])):
                yield before + rows.line_num, _pair_up(names, row)
    except csv.Error as error:
        yield before + rows.line_num, BadOutput(None, f"not CSV ({error})")


def _read_sql(text: str) -> Iterator[Found]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.startswith("INSERT INTO"):
            continue
        match = _INSERT.match(line)
        if match is None:
            yield number, BadOutput(None, "not a whole INSERT of llama-bench")
            continue
        values = _SQL_VALUE.findall(match[2])
        if ", ".join(f"'{value}'" for value in values) != match[2]:
            # The tool does not escape quotes, so such a line cannot be read safely.
            yield number, BadOutput(None, "a value has a quote inside")
            continue
        names = match[1].split(", ")
        twice = _repeated(names)
        yield number, _stands_twice(twice) if twice else _pair_up(names, values)


def _repeated(names: list[str]) -> str | None:
    """A column that stands twice: which of its two values counts, nobody can say."""
    return next((name for name in names if names.count(name) > 1), None)


def _stands_twice(name: str) -> BadOutput:
    return BadOutput(name, "the column stands twice")


def _pair_up(names: list[str], values: list[str]) -> BenchTest | BadOutput:
    if len(names) != len(values):
        return BadOutput(None, f"{len(values)} values for {len(names)} columns")
    return _read_or_refuse(dict(zip(names, values, strict=True)))


def _read_or_refuse(fields: object) -> BenchTest | BadOutput:
    if (place := stray_surrogate(fields)) is not None:
        return BadOutput(place.removeprefix(".") or None, STRAY_SURROGATE)
    try:
        return _read_fields(fields)
    except BadOutput as error:
        return error


def _read_md(text: str) -> Iterator[Found]:
    build = _MD_BUILD.search(text)
    names: list[str] = []
    for number, line in enumerate(text.split("\n"), start=1):
        line = _md_line(line)
        if not line.startswith("|") or _MD_RULE.match(line):
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if _MD_HEADER.match(line):
            names = [cell.strip("* ").lower() for cell in cells]
            if twice := _repeated(names):
                yield number, _stands_twice(twice)
        elif _repeated(names):
            continue
        elif len(cells) != len(names):
            yield (
                number,
                BadOutput(None, f"{len(cells)} cells for {len(names)} columns"),
            )
        else:
            fields = dict(zip(names, cells, strict=True))
            try:
                yield number, _read_md_fields(fields, build)
            except BadOutput as error:
                yield number, error


def _md_line(line: str) -> str:
    """A line of a table, also of one that is quoted or indented."""
    return line.strip().lstrip("> ")


def _read_md_fields(fields: dict[str, str], build: re.Match[str] | None) -> BenchTest:
    test = _MD_TEST.match(fields.get("test", ""))
    if test is None or not (test[1] or test[2]):
        raise BadOutput("test", f"not a test of llama-bench: {fields.get('test')!r}")
    rate = _MD_RATE.match(fields.get("t/s", ""))
    if rate is None:
        raise BadOutput("t/s", f"not a rate: {fields.get('t/s')!r}")
    prompt, generated = int(test[1] or 0), int(test[2] or 0)
    return BenchTest(
        test=_test_name(prompt, generated),
        prompt_tokens=prompt,
        generated_tokens=generated,
        depth_tokens=int(test[3] or 0),
        batch_tokens=_optional_count(fields, "n_batch"),
        threads=_optional_count(fields, "threads" if "threads" in fields else "th"),
        samples_ns=None,
        mean_ns=None,
        rate_milli=_thousandths(rate[1]),
        build=f"{build[1]} ({build[2]})" if build else None,
        model_filename=None,
        model_type=fields.get("model") or None,
        model_bytes=None,
        parameters=None,
        tested_at=None,
        raw=_as_json(fields),
    )


def _read_fields(fields: object) -> BenchTest:
    """A record of json, jsonl, csv or sql. Raises BadOutput naming the field."""
    if not isinstance(fields, dict):
        raise BadOutput(None, f"a record is expected, not {fields!r:.40}")
    if isinstance(fields, _RepeatedKey):
        raise BadOutput(None, "a key stands twice in one record")
    for name, value in fields.items():
        if isinstance(value, _NotANumber):
            raise BadOutput(name, f"{value} is not a number")
    prompt = _count(fields, "n_prompt")
    generated = _count(fields, "n_gen")
    if prompt == 0 and generated == 0:
        raise BadOutput("n_gen", "a test without a token")
    samples = _samples(fields)
    mean_ns = _optional_count(fields, "avg_ns")
    if not samples and not mean_ns:
        raise BadOutput("avg_ns", "neither samples nor a mean time above 0")
    for name, times in (("samples_ns", samples or ()), ("avg_ns", (mean_ns,))):
        for taken_ns in filter(None, times):
            _require_rate(name, (prompt + generated) * 1_000_000_000 // taken_ns)
    return BenchTest(
        test=_test_name(prompt, generated),
        prompt_tokens=prompt,
        generated_tokens=generated,
        depth_tokens=_optional_count(fields, "n_depth"),
        batch_tokens=_optional_count(fields, "n_batch"),
        threads=_optional_count(fields, "n_threads"),
        samples_ns=samples,
        mean_ns=mean_ns or None,
        rate_milli=None,
        build=_build(fields),
        model_filename=_text(fields, "model_filename"),
        model_type=_text(fields, "model_type"),
        model_bytes=_optional_count(fields, "model_size") or None,
        parameters=_optional_count(fields, "model_n_params") or None,
        tested_at=_moment(fields),
        raw=_as_json(fields),
    )


def _test_name(prompt: int, generated: int) -> str:
    if prompt and generated:
        return "pg"
    return "pp" if prompt else "tg"


def _samples(fields: Mapping[str, Any]) -> tuple[int, ...] | None:
    value = fields.get("samples_ns")
    if value is None or value == []:
        return None
    if not isinstance(value, list):
        raise BadOutput("samples_ns", f"a list is expected, not {value!r:.40}")
    samples = tuple(_whole_number("samples_ns", sample) for sample in value)
    if 0 in samples:
        raise BadOutput("samples_ns", "a sample of no time")
    return samples


def _count(fields: Mapping[str, Any], name: str) -> int:
    if name not in fields:
        raise BadOutput(name, "missing")
    return _whole_number(name, fields[name])


def _optional_count(fields: Mapping[str, Any], name: str) -> int | None:
    value = fields.get(name)
    return None if value is None or value == "" else _whole_number(name, value)


def _whole_number(name: str, value: object) -> int:
    """A count or a duration; csv and sql print every value as text."""
    if isinstance(value, str) and _WHOLE_NUMBER.match(value):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        if 0 <= value <= MAX_BYTES:
            return value
        raise BadOutput(name, f"out of range: {value}")
    raise BadOutput(name, f"a whole number is expected, not {value!r:.40}")


def _text(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    if value is None or isinstance(value, str):
        return value or None
    raise BadOutput(name, f"text is expected, not {value!r:.40}")


def _build(fields: Mapping[str, Any]) -> str | None:
    commit = _text(fields, "build_commit")
    number = _optional_count(fields, "build_number")
    if commit is None:
        return None
    return commit if number is None else f"{commit} ({number})"


def _moment(fields: Mapping[str, Any]) -> datetime | None:
    text = _text(fields, "test_time")
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadOutput("test_time", f"not a time: {text!r:.40}") from None
    if moment.tzinfo is None:
        raise BadOutput("test_time", f"a time without a zone: {text!r:.40}")
    return moment


def _thousandths(text: str) -> int:
    milli = int((Decimal(text) * 1000).to_integral_value())
    if milli == 0:
        raise BadOutput("t/s", "a rate of 0")
    _require_rate("t/s", milli // 1000)
    return milli


def _require_rate(name: str, per_second: int) -> None:
    if per_second > MAX_RATE:
        raise BadOutput(name, f"no machine makes {per_second} tokens a second")


def _as_json(fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, default=_float, ensure_ascii=False)


def _float(value: Decimal) -> float | str:
    # Beyond the largest float there is only infinity, which JSON has not.
    number = float(value)
    return number if math.isfinite(number) else str(value)
