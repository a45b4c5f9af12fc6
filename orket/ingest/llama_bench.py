"""llama-bench output -> sidecar rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from orket.identity import content_id
from orket.ingest.origin import (
    UNKNOWN,
    Origin,
    SourceOptions,
    find_quant_tag,
    modified_at,
    split_model_name,
)
from orket.ingest.parsed import Item, Parsed
from orket.ingest.reading import BadDocument, read_text
from orket.ingest.rejection import Rejection, shorten
from orket.records import Hardware, QuantEntry, SidecarRow
from orket.sidecars.bench_output import BadOutput, BenchTest, read_bench_output


def parse_llama_bench(path: Path, options: SourceOptions) -> Parsed:
    """The tests of one output file.

    They join the sweep the user names; else the file is a sweep of its own. Raises
    BadDocument when it is no such output.
    """
    text = read_text(path)
    sweep_id = options.sweep_id or f"llama-bench-{content_id(text)}"
    try:
        found = list(read_bench_output(text))
    except BadOutput as error:
        raise BadDocument(error.reason, field=error.field) from None
    tests = [test for _, test in found if isinstance(test, BenchTest)]
    origin = Origin(
        preset="ingest:llama-bench",
        provider="llama-bench",
        provider_version=next((test.build for test in tests if test.build), None),
        hardware=Hardware(),
        quants=tuple(_quants(tests, options)),
    )
    return Parsed(_items(found, path, text, sweep_id, options), origin)


def _items(
    found: list[tuple[int, BenchTest | BadOutput]],
    path: Path,
    text: str,
    sweep_id: str,
    options: SourceOptions,
) -> Iterator[Item]:
    lines = text.split("\n")
    written_at = modified_at(path)
    for place, (line, test) in enumerate(found):
        if isinstance(test, BadOutput):
            raw = shorten(lines[line - 1]) if line <= len(lines) else ""
            yield line, Rejection(line, test.field, test.reason, raw)
            continue
        model_id, quant_tag = _identity(test, options)
        yield (
            line,
            SidecarRow(
                sweep_id=sweep_id,
                sidecar_id=content_id(sweep_id, model_id, quant_tag, place, test.raw),
                recorded_at=test.tested_at or written_at,
                model_id=model_id,
                quant_tag=quant_tag,
                tool="llama-bench",
                tool_version=test.build,
                profile="ingest",
                status="OK",
                test=test.test,
                prompt_tokens=test.prompt_tokens,
                generated_tokens=test.generated_tokens,
                depth_tokens=test.depth_tokens,
                batch_tokens=test.batch_tokens,
                threads=test.threads,
                samples_ns=list(test.samples_ns) if test.samples_ns else None,
                mean_ns=test.mean_ns,
                rate_milli=test.rate_milli,
                raw=test.raw,
            ),
        )


def _identity(test: BenchTest, options: SourceOptions) -> tuple[str, str]:
    """Model and quant: the user's word, else the file name, else llama.cpp's type."""
    model, quant = split_model_name(test.model_filename or test.model_type or UNKNOWN)
    quant = quant or find_quant_tag(test.model_type or "")
    return options.model_id or model, options.quant_tag or quant or UNKNOWN


def _quants(tests: list[BenchTest], options: SourceOptions) -> Iterator[QuantEntry]:
    seen: set[tuple[str, str]] = set()
    for test in tests:
        identity = _identity(test, options)
        if identity not in seen:
            seen.add(identity)
            yield QuantEntry(
                model_id=identity[0],
                quant_tag=identity[1],
                model_bytes=test.model_bytes,
                parameters=test.parameters,
                reported_quant=test.model_type,
            )
