"""Walks a plan: opening, gate, matrix, retries; one call at a time, one executor."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from functools import partial

from orket.errors import UsageError, WarehouseError
from orket.machine.clock import Clock, SystemClock
from orket.machine.fingerprint import read_fingerprint
from orket.machine.observer import Observer
from orket.planning.past import forecast_from
from orket.planning.plan import Plan
from orket.planning.readiness import list_missing
from orket.planning.usual import count_calls
from orket.sweep.agreement import Agreement
from orket.sweep.anchors import Anchors
from orket.sweep.blocks import BlockRunner
from orket.sweep.context import Context
from orket.sweep.failures import Doomed, ServersGone
from orket.sweep.fidelity import Fidelity
from orket.sweep.gate import run_gate
from orket.sweep.gate_quant import find_gate, with_gates_so_far
from orket.sweep.interrupts import Interrupted, Interrupts
from orket.sweep.judge import Judge
from orket.sweep.manifest import RESUME, START
from orket.sweep.matrix import matrix_ahead, run_matrix
from orket.sweep.opening import meet_servers, open_sweep
from orket.sweep.outcome import (
    CANARY_FAILED,
    COMPLETED,
    FAILED,
    INTERRUPTED,
    STOPPED,
    Endings,
    Outcome,
)
from orket.sweep.pollution import Pollution
from orket.sweep.reporter import Reporter, Silence
from orket.sweep.resume import Progress, is_complete, read_progress
from orket.sweep.retry import Retry
from orket.sweep.rounds import Rounds
from orket.sweep.servers import Servers
from orket.sweep.sidecar import check_sidecar
from orket.sweep.steadiness import Steadiness
from orket.sweep.walk import Walk
from orket.warehouse import Warehouse

__all__ = [
    "CANARY_FAILED",
    "COMPLETED",
    "FAILED",
    "INTERRUPTED",
    "STOPPED",
    "Outcome",
    "run_sweep",
]

LOGS = "logs"
"""Folder of the warehouse with the output of servers that sweeps started."""
NO_LOCKS = (
    "the warehouse's file system has no locks: see to it yourself that no other "
    "process runs this sweep"
)


def run_sweep(
    plan: Plan,
    warehouse: Warehouse,
    reporter: Reporter | None = None,
    clock: Clock | None = None,
    resume: bool = False,
    take_over: bool = False,
) -> Outcome:
    """Execute a plan; every call is durable at once, and its row is kept.

    A sweep that is complete already is not taken up: no server is asked. `take_over`
    goes on where another machine began and did not end.

    Raises UsageError, ServerError or EngineError before anything is recorded,
    OrketError when another process runs this sweep, and WarehouseError when the
    warehouse can take no more.
    """
    if missing := list_missing(plan):
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise UsageError(missing[0] + more)
    if plan.sidecar is not None:
        check_sidecar(plan.sidecar)
    logs = warehouse.path / LOGS / f"sweep_id={plan.sweep_id}"
    reporter, clock = reporter or Silence(), clock or SystemClock()
    fingerprint = read_fingerprint()
    with ExitStack() as held:
        if resume:
            _claim(plan, warehouse, reporter, held)
            held.enter_context(warehouse.lease(plan.sweep_id, take_over=take_over))
            plan = with_gates_so_far(plan, warehouse)
            if is_complete(warehouse, plan, fingerprint.id):
                return Outcome(plan.sweep_id, COMPLETED, 0, was_complete=True)
        interrupts = held.enter_context(Interrupts())
        servers = held.enter_context(Servers(plan, clock, logs, reporter.note))
        observer = held.enter_context(Observer())
        plan, unloadable = find_gate(plan, servers, interrupts, reporter)
        context = Context(
            plan,
            warehouse.journal(plan.sweep_id),
            servers,
            observer,
            clock,
            interrupts,
            reporter,
            clock.now(),
        )
        for tried in unloadable:
            context.health.saw_failed_load(tried.target, tried.cause)
        context.forecast = forecast_from(warehouse, plan)
        meet_servers(context)
        if not resume:
            # Nobody else can know its id before the manifest is there.
            _claim(plan, warehouse, reporter, held)
            held.enter_context(warehouse.lease(plan.sweep_id))
        progress = Progress()
        if resume:
            progress = read_progress(warehouse, plan, fingerprint.id)
            progress.hand_to(context)
        manifest = open_sweep(context, RESUME if resume else START, fingerprint)
        warehouse.append("sweeps", [manifest], plan.sweep_id)
        return _Executor(context, warehouse, progress).run()


def _claim(
    plan: Plan, warehouse: Warehouse, reporter: Reporter, held: ExitStack
) -> None:
    if not held.enter_context(warehouse.claim(plan.sweep_id)).is_held:
        reporter.note(NO_LOCKS)


class _Executor:
    """Takes an opened sweep through its phases to its end."""

    def __init__(
        self, context: Context, warehouse: Warehouse, progress: Progress
    ) -> None:
        self._context = context
        self._warehouse = warehouse
        self._progress = progress
        self._endings = Endings(context, warehouse)

    def run(self) -> Outcome:
        """Every way out records how the sweep ended."""
        endings = self._endings
        try:
            return self._walk()
        except Interrupted:
            return endings.abort(INTERRUPTED)
        except Doomed as doomed:
            return endings.stop(doomed.cause)
        except ServersGone as gone:
            return endings.fail(gone.cause)
        except WarehouseError:
            # The rows that were confirmed are on the disk; the journal is folded later.
            raise
        except Exception as error:
            endings.abort(f"ERROR {type(error).__name__}")
            raise
        finally:
            self._context.journal.close()

    def _walk(self) -> Outcome:
        context = self._context
        sweep_id, journal = context.plan.sweep_id, context.journal
        with Judge(self._warehouse, sweep_id, journal) as judge:
            return self._walk_phases(judge)

    def _walk_phases(self, judge: Judge) -> Outcome:
        context, progress = self._context, self._progress
        blocks = BlockRunner(context)
        walk = Walk(context, blocks, progress)
        anchors = Anchors(context, blocks, progress.anchors)
        pollution = Pollution(context, judge, has_rows=bool(progress.tried))
        fidelity = Fidelity(context, blocks, self._warehouse, judge)
        steadiness = Steadiness(context, self._warehouse, judge)
        asked = count_calls(context.plan)
        total = asked.gate + asked.runs + fidelity.calls()
        context.reporter.started(context.plan, total)
        if progress.tried:
            # What was found before stands in the table from the beginning.
            pollution.show()
        if failed := run_gate(context, walk, judge, steadiness):
            return self._endings.abort(CANARY_FAILED, failed)
        retry = Retry(context, walk, anchors, pollution)
        agreement = Agreement(context)
        if context.plan.is_adaptive:
            rounds = Rounds(
                context,
                self._warehouse,
                judge,
                walk,
                anchors,
                pollution,
                retry,
                progress,
                agreement,
                steadiness,
            )
            fidelity.run(agreement, rounds.ahead)
            return self._run_rounds(rounds)
        fidelity.run(agreement, partial(matrix_ahead, context))
        run_matrix(context, walk, anchors, pollution, agreement)
        retry.run(progress)
        while steadiness.settle_end():
            # What was disturbed is judged anew, by looser thresholds: nothing is asked.
            continue
        return self._endings.finish()

    def _run_rounds(self, rounds: Rounds) -> Outcome:
        ending = rounds.run()
        return replace(
            self._endings.finish(ending.reason),
            further_tasks=ending.further_tasks,
            further_seconds=ending.further_seconds,
            further_slack=ending.slack,
            is_disturbed=ending.is_disturbed,
        )
