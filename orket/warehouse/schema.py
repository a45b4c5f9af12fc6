"""Derives storage types from the declarations in `orket.records`.

One walk over the declared types serves both storage engines: the Arrow schema that
every Parquet part is written with, and the DuckDB type that every raw column is cast
to when it is read back.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import inspect

from orket.records import DATASETS, Record

if TYPE_CHECKING:
    import pyarrow as pa

_DUCKDB_SCALARS: dict[type[inspect.Type], str] = {
    inspect.IntType: "BIGINT",
    inspect.BoolType: "BOOLEAN",
    inspect.StrType: "VARCHAR",
    # UTC without a zone: DuckDB needs no time zone database to show it.
    inspect.DateTimeType: "TIMESTAMP",
}


def bare_type(declared: inspect.Type) -> inspect.Type:
    """The type without its metadata and without `| None`."""
    if isinstance(declared, inspect.Metadata):
        return bare_type(declared.type)
    if isinstance(declared, inspect.UnionType):
        (inner,) = [
            member
            for member in declared.types
            if not isinstance(member, inspect.NoneType)
        ]
        return bare_type(inner)
    return declared


def struct_fields(row_type: type[Record]) -> list[tuple[str, inspect.Type]]:
    """Name and bare type of each column, in declared order."""
    info = inspect.type_info(row_type)
    assert isinstance(info, inspect.StructType)
    return [(field.name, bare_type(field.type)) for field in info.fields]


def duckdb_type(declared: inspect.Type) -> str:
    """The DuckDB type a declared type is stored as."""
    kind = bare_type(declared)
    if isinstance(kind, inspect.ListType):
        return duckdb_type(kind.item_type) + "[]"
    if isinstance(kind, inspect.StructType):
        inner = ", ".join(
            f'"{field.name}" {duckdb_type(field.type)}' for field in kind.fields
        )
        return f"STRUCT({inner})"
    return _DUCKDB_SCALARS[type(kind)]


@cache
def duckdb_columns(row_type: type[Record]) -> dict[str, str]:
    """DuckDB type of each column of a dataset, in declared order."""
    return {name: duckdb_type(kind) for name, kind in struct_fields(row_type)}


@cache
def required_columns(row_type: type[Record]) -> list[str]:
    """The columns that no row lacks, those inside a group as `group.column`."""
    info = inspect.type_info(row_type)
    assert isinstance(info, inspect.StructType)
    return _required(info, "")


def _required(info: inspect.StructType, group: str) -> list[str]:
    found: list[str] = []
    for field in info.fields:
        if not field.required or _may_be_null(field.type):
            continue
        kind = bare_type(field.type)
        if isinstance(kind, inspect.StructType):
            found += _required(kind, f"{group}{field.name}.")
        else:
            found.append(group + field.name)
    return found


def _may_be_null(declared: inspect.Type) -> bool:
    if isinstance(declared, inspect.Metadata):
        return _may_be_null(declared.type)
    return isinstance(declared, inspect.UnionType) and declared.includes_none


def arrow_type(declared: inspect.Type) -> pa.DataType:
    """The Arrow type a declared type is stored as."""
    import pyarrow as pa

    kind = bare_type(declared)
    if isinstance(kind, inspect.ListType):
        return pa.list_(arrow_type(kind.item_type))
    if isinstance(kind, inspect.StructType):
        return pa.struct(
            [(field.name, arrow_type(field.type)) for field in kind.fields]
        )
    scalars = {
        inspect.IntType: pa.int64(),
        inspect.BoolType: pa.bool_(),
        inspect.StrType: pa.string(),
        inspect.DateTimeType: pa.timestamp("us"),
    }
    return scalars[type(kind)]


@cache
def arrow_schema(dataset: str) -> pa.Schema:
    """The full schema of a dataset: every part carries every column, typed."""
    import pyarrow as pa

    return pa.schema(
        [(name, arrow_type(kind)) for name, kind in struct_fields(DATASETS[dataset])],
        metadata={"orket_dataset": dataset, "orket_schema": "1"},
    )


def arrow_table(dataset: str, rows: Sequence[Record]) -> pa.Table:
    """Rows of one dataset as an Arrow table of its full schema."""
    import pyarrow as pa

    plain: list[dict[str, Any]] = [
        msgspec.to_builtins(row, builtin_types=(_datetime_type(),)) for row in rows
    ]
    return pa.Table.from_pylist(plain, schema=arrow_schema(dataset))


def _datetime_type() -> type:
    from datetime import datetime

    return datetime
