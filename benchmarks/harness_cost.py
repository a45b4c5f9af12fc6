"""What a call costs through `orket run`, beside a bare loop of httpx.

    python -m benchmarks.harness_cost [--calls 800]

Both ask the same mock server, which answers at once, by one streamed call after
another. Each is run with few calls and with many: what the second takes more, by the
calls that it makes more, is what a call takes; start-up and the first look are in
neither. It is CPU time of the process that asks, without the server's own. Of Orket it
is all that a call brings along: warm-ups, checks, counters, the journal, and what
judging grows by.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq

from orket.mockserver import MockModel, MockServer, Profile

FEW = 20
TASKS = 20
"""Calls of a block: what a block costs beside is shared by them."""
_LOOP = """
import sys, httpx
url, calls = sys.argv[1], int(sys.argv[2])
body = {
    "model": "demo", "stream": True, "max_tokens": 64, "temperature": 0, "seed": 1,
    "messages": [{"role": "user", "content": "eval: d = T and F; r = F or F"}],
}
with httpx.Client() as client:
    for _ in range(calls):
        with client.stream("POST", url + "/v1/chat/completions", json=body) as answer:
            answer.raise_for_status()
            for line in answer.iter_lines():
                pass
"""


def measure(calls: int) -> dict[str, float]:
    """CPU milliseconds a call, of the loop and of `orket run`, and their ratio."""
    models = (MockModel("demo:q8_0", "Q8_0"),)
    profile = Profile(models, prefill_rate=1e6, decode_rate=1e6)
    with MockServer("llama-server", profile) as server:
        loops = [(n, _loop_s(server.url, n)) for n in (FEW, FEW + calls)]
        sweeps = [_sweep_s(server.url, n // TASKS) for n in (FEW, FEW + calls)]
    bare, through = _ms_a_call(loops), _ms_a_call(sweeps)
    return {
        "bare_loop_ms_a_call": round(bare, 3),
        "orket_ms_a_call": round(through, 3),
        "ratio": round(through / bare, 2),
    }


def _ms_a_call(runs: Sequence[tuple[int, float]]) -> float:
    """Of a short and a long run: calls, and CPU seconds."""
    (few, short_s), (many, long_s) = runs
    return 1000 * (long_s - short_s) / (many - few)


def _loop_s(url: str, calls: int) -> float:
    return _cpu_s([sys.executable, "-c", _LOOP, url, str(calls)], Path.cwd())


def _sweep_s(url: str, repetitions: int) -> tuple[int, float]:
    """The calls that a sweep made, warm-ups among them, and its CPU seconds."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        command = [sys.executable, "-m", "orket", "run", url, "--yes", "--grid"]
        command += ["--no-canary", "--quality-only", "--quants", "Q8_0"]
        command += ["--tasks", str(TASKS), "--runs", str(repetitions)]
        command += ["-o", str(home / "summary.json")]
        used_s = _cpu_s(command, home / "warehouse")
        parts = (home / "warehouse" / "runs").rglob("*.parquet")
        return sum(pq.read_metadata(part).num_rows for part in parts), used_s


def _cpu_s(command: Sequence[str], warehouse: Path) -> float:
    """CPU seconds of a process. Raises CalledProcessError where it fails."""
    environment = os.environ | {"ORKET_WAREHOUSE": str(warehouse)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        said = process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, command, stderr=said)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure, and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=800)
    print(json.dumps(measure(parser.parse_args().calls)))


if __name__ == "__main__":
    main()
