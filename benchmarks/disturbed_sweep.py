"""A small live sweep that is disturbed on purpose, and what the views made of it."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

from benchmarks.injectors import Injector, SteppedClock
from orket.machine.servers import find_server
from orket.providers.registry import ServerOptions
from orket.sweep import servers
from orket.sweep.execute import run_sweep
from orket.sweep.identity import new_sweep_id
from orket.sweep.plan import Plan, ServerPlan, build_plan
from orket.sweep.preset import load_preset
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
class Span:
    """A stretch of the monotonic clock, ns."""

    start_ns: int
    end_ns: int

    def overlap_ns(self, other: Span) -> int:
        """How long both last at once."""
        first = max(self.start_ns, other.start_ns)
        return max(0, min(self.end_ns, other.end_ns) - first)


@dataclass(frozen=True, slots=True)
class JudgedRun:
    """One run, the window it was judged in, and the reasons found."""

    span: Span
    window: Span
    reasons: frozenset[str]

    def share_in(self, disturbed: list[Span], of_window: bool = True) -> float:
        """Share of the window (or of the run) that was disturbed."""
        span = self.window if of_window else self.span
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
    repetitions: int = 2,
    quiet_seconds: float = 1.5,
    disturbed_seconds: float = 1.5,
) -> Judged:
    """Run a sweep with the injector switched off and on in turns.

    Each sweep has a copy of the model's file: pages that another engine uses too
    could not be taken away.
    """
    own_file = folder / gguf.name
    shutil.copy(gguf, own_file)
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
    with _injecting_clock(injector), _in_turns(injector, url, *seconds) as disturbed:
        run_sweep(plan, warehouse)
    return Judged(read_judged(warehouse, plan), disturbed)


def read_judged(warehouse: Warehouse, plan: Plan) -> list[JudgedRun]:
    """The timed runs of a sweep as the view judged them."""
    with warehouse.session(plan.sweep_id) as session:
        rows = session.rows(
            "SELECT started_ns, ended_ns, run_quality_reasons AS reasons, "
            "min(started_ns) OVER judged AS opened_ns, "
            "max(ended_ns) OVER judged AS closed_ns, phase "
            "FROM v1.attempts INNER JOIN v1.run_quality "
            "USING (sweep_id, attempt_id, phase) "
            "WINDOW judged AS (PARTITION BY window_id) ORDER BY started_ns"
        )
    return [
        JudgedRun(
            Span(row["started_ns"], row["ended_ns"]),
            Span(row["opened_ns"], row["closed_ns"]),
            frozenset(row["reasons"]),
        )
        for row in rows
        if row["phase"] == "matrix"
    ]


@contextmanager
def _in_turns(
    injector: Injector | None, url: str, quiet_seconds: float, seconds: float
) -> Iterator[list[Span]]:
    """Switch the injector off and on while the body runs; when it was on."""
    spans: list[Span] = []
    ended = threading.Event()

    def switch(chosen: Injector) -> None:
        while not ended.wait(quiet_seconds):
            found = find_server(url)
            if found is None:
                continue
            chosen.start(found.pids[-1], url)
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


@contextmanager
def _injecting_clock(injector: Injector | None) -> Iterator[None]:
    """Let the adapters time their calls with the injector, where it is a clock."""
    if not isinstance(injector, SteppedClock):
        yield
        return
    original = servers._options

    def with_clock(plan: ServerPlan, url: str | None) -> ServerOptions:
        return replace(original(plan, url), clock=injector)

    with mock.patch.object(servers, "_options", with_clock):
        yield


def _find_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
