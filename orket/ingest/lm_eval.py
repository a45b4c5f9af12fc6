"""Per-sample files of lm-evaluation-harness -> runs.

`lm_eval --log_samples` writes `samples_<task>_<date>.jsonl`: an answer and its metrics
per document, and no time at all. Those fit a run. `results_<date>.json` beside them
holds aggregates alone, which fit none; it says the model, so it is read for that.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

from orket.identity import content_id
from orket.ingest.fields import BadField, Fields, dump_json, moment_at
from orket.ingest.origin import (
    UNKNOWN,
    Origin,
    SourceOptions,
    identity_of,
    modified_at,
    split_source_name,
)
from orket.ingest.parsed import Item, Parsed, imported_run
from orket.ingest.reading import BadDocument, read_json, read_text
from orket.ingest.rejection import Rejection, shorten
from orket.records import CallFacts, CheckFacts, RunRecord

_SAMPLES_NAME = re.compile(r"^samples_(?P<task>.+)_(?P<date>\d{4}-\d\d-\d\dT[\d.-]+)$")
_RESULTS_NAME = re.compile(r"^(?:results|.+)_(?P<date>\d{4}-\d\d-\d\dT[\d.-]+)$")
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|inf|nan)$")
_NEGATIVE = re.compile(r"\s*-\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\s*$")
_LIKELIHOOD = re.compile(
    r"\s*[(\[]\s*[+-]?[\d.]\S*\s*,\s*(?:true|false)\s*[)\]]\s*$", re.I
)
"""A pair that was written as the text of a pair."""
_NOT_METRICS = frozenset(
    (
        "doc_id",
        "doc",
        "target",
        "arguments",
        "resps",
        "filtered_resps",
        "filter",
        "metrics",
        "doc_hash",
        "prompt_hash",
        "target_hash",
    )
)
_MODEL_KEYS = ("gguf_file", "pretrained", "model", "path", "engine", "filename")


@dataclass(frozen=True, slots=True)
class _Evaluation:
    """What all sample files of one evaluation share."""

    sweep_id: str
    model_id: str
    quant_tag: str
    at: datetime


def parse_lm_eval(path: Path, options: SourceOptions) -> Parsed:
    """The samples of one file. Raises BadDocument when there are none to read."""
    text = read_text(path)
    match = _SAMPLES_NAME.match(path.stem)
    if not text.lstrip().startswith("{") or _is_one_object(text):
        return _parse_results(path, text, options)
    date = match["date"] if match else None
    results = _results_beside(path, date)
    evaluation = _evaluation(path, results, date, options)
    task = match["task"] if match else path.stem
    return Parsed(_walk_lines(text, task, evaluation), _origin(results))


def is_told_by(path: Path, others: Collection[Path]) -> bool:
    """Whether a file of sums belongs to files of samples among these: it adds none."""
    match = _RESULTS_NAME.match(path.stem)
    if match is None or path.suffix != ".json":
        return False
    return any(
        other.parent == path.parent
        and (samples := _SAMPLES_NAME.match(other.stem)) is not None
        and samples["date"] == match["date"]
        for other in others
    )


def _is_one_object(text: str) -> bool:
    """One indented object over many lines, or one that is no sample."""
    first = text.lstrip().split("\n", 1)[0]
    return first.rstrip() == "{" or '"results"' in first


def _parse_results(path: Path, text: str, options: SourceOptions) -> Parsed:
    """A results file that carries its samples inside, as `simple_evaluate` returns."""
    document = read_json(text)
    if not isinstance(document, dict) or "results" not in document:
        raise BadDocument("neither samples nor results of lm-eval")
    samples = document.get("samples")
    if not isinstance(samples, dict) or not samples:
        raise BadDocument(
            "only aggregates: run lm_eval with --log_samples and ingest the "
            "samples_*.jsonl files",
            field="samples",
        )
    match = _RESULTS_NAME.match(path.stem)
    date = match["date"] if match else None
    evaluation = _evaluation(path, document, date, options)
    return Parsed(_walk_tasks(samples, evaluation), _origin(document))


def _results_beside(path: Path, date: str | None) -> Mapping[str, Any]:
    """The results file of the same evaluation, or nothing."""
    if date is None:
        return {}
    for candidate in sorted(path.parent.glob(f"*_{date}.json")):
        try:
            document = read_json(read_text(candidate))
        except BadDocument:
            continue
        if isinstance(document, dict) and "results" in document:
            return document
    return {}


def _evaluation(
    path: Path, results: Mapping[str, Any], date: str | None, options: SourceOptions
) -> _Evaluation:
    name = _model_name(results)
    model, quant = split_source_name(name)
    model_id, quant_tag = identity_of(model, [quant], options.naming(path, name))
    # Sample files of one evaluation share its date, which lm-eval puts in their names.
    identity = date or content_id(path.name, path.stat().st_size)
    return _Evaluation(
        sweep_id=f"lm-eval-{content_id(model_id, quant_tag, identity)}",
        model_id=model_id,
        quant_tag=quant_tag,
        at=_moment(results, date) or modified_at(path),
    )


def _model_name(results: Mapping[str, Any]) -> str | None:
    config = results.get("config")
    arguments = config.get("model_args") if isinstance(config, dict) else None
    if isinstance(arguments, str):
        arguments = dict(
            part.split("=", 1) for part in arguments.split(",") if "=" in part
        )
    if isinstance(arguments, dict):
        for key in _MODEL_KEYS:
            if isinstance(arguments.get(key), str) and arguments[key]:
                return str(arguments[key])
    name = results.get("model_name")
    return name if isinstance(name, str) and name else None


def _moment(results: Mapping[str, Any], date: str | None) -> datetime | None:
    """The evaluation's start; a date in a file name has no zone and is taken as UTC."""
    started = results.get("date")
    if isinstance(started, int | Decimal) and not isinstance(started, bool):
        try:
            return moment_at(int(started))
        except ValueError as error:
            raise BadDocument(str(error), field="date") from None
    if date is None:
        return None
    day, _, clock = date.partition("T")
    try:
        moment = datetime.fromisoformat(f"{day}T{clock.replace('-', ':')}")
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC)


def _origin(results: Mapping[str, Any]) -> Origin:
    source = results.get("model_source")
    version = results.get("lm_eval_version")
    return Origin(
        preset="ingest:lm-eval",
        provider=f"lm-eval:{source}" if isinstance(source, str) else "lm-eval",
        provider_version=version if isinstance(version, str) else None,
    )


def _walk_lines(text: str, task: str, evaluation: _Evaluation) -> Iterator[Item]:
    seen: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            document = read_json(line)
            if not isinstance(document, dict):
                raise BadField("", "an object is expected")
            sample = Fields(document)
            yield number, _sample(sample, task, evaluation, seen, number - 1)
        except BadDocument as error:
            yield number, Rejection(number, error.field, error.reason, shorten(line))
        except BadField as error:
            field = error.field or None
            yield number, Rejection(number, field, error.reason, shorten(line))


def _walk_tasks(samples: Mapping[str, Any], evaluation: _Evaluation) -> Iterator[Item]:
    seen: dict[str, int] = {}
    order = count()
    for task in samples:
        try:
            for sample in Fields(samples, "samples").groups(task):
                yield 1, _sample(sample, task, evaluation, seen, next(order))
        except BadField as error:
            yield 1, Rejection(1, error.field, error.reason)


def _sample(
    sample: Fields,
    task: str,
    evaluation: _Evaluation,
    seen: dict[str, int],
    order_index: int,
) -> RunRecord:
    """One document: its answer, and each metric of 0 or 1 as one check."""
    sample.require_characters()
    doc_id = sample.values.get("doc_id")
    if not isinstance(doc_id, int | str) or isinstance(doc_id, bool):
        raise BadField(sample.where("doc_id"), "a document number is expected")
    metrics = _metrics(sample)
    binary = {name: value for name, value in metrics.items() if value in (0, 1)}
    chosen = sample.known("filter")
    bank = f"lm-eval:{task}" if chosen in (None, "none") else f"lm-eval:{task}:{chosen}"
    test_id = f"{bank}/{doc_id}"
    seen[test_id] = seen.get(test_id, 0) + 1
    checks = CheckFacts(
        checks_passed=sum(value == 1 for value in binary.values()),
        checks_total=len(binary),
        check_details=dump_json(metrics),
        checker_version="lm-eval",
    )
    return imported_run(
        sweep_id=evaluation.sweep_id,
        model_id=evaluation.model_id,
        quant_tag=evaluation.quant_tag,
        test_id=test_id,
        repetition=seen[test_id],
        order_index=order_index,
        at=evaluation.at,
        task_revision=sample.known("doc_hash") or UNKNOWN,
        prompt_sha256=sample.known("prompt_hash"),
        call=CallFacts(outcome="OK", answer_text=_answer(sample)),
        checks=checks if binary else None,
    )


def _metrics(sample: Fields) -> dict[str, Any]:
    """The metrics a sample names; older files name none, there any number counts."""
    named = sample.items("metrics")
    names = [name for name in named if isinstance(name, str)] or [
        name for name in sample.values if name not in _NOT_METRICS
    ]
    values = {name: sample.values.get(name) for name in names}
    return {
        name: int(value) if isinstance(value, bool) else value
        for name, value in values.items()
        if isinstance(value, bool | int | Decimal)
    }


def _answer(sample: Fields) -> str | None:
    """The first response, where it is text; log-likelihoods are not an answer."""
    value: Any = sample.values.get("resps")
    while isinstance(value, list) and value:
        if _is_likelihood(value):
            return None
        value = value[0]
    if not isinstance(value, str) or _LIKELIHOOD.match(value):
        return None
    is_rolling = _NEGATIVE.match(value) and not _asks_for_text(sample)
    return None if is_rolling else value


def _is_likelihood(response: list[Any]) -> bool:
    """A log-likelihood, and whether its token was the likeliest; both also as text."""
    return (
        len(response) == 2
        and (_is_number(response[0]) or isinstance(response[0], Decimal | int))
        and str(response[1]).strip().lower() in ("true", "false")
    )


def _is_number(value: object) -> bool:
    return isinstance(value, str) and bool(_NUMBER.match(value.strip()))


def _asks_for_text(sample: Fields) -> bool:
    """Whether its request carried settings of a generation."""
    return "until" in dump_json(sample.values.get("arguments"))
