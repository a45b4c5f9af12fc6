"""What looking costs: CPU, memory and spill of what reads, beside a bare scan.

    python -m benchmarks [--runs 100000 1000000] [--large] [--history 200 80]
                         [--page docs/performance.md]

For each number of runs a warehouse of sweeps of 4,000 runs is built, and each verb run
as a process of its own: the first look at the history, with nothing kept, and then what
reads what is kept. `scan` is DuckDB alone: it reads, of the same runs, the columns that
the verbs need. All in one run on one machine: compare within it, by CPU time; wall time
is what the machine's load makes it. The table is written into the page, between its
marks. `--large` adds ten million runs. A history of many small sweeps follows, some of
them stored as baselines (`--history 1000 1000` for a long one), and beside it stand
ingest and DuckDB's COPY, and `orket run` and a bare loop of httpx.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
BESIDE_BEGIN = "<!-- beside: begin -->"
BESIDE_END = "<!-- beside: end -->"
RUNS_A_SWEEP = 4000
RUNS_OF_HISTORY = 100
"""Of each sweep of a history: there are many of them, and none is large."""
LARGE = 10_000_000
MOST_BASELINES = 10
"""Sweeps whose cells are stored as baselines, 100 each."""
HEAD = (
    "| runs | sweeps | what | CPU s | of the scan | peak MiB | spilled MiB |",
    "|---|---|---|---|---|---|---|",
)
BESIDE_HEAD = (
    "| what | beside | its CPU | the other's | ratio |",
    "|---|---|---|---|---|",
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
    yield from verbs_of_history(last)
    yield "kpi", ["kpi"]
    yield "matrix", ["matrix"]
    yield "diff, first", ["diff", first, last]
    yield "diff", ["diff", first, last]
    yield "sql: SELECT 1", ["sql", "SELECT 1"]
    yield "sql: a view of one sweep", ["sql", ONE_SWEEP.format(sweep=last)]


def verbs_of_history(last: str) -> Iterator[tuple[str, list[str]]]:
    """Those that are measured over a history of small sweeps, too."""
    yield "first look: show one sweep", ["show", last]
    yield "first look: sweeps, all of them", ["sweeps"]
    yield "show", ["show", last]
    yield "sweeps", ["sweeps"]


def measure_all(warehouse: Path, is_history: bool) -> Iterator[tuple[str, Cost]]:
    """The cost of a scan and of each verb, over one warehouse."""
    sweeps = sorted(
        folder.name.removeprefix("sweep_id=")
        for folder in (warehouse / "sweeps").iterdir()
    )
    yield "scan", measure([sys.executable, "-c", _SCAN, str(warehouse)], warehouse)
    shutil.rmtree(warehouse / ".derived", ignore_errors=True)
    asked = verbs_of_history(sweeps[-1]) if is_history else verbs(sweeps[0], sweeps[-1])
    for name, arguments in asked:
        command = [sys.executable, "-m", "orket", *arguments]
        yield name, measure(command, warehouse)


def table_of(
    sweeps: int, runs_a_sweep: int, baselines: int = MOST_BASELINES, of: str = ""
) -> Iterator[str]:
    """The lines of the table for so many sweeps; `of` names a history of small ones."""
    with tempfile.TemporaryDirectory() as folder:
        warehouse = Path(folder) / "warehouse"
        _build(warehouse, sweeps, runs_a_sweep, baselines)
        scan = None
        for name, cost in measure_all(warehouse, bool(of)):
            scan = scan or cost
            figures = [
                f"{sweeps * runs_a_sweep:,}",
                f"{sweeps:,}",
                of + name,
                f"{cost.cpu_s:.2f}",
                f"{cost.cpu_s / scan.cpu_s:.2f}",
                str(cost.memory_mib),
                str(cost.spilled_mib),
            ]
            yield f"| {' | '.join(figures)} |"


def _build(warehouse: Path, sweeps: int, runs: int, baselines: int) -> None:
    """Build it in a process of its own: what one holds counts for those it starts."""
    command = [sys.executable, "-m", "benchmarks.large_warehouse", str(warehouse)]
    command += ["--sweeps", str(sweeps), "--runs", str(runs)]
    command += ["--baselines", str(min(sweeps, baselines))]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def beside(rows: int, calls: int, rounds: int) -> Iterator[str]:
    """Ingest beside DuckDB's own copy, and a run beside a bare loop of calls."""
    for sweeps in (1, 20):
        of = "1 sweep" if sweeps == 1 else f"{sweeps} sweeps"
        asked = ["--rows", str(rows), "--sweeps", str(sweeps)]
        found = _figures("benchmarks.ingest_rate", *asked)
        yield (
            f"| `orket ingest`, {rows:,} runs of {of} | DuckDB's `COPY` alone "
            f"| {found['ingest_cpu_s']:.2f} s | {found['copy_cpu_s']:.2f} s "
            f"| {found['by_cpu']:.2f} of its rate (by wall time "
            f"{found['median_ratio']:.2f}) |"
        )
    asked = ["--calls", str(calls), "--rounds", str(rounds)]
    for length, found in _figures("benchmarks.harness_cost", *asked).items():
        yield (
            f"| `orket run`, calls of {length} | a bare loop of httpx "
            f"| {found['orket_cpu_ms']:.2f} ms a call "
            f"| {found['loop_cpu_ms']:.2f} ms "
            f"| {found['cpu_ratio']:.2f} times its CPU (by wall time "
            f"{found['wall_ratio']:.2f}) |"
        )


def _figures(module: str, *arguments: str) -> dict[str, Any]:
    """The last line of a module that measures, in a process of its own as above."""
    command = [sys.executable, "-m", module, *arguments]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    figures: dict[str, Any] = json.loads(said.splitlines()[-1])
    return figures


def write_table(
    page: Path,
    lines: Sequence[str],
    head: Sequence[str] = HEAD,
    marks: tuple[str, str] = (BEGIN, END),
) -> None:
    """Put a table between its marks on a page. Raises ValueError without marks."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(marks[0])
    _, end, after = rest.partition(marks[1])
    if not begin or not end:
        raise ValueError(f"{page} has no place for the table: {' ... '.join(marks)}")
    table = "\n".join([*head, *lines])
    text = f"{before}{begin}\n\n{table}\n\n{end}{after}"
    page.write_text(text, encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write it into the page."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--runs", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--runs-a-sweep", type=int, default=RUNS_A_SWEEP)
    parser.add_argument(
        "--history",
        type=int,
        nargs=2,
        default=[200, 80],
        metavar=("SWEEPS", "BASELINES"),
    )
    parser.add_argument("--rows", type=int, default=100_000, help="of ingest")
    parser.add_argument("--calls", type=int, default=400, help="of a run, of 3 ms")
    parser.add_argument("--rounds", type=int, default=3, help="of runs and loops")
    parser.add_argument("--large", action="store_true", help="10 million runs, too")
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args(arguments)
    sweeps, baselines = options.history
    tables = [
        table_of(max(runs // options.runs_a_sweep, 2), options.runs_a_sweep)
        for runs in [*options.runs, *([LARGE] if options.large else [])]
    ]
    of = f"{baselines:,} with baselines: "
    tables.append(table_of(sweeps, RUNS_OF_HISTORY, baselines, of))
    lines = _told(HEAD, chain.from_iterable(tables))
    write_table(options.page, lines)
    lines = _told(BESIDE_HEAD, beside(options.rows, options.calls, options.rounds))
    write_table(options.page, lines, BESIDE_HEAD, (BESIDE_BEGIN, BESIDE_END))


def _told(head: Sequence[str], lines: Iterable[str]) -> list[str]:
    """The lines, each printed as it comes."""
    print("\n".join(head))
    told = []
    for line in lines:
        print(line, flush=True)
        told.append(line)
    return told


if __name__ == "__main__":
    main()
