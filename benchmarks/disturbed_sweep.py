"""A small live sweep that is disturbed on purpose, and what the views made of it."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.injectors import Injector, Span, SteppedClock
from orket.machine.servers import ServerFinder
from orket.planning.identity import new_sweep_id
from orket.planning.plan import Plan, build_plan
from orket.planning.preset import load_preset
from orket.sweep.execute import run_sweep
from orket.warehouse import Warehouse

PRESET = """
schema_version = 1
title = "Disturbed on purpose"
control_profile = "shared"
repetitions = {repetitions}
polluted_retries = 0

[provider]
name = "embedded"
url = "http://127.0.0.1:{port}"

[controls]
threads = 1
context = 512
warmup = 1

[canary]
enabled = false

[[models]]
id = "orket-demo"
quants = ["{quant}"]
[models.names.embedded]
file = "{file}"

[tasks]
bank = "quickstart"
limit = {tasks}

[policy]
max_foreign_cpu_share = 0.10
max_steal_share = 1
"""
"""One thread, so that the disturbance and not the contention of two is seen; stolen
time is let pass, because nobody here can switch it off."""


@dataclass(frozen=True, slots=True)
class JudgedRun:
    """One run, what it was judged in, and the reasons found."""

    spans: dict[str, Span]
    """The span of the run itself, of its window and of its block."""
    reasons: frozenset[str]

    def share_in(self, disturbed: list[Span], judged_by: str) -> float:
        """Share of what it was judged by that was disturbed."""
        span = self.spans[judged_by]
        length_ns = max(1, span.end_ns - span.start_ns)
        return sum(span.overlap_ns(other) for other in disturbed) / length_ns


@dataclass(frozen=True, slots=True)
class Judged:
    """A whole sweep: its runs, and when it was disturbed."""

    runs: list[JudgedRun]
    disturbed: list[Span]


def run_disturbed(
    folder: Path,
    gguf: Path,
    injector: Injector | None,
    tasks: int = 20,
    repetitions: int = 8,
    quiet_seconds: float = 2.0,
    disturbed_seconds: float = 2.0,
) -> Judged:
    """Run a sweep with the injector switched off and on in turns.

    Each sweep has a copy of the model's file: pages that another engine uses too
    could not be taken away.
    """
    own_file = folder / gguf.name
    shutil.copy(gguf, own_file)
    # A page that is not on the disk yet could not be taken away either.
    with own_file.open("rb+") as file:
        os.fsync(file.fileno())
    port = _find_free_port()
    preset = folder / "disturbed.toml"
    quant = gguf.stem.removeprefix("orket-demo-")
    preset.write_text(
        PRESET.format(
            repetitions=repetitions, port=port, quant=quant, file=own_file, tasks=tasks
        )
    )
    plan = build_plan(
        load_preset(str(preset)), new_sweep_id("disturbed", datetime.now(UTC))
    )
    warehouse = Warehouse.open(folder / "warehouse")
    url = f"http://127.0.0.1:{port}"
    seconds = quiet_seconds, disturbed_seconds
    clock = injector if isinstance(injector, SteppedClock) else None
    with _in_turns(injector, url, *seconds) as disturbed:
        run_sweep(plan, warehouse, clock=clock)
    spans = injector.spans(disturbed) if injector else []
    return Judged(read_judged(warehouse, plan), spans)


def read_judged(warehouse: Warehouse, plan: Plan) -> list[JudgedRun]:
    """The timed runs of a sweep as the view judged them."""
    with warehouse.session(plan.sweep_id) as session:
        attempts = {
            row["attempt_id"]: row
            for row in session.rows(
                "SELECT attempt_id, block_index, started_ns, ended_ns FROM v1.attempts"
            )
        }
        verdicts = session.rows(
            "SELECT attempt_id, phase, window_id, run_quality_reasons AS reasons "
            "FROM v1.run_quality"
        )
    groups: dict[tuple[str, str], list[Span]] = {}
    keys = {}
    for verdict in verdicts:
        row = attempts[verdict["attempt_id"]]
        keys[verdict["attempt_id"]] = own = {
            "run": ("run", row["attempt_id"]),
            "window": ("window", verdict["window_id"]),
            "block": ("block", str(row["block_index"])),
        }
        for key in own.values():
            groups.setdefault(key, []).append(Span(row["started_ns"], row["ended_ns"]))
    whole = {
        key: Span(min(s.start_ns for s in spans), max(s.end_ns for s in spans))
        for key, spans in groups.items()
    }
    return [
        JudgedRun(
            {kind: whole[key] for kind, key in keys[verdict["attempt_id"]].items()},
            frozenset(verdict["reasons"]),
        )
        for verdict in verdicts
        if verdict["phase"] == "matrix"
    ]


@contextmanager
def _in_turns(
    injector: Injector | None, url: str, quiet_seconds: float, seconds: float
) -> Iterator[list[Span]]:
    """Switch the injector off and on while the body runs; when it was on.

    Raises what the injector raised, once the body has ended.
    """
    spans: list[Span] = []
    failures: list[OSError] = []
    ended = threading.Event()

    def switch(chosen: Injector) -> None:
        while not ended.wait(quiet_seconds):
            found = ServerFinder().find(url)
            if found is None:
                continue
            try:
                chosen.start(found.pids[-1], url)
            except OSError as error:
                failures.append(error)
                return
            start_ns = time.monotonic_ns()
            ended.wait(seconds)
            spans.append(Span(start_ns, time.monotonic_ns()))
            chosen.stop()

    if injector is None:
        yield spans
        return
    thread = threading.Thread(target=switch, args=(injector,), daemon=True)
    thread.start()
    try:
        yield spans
    finally:
        ended.set()
        thread.join()
    if failures:
        raise failures[0]


def _find_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
