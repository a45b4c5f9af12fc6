"""What looking costs: CPU and memory of the verbs that read, beside a bare scan.

    python -m benchmarks.reading_speed --sweeps 1 200 --runs 1000 --baselines 0 80

For each number of sweeps and of stored baselines a warehouse is built, and each verb
run as a process of its own: first with nothing kept, then again. `scan` is DuckDB alone
that reads, of the same runs, the columns that the verbs need. All in one run on one
machine: compare within it, by CPU time; wall time is what the machine's load makes it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_SCAN = """
import sys, duckdb
parts = sys.argv[1] + "/runs/*/*.parquet"
duckdb.sql(
    "SELECT max(sweep_id), max(run_id), max(attempt_id), max(test_id), max(quant_tag), "
    "max(call), max(checks), max(before), max(after), max(effective), max(started_ns) "
    f"FROM read_parquet('{parts}')"
).fetchall()
"""
ONE_SWEEP = "SELECT count(*) FROM v1.run_quality WHERE sweep_id = '{sweep}'"


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process took."""

    cpu_s: float
    memory_mib: int


def measure(command: Sequence[str], warehouse: Path) -> Cost:
    """Run it to its end. Raises CalledProcessError where it fails."""
    environment = os.environ | {"ORKET_WAREHOUSE": str(warehouse)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        said = process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, stderr=said)
    return Cost(used.ru_utime + used.ru_stime, used.ru_maxrss // 1024)


def verbs(sweep: str) -> Iterator[tuple[str, list[str]]]:
    """Name and arguments of each verb, in the order in which they are run."""
    yield "show, first", ["show", sweep]
    yield "show, again", ["show", sweep]
    yield "sql 'select 1'", ["sql", "SELECT 1"]
    yield "sql, a view of one sweep", ["sql", ONE_SWEEP.format(sweep=sweep)]
    yield "sweeps, first", ["sweeps"]
    yield "sweeps, again", ["sweeps"]
    yield "kpi, again", ["kpi"]


def measure_all(warehouse: Path) -> Iterator[tuple[str, Cost]]:
    """The cost of a scan and of each verb, over one warehouse."""
    sweep = sorted((warehouse / "sweeps").iterdir())[-1].name.removeprefix("sweep_id=")
    yield "scan", measure([sys.executable, "-c", _SCAN, str(warehouse)], warehouse)
    shutil.rmtree(warehouse / ".derived", ignore_errors=True)
    for name, arguments in verbs(sweep):
        command = [sys.executable, "-m", "orket", *arguments]
        yield name, measure(command, warehouse)


def build(warehouse: Path, sweeps: int, runs: int, baselines: int) -> None:
    """Build it in a process of its own: what one holds counts for those it starts."""
    command = [sys.executable, "-m", "benchmarks.large_warehouse", str(warehouse)]
    command += ["--sweeps", str(sweeps), "--runs", str(runs)]
    command += ["--baselines", str(baselines)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _print_rows(warehouse: Path, what: str) -> None:
    scan = None
    for name, cost in measure_all(warehouse):
        scan = scan or cost
        ratio = cost.cpu_s / scan.cpu_s
        figures = f"{cost.cpu_s:.2f} | {ratio:.2f} | {cost.memory_mib}"
        print(f"| {what} | {name} | {figures} |", flush=True)


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sweeps", type=int, nargs="+", default=[1, 200])
    parser.add_argument("--runs", type=int, default=1000, help="of each sweep")
    parser.add_argument(
        "--baselines", type=int, nargs="+", default=[0], help="sweeps that are stored"
    )
    options = parser.parse_args()
    print("| sweeps | runs a sweep | baselines | what | CPU s | of the scan | MiB |")
    print("|---|---|---|---|---|---|---|")
    for sweeps in options.sweeps:
        for baselines in options.baselines:
            if baselines > sweeps:
                continue
            with tempfile.TemporaryDirectory() as folder:
                warehouse = Path(folder) / "warehouse"
                build(warehouse, sweeps, options.runs, baselines)
                _print_rows(warehouse, f"{sweeps} | {options.runs} | {baselines}")


if __name__ == "__main__":
    main()
