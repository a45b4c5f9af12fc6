"""Parquet from strangers: whatever it is, the part is named and the rest is read."""

from __future__ import annotations

import shutil
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

LEVELS = 300


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("strangers") / "warehouse"
    for name in ("bad", "good"):
        Sweep(sweep_id=name, quants=("F16",)).fill().finish().store(folder)
    return folder


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


def _stranger(sound: Path, folder: Path, change: Callable[[Any], Any]) -> Path:
    """A warehouse in which the runs of `bad` were written by somebody else."""
    shutil.copytree(sound, folder)
    (part,) = Warehouse(folder).parts("runs", "bad")
    table = change(pq.ParquetFile(part).read())
    metadata = dict(table.schema.metadata or {})
    metadata.pop(KEY.encode(), None)
    pq.write_table(table.replace_schema_metadata(metadata), part)
    return part


@pytest.mark.parametrize("kind", WRONG)
def test_a_part_that_is_not_what_it_should_be_is_named(sound, tmp_path, capsys, kind):
    part = _stranger(sound, tmp_path / "warehouse", WRONG[kind])
    where = ["-w", str(tmp_path / "warehouse")]
    assert run_command(["show", "bad", *where]) == 1
    told = capsys.readouterr().err
    assert part.name in told
    assert "Traceback" not in told
    assert told.count("\n") == 1
    assert run_command(["verify", *where]) == 4
    assert f"{part.name}: " in capsys.readouterr().out
    assert run_command(["show", "good", *where]) == 0


@pytest.mark.parametrize("kind", HARMLESS)
def test_a_part_that_says_it_in_another_way_is_read(sound, tmp_path, kind):
    part = _stranger(sound, tmp_path / "warehouse", HARMLESS[kind])
    where = ["-w", str(tmp_path / "warehouse")]
    assert run_command(["verify", *where]) == 0
    assert run_command(["show", "bad", *where]) == 0
    assert part.exists()


def test_a_page_that_unfolds_to_more_than_fits_ends_in_a_line(
    sound, tmp_path, capsys, monkeypatch
):
    """Forty rows of one text of 8 MiB: a few KiB on the disk, 320 MiB as rows."""
    shutil.copytree(sound, tmp_path / "warehouse")
    store = Warehouse(tmp_path / "warehouse")
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
