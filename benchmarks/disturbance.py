"""How often a disturbance is caught, and how often an alarm is false.

Runs small live sweeps on the embedded engine while one kind of disturbance is switched
on and off, and compares what v1.run_quality says of each run with what was done to it:

    python -m benchmarks.disturbance [--sweeps 3] [--ladder FOLDER] [--only NAME]

Takes about half a minute per kind and sweep, and needs a machine that is otherwise
idle: whatever else runs counts as a false alarm, because it is none.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks.disturbed_sweep import Judged, run_disturbed
from benchmarks.injectors import (
    CpuBurner,
    Injector,
    MemoryThief,
    SecondClient,
    SteppedClock,
    StoppedServer,
)
from orket.resources import shipped

DISTURBED_SHARE = 0.5
"""A run counts as disturbed when this share of its window was."""
QUANT = "Q6_K"

INJECTORS: dict[str, type[Injector] | None] = {
    "nothing": None,
    "cpu burner": CpuBurner,
    "server stopped and continued": StoppedServer,
    "memory taken away": MemoryThief,
    "second client": SecondClient,
    "wall clock stepped": SteppedClock,
}
ONE_RUN = {"wall clock stepped"}
"""Judged by the run itself and not by its window."""


def main() -> None:
    """Measure, and print a table and the same as JSON."""
    options = _parse_options()
    ladder = options.ladder or shipped("presets") / "models" / "orket-demo"
    gguf = ladder / f"orket-demo-{QUANT}.gguf"
    rows = [
        measure(name, gguf, options.sweeps, options.tasks)
        for name in INJECTORS
        if options.only in (None, name)
    ]
    for row in rows:
        print(
            f"{row['disturbance']:30} {row['expected'] or '-':20} "
            f"caught {row['caught']}/{row['disturbed']}  "
            f"false {row['false_alarms']}/{row['quiet']}  others {row['others']}"
        )
    print(json.dumps(rows, indent=2))


def measure(name: str, gguf: Path, sweeps: int, tasks: int) -> dict[str, object]:
    """Recall and false alarms of one kind of disturbance over some sweeps."""
    kind = INJECTORS[name]
    disturbed = caught = quiet = false_alarms = 0
    others: Counter[str] = Counter()
    expected = kind.expected if kind else None
    for _ in range(sweeps):
        with tempfile.TemporaryDirectory() as folder:
            injector = kind() if kind else None
            judged = run_disturbed(Path(folder), gguf, injector, tasks=tasks)
        for share, reasons in _shares(judged, of_window=name not in ONE_RUN):
            if share >= DISTURBED_SHARE:
                disturbed += 1
                caught += expected in reasons
            elif share == 0:
                quiet += 1
                false_alarms += bool(reasons)
            others.update(reasons - {expected})
    return {
        "disturbance": name,
        "expected": expected,
        "disturbed": disturbed,
        "caught": caught,
        "quiet": quiet,
        "false_alarms": false_alarms,
        "others": dict(sorted(others.items())),
    }


def _shares(judged: Judged, of_window: bool) -> list[tuple[float, frozenset[str]]]:
    return [
        (run.share_in(judged.disturbed, of_window), run.reasons) for run in judged.runs
    ]


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sweeps", type=int, default=3)
    parser.add_argument("--tasks", type=int, default=60)
    parser.add_argument("--ladder", type=Path)
    parser.add_argument("--only", choices=sorted(INJECTORS))
    return parser.parse_args()


if __name__ == "__main__":
    main()
