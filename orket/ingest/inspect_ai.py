"""Logs of Inspect (`inspect eval`, .eval and .json) -> runs.

Each sample and epoch is a run: its answer, its tokens where the log says them, and its
scores. Times fit none: a sample may call its model many times, beside others, and wait.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from orket.identity import content_id
from orket.ingest.archive import damage, open_zip
from orket.ingest.fields import SCORE_SCALE, BadField, Fields, dump_json
from orket.ingest.formats import ZIP_MARK
from orket.ingest.origin import (
    Origin,
    SourceOptions,
    identity_of,
    modified_at,
    split_source_name,
)
from orket.ingest.parsed import Item, Parsed, imported_run
from orket.ingest.reading import BadDocument, open_file, read_json, read_text
from orket.ingest.rejection import Rejection, shorten
from orket.records import CallFacts, CheckFacts, RunRecord

_HEADERS = ("header.json", "_journal/start.json", "start.json")
"""Where versions of Inspect say what was evaluated; the last two while it runs."""
_SAMPLE = re.compile(r"^samples/(?P<name>[^/]+)\.json$")
_MOST_BYTES = 256 << 20
"""Of one entry, unpacked: a small file may become a huge one."""
_MOST_BYTES_IN_ALL = 1 << 30
"""Of all entries that are read."""
_GRADES = {"C": SCORE_SCALE, "P": SCORE_SCALE // 2, "I": 0, "N": 0}
"""What a scorer's letter is worth: correct, partly, incorrect, no answer."""
_ATTACHED = "attachment://"
_STOPPED = {"max_tokens": "length", "model_length": "length"}


def parse_inspect(path: Path, options: SourceOptions) -> Parsed:
    """The samples of one log. Raises BadDocument when there are none to read."""
    with open_file(path) as file:
        is_zip = file.read(len(ZIP_MARK)) == ZIP_MARK
    if is_zip:
        header, samples = _read_zip(path)
    else:
        header, samples = _read_document(read_json(read_text(path), nan_is_none=True))
    try:
        spec = Fields(header).group("eval")
        name, task = spec.text("model"), spec.text("task")
        version = spec.group("packages").text("inspect_ai")
        at = _moment(spec) or modified_at(path)
    except BadField as error:
        raise BadDocument(error.reason, field=error.field) from None
    if not samples:
        raise BadDocument(
            "the log holds no samples: let inspect write them (not --no-log-samples)",
            field="samples",
        )
    model, quant = split_source_name(name)
    model_id, quant_tag = identity_of(model, [quant], options.naming(path, name))
    identity = spec.values.get("eval_id") or spec.values.get("run_id") or path.name
    sweep_id = f"inspect-{content_id(model_id, quant_tag, str(identity), task)}"
    walk = _walk(samples, task or "task", sweep_id, model_id, quant_tag, at)
    origin = Origin(
        preset="ingest:inspect",
        provider=f"inspect:{(name or '').partition('/')[0]}".rstrip(":"),
        provider_version=version,
    )
    return Parsed(walk, origin)


def _moment(spec: Fields) -> datetime | None:
    """When it was made; early versions say no zone, and then it is not known."""
    try:
        return spec.moment("created")
    except BadField:
        return None


def _read_document(document: Any) -> tuple[Mapping[str, Any], list[Any]]:
    if not isinstance(document, dict) or "eval" not in document:
        raise BadDocument("no log of Inspect")
    samples = document.get("samples")
    if samples is not None and not isinstance(samples, list):
        raise BadDocument("a list is expected", field="samples")
    return document, samples or []


def _read_zip(path: Path) -> tuple[Mapping[str, Any], list[Any]]:
    """The header and the samples of a .eval file, in the order of their names."""
    try:
        with open_file(path) as file, open_zip(file) as archive:
            names = archive.namelist()
            found = next((name for name in _HEADERS if name in names), None)
            if found is None:
                raise BadDocument("no log of Inspect: it has no header.json")
            header = _entry(archive, found)
            # An entry that stands twice was written again: the last one counts.
            samples = sorted({name for name in names if _SAMPLE.match(name)})
            _require_bounded(archive, [found, *samples])
            return _object(header, found), [_entry(archive, name) for name in samples]
    except NotImplementedError:
        raise BadDocument(
            "it is packed as this Python cannot unpack it: write it as JSON with "
            "inspect log convert --to json"
        ) from None
    except damage() as error:
        raise BadDocument(f"the archive is damaged ({error})") from None


def _require_bounded(archive: ZipFile, names: Sequence[str]) -> None:
    """Refuse an archive that unpacks to too much, before any of it is unpacked."""
    sizes = {name: archive.getinfo(name).file_size for name in names}
    for name, size in sizes.items():
        if size > _MOST_BYTES:
            raise BadDocument(f"{name} is larger than {_MOST_BYTES >> 20} MiB")
    if sum(sizes.values()) > _MOST_BYTES_IN_ALL:
        raise BadDocument(
            f"it unpacks to more than {_MOST_BYTES_IN_ALL >> 20} MiB: ingest its "
            "samples in several logs"
        )


def _entry(archive: ZipFile, name: str) -> Any:
    with archive.open(name) as entry:
        # No more than it says to be, or all that it unpacks to would come at once.
        content = entry.read(archive.getinfo(name).file_size)
    try:
        return read_json(content.decode("utf-8"), nan_is_none=True)
    except UnicodeDecodeError:
        raise BadDocument(f"{name} is not UTF-8") from None


def _object(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise BadDocument(f"{name} is no object")
    return value


def _walk(
    samples: list[Any],
    task: str,
    sweep_id: str,
    model_id: str,
    quant_tag: str,
    at: datetime,
) -> Iterator[Item]:
    for place, value in enumerate(samples):
        where = f"samples[{place}]"
        try:
            if not isinstance(value, dict):
                raise BadField(where, "an object is expected")
            yield (
                1,
                _run(
                    Fields(value, where),
                    bank=f"inspect:{task.replace('/', '.')}",
                    sweep_id=sweep_id,
                    model_id=model_id,
                    quant_tag=quant_tag,
                    order_index=place,
                    at=at,
                ),
            )
        except BadField as error:
            yield 1, Rejection(1, error.field, error.reason, shorten(dump_json(value)))


def _run(
    sample: Fields,
    *,
    bank: str,
    sweep_id: str,
    model_id: str,
    quant_tag: str,
    order_index: int,
    at: datetime,
) -> RunRecord:
    """One sample in one epoch."""
    sample.require_characters()
    sample_id = sample.values.get("id")
    if not isinstance(sample_id, int | str) or isinstance(sample_id, bool):
        raise BadField(sample.where("id"), "a sample's id is expected")
    error = sample.values.get("error")
    output = sample.group("output")
    usage = output.group("usage")
    asked = [sample.values.get(name) for name in ("input", "choices", "target")]
    choice = next(iter(output.groups("choices")), Fields({}))
    stopped = choice.text("stop_reason")
    return imported_run(
        sweep_id=sweep_id,
        model_id=model_id,
        quant_tag=quant_tag,
        test_id=f"{bank}/{sample_id}",
        repetition=sample.count("epoch") or 1,
        order_index=order_index,
        at=sample.moment("completed_at") or at,
        started_at=sample.moment("started_at"),
        task_revision=content_id(dump_json(asked)),
        call=CallFacts(
            outcome="FAILED" if error else "OK",
            error_class="INSPECT_ERROR" if error else None,
            error_message=_error_text(error),
            answer_text=_answer(sample, output, choice),
            stop_reason=_STOPPED.get(stopped or "", stopped),
            prompt_tokens=usage.count("input_tokens"),
            completion_tokens=usage.count("output_tokens"),
            formula_id="inspect",
        ),
        checks=None if error else _checks(sample),
    )


def _error_text(error: Any) -> str | None:
    told = error.get("message") if isinstance(error, dict) else error
    return str(told).split("\n", 1)[0] if told else None


def _answer(sample: Fields, output: Fields, choice: Fields) -> str | None:
    """What the model said last, without its thoughts."""
    content = choice.group("message").values.get("content")
    if isinstance(content, list):
        parts = [part for part in content if isinstance(part, dict)]
        content = "".join(
            str(part["text"])
            for part in parts
            if part.get("type") == "text" and isinstance(part.get("text"), str)
        )
    text = content if isinstance(content, str) else output.text("completion")
    if text is not None and text.startswith(_ATTACHED):
        return sample.group("attachments").text(text.removeprefix(_ATTACHED))
    return text


def _checks(sample: Fields) -> CheckFacts | None:
    """The scores, in units of one scale; those that are no share are kept as text."""
    scores = sample.group("scores")
    told = {}
    if sample.values.get("score") is not None and not scores.values:
        scores = Fields({"score": sample.values["score"]}, sample.path)
    shares = []
    for name in scores.values:
        value = scores.group(name).values.get("value")
        told[name] = value
        share = _share(value)
        if share is not None:
            shares.append(share)
    if not shares:
        return None
    return CheckFacts(
        checks_passed=sum(shares),
        checks_total=len(shares) * SCORE_SCALE,
        check_details=dump_json(told),
        checker_version="inspect",
    )


def _share(value: Any) -> int | None:
    """A score from 0 to 1 in units of SCORE_SCALE; None for what is none."""
    if isinstance(value, str):
        return _GRADES.get(value)
    if isinstance(value, bool):
        return SCORE_SCALE if value else 0
    if isinstance(value, int | Decimal) and 0 <= value <= 1:
        return int(value * SCORE_SCALE)
    return None
