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

from benchmarks.disturbed_sweep import run_disturbed
from benchmarks.injectors import (
    CpuBurner,
    Injector,
    MemoryThief,
    SecondClient,
    Span,
    SteppedClock,
    StoppedServer,
)
from orket.resources import shipped

DISTURBED_SHARE = 0.5
"""A run counts as disturbed when this share was of what the view judges it by."""
WIDER = {"run": "window", "window": "window", "block": "block"}
"""A run is quiet when nothing touched this: its neighbours share their reasons."""
QUANT = "F16"

INJECTORS: dict[str, type[Injector] | None] = {
    "nothing": None,
    "cpu burner": CpuBurner,
    "server stopped and continued": StoppedServer,
    "memory taken away": MemoryThief,
    "second client": SecondClient,
    "wall clock stepped": SteppedClock,
}


def main() -> None:
    """Measure, and print a table and the same as JSON."""
    options = _parse_options()
    ladder = options.ladder or shipped("presets") / "models" / "orket-demo"
    gguf = ladder / f"orket-demo-{QUANT}.gguf"
    rows = []
    for name in INJECTORS:
        if options.only in (None, name):
            rows.append(row := measure(name, gguf, options.sweeps, options.tasks))
            print(
                f"{name:30} caught {row['caught']}/{row['disturbed']}  false alarms "
                f"{row['false_alarms']}/{row['quiet']}  besides {row['besides']}",
                flush=True,
            )
    print(json.dumps(rows, indent=2))


def measure(name: str, gguf: Path, sweeps: int, tasks: int) -> dict[str, object]:
    """Recall and false alarms of one kind of disturbance over some sweeps.

    A false alarm is the disturbance's own code in a run that it did not touch; without
    a disturbance every code is one. `besides` counts the other codes in such runs.
    """
    kind = INJECTORS[name]
    expected: frozenset[str] = kind.expected if kind else frozenset()
    disturbed = caught = quiet = false_alarms = 0
    besides: Counter[str] = Counter()
    for _ in range(sweeps):
        with tempfile.TemporaryDirectory() as folder:
            injector = kind() if kind else None
            judged = run_disturbed(Path(folder), gguf, injector, tasks=tasks)
        felt = [_add_aftermath(span, kind) for span in judged.disturbed]
        for run in judged.runs:
            judged_by = kind.judged_by if kind else "run"
            if run.share_in(judged.disturbed, judged_by) >= DISTURBED_SHARE:
                disturbed += 1
                caught += bool(run.reasons & expected)
            elif run.share_in(felt, WIDER[judged_by]) == 0:
                quiet += 1
                false_alarms += bool(run.reasons & expected if kind else run.reasons)
                besides.update(run.reasons - expected)
    return {
        "disturbance": name,
        "expected": sorted(expected),
        "disturbed": disturbed,
        "caught": caught,
        "quiet": quiet,
        "false_alarms": false_alarms,
        "besides": dict(sorted(besides.items())),
    }


def _add_aftermath(span: Span, kind: type[Injector] | None) -> Span:
    return Span(span.start_ns, span.end_ns + (kind.aftermath_ns if kind else 0))


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sweeps", type=int, default=3)
    parser.add_argument("--tasks", type=int, default=20)
    parser.add_argument("--ladder", type=Path)
    parser.add_argument("--only", choices=sorted(INJECTORS))
    return parser.parse_args()


if __name__ == "__main__":
    main()
