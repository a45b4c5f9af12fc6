"""What every part of a running sweep shares: plan, servers, clocks, counters."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime

from orket.machine.clock import Clock
from orket.machine.observer import Observer
from orket.planning.estimate import Forecast
from orket.planning.plan import Plan
from orket.planning.rounds import REPEAT
from orket.records import PlannedRun
from orket.sweep.health import Health
from orket.sweep.interrupts import Interrupts
from orket.sweep.refusals import Refusals
from orket.sweep.reporter import Reporter
from orket.sweep.servers import Servers
from orket.tasks.bank import Task
from orket.warehouse.journal import Journal


@dataclass(frozen=True, slots=True)
class Call:
    """One call that is going to be made and recorded."""

    run_id: str
    phase: str
    test_id: str
    repetition: int
    order_index: int | None = None
    """None: whatever comes next after the plan."""


@dataclass(slots=True)
class Context:
    """The state of one executor of one sweep."""

    plan: Plan
    journal: Journal
    servers: Servers
    observer: Observer
    clock: Clock
    interrupts: Interrupts
    reporter: Reporter
    started_at: datetime
    tasks: dict[str, Task] = field(init=False)
    revisions: dict[str, str] = field(init=False)
    attempts: dict[str, int] = field(default_factory=dict)
    """Attempts made so far, by planned run."""
    calls: int = 0
    """Rows written."""
    answers: int = 0
    """Of these, answered."""
    last_failure: str | None = None
    measured: set[str] = field(default_factory=set)
    """Planned runs that a call has measured, by this executor or an earlier one."""
    health: Health = field(init=False)
    refusals: Refusals = field(default_factory=Refusals)
    forecast: Forecast = field(init=False)
    began_ns: int = field(init=False)
    """When this executor began, by the monotonic clock."""
    spent_seconds: float = 0.0
    """Time that earlier executors of an adaptive sweep took."""
    next_order: int = 0
    next_block: int = 0
    warmups: dict[tuple[str, str, str], int] = field(default_factory=dict)
    """Warm-ups so far or planned, by cell: each needs an identity of its own."""

    def __post_init__(self) -> None:
        self.health = Health(self.plan)
        self.forecast = Forecast(self.plan)
        self.began_ns = self.clock.monotonic_ns()
        self.tasks = {task.test_id: task for task in self.plan.tasks}
        self.revisions = {
            entry.test_id: entry.task_revision for entry in self.plan.task_entries
        }
        runs = self.plan.runs
        self.next_order = max(self.next_order, len(runs))
        for run in runs:
            if run.phase == "warmup":
                cell = (run.model_id, run.quant_tag, run.test_id)
                self.warmups[cell] = max(self.warmups.get(cell, 0), run.repetition)
        planned_blocks = runs[-1].block_index + 1 if runs else 0
        self.next_block = max(self.next_block, planned_blocks)

    def seconds_used(self) -> float:
        """Time since this executor began, and that of earlier ones of its rounds."""
        own = (self.clock.monotonic_ns() - self.began_ns) / 10**9
        return own + (self.spent_seconds if self.plan.is_adaptive else 0.0)

    def unmeasured(self) -> list[PlannedRun]:
        """Planned runs, warm-ups apart, that no call has measured yet.

        What an adaptive sweep was not told to ask does not count.
        """
        is_grid = not self.plan.is_adaptive
        return [
            run
            for run in self.plan.runs
            if run.phase != "warmup"
            and run.run_id not in self.measured
            and (
                is_grid
                or run.phase not in ("matrix", REPEAT)
                or run.run_id in self.attempts
            )
        ]

    def budget_left(self) -> float:
        """Seconds that are left of the budget; infinite without one."""
        budget = self.plan.budget_seconds
        if budget is None:
            return math.inf
        return budget - self.seconds_used()

    def bound(self) -> float | None:
        """Seconds that are left of the budget, none below 0; None without one."""
        left = self.budget_left()
        return None if math.isinf(left) else max(left, 0.0)

    def take_block(self) -> int:
        """A block number that no block of the plan has."""
        self.next_block += 1
        return self.next_block - 1

    def take_order(self) -> int:
        """The next place in the order of execution after the plan."""
        self.next_order += 1
        return self.next_order - 1


def planned_call(run: PlannedRun) -> Call:
    """The call that a planned run asks for."""
    return Call(run.run_id, run.phase, run.test_id, run.repetition, run.order_index)
