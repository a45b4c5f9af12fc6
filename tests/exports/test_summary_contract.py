"""The view v1.summary returns every field that the exporter reads."""

from __future__ import annotations

from typing import Any

import polars as pl

from orket.exports.summary import describe_sources
from orket.warehouse import Warehouse


def field_paths(kind: Any, prefix: str = "") -> set[str]:
    """Dotted paths of all fields of a nested type, lists passed through."""
    if isinstance(kind, pl.List):
        return field_paths(kind.inner, prefix)
    if not isinstance(kind, pl.Struct):
        return set()
    paths = set()
    for field in kind.fields:
        path = f"{prefix}{field.name}"
        paths |= {path} | field_paths(field.dtype, f"{path}.")
    return paths


def test_the_view_has_every_source(tmp_path):
    with Warehouse.open(tmp_path).session() as session:
        frame = session.frame("SELECT summary FROM v1.summary")
    there = field_paths(frame.schema["summary"])
    needed = {source for source, _ in describe_sources()} - {"schema_version"}
    # What is missing of its files no row can tell.
    needed = {path for path in needed if path.partition(".")[0] != "missing_parts"}
    assert sorted(needed - there) == []
