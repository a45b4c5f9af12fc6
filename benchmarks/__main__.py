"""What looking costs: CPU, memory and spill of what reads, beside a bare scan.

    python -m benchmarks [--runs 100000 1000000] [--large] [--page docs/performance.md]

For each number of runs a warehouse of sweeps of 4,000 runs is built, and each verb run
as a process of its own: the first look at the history, with nothing kept, and then what
reads what is kept. `scan` is DuckDB alone: it reads, of the same runs, the columns that
the verbs need. All in one run on one machine: compare within it, by CPU time; wall time
is what the machine's load makes it. The table is written into the page, between its
marks. `--large` adds ten million runs.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
RUNS_A_SWEEP = 4000
LARGE = 10_000_000
MOST_BASELINES = 10
"""Sweeps whose cells are stored as baselines, 100 each."""
HEAD = (
    "| runs | sweeps | what | CPU s | of the scan | peak MiB | spilled MiB |",
    "|---|---|---|---|---|---|---|",
)
_POLL_S = 0.2
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
_WORSE = 4
"""How `orket diff` ends where something became worse: it has done its work."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process took."""

    cpu_s: float
    memory_mib: int
    spilled_mib: int
    """The most that lay in its temporary folder at once."""


def measure(command: Sequence[str], warehouse: Path) -> Cost:
    """Run it to its end. Raises CalledProcessError where it fails."""
    with tempfile.TemporaryDirectory() as spill:
        environment = os.environ | {
            "ORKET_WAREHOUSE": str(warehouse),
            "TMPDIR": spill,
        }
        is_over = threading.Event()
        most = [0]
        watch = threading.Thread(target=_watch, args=(Path(spill), is_over, most))
        watch.start()
        try:
            with subprocess.Popen(
                command,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            ) as process:
                assert process.stderr is not None
                said = process.stderr.read()
                _, status, used = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            is_over.set()
            watch.join()
    if process.returncode not in (0, _WORSE):
        raise subprocess.CalledProcessError(process.returncode, command, stderr=said)
    return Cost(used.ru_utime + used.ru_stime, used.ru_maxrss // 1024, most[0] >> 20)


def _watch(folder: Path, is_over: threading.Event, most: list[int]) -> None:
    """Note the most bytes that lie below a folder, until it is over.

    What is removed meanwhile counts no more.
    """
    while not is_over.wait(_POLL_S):
        size = 0
        for parent, _, names in os.walk(folder):
            for name in names:
                with suppress(OSError):
                    size += os.stat(os.path.join(parent, name)).st_size
        most[0] = max(most[0], size)


def verbs(first: str, last: str) -> Iterator[tuple[str, list[str]]]:
    """Name and arguments of each verb, in the order in which they are run."""
    yield "first look: show one sweep", ["show", last]
    yield "first look: sweeps, all of them", ["sweeps"]
    yield "show", ["show", last]
    yield "sweeps", ["sweeps"]
    yield "kpi", ["kpi"]
    yield "matrix", ["matrix"]
    yield "diff, first", ["diff", first, last]
    yield "diff", ["diff", first, last]
    yield "sql: SELECT 1", ["sql", "SELECT 1"]
    yield "sql: a view of one sweep", ["sql", ONE_SWEEP.format(sweep=last)]


def measure_all(warehouse: Path) -> Iterator[tuple[str, Cost]]:
    """The cost of a scan and of each verb, over one warehouse."""
    sweeps = sorted(
        folder.name.removeprefix("sweep_id=")
        for folder in (warehouse / "sweeps").iterdir()
    )
    yield "scan", measure([sys.executable, "-c", _SCAN, str(warehouse)], warehouse)
    shutil.rmtree(warehouse / ".derived", ignore_errors=True)
    for name, arguments in verbs(sweeps[0], sweeps[-1]):
        command = [sys.executable, "-m", "orket", *arguments]
        yield name, measure(command, warehouse)


def table_of(runs: int, runs_a_sweep: int) -> Iterator[str]:
    """The lines of the table for a history of so many runs."""
    sweeps = max(runs // runs_a_sweep, 2)
    with tempfile.TemporaryDirectory() as folder:
        warehouse = Path(folder) / "warehouse"
        _build(warehouse, sweeps, runs_a_sweep)
        scan = None
        for name, cost in measure_all(warehouse):
            scan = scan or cost
            figures = [
                f"{sweeps * runs_a_sweep:,}",
                f"{sweeps:,}",
                name,
                f"{cost.cpu_s:.2f}",
                f"{cost.cpu_s / scan.cpu_s:.2f}",
                str(cost.memory_mib),
                str(cost.spilled_mib),
            ]
            yield f"| {' | '.join(figures)} |"


def _build(warehouse: Path, sweeps: int, runs: int) -> None:
    """Build it in a process of its own: what one holds counts for those it starts."""
    command = [sys.executable, "-m", "benchmarks.large_warehouse", str(warehouse)]
    command += ["--sweeps", str(sweeps), "--runs", str(runs)]
    command += ["--baselines", str(min(sweeps, MOST_BASELINES))]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def write_table(page: Path, lines: Sequence[str]) -> None:
    """Put the table between the marks of a page. Raises ValueError without marks."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no place for the table: {BEGIN} ... {END}")
    table = "\n".join([*HEAD, *lines])
    text = f"{before}{begin}\n\n{table}\n\n{end}{after}"
    page.write_text(text, encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write it into the page."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--runs", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--runs-a-sweep", type=int, default=RUNS_A_SWEEP)
    parser.add_argument("--large", action="store_true", help="10 million runs, too")
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args(arguments)
    lines = []
    print("\n".join(HEAD))
    for runs in [*options.runs, *([LARGE] if options.large else [])]:
        for line in table_of(runs, options.runs_a_sweep):
            print(line, flush=True)
            lines.append(line)
    write_table(options.page, lines)


if __name__ == "__main__":
    main()
