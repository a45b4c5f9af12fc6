"""Builds a warehouse of many sweeps quickly: one is drawn, the rest are its copies.

    python -m benchmarks.large_warehouse FOLDER --sweeps 1000 --runs 1000 --baselines 80

Each sweep has 5 quants and 20 tasks, as many repetitions as the runs ask for, its own
ids and its own day, and an event that ends it. The first `--baselines` sweeps have a
stored baseline for each of their cells, appended after their end.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.advice_simulator import CONTROLS, START, write_world
from benchmarks.advice_worlds import Profile, draw_world
from orket.records import EventRow
from orket.warehouse import Warehouse
from orket.warehouse.parts import time_ordered_id
from orket.warehouse.schema import arrow_table

QUANTS, TASKS = 5, 20
APART = timedelta(hours=3)
"""From the start of one sweep to that of the next."""
LASTS = timedelta(hours=2)
MACHINE = "simulated-machine"


def build(folder: Path, sweeps: int, runs: int = 1000, baselines: int = 0) -> Warehouse:
    """A new warehouse: `sweeps` of `runs` runs each, the first of them baselines."""
    warehouse = Warehouse.open(folder)
    template = _draw(max(runs // (QUANTS * TASKS), 1))
    for number in range(sweeps):
        sweep_id = f"{START + number * APART:%Y%m%d-%H%M%S}-{number:06}"
        for dataset, table in template.items():
            own = _stamp(table, sweep_id, number)
            _write(warehouse.folder(dataset, sweep_id), own)
        rows = [_end(sweep_id, number)]
        if number < baselines:
            rows += _baselines(sweep_id, number)
        _write(warehouse.folder("events"), arrow_table("events", rows))
    return warehouse


def _draw(repetitions: int) -> dict[str, pa.Table]:
    """The rows of one sweep, by dataset."""
    profile = Profile(
        "copy", "ladder", tasks=TASKS, quants=QUANTS, repetitions=repetitions
    )
    with tempfile.TemporaryDirectory() as folder:
        drawn = Warehouse.open(folder)
        write_world(drawn, "drawn", draw_world(profile, 0, seed=1))
        found = {}
        for dataset in ("sweeps", "runs"):
            (part,) = drawn.parts(dataset)
            found[dataset] = pq.read_table(part)
    return found


def _stamp(table: pa.Table, sweep_id: str, number: int) -> pa.Table:
    """The same rows under another sweep and at another time."""
    shift = pa.scalar(number * APART, pa.duration("us"))
    for place, field in enumerate(table.schema):
        column = table.column(place)
        if field.name == "sweep_id":
            column = pa.array([sweep_id] * len(table))
        elif field.name in ("attempt_id", "manifest_id"):
            column = pc.binary_join_element_wise(
                pa.scalar(sweep_id), column.cast(pa.string()), "/"
            )
        elif field.name == "hardware_fingerprint":
            column = pa.array([MACHINE] * len(table))
        elif field.name == "fingerprint_version":
            column = pa.array(["v1"] * len(table))
        elif pa.types.is_timestamp(field.type):
            column = pc.add(column, shift)
        table = table.set_column(place, field, column)
    return table


def _end(sweep_id: str, number: int) -> EventRow:
    return EventRow(
        event_id=f"end-{sweep_id}",
        recorded_at=START + number * APART + LASTS,
        event="SWEEP_FINISHED",
        sweep_id=sweep_id,
    )


def _baselines(sweep_id: str, number: int) -> Iterator[EventRow]:
    moment = START + number * APART + LASTS
    for quant in range(QUANTS):
        for task in range(TASKS):
            yield EventRow(
                event_id=f"append-{sweep_id}-{quant}-{task}",
                recorded_at=moment,
                event="BASELINE_APPEND",
                sweep_id=sweep_id,
                test_id=f"bank/t{task:03}",
                model_id="m",
                model_digest=f"sha256:Q{quant}",
                quant_tag=f"Q{quant}",
                task_revision="r1",
                hardware_fingerprint=MACHINE,
                fingerprint_version="v1",
                control_profile="quiet",
                controls=CONTROLS,
                run_quality_status="CLEAN",
                measured_at=moment,
                source_run_ids=[f"{sweep_id}:{quant}:{task}"],
                runs=10,
                checks_passed=9,
                checks_total=10,
                latency_median_ns=600_000_000,
                latency_mad_ns=3_000_000,
                memory_bytes=2_000_000_000,
            )


def _write(folder: Path, table: pa.Table) -> None:
    """A part as the warehouse has it, without waiting for the disk."""
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        table, folder / f"part-{time_ordered_id()}.parquet", compression="zstd"
    )


def main() -> None:
    """Build one and say how large it is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sweeps", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--baselines", type=int, default=0)
    options = parser.parse_args()
    build(options.folder, options.sweeps, options.runs, options.baselines)
    files = [path for path in options.folder.rglob("*.parquet")]
    size = sum(path.stat().st_size for path in files)
    print(f"{options.sweeps} sweeps, {len(files)} parts, {size / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
