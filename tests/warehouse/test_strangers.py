"""Parquet from strangers: whatever it is, the part is named and the rest is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orket.cli.main import run_command
from orket.warehouse import Warehouse
from orket.warehouse.parts import time_ordered_id
from orket.warehouse.seal import KEY
from tests.built_sweep import Sweep
from tests.nightly import nightly

LEVELS = 300


def _with(column: str, values: Callable[[int], Any]) -> Callable[[Any], Any]:
    def change(table: Any) -> Any:
        place = table.schema.get_field_index(column)
        return table.set_column(place, column, values(len(table)))

    return change


def _deep(rows: int) -> Any:
    kind = pa.int64()
    value: Any = 1
    for _ in range(LEVELS):
        kind = pa.list_(kind)
        value = [value]
    return pa.array([value] * rows, kind)


WRONG: dict[str, Callable[[Any], Any]] = {
    "text for a number": _with("repetition", lambda n: pa.array(["many"] * n)),
    "a list for a number": _with("repetition", lambda n: pa.array([[1, 2]] * n)),
    "a group for a moment": _with("started_at", lambda n: pa.array([{"a": 1}] * n)),
    "a number for a group": _with("call", lambda n: pa.array([7] * n)),
    "beyond a number": _with("repetition", lambda n: pa.array([2.0**80] * n)),
    "no identity": lambda table: table.drop_columns(["attempt_id"]),
    "an identity that is NULL": _with("attempt_id", lambda n: pa.nulls(n, pa.string())),
    "lists in lists that nobody asked for": lambda table: table.append_column(
        "deep", _deep(len(table))
    ),
    "lists in lists": _with("other_models_resident", _deep),
}
HARMLESS: dict[str, Callable[[Any], Any]] = {
    "more columns": lambda table: table.append_column(
        "sql'; DROP", pa.array([["x"]] * len(table))
    ),
    "a dictionary for text": _with(
        "quant_tag", lambda n: pa.array(["F16"] * n).dictionary_encode()
    ),
    "a wider text": _with("model_id", lambda n: pa.array(["m"] * n, pa.large_string())),
}


def _make_strange(warehouse: Warehouse, sweep_id: str, change: Any) -> Path:
    """As if the runs of this sweep were written by somebody else."""
    (part,) = warehouse.parts("runs", sweep_id)
    table = change(pq.ParquetFile(part).read())
    metadata = dict(table.schema.metadata or {})
    metadata.pop(KEY.encode(), None)
    pq.write_table(table.replace_schema_metadata(metadata), part)
    return part


def _strangers(folder: Path, changes: dict[str, Any]) -> dict[str, Path]:
    """A warehouse with a sweep of each kind, and one that is sound; their parts."""
    warehouse = Warehouse(folder)
    for name in ("good", *changes):
        Sweep(sweep_id=name, quants=("F16",)).fill().finish().store(folder)
    return {
        kind: _make_strange(warehouse, kind, change) for kind, change in changes.items()
    }


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Path]]:
    folder = tmp_path_factory.mktemp("wrong") / "warehouse"
    return folder, _strangers(folder, WRONG)


BY_DAY = {"text for a number", "no identity", "lists in lists"}


@pytest.mark.parametrize(
    "kind", [*sorted(BY_DAY), *nightly(*sorted({*WRONG} - BY_DAY))]
)
def test_a_part_that_is_not_what_it_should_be_is_named(wrong, capsys, kind):
    folder, parts = wrong
    assert run_command(["show", kind, "-w", str(folder)]) == 1
    told = capsys.readouterr().err
    assert parts[kind].name in told
    assert "Traceback" not in told
    assert told.count("\n") == 1


def test_beside_such_parts_the_rest_is_read_and_each_is_found(wrong, capsys):
    folder, parts = wrong
    assert run_command(["show", "good", "-w", str(folder)]) == 0
    capsys.readouterr()
    assert run_command(["verify", "-w", str(folder)]) == 4
    told = capsys.readouterr().out
    assert [kind for kind in parts if f"{parts[kind].name}: " not in told] == []


def test_a_part_that_says_it_in_another_way_is_read(tmp_path, capsys):
    parts = _strangers(tmp_path / "warehouse", HARMLESS)
    where = ["-w", str(tmp_path / "warehouse")]
    assert run_command(["verify", *where]) == 0
    capsys.readouterr()
    assert run_command(["sweeps", "--format", "json", *where]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {row["sweep_id"] for row in told} == {"good", *parts}
    assert {row["status"] for row in told} == {"COMPLETED"}


def test_a_page_that_unfolds_to_more_than_fits_ends_in_a_line(
    tmp_path, capsys, monkeypatch
):
    """Forty rows of one text of 8 MiB: a few KiB on the disk, 320 MiB as rows."""
    made = Sweep(sweep_id="bad", quants=("F16",)).fill().finish()
    store = made.store(tmp_path / "warehouse")
    (first,) = store.parts("runs", "bad")
    table = pq.ParquetFile(first).read().slice(0, 1)
    rows = pa.concat_tables([table] * 40)
    place = rows.schema.get_field_index("prompt_sha256")
    text = pa.array(["x" * (8 << 20)]).dictionary_encode()
    many = pa.DictionaryArray.from_arrays(
        pa.array([0] * 40, pa.int32()), text.dictionary
    )
    part = first.with_name(f"part-{time_ordered_id()}.parquet")
    pq.write_table(rows.set_column(place, "prompt_sha256", many), part)
    assert part.stat().st_size < 2 << 20
    monkeypatch.setenv("ORKET_MEMORY_MIB", "64")
    code = run_command(["show", "bad", "-w", str(store.path)])
    told = capsys.readouterr().err
    assert code in (0, 1)
    if code:
        assert "ORKET_MEMORY_MIB" in told or part.name in told
    assert "Traceback" not in told
