"""Turns files of judged JSON lines into parts, at DuckDB's speed.

SQL alone is not strict: DuckDB reads "12" as 12, drops unknown keys and fills torn rows
with NULL. So every line is judged before it comes here, and only the copying is
DuckDB's.
"""

from __future__ import annotations

import os
from pathlib import Path

import duckdb

from orket.errors import WarehouseError
from orket.records import DATASETS
from orket.warehouse.parts import (
    create_folder,
    sync_folder,
    time_ordered_id,
    write_failure,
)
from orket.warehouse.schema import duckdb_columns
from orket.warehouse.store import Warehouse


def copy_json_lines(
    warehouse: Warehouse,
    dataset: str,
    sweep_id: str | None,
    source: Path,
    threads: int | None = None,
) -> Path:
    """Append one part with the rows of `source`, one valid JSON row per line.

    All rows must be of `dataset` and, but for events, of this sweep. Raises
    WarehouseError when the place cannot be written.
    """
    folder = warehouse.folder(dataset, sweep_id)
    final = folder / f"part-{time_ordered_id()}.parquet"
    hidden = folder / f".{final.name}.tmp"
    create_folder(folder)
    try:
        _copy(dataset, source, hidden, threads)
        with hidden.open("rb+") as written:
            os.fsync(written.fileno())
        hidden.replace(final)
        sync_folder(folder)
    except OSError as error:
        hidden.unlink(missing_ok=True)
        raise write_failure(folder, error) from error
    except duckdb.Error as error:
        hidden.unlink(missing_ok=True)
        raise WarehouseError(
            f"cannot write to the warehouse at {folder}: {str(error).splitlines()[0]}"
        ) from error
    return final


def _copy(dataset: str, source: Path, target: Path, threads: int | None) -> None:
    columns = ", ".join(
        f"'{name}': '{kind}'"
        for name, kind in duckdb_columns(DATASETS[dataset]).items()
    )
    config: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    if threads is not None:
        config["threads"] = threads
    with duckdb.connect(":memory:", config=config) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            f"COPY (SELECT * FROM read_json({_quoted(source)}, "
            f"format = 'newline_delimited', columns = {{{columns}}})) "
            f"TO {_quoted(target)} (FORMAT parquet, COMPRESSION zstd, "
            f"KV_METADATA {{orket_dataset: '{dataset}', orket_schema: '1'}})"
        )


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
