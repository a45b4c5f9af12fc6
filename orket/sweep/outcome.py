"""How a sweep ends, and the event that says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from orket.errors import OrketError, ServerError
from orket.planning.estimate import Slack
from orket.records import EventRow
from orket.sweep.context import Context
from orket.sweep.failures import error_class
from orket.warehouse import Warehouse
from orket.warehouse.parts import time_ordered_id

COMPLETED, INTERRUPTED, CANARY_FAILED = "COMPLETED", "INTERRUPTED", "CANARY_FAILED"
STOPPED = "STOPPED"
"""No call could have been answered; the outcome says why."""
FAILED = "FAILED"
"""A server was lost for good: not every planned run was measured."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a sweep ended."""

    sweep_id: str
    status: str
    calls: int
    """Calls recorded by this executor."""
    unmeasured: int = 0
    """Planned runs that no call has measured, of a sweep that failed."""
    failed_canaries: tuple[dict[str, Any], ...] = ()
    cause: OrketError | None = None
    """Why a stopped or failed sweep could not go on."""
    stop_reason: str | None = None
    """Why an adaptive sweep asked no more; None for a grid."""
    further_tasks: int | None = None
    """Tasks that its next proof takes at least; None where none is in reach."""
    further_seconds: float | None = None
    """How long these take; None: not known."""
    further_slack: Slack = Slack()
    """By how much that may be off."""
    is_disturbed: bool = False
    """Most of what an adaptive sweep asked does not count, for disturbances."""
    was_complete: bool = False
    """The sweep had been finished before: nothing was run."""


class Endings:
    """Records the end of a sweep, whichever it is."""

    def __init__(self, context: Context, warehouse: Warehouse) -> None:
        self._context = context
        self._warehouse = warehouse

    def finish(self, stop_reason: str | None = None) -> Outcome:
        """Every phase was walked: completed, unless a server was lost for good."""
        unmeasured = self._context.unmeasured()
        lost = self._context.health.lost()
        if unmeasured and lost:
            return self.fail(lost[0])
        if unmeasured and not self._context.measured:
            said = self._context.last_failure or "no call was made"
            return self.fail(ServerError(f"no call was answered: {said}"))
        self._context.journal.fold()
        self._record("SWEEP_FINISHED", stop_reason)
        return replace(self._outcome(COMPLETED), stop_reason=stop_reason)

    def abort(self, reason: str, canaries: Sequence[dict[str, Any]] = ()) -> Outcome:
        """Stopped by the user, by the gate or by a fault."""
        self._context.journal.fold()
        self._record("SWEEP_ABORTED", reason)
        return replace(self._outcome(reason), failed_canaries=tuple(canaries))

    def fail(self, cause: OrketError) -> Outcome:
        """A server is gone for good."""
        return self._end_by(FAILED, cause)

    def stop(self, cause: OrketError) -> Outcome:
        """No call could have been answered."""
        return self._end_by(STOPPED, cause)

    def _end_by(self, status: str, cause: OrketError) -> Outcome:
        self._context.journal.fold()
        reason = " ".join(f"{error_class(cause)}: {cause.message}".split())
        self._record("SWEEP_ABORTED", reason)
        return replace(self._outcome(status), cause=cause)

    def _outcome(self, status: str) -> Outcome:
        context = self._context
        return Outcome(
            context.plan.sweep_id,
            status,
            context.calls,
            unmeasured=len(context.unmeasured()),
        )

    def _record(self, event: str, reason: str | None) -> None:
        row = EventRow(
            event_id=time_ordered_id(),
            recorded_at=self._context.clock.now(),
            event=event,
            sweep_id=self._context.plan.sweep_id,
            reason=reason,
        )
        self._warehouse.append("events", [row])
