"""llama-bench output -> sidecar rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from orket.identity import content_id
from orket.ingest.origin import (
    Origin,
    SourceOptions,
    identity_of,
    modified_at,
    split_source_name,
)
from orket.ingest.parsed import Item, Parsed
from orket.ingest.reading import BadDocument, read_text
from orket.ingest.rejection import Rejection, shorten
from orket.levels import as_label
from orket.quants import distinctions
from orket.records import Hardware, QuantEntry, SidecarRow
from orket.sidecars.bench_output import (
    BadOutput,
    BenchTest,
    measured,
    read_bench_output,
)

_Weights = tuple[str | None, int | None]
"""File and size, as far as the output says them: two that differ are other weights."""


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
    names = _name_all(tests, options)
    origin = Origin(
        preset="ingest:llama-bench",
        provider="llama-bench",
        provider_version=next((test.build for test in tests if test.build), None),
        hardware=Hardware(),
        quants=tuple(_quants(tests, names)),
    )
    return Parsed(_items(found, path, text, sweep_id, options, names), origin)


def _items(
    found: list[tuple[int, BenchTest | BadOutput]],
    path: Path,
    text: str,
    sweep_id: str,
    options: SourceOptions,
    names: Mapping[int, tuple[str, str]],
) -> Iterator[Item]:
    lines = text.split("\n")
    written_at = modified_at(path)
    for place, (line, test) in enumerate(found):
        if isinstance(test, BadOutput):
            raw = shorten(lines[line - 1]) if line <= len(lines) else ""
            yield line, Rejection(line, test.field, test.reason, raw)
            continue
        if id(test) not in names:
            yield line, _reject_names(test, line, options)
            continue
        model_id, quant_tag = names[id(test)]
        yield (
            line,
            SidecarRow(
                sweep_id=sweep_id,
                sidecar_id=content_id(sweep_id, model_id, quant_tag, place, test.raw),
                recorded_at=test.tested_at or written_at,
                model_id=model_id,
                quant_tag=quant_tag,
                profile="ingest",
                **measured(test),
            ),
        )


def _identity(test: BenchTest, options: SourceOptions) -> tuple[str, str]:
    """Model and quant: of the file's name and llama.cpp's type the finer.

    Raises BadDocument where they or the user's word contradict each other.
    """
    model, named = split_source_name(test.model_filename or test.model_type)
    described = split_source_name(test.model_type)[1]
    return identity_of(model, [named, described], options)


def _reject_names(test: BenchTest, line: int, options: SourceOptions) -> Rejection:
    try:
        _identity(test, options)
    except BadDocument as error:
        return Rejection(line, error.field, error.reason, shorten(test.raw))
    raise AssertionError("a test without a name has names that contradict")


def _name_all(
    tests: Iterable[BenchTest], options: SourceOptions
) -> dict[int, tuple[str, str]]:
    """Model and quant of each test; other weights under one name are told apart."""
    weights: dict[tuple[str, str], dict[_Weights, list[int]]] = {}
    for test in tests:
        with suppress(BadDocument):
            held = weights.setdefault(_identity(test, options), {})
            which = test.model_filename, test.model_bytes
            held.setdefault(which, []).append(id(test))
    names: dict[int, tuple[str, str]] = {}
    for (model_id, tag), held in weights.items():
        labels = [""]
        if len(held) > 1:
            places = [place or "" for place, _ in held]
            if len(set(places)) < len(places):
                places = [f"{size} bytes" for _, size in held]
            labels = [as_label(name) for name in distinctions(places)]
        for label, of_one in zip(labels, held.values(), strict=True):
            names |= dict.fromkeys(of_one, (model_id, tag + label))
    return names


def _quants(
    tests: list[BenchTest], names: Mapping[int, tuple[str, str]]
) -> Iterator[QuantEntry]:
    seen: set[tuple[str, str]] = set()
    for test in tests:
        identity = names.get(id(test))
        if identity is not None and identity not in seen:
            seen.add(identity)
            yield QuantEntry(
                model_id=identity[0],
                quant_tag=identity[1],
                model_bytes=test.model_bytes,
                parameters=test.parameters,
                reported_quant=test.model_type,
            )
