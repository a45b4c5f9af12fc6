"""The fields of `sweep_summary.json`, from its model."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Iterator
from typing import Any

from orket.exports.json_text import render_json
from orket.exports.model import SweepSummary, json_schema
from orket.exports.part import Part, describe_parts
from tools.docs.pages import markdown_table

_TYPES = {
    "int": "integer",
    "float": "number",
    "str": "string",
    "bool": "boolean",
    "datetime": "timestamp",
    "NoneType": "null",
    "Any": "any",
}


def summary_schema() -> str:
    """The JSON Schema as it is published."""
    return render_json(json_schema()) + "\n"


def summary_fields() -> str:
    """A section for each object, with its fields in order."""
    describe_parts()
    return "\n\n".join(map(_section, _parts(SweepSummary, [])))


def _section(part: type[Part]) -> str:
    rows = [
        [f"`{name}`", _type_name(field.annotation), field.description or ""]
        for name, field in part.model_fields.items()
    ]
    table = markdown_table(["field", "type", "meaning"], rows)
    return f"### {part.__name__}\n\n{inspect.cleandoc(part.__doc__ or '')}\n\n{table}"


def _parts(part: type[Part], seen: list[type[Part]]) -> list[type[Part]]:
    if part not in seen:
        seen.append(part)
        for field in part.model_fields.values():
            for inner in _inner_parts(field.annotation):
                _parts(inner, seen)
    return seen


def _inner_parts(hint: Any) -> Iterator[type[Part]]:
    if isinstance(hint, type) and issubclass(hint, Part):
        yield hint
    for argument in typing.get_args(hint):
        yield from _inner_parts(argument)


def _type_name(hint: Any) -> str:
    origin = typing.get_origin(hint)
    if origin is list:
        return f"list of {_type_name(typing.get_args(hint)[0])}"
    if origin is dict:
        return f"map to {_type_name(typing.get_args(hint)[1])}"
    if origin in (types.UnionType, typing.Union):
        return " or ".join(map(_type_name, typing.get_args(hint)))
    if isinstance(hint, type) and issubclass(hint, Part):
        return f"[{hint.__name__}](#{hint.__name__.lower()})"
    name = getattr(hint, "__name__", str(hint))
    return _TYPES.get(name, name)
