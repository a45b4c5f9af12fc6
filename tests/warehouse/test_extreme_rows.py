"""Whatever is accepted can be read: extreme rows leave every command working."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from msgspec import inspect

from orket.cli.main import run_command
from orket.records import (
    RunRecord,
)
from orket.warehouse import Warehouse
from tests.raw_rows import make_run, store_sweep


def test_every_command_works_beside_the_largest_figures(tmp_path, capsys):
    """One run at every upper end at once, in a sweep beside a good one."""
    warehouse = Warehouse(tmp_path / "warehouse")
    store_sweep(warehouse, [make_run("good", f"a/{n}", order=n) for n in range(2)])
    plain = json.loads(msgspec.json.encode(make_run("large", "a/0")))
    for group, row_type in ((plain, RunRecord), (plain["call"], type(make_run().call))):
        info = inspect.type_info(row_type)
        assert isinstance(info, inspect.StructType)
        for field in info.fields:
            if isinstance(group.get(field.name), int) and group[field.name] is not True:
                group[field.name] = _most(field.type)
    source = tmp_path / "rows.jsonl"
    source.write_text(json.dumps(plain) + "\n")
    place = ["-w", str(warehouse.path)]
    assert run_command(["ingest", str(source), *place]) == 0
    for command in (
        ["sweeps"],
        ["kpi"],
        ["show", "good"],
        ["show", "large"],
        ["export", "large", "-o", "-"],
        ["sql", "SELECT * FROM v1.runs"],
        ["baseline", "append", "good", "--override", "for the test"],
        ["baseline", "append", "large", "--override", "for the test"],
        ["baseline", "list"],
        ["baseline", "health"],
        ["baseline", "resolve", "large"],
        ["baseline", "prune"],
    ):
        assert run_command([*command, *place]) == 0, (command, capsys.readouterr().err)


def _most(declared: inspect.Type) -> Any:
    if isinstance(declared, inspect.Metadata):
        return _most(declared.type)
    if isinstance(declared, inspect.UnionType):
        return max(_most(kind) or 0 for kind in declared.types)
    return declared.le if isinstance(declared, inspect.IntType) else None
