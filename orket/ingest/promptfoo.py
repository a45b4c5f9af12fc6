"""Results of promptfoo (`promptfoo eval -o results.json` or .jsonl) -> runs.

Each cell of its table is a run: the answer, its own verdict, tokens and latency. One
file may hold several models: each provider is told by its label and its id.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from orket.identity import content_id
from orket.ingest.fields import BadField, Fields, dump_json
from orket.ingest.origin import (
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

_KINDS = re.compile(
    r"^(?:(?:azure|chat|completion|completions|embedding|exec|huggingface|litellm"
    r"|llama|llamafile|localai|ollama|openai|openrouter|responses|text-generation"
    r"|vllm):)+"
)
"""What a provider's id begins with before it names the model."""
_NS_OF_MS = 1_000_000
_FAILED = 2
"""`failureReason` of a call that gave no answer; 1 is an answer that did not pass."""
_LONGEST_NAME = 48


@dataclass(frozen=True, slots=True)
class _Source:
    """What the rows of one provider share."""

    sweep_id: str
    model_id: str
    quant_tag: str


def parse_promptfoo(path: Path, options: SourceOptions) -> Parsed:
    """The results of one file. Raises BadDocument when there are none to read."""
    try:
        summary, version = _read_results(read_text(path))
        results = list(summary.groups("results"))
        at = summary.moment("timestamp") or modified_at(path)
    except BadField as error:
        raise BadDocument(error.reason, field=error.field) from None
    if not results:
        raise BadDocument("no result in the file", field="results.results")
    identity = content_id(dump_json([result.values for result in results]))
    walk = _walk(path, results, identity, options, at)
    origin = Origin(
        preset="ingest:promptfoo", provider="promptfoo", provider_version=version
    )
    return Parsed(walk, origin)


def _read_results(text: str) -> tuple[Fields, str | None]:
    """What holds the list of results, and promptfoo's version where it is said."""
    lines = [line for line in text.split("\n") if line.strip()]
    if lines and '"testIdx"' in lines[0] and '"results"' not in lines[0]:
        return Fields({"results": [read_json(line) for line in lines]}), None
    document = read_json(text)
    if not isinstance(document, dict):
        raise BadDocument("no results of promptfoo")
    inner = document.get("results")
    if isinstance(inner, list):
        return Fields(document), None
    version = Fields(document).group("metadata").text("promptfooVersion")
    return Fields(document).group("results"), version


def _walk(
    path: Path,
    results: list[Fields],
    identity: str,
    options: SourceOptions,
    at: datetime,
) -> Iterator[Item]:
    several = len({_template(result) for result in results}) > 1
    seen: dict[tuple[_Source, str], int] = {}
    for order, result in enumerate(results):
        try:
            result.require_characters()
            source = _source(path, result, identity, options)
            test_id = _test_id(result, several)
            key = (source, test_id)
            seen[key] = seen.get(key, 0) + 1
            yield 1, _run(result, source, test_id, seen[key], order, at)
        except BadField as error:
            yield 1, Rejection(1, error.field, error.reason, shorten(result.as_json()))
        except BadDocument as error:
            raw = shorten(result.as_json())
            yield 1, Rejection(1, result.where("provider"), error.reason, raw)


def _source(
    path: Path, result: Fields, identity: str, options: SourceOptions
) -> _Source:
    """The model and quant of a result, by its provider's label and id."""
    said = result.values.get("provider")
    provider = (
        Fields({"id": said}, result.path)
        if isinstance(said, str)
        else result.group("provider")
    )
    label, name = provider.text("label"), provider.text("id")
    model, quant = split_source_name(_KINDS.sub("", name or ""))
    of_label, tag = split_source_name(label)
    if tag is not None:
        # A label may be no more than the quant.
        quant = tag
        model = model if name else of_label
    named = options.naming(path, label, name)
    model_id, quant_tag = identity_of(model, [quant], named)
    sweep = content_id(identity, model_id, quant_tag)
    return _Source(f"promptfoo-{sweep}", model_id, quant_tag)


def _template(result: Fields) -> str:
    """Which prompt a result belongs to, whatever stands in its variables."""
    prompt = result.values.get("prompt")
    label = prompt.get("label") if isinstance(prompt, dict) else None
    return str(result.values.get("promptId") or label or "")


def _test_id(result: Fields, several: bool) -> str:
    """A test by its content, so that it is the same in another file."""
    case = result.group("testCase")
    told = [case.values.get("vars"), _plain(case.values.get("assert"))]
    if case.values.get("vars") is None:
        told[0] = result.values.get("vars")
    name = case.text("description") or "test"
    plain = re.sub(r"[^\w.-]+", "-", name)[:_LONGEST_NAME].strip("-") or "test"
    bank = "promptfoo"
    if several:
        bank += f":{content_id(_template(result))[:8]}"
    return f"{bank}/{plain}-{content_id(dump_json(told))[:10]}"


def _plain(assertions: Any) -> Any:
    return assertions if isinstance(assertions, list) else None


def _run(
    result: Fields,
    source: _Source,
    test_id: str,
    repetition: int,
    order_index: int,
    at: datetime,
) -> RunRecord:
    response = result.group("response")
    usage = response.group("tokenUsage")
    is_cached = response.flag("cached") or False
    passed = result.flag("success")
    error = result.text("error") or response.text("error")
    has_failed = result.values.get("failureReason") == _FAILED or (
        error is not None and response.values.get("output") is None
    )
    checks = None
    if passed is not None and not has_failed:
        checks = CheckFacts(
            checks_passed=int(passed),
            checks_total=1,
            check_details=dump_json(
                {name: result.values.get(name) for name in ("score", "namedScores")}
            ),
            checker_version="promptfoo",
        )
    return imported_run(
        sweep_id=source.sweep_id,
        model_id=source.model_id,
        quant_tag=source.quant_tag,
        test_id=test_id,
        repetition=repetition,
        order_index=order_index,
        at=at,
        task_revision=test_id.rpartition("-")[2],
        call=CallFacts(
            outcome="FAILED" if has_failed else "OK",
            error_class="PROMPTFOO_ERROR" if has_failed else None,
            error_message=error.split("\n", 1)[0] if has_failed and error else None,
            answer_text=_answer(response),
            prompt_tokens=usage.count("prompt") or None,
            completion_tokens=usage.count("completion") or None,
            formula_id="promptfoo",
            # An answer from its cache took no time of the model's.
            wall_ns=None if is_cached else result.scaled("latencyMs", _NS_OF_MS),
        ),
        checks=checks,
    )


def _answer(response: Fields) -> str | None:
    """The answer; what promptfoo read as JSON is written as JSON again."""
    output = response.values.get("output")
    if output is None or isinstance(output, str):
        return output
    return dump_json(output)
