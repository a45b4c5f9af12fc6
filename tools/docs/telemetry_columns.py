"""The dictionary of raw columns, from `orket/records/`."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Iterator

from msgspec import Meta

from orket.records import DATASETS, Record
from tools.docs.pages import markdown_table

_TYPES = {"int": "integer", "str": "text", "bool": "boolean", "datetime": "moment"}


def telemetry_columns() -> str:
    """A section for each dataset, with every column of its rows."""
    sections = []
    for dataset, row_type in DATASETS.items():
        rows = list(_column_rows(row_type, ""))
        about = inspect.cleandoc(row_type.__doc__ or "")  # From 3.13 on it comes so.
        headers = ["column", "type", "unit", "source", "meaning"]
        sections.append(f"## {dataset}\n\n{about}\n\n{markdown_table(headers, rows)}")
    return "\n\n".join(sections)


def _column_rows(row_type: type[Record], prefix: str) -> Iterator[list[str]]:
    for name, hint in typing.get_type_hints(row_type, include_extras=True).items():
        meta = _meta(hint)
        extra = meta.extra or {}
        kind, inner = _kind(hint)
        yield [
            f"`{prefix}{name}`",
            kind,
            extra.get("unit", ""),
            extra.get("source", ""),
            meta.description or "",
        ]
        if inner is not None:
            mark = "[]." if kind.startswith("list") else "."
            yield from _column_rows(inner, f"{prefix}{name}{mark}")


def _meta(hint: object) -> Meta:
    described = [
        item
        for item in getattr(hint, "__metadata__", ())
        if isinstance(item, Meta) and item.description
    ]
    return described[-1] if described else Meta()


def _kind(hint: object) -> tuple[str, type[Record] | None]:
    """Name of a type, and the record inside it."""
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        return _kind(typing.get_args(hint)[0])
    if origin in (types.UnionType, typing.Union):
        members = [a for a in typing.get_args(hint) if a is not type(None)]
        kind, inner = _kind(members[0])
        return kind + ", or NULL", inner
    if origin is list:
        kind, inner = _kind(typing.get_args(hint)[0])
        return f"list of {kind}", inner
    if isinstance(hint, type) and issubclass(hint, Record):
        return "group", hint
    name = getattr(hint, "__name__", str(hint))
    return _TYPES.get(name, name), None
