"""How fast strict ingest is beside DuckDB's own copy of the same bytes.

    python benchmarks/ingest_rate.py [--rows 200000] [--sweeps 1] [--rounds 3]

Both read one JSONL file of runs. `copy` is DuckDB alone: COPY from read_json with the
declared columns to one Parquet file; it accepts "12" for 12 and knows no missing field.
`ingest` is what `orket ingest` does: every line judged, the rows of each sweep in a
part of its own, and made durable. The manifests of the sweeps are in the warehouse, as
they are when a warehouse's rows are brought along; --without-manifests has ingest build
them from the rows. The aim is a ratio of 0.8 and no less than 0.65, by wall time and in
the same round; it is printed, not enforced. On a busy machine the ratio by processor
time is the steadier one.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from orket.ingest.importer import ingest_file
from orket.records import (
    CallFacts,
    CheckFacts,
    Controls,
    Counters,
    Hardware,
    RunRecord,
    SweepRow,
    to_json,
)
from orket.warehouse import Warehouse
from orket.warehouse.schema import duckdb_columns

START = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
CONTROLS = Controls(seed=7, temperature_milli=0, threads="8", context_tokens=4096)


def make_run(number: int, sweep: int) -> RunRecord:
    """A run as a real sweep on Linux records it: every sensor but the GPU's."""
    moment = START + timedelta(milliseconds=1200 * number)
    start_ns = 10**12 + number * 1_200_000_000
    counters = Counters(
        host_total_ns=start_ns * 8,
        host_busy_ns=start_ns * 3,
        host_idle_ns=start_ns * 5,
        host_iowait_ns=number,
        host_steal_ns=0,
        server_cpu_ns=start_ns * 2,
        client_cpu_ns=start_ns // 50,
        load1_milli=830 + number % 400,
        psi_cpu_some_us=number * 7,
        psi_memory_full_us=0,
        psi_io_full_us=0,
        cgroup_throttled_ns=0,
        swap_in_bytes=0,
        swap_out_bytes=0,
        server_major_faults=3,
        thermal_throttle_count=0,
        cpu_frequency_khz=2_450_000,
        available_memory_bytes=10**10 + number,
        server_rss_bytes=5 * 10**9,
    )
    return RunRecord(
        sweep_id=f"20260105-{sweep:06}-benchmark",
        run_id=f"{number:032x}",
        attempt_id=f"{number:064x}",
        attempt_number=1,
        executor_started_at=START,
        recorded_at=moment,
        phase="matrix",
        model_id="qwen2.5-7b-instruct",
        model_digest="sha256:" + "ab" * 32,
        quant_tag=("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M")[number % 5],
        test_id=f"logic-core/task-{number % 40:03}",
        bucket="logic",
        task_revision="c" * 64,
        repetition=1 + number // 200 % 5,
        order_index=number,
        block_index=number // 40,
        started_at=moment,
        started_ns=start_ns,
        ended_ns=start_ns + 1_100_000_000,
        prompt_sha256=f"{number % 40:064x}",
        max_tokens=256,
        requested=CONTROLS,
        effective=CONTROLS,
        call=CallFacts(
            outcome="OK",
            answer_text=f"The answer is {number % 97}, because {number} is what it is.",
            stop_reason="stop",
            prompt_tokens=184,
            cached_prompt_tokens=0,
            completion_tokens=41,
            prefill_ns=210_000_000 + number,
            decode_ns=850_000_000 + number % 10_000,
            formula_id="llama-server-1",
            decode_clock="first_token",
            prefill_kind="internal",
            raw_figures='{"timings":{"prompt_n":184,"prompt_ms":210.1,"predicted_n":41}}',
            prompt_cache="disabled",
            streamed=True,
            wall_ns=1_090_000_000 + number % 10_000,
            realtime_ns=1_090_000_100,
            ttft_ns=220_000_000,
        ),
        checks=CheckFacts(checks_passed=2, checks_total=2, answer_chars=48),
        locality="child",
        before=counters,
        after=counters,
        peak_server_rss_bytes=5 * 10**9,
        other_models_resident=[],
        sensor_gaps=["gpu_power_mw=unavailable", "on_battery=unavailable"],
    )


def write_rows(path: Path, rows: int, sweeps: int) -> None:
    """Runs in the order of their sweeps, as a concatenation of exports has them."""
    with path.open("wb") as file:
        for number in range(rows):
            file.write(to_json(make_run(number, number * sweeps // rows)) + b"\n")


def make_manifest(sweep: int) -> SweepRow:
    """The manifest a sweep brings along; its plan does not matter to ingest."""
    return SweepRow(
        sweep_id=f"20260105-{sweep:06}-benchmark",
        manifest_id=f"{sweep:032x}",
        kind="START",
        started_at=START,
        orket_version="0",
        preset="benchmark",
        plan_hash="benchmark",
        policy_hash="benchmark",
        hardware=Hardware(),
        models=[],
        quants=[],
        tasks=[],
        plan=[],
    )


def copy_alone(source: Path, target: Path) -> None:
    """DuckDB's own COPY, all threads, no judge."""
    columns = ", ".join(
        f"'{name}': '{kind}'" for name, kind in duckdb_columns(RunRecord).items()
    )
    with duckdb.connect(":memory:") as connection:
        connection.execute(
            f"COPY (SELECT * FROM read_json('{source}', "
            f"format = 'newline_delimited', columns = {{{columns}}})) "
            f"TO '{target}' (FORMAT parquet, COMPRESSION zstd)"
        )


def default_workers() -> int:
    """As many processes as `orket ingest` would judge with."""
    return max(1, min((os.cpu_count() or 1) // 2, 4))


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of wall time and of processor time, children included."""
    start, used = time.perf_counter(), _processor_seconds()
    work()
    return time.perf_counter() - start, _processor_seconds() - used


def _processor_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--sweeps", type=int, default=1)
    parser.add_argument("--without-manifests", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=default_workers())
    options = parser.parse_args()
    result = measure(
        options.rows,
        options.sweeps,
        options.rounds,
        workers=options.workers,
        with_manifests=not options.without_manifests,
    )
    print(json.dumps(result | {"aim": 0.8, "least": 0.65}))


def measure(
    rows: int,
    sweeps: int = 1,
    rounds: int = 3,
    *,
    workers: int | None = None,
    with_manifests: bool = True,
) -> dict[str, float]:
    """Medians of rounds: the ratio of rates by wall and by CPU, and CPU seconds."""
    workers = default_workers() if workers is None else workers
    with tempfile.TemporaryDirectory(prefix="orket-benchmark-") as folder:
        home = Path(folder)
        source = home / "runs.jsonl"
        write_rows(source, rows, sweeps)
        megabytes = source.stat().st_size / 1e6
        print(f"{rows} runs of {sweeps} sweeps, {megabytes:.0f} MB")
        copy_alone(source, home / "warm-up.parquet")
        ratios: list[float] = []
        cpu_ratios: list[float] = []
        used: list[tuple[float, float]] = []
        for number in range(rounds):
            alone = timed(lambda: copy_alone(source, home / "alone.parquet"))
            warehouse = Warehouse.open(home / f"warehouse-{number}")
            for sweep in range(sweeps if with_manifests else 0):
                manifest = make_manifest(sweep)
                warehouse.append("sweeps", [manifest], manifest.sweep_id)
            strict = timed(
                lambda warehouse=warehouse: ingest_file(  # type: ignore[misc]
                    warehouse, source, workers=workers
                )
            )
            ratios.append(alone[0] / strict[0])
            cpu_ratios.append(alone[1] / strict[1])
            used.append((alone[1], strict[1]))
            print(
                f"round {number + 1}: copy {rows / alone[0]:9.0f} rows/s, "
                f"ingest {rows / strict[0]:9.0f} rows/s, "
                f"ratio {ratios[-1]:.2f}, by processor time {cpu_ratios[-1]:.2f}"
            )
    return {
        "median_ratio": round(statistics.median(ratios), 3),
        "by_cpu": round(statistics.median(cpu_ratios), 3),
        "copy_cpu_s": round(statistics.median(alone for alone, _ in used), 2),
        "ingest_cpu_s": round(statistics.median(strict for _, strict in used), 2),
    }


if __name__ == "__main__":
    main()
