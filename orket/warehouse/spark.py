"""Sweeps derived on many machines by Apache Spark: DuckDB and these views in each task.

Spark carries only names of sweeps there and rows back. A task opens the warehouse by
the same place and runs the very same SQL on a portion of the sweeps, so what comes back
is what would have been derived here.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from orket.errors import MissingExtra, OrketError, UsageError, WarehouseError
from orket.text import printable
from orket.warehouse.kept import Carrier, derive, pack_rows
from orket.warehouse.store import Warehouse

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = "rows binary, failure string"


@contextmanager
def spark_carrier(place: str, master: str | None = None) -> Iterator[Carrier]:
    """A Spark session that derives sweeps of the warehouse at `place`.

    `place` has to mean the same warehouse to every worker: an object store, or a folder
    that all of them mount. Without `master` it is what Spark was set up with.
    Raises MissingExtra without PySpark, UsageError where no session starts.
    """
    session = _start(master)
    try:
        yield lambda portions: _carry(session, place, portions)
    finally:
        session.stop()


def _start(master: str | None) -> Any:
    try:
        sql = importlib.import_module("pyspark.sql")
        importlib.import_module("pandas")
    except ImportError as error:
        package = error.name or "pyspark"
        raise MissingExtra(package, "spark", "--engine spark") from error
    # Workers of this machine are this very Python.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = sql.SparkSession.builder.appName("orket")
    settings = {"spark.log.level": "ERROR", "spark.ui.showConsoleProgress": "false"}
    if master is not None:
        builder = builder.master(master)
        if master.startswith("local"):
            os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
            settings["spark.ui.enabled"] = "false"
            settings["spark.driver.bindAddress"] = "127.0.0.1"
            settings["spark.driver.host"] = "127.0.0.1"
    for name, value in settings.items():
        builder = builder.config(name, value)
    try:
        return builder.getOrCreate()
    except Exception as error:
        raise UsageError(
            f"Spark does not start ({_said(error)})",
            "it needs Java 17 or later: see that `java -version` answers; --master "
            "names the cluster, e.g. local[2]",
        ) from error


def _carry(session: Any, place: str, portions: Sequence[list[str]]) -> Iterator[bytes]:
    if not portions:
        return
    rows = [(msgspec.json.encode(portion).decode(),) for portion in portions]
    frame = session.createDataFrame(rows, "sweeps string").repartition(len(rows))
    try:
        for row in frame.mapInArrow(_task(place), _ROWS).toLocalIterator():
            if row.failure is not None:
                raise WarehouseError(row.failure, "see it with: orket verify")
            yield bytes(row.rows)
    except OrketError:
        raise
    except Exception as error:
        raise WarehouseError(
            f"Spark could not derive the sweeps ({_said(error)})",
            "every worker needs this version of Orket, and has to reach the warehouse "
            f"at {place}",
        ) from error


def _task(place: str) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """What a worker does with its portions; it is sent there by name."""

    def derive_portions(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for portion in batch.column(0).to_pylist():
                yield _derive_portion(place, msgspec.json.decode(portion))

    return derive_portions


def _derive_portion(place: str, sweep_ids: list[str]) -> pa.RecordBatch:
    import pyarrow as pa

    rows: list[bytes | None] = []
    failures: list[str | None] = []
    try:
        rows += [pack_rows(row) for row in derive(Warehouse.open(place), sweep_ids)]
        failures += [None] * len(rows)
    except OrketError as error:
        # An exception would cost the whole job its other portions.
        rows, failures = [None], [error.message]
    return pa.RecordBatch.from_arrays(
        [pa.array(rows, pa.binary()), pa.array(failures, pa.string())],
        names=["rows", "failure"],
    )


def _said(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return printable(lines[0]) if lines else type(error).__name__
