"""Walks a plan: gate, matrix, anchors, retries of polluted runs; one call at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from orket.errors import OrketError, UsageError, WarehouseError
from orket.machine.clock import Clock, SystemClock
from orket.machine.fingerprint import read_fingerprint
from orket.machine.observer import Observer
from orket.planning.plan import MATRIX, Plan
from orket.planning.targets import Target
from orket.providers.contract import LoadedModel, ServerInfo
from orket.records import EventRow, PlannedRun
from orket.sweep.anchors import Anchors
from orket.sweep.blocks import BlockRunner
from orket.sweep.context import Call, Context, Reporter, Silence, planned_call
from orket.sweep.doomed import Doomed, error_class
from orket.sweep.interrupts import Interrupted, Interrupts
from orket.sweep.judge import PollutedRun, list_polluted, read_canary
from orket.sweep.manifest import RESUME, START, build_manifest
from orket.sweep.resume import Progress, is_complete, read_progress
from orket.sweep.rows import extra_warmups
from orket.sweep.servers import Servers
from orket.sweep.sidecar import check_sidecar
from orket.warehouse import Warehouse
from orket.warehouse.parts import time_ordered_id

COMPLETED, INTERRUPTED, CANARY_FAILED = "COMPLETED", "INTERRUPTED", "CANARY_FAILED"
STOPPED = "STOPPED"
"""No call could have been answered; the outcome says why."""

RETRY_WAIT_SECONDS = 2.0
"""Before a retry pass: what disturbed a run of milliseconds has often gone by then."""
COOL_DOWN_SECONDS = 60.0
"""Before a retry pass after drift: a machine that got hot needs longer."""
JUDGE_EVERY_SECONDS = 60
"""Between two looks at how much is polluted: a look takes a second."""
TRIAL_BLOCKS = 2
"""A retry pass whose first blocks gain no clean run is not worth going on with."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a sweep ended."""

    sweep_id: str
    status: str
    calls: int
    """Calls recorded by this executor."""
    last_failure: str | None = None
    """Why the last call failed, where none was answered."""
    failed_canaries: tuple[dict[str, Any], ...] = ()
    cause: OrketError | None = None
    """Why a stopped sweep could not go on."""
    was_complete: bool = False
    """The sweep had been finished before: nothing was run."""


def run_sweep(
    plan: Plan,
    warehouse: Warehouse,
    reporter: Reporter | None = None,
    clock: Clock | None = None,
    resume: bool = False,
) -> Outcome:
    """Execute a plan; every call is durable at once, and its row is kept.

    A sweep that is complete already is not taken up: no server is asked.

    Raises UsageError, ServerError or EngineError before anything is recorded, and
    WarehouseError when the warehouse can take no more.
    """
    if missing := plan.missing():
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise UsageError(missing[0] + more)
    if plan.sidecar is not None:
        check_sidecar(plan.sidecar)
    if resume and is_complete(warehouse, plan, read_fingerprint().id):
        return Outcome(plan.sweep_id, COMPLETED, 0, was_complete=True)
    clock = clock or SystemClock()
    with (
        Interrupts() as interrupts,
        Servers(plan, clock) as servers,
        Observer() as observer,
    ):
        executor = _Executor(
            plan,
            warehouse,
            servers,
            observer,
            clock,
            interrupts,
            reporter or Silence(),
        )
        return executor.run(resume)


class _Executor:
    def __init__(
        self,
        plan: Plan,
        warehouse: Warehouse,
        servers: Servers,
        observer: Observer,
        clock: Clock,
        interrupts: Interrupts,
        reporter: Reporter,
    ) -> None:
        self._plan = plan
        self._warehouse = warehouse
        self._servers = servers
        self._context = Context(
            plan,
            warehouse,
            warehouse.journal(plan.sweep_id),
            servers,
            observer,
            clock,
            interrupts,
            reporter,
            clock.now(),
        )
        self._blocks = BlockRunner(self._context)
        self._anchors = Anchors(self._context, self._blocks)
        self._judged_ns = clock.monotonic_ns()

    def run(self, resume: bool) -> Outcome:
        context = self._context
        fingerprint = read_fingerprint()
        infos = self._meet_servers()
        progress = Progress()
        if resume:
            progress = read_progress(self._warehouse, self._plan, fingerprint.id)
            self._take_up(progress)
        loaded = self._load_first()
        known = self._identify() + list(loaded.values())
        manifest = build_manifest(
            self._plan,
            RESUME if resume else START,
            context.started_at,
            fingerprint,
            infos,
            loaded,
            known,
            context.observer.host_load(),
        )
        self._warehouse.append("sweeps", [manifest], self._plan.sweep_id)
        try:
            return self._walk(progress)
        except Interrupted:
            return self._abort(INTERRUPTED)
        except Doomed as doomed:
            return self._stop(doomed.cause)
        except WarehouseError:
            # The rows that were confirmed are on the disk; the journal is folded later.
            raise
        except Exception as error:
            self._abort(f"ERROR {type(error).__name__}")
            raise
        finally:
            context.journal.close()

    def _meet_servers(self) -> dict[str, list[ServerInfo]]:
        """Ask every server what it is. Raises ServerError when one is not there."""
        with self._context.interrupts.allowed():
            return {
                model.model_id: [self._servers.info(target) for target in model.targets]
                for model in self._plan.models
            }

    def _identify(self) -> list[LoadedModel]:
        """What servers tell of models before they are loaded."""
        targets = [target for model in self._plan.models for target in model.targets]
        with self._context.interrupts.allowed():
            found = [self._servers.identify(target) for target in targets]
        return [facts for facts in found if facts is not None]

    def _load_first(self) -> dict[str, LoadedModel]:
        """Load the quant that each model starts with: the manifest tells what it found.

        A quant that cannot be loaded is recorded by its block, not here.
        """
        loaded: dict[str, LoadedModel] = {}
        for run in self._plan.runs:
            if run.model_id in loaded:
                continue
            target = self._plan.target(run.model_id, run.quant_tag)
            controls = self._plan.model(run.model_id).controls
            try:
                with self._context.interrupts.allowed():
                    loaded[run.model_id] = self._servers.load(target, controls)
            except OrketError:
                break
        return loaded

    def _take_up(self, progress: Progress) -> None:
        context = self._context
        context.attempts = progress.attempts
        context.next_order = max(context.next_order, progress.next_order)
        context.next_block = max(context.next_block, progress.next_block)
        for cell, ordinal in progress.warmups.items():
            context.warmups[cell] = max(context.warmups.get(cell, 0), ordinal)
        self._anchors.take_up(progress.anchors)

    def _walk(self, progress: Progress) -> Outcome:
        gate = _blocks_of(self._plan, "canary")
        matrix = _blocks_of(self._plan, "matrix")
        total = sum(len(block) for block in (*gate, *matrix))
        self._context.reporter.started(self._plan, total)
        for block in gate:
            self._run_block(block, progress)
        if failed := self._failed_canaries():
            return self._abort(CANARY_FAILED, failed)
        self._anchors.start()
        for block in matrix:
            self._run_block(block, progress)
            self._anchors.run_if_due(block[0].model_id)
            self._show_pollution()
        self._anchors.close()
        self._retry(progress)
        self._record_event("SWEEP_FINISHED", None)
        return self._end(COMPLETED)

    def _show_pollution(self) -> None:
        """Tell the reporter what the view says by now, once in a while."""
        now_ns = self._context.clock.monotonic_ns()
        if now_ns - self._judged_ns >= JUDGE_EVERY_SECONDS * 10**9:
            self._list_curable()

    def _failed_canaries(self) -> list[dict[str, Any]]:
        if not self._plan.canary:
            return []
        rows = read_canary(self._warehouse, self._plan.sweep_id)
        return [row for row in rows if row["verdict"] != "PASSED"]

    def _run_block(self, block: Sequence[PlannedRun], progress: Progress) -> None:
        """Run a block of the plan, or what is missing of it."""
        target = self._plan.target(block[0].model_id, block[0].quant_tag)
        missing = [run for run in block if run.run_id not in progress.done]
        if len(missing) == len(block):
            calls = [planned_call(run) for run in block]
            self._blocks.run(target, calls, block[0].block_index)
            return
        self._context.reporter.extended(len(missing) - len(block))
        work = [run for run in missing if run.phase != "warmup"]
        if work:
            self._run_again(target, work, retry_pass=0)

    def _run_again(
        self, target: Target, runs: Sequence[PlannedRun], retry_pass: int
    ) -> None:
        """Run planned runs in a block of their own, behind warm-ups of their own."""
        warmups = extra_warmups(self._context, target, runs[0].test_id)
        calls = [
            *warmups,
            *(Call(run.run_id, run.phase, run.test_id, run.repetition) for run in runs),
        ]
        self._context.reporter.extended(len(warmups))
        self._blocks.run(target, calls, self._context.take_block(), retry_pass)

    def _retry(self, progress: Progress) -> None:
        """Run polluted planned runs again, as often as the preset allows."""
        if self._plan.purpose != MATRIX:
            return
        first = max(1, progress.retry_pass)
        for number in range(first, self._plan.polluted_retries + 1):
            curable = [
                run
                for run in self._list_curable()
                if (run.run_id, number) not in progress.retried
            ]
            if not curable:
                return
            self._wait(curable)
            self._run_retry_pass(number, [run.run_id for run in curable])
            self._anchors.close()

    def _run_retry_pass(self, number: int, run_ids: Sequence[str]) -> None:
        by_id = {run.run_id: run for run in self._plan.runs}
        groups = self._by_target([by_id[run_id] for run_id in run_ids])
        self._context.reporter.extended(len(run_ids))
        for place, (target, group) in enumerate(groups, start=1):
            self._run_again(target, group, number)
            self._anchors.run_if_due(target.ref.model_id)
            if place == TRIAL_BLOCKS < len(groups) and not self._has_gained(run_ids):
                self._context.reporter.note(
                    "what disturbs the machine has not gone by; the other polluted "
                    "runs are not run again"
                )
                return

    def _list_curable(self) -> list[PollutedRun]:
        polluted = list_polluted(self._warehouse, self._plan.sweep_id)
        self._context.reporter.judged(len(polluted))
        self._judged_ns = self._context.clock.monotonic_ns()
        return [run for run in polluted if run.is_curable]

    def _has_gained(self, run_ids: Sequence[str]) -> bool:
        """Whether any of these runs has a clean attempt by now."""
        still = {run.run_id for run in self._list_curable()}
        return any(run_id not in still for run_id in run_ids)

    def _wait(self, polluted: Sequence[PollutedRun]) -> None:
        drifted = any(run.has_drifted for run in polluted)
        seconds = COOL_DOWN_SECONDS if drifted else RETRY_WAIT_SECONDS
        self._context.reporter.note(
            f"{len(polluted)} runs were disturbed; running again in {seconds:.0f} s"
        )
        with self._context.interrupts.allowed():
            self._context.clock.sleep(seconds)

    def _by_target(
        self, runs: Sequence[PlannedRun]
    ) -> list[tuple[Target, list[PlannedRun]]]:
        """Runs by model and quant, so that each quant is loaded once."""
        groups: dict[tuple[str, str], list[PlannedRun]] = {}
        for run in runs:
            groups.setdefault((run.model_id, run.quant_tag), []).append(run)
        return [(self._plan.target(*key), group) for key, group in groups.items()]

    def _abort(self, reason: str, failed: Sequence[dict[str, Any]] = ()) -> Outcome:
        self._context.journal.fold()
        self._record_event("SWEEP_ABORTED", reason)
        return self._end(reason, failed)

    def _stop(self, cause: OrketError) -> Outcome:
        self._context.journal.fold()
        reason = " ".join(f"{error_class(cause)}: {cause.message}".split())
        self._record_event("SWEEP_ABORTED", reason)
        return replace(self._end(STOPPED), cause=cause)

    def _end(self, status: str, failed: Sequence[dict[str, Any]] = ()) -> Outcome:
        context = self._context
        failure = None if context.answers else context.last_failure
        return Outcome(
            self._plan.sweep_id, status, context.calls, failure, tuple(failed)
        )

    def _record_event(self, event: str, reason: str | None) -> None:
        row = EventRow(
            event_id=time_ordered_id(),
            recorded_at=self._context.clock.now(),
            event=event,
            sweep_id=self._plan.sweep_id,
            reason=reason,
        )
        self._warehouse.append("events", [row])


def _blocks_of(plan: Plan, phase: str) -> list[list[PlannedRun]]:
    """The blocks whose timed runs are of this phase, in order, warm-ups included."""
    blocks = [
        list(runs) for _, runs in groupby(plan.runs, key=lambda run: run.block_index)
    ]
    return [block for block in blocks if block[-1].phase == phase]
