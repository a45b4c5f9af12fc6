"""What the observer costs a run, beside a bare client loop.

    python -m benchmarks.observer_cost [--calls 60] [--ladder FOLDER]

Calls the embedded engine in turns with and without the observer around the call, and
times the observer alone. The ratio is the CPU time that the observer takes per run
(two readings and the peak memory) over a run of 100 ms. CPU time, because on a machine
that is busy the wall time of anything also holds what others did meanwhile.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from orket.machine.observer import Observer
from orket.providers.contract import Generation, ModelRef, ServerOptions
from orket.providers.llamacpp.embedded import EmbeddedAdapter
from orket.records import Controls
from orket.resources import shipped

RUN_NS = 100_000_000
"""Length of the run that the ratio is of."""
QUANT = "Q6_K"
CONTROLS = Controls(seed=1, temperature_milli=0, threads="1", affinity="none")


def main() -> None:
    """Measure, and print the figures as JSON."""
    options = _parse_options()
    ladder = options.ladder or shipped("presets") / "models" / "orket-demo"
    path = ladder / f"orket-demo-{QUANT}.gguf"
    adapter = EmbeddedAdapter(ServerOptions())
    try:
        loaded = adapter.load(ModelRef("orket-demo", QUANT, path.stem, path), CONTROLS)
        with Observer() as observer:
            observer.attach(loaded.pids, "child")
            figures = measure(adapter, loaded.model, observer, options.calls)
    finally:
        adapter.close()
    print(json.dumps(figures, indent=2))


def measure(
    adapter: EmbeddedAdapter, model: ModelRef, observer: Observer, calls: int
) -> dict[str, float]:
    """The costs in microseconds, and their ratio to a run."""

    def call() -> None:
        prompt = "eval: d = T and F; r = F or F"
        adapter.generate(Generation(model, prompt, 64, CONTROLS))

    def watched() -> None:
        observer.read()
        call()
        observer.read()
        observer.peak()
        _ = observer.gaps

    def watch_only() -> None:
        observer.read()
        observer.read()
        observer.peak()
        _ = observer.gaps

    call()
    bare_ns: list[int] = []
    watched_ns: list[int] = []
    alone_ns: list[int] = []
    alone_cpu_ns: list[int] = []
    for turn in range(calls):
        # In turns, and each first every other time, so that neither meets a warmer
        # machine.
        pair = [(call, bare_ns), (watched, watched_ns)]
        for work, times in pair if turn % 2 else reversed(pair):
            times.append(_time(work, time.monotonic_ns))
        # As far apart as runs are: a source that is paced is read again by then.
        alone_ns.append(_time(watch_only, time.monotonic_ns))
        alone_cpu_ns.append(_time(watch_only, time.process_time_ns))
    cpu_ns = statistics.mean(alone_cpu_ns)
    bare, with_observer = statistics.median(bare_ns), statistics.median(watched_ns)
    return {
        "bare_call_median_us": bare / 1000,
        "watched_call_median_us": with_observer / 1000,
        "difference_median_us": (with_observer - bare) / 1000,
        "observer_wall_median_us": statistics.median(alone_ns) / 1000,
        "observer_cpu_mean_us": cpu_ns / 1000,
        "attach_us": _time(lambda: observer.attach([], "remote"), time.monotonic_ns)
        / 1000,
        "share_of_100_ms_percent": 100 * cpu_ns / RUN_NS,
    }


def _time(work: Callable[[], None], now_ns: Callable[[], int]) -> int:
    start_ns = now_ns()
    work()
    return now_ns() - start_ns


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=60)
    parser.add_argument("--ladder", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
