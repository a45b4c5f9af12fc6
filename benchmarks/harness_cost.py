"""What a call costs through `orket run`, beside a bare loop of httpx.

    python -m benchmarks.harness_cost [--calls 400] [--rounds 3]

Both make the same calls of the same server, streamed and one after another: of a mock
server that takes so many milliseconds a call, and of llama.cpp with the demo model.
They take turns; neither keeps a connection: llama.cpp drops kept ones behind some
answers, so that a loop that keeps its own loses calls. What counts is the span from the
first call to the end of the last, by wall and by CPU time of the process that asks, its
threads and children but the server. Of Orket it is all that lies in that span:
warm-ups, checks, counters, the journal, what a block begins and ends with. Start-up,
and judging behind the last call, lie outside.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq

from orket.mockserver import MockModel, MockServer, Profile
from orket.providers.contract import Generation, ModelRef
from orket.providers.llamacpp.engine import EngineProcess, EngineSettings
from orket.providers.llamacpp.protocol import build_payload
from orket.records import Controls
from orket.tasks.bank import Task, load_bank

TASKS = 20
"""Calls of a block, but for its warm-ups: what a block costs is shared by them."""
LENGTHS_MS = (3, 20, 200)
"""How long the mock server takes for a call."""
BANK = "quickstart"
"""The demo model can read all of its tasks."""
DEMO = Path(__file__).parent.parent / "presets/models/orket-demo/orket-demo-Q4_K_M.gguf"
_LOOP = """
import json, sys, time, httpx
url, bodies = sys.argv[1] + "/v1/chat/completions", json.load(sys.stdin)
limits = httpx.Limits(max_keepalive_connections=0)
with httpx.Client(timeout=60, limits=limits) as client:
    began, used = time.monotonic(), time.process_time()
    for body in bodies:
        with client.stream("POST", url, json=body) as answer:
            answer.raise_for_status()
            for line in answer.iter_lines():
                pass
    print(json.dumps([time.monotonic() - began, time.process_time() - used]))
"""


@dataclass(frozen=True, slots=True)
class Span:
    """From the first call to the end of the last; milliseconds a call."""

    wall_ms: float
    cpu_ms: float


def measure(calls: int, rounds: int) -> dict[str, dict[str, float]]:
    """By the length of a call: what it takes in the loop and in Orket, medians."""
    found: dict[str, dict[str, float]] = {}
    for length_ms in LENGTHS_MS:
        # The longer a call, the fewer of them tell how long one is.
        share = max(calls * min(LENGTHS_MS) // length_ms, min(calls, 3 * TASKS))
        with _mock(length_ms) as url:
            found[f"{length_ms} ms"] = compare(url, share, rounds)
    with _llama(DEMO) as url:
        found["the demo model"] = compare(url, calls // 2, rounds)
    return found


def compare(url: str, calls: int, rounds: int) -> dict[str, float]:
    """Both at one server, in turns; medians of the rounds, and of their ratios."""
    pairs = []
    for _ in range(rounds):
        through, bodies = _sweep(url, max(calls // TASKS, 1))
        pairs.append((through, _loop(url, bodies)))
    return {
        "orket_wall_ms": _median([orket.wall_ms for orket, _ in pairs]),
        "loop_wall_ms": _median([loop.wall_ms for _, loop in pairs]),
        "wall_ratio": _median([orket.wall_ms / loop.wall_ms for orket, loop in pairs]),
        "orket_cpu_ms": _median([orket.cpu_ms for orket, _ in pairs]),
        "loop_cpu_ms": _median([loop.cpu_ms for _, loop in pairs]),
        "cpu_ratio": _median([orket.cpu_ms / loop.cpu_ms for orket, loop in pairs]),
    }


def _median(values: Sequence[float]) -> float:
    return round(statistics.median(values), 3)


@contextmanager
def _mock(length_ms: int) -> Iterator[str]:
    """A mock server whose calls take so long; in this process."""
    profile = Profile(
        (MockModel("demo:q8_0", "Q8_0"),),
        prefill_rate=1e6,
        decode_rate=1e6,
        latency_seconds=length_ms / 1000,
    )
    with MockServer("llama-server", profile) as server:
        yield server.url


@contextmanager
def _llama(path: Path) -> Iterator[str]:
    """A llama.cpp server that holds a file, as Orket would start it."""
    settings = EngineSettings(
        model=str(path), alias="orket-demo", context_tokens=4096, threads=1
    )
    engine = EngineProcess(settings)
    try:
        yield engine.address
    finally:
        engine.stop()


def _sweep(url: str, repetitions: int) -> tuple[Span, list[dict[str, Any]]]:
    """What `orket run` took, and the bodies of the calls that it made."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        command = [sys.executable, "-m", "orket", "run", url, "--yes", "--grid"]
        command += ["--no-canary", "--quality-only", "--bank", BANK]
        command += [
            "--tasks",
            str(TASKS),
            "--runs",
            str(repetitions),
            "-o",
            str(home / "summary.json"),
        ]
        environment = os.environ | {"ORKET_WAREHOUSE": str(home / "warehouse")}
        subprocess.run(command, env=environment, check=True, capture_output=True)
        rows = _rows(home / "warehouse" / "runs")
        (manifest,) = _rows(home / "warehouse" / "sweeps")
    # Runs that were disturbed are made again behind a pause: that is no cost of a call.
    rows = sorted(
        (row for row in rows if row["retry_pass"] == 0),
        key=lambda row: int(row["started_ns"]),
    )
    first, last = rows[0], rows[-1]
    spans = (
        last["ended_ns"] - first["started_ns"],
        last["after"]["client_cpu_ns"] - first["before"]["client_cpu_ns"],
    )
    banks = {entry["bank"] for entry in manifest["tasks"]}
    tasks = {task.test_id: task for bank in banks for task in load_bank(bank).tasks}
    bodies = [_body(row, tasks[row["test_id"]]) for row in rows]
    return _span(*spans, len(rows)), bodies


def _rows(folder: Path) -> list[dict[str, Any]]:
    parts = folder.rglob("*.parquet")
    return [row for part in parts for row in pq.read_table(part).to_pylist()]


def _body(row: dict[str, Any], task: Task) -> dict[str, Any]:
    """What Orket sent for a row."""
    request = Generation(
        model=ModelRef(
            row["model_id"], row["quant_tag"], row["call"]["reported_model"]
        ),
        prompt=task.prompt,
        max_tokens=row["max_tokens"],
        controls=msgspec.convert(row["requested"], Controls),
        stream=True,
        system=task.system,
        prompt_cache=row["call"]["prompt_cache"],
        timeout_seconds=60.0,
    )
    return build_payload(request, stream=True)


def _loop(url: str, bodies: Sequence[dict[str, Any]]) -> Span:
    said = subprocess.run(
        [sys.executable, "-c", _LOOP, url],
        input=json.dumps(bodies).encode(),
        check=True,
        stdout=subprocess.PIPE,
    ).stdout
    wall_s, cpu_s = json.loads(said)
    return _span(wall_s * 1e9, cpu_s * 1e9, len(bodies))


def _span(wall_ns: float, cpu_ns: float, calls: int) -> Span:
    return Span(wall_ns / 1e6 / calls, cpu_ns / 1e6 / calls)


def main() -> None:
    """Measure, and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=400, help="of 3 ms each")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(json.dumps(measure(options.calls, options.rounds)))


if __name__ == "__main__":
    main()
