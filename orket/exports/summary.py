"""From the row of `v1.summary` to `sweep_summary.json`: renders, decides nothing."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from orket.errors import WarehouseError
from orket.exports.json_text import read_json, render_json
from orket.exports.model import SCHEMA_VERSION, SweepSummary
from orket.exports.part import Part
from orket.exports.scale import (
    MICRO,
    MILLI,
    NANO,
    NumberOrWord,
    Scaled,
    Source,
    as_mapping,
)

_READERS = (Scaled, Source, NumberOrWord)
_SUFFIXES = {
    "_ppm": (MICRO, 6),
    "_micro": (MICRO, 6),
    "_milli": (MILLI, 3),
    "_ns": (NANO, 6),
    "_us": (MICRO, 6),
}


def summary_document(row: Mapping[str, Any]) -> dict[str, Any]:
    """The summary as plain values, from the struct that `v1.summary` returns.

    Numbers are Decimals computed from integers; keys stand in the model's order.
    """
    # These belong to the document and to the files, and not to the rows.
    own = {"schema_version": SCHEMA_VERSION, "missing_parts": row.get("missing_parts")}
    return _read_part(SweepSummary, {**row, **own}, "summary")


def render_summary(row: Mapping[str, Any]) -> bytes:
    """The bytes of `sweep_summary.json`: the same row gives the same bytes anywhere."""
    return (render_json(summary_document(row)) + "\n").encode("utf-8")


def part_document(part: type[Part], row: Mapping[str, Any]) -> dict[str, Any]:
    """The same of one part of the summary, from the row that has its columns."""
    return _read_part(part, row, part.__name__)


def describe_sources(part: type[Part] = SweepSummary) -> Iterator[tuple[str, str]]:
    """Path of every source column that the exporter reads, with what it becomes."""
    for name, field in part.model_fields.items():
        reader = _reader(field.metadata)
        source = reader.source if reader else name
        nested = _nested_part(field.annotation)
        yield source, name
        if nested:
            for path, target in describe_sources(nested):
                yield f"{source}.{path}", f"{name}.{target}"


def _read_part(part: type[Part], row: Mapping[str, Any], where: str) -> dict[str, Any]:
    return {
        name: _read_field(field.annotation, field.metadata, name, row, where)
        for name, field in part.model_fields.items()
    }


def _read_field(
    annotation: Any, metadata: list[Any], name: str, row: Mapping[str, Any], where: str
) -> Any:
    reader = _reader(metadata)
    source = reader.source if reader else name
    if source not in row:
        raise WarehouseError(
            f"the view v1.summary has no field {where}.{source}",
            "the views and this version of Orket do not belong together; reinstall it",
        )
    value = row[source]
    if reader:
        return reader.read(value)
    if name == "overrides":
        return _read_overrides(value)
    nested = _nested_part(annotation)
    here = f"{where}.{name}"
    if nested and isinstance(value, (list, tuple)):
        return [_read_part(nested, item, here) for item in value]
    if nested:
        return None if value is None else _read_part(nested, value, here)
    if _is_mapping(annotation):
        is_absent = value is None and type(None) in typing.get_args(annotation)
        return None if is_absent else as_mapping(value)
    return value


def _is_mapping(annotation: Any) -> bool:
    """Whether it is `dict[...]` or `dict[...] | None`."""
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        return any(map(_is_mapping, typing.get_args(annotation)))
    return typing.get_origin(annotation) is dict


def _reader(metadata: list[Any]) -> Scaled | Source | NumberOrWord | None:
    return next((item for item in metadata if isinstance(item, _READERS)), None)


def _nested_part(annotation: Any) -> type[Part] | None:
    """The part inside `Part`, `Part | None` or `list[Part]`."""
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return annotation
    if typing.get_origin(annotation) in (list, types.UnionType, typing.Union):
        for inner in typing.get_args(annotation):
            if nested := _nested_part(inner):
                return nested
    return None


def _read_overrides(value: Any) -> dict[str, Any]:
    """Overrides with their JSON values read; policy names lose their scale suffix."""
    plain = {}
    for key, text in as_mapping(value).items():
        item = read_json(text) if isinstance(text, str) else text
        name, item = _unscale(key, item)
        plain[name] = item
    return as_mapping(plain)


def _unscale(key: str, value: Any) -> tuple[str, Any]:
    for suffix, (divisor, digits) in _SUFFIXES.items():
        if key.endswith(suffix) and isinstance(value, int):
            return key.removesuffix(suffix), Scaled(key, divisor, digits).read(value)
    return key, value
