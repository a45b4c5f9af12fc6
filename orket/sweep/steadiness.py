"""What a sweep goes on under where its machine is not steady enough to time anything.

The manifest names the steps, the views say when one is due, and each that is gone is an
event. The executor obeys: it asks again under the next step, until the view is content
or no step is left. Controls stay as they are; nothing of the machine is changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orket.machine.consumers import Users, read_users, say_busiest
from orket.records import EventRow
from orket.sweep.context import Context
from orket.sweep.judge import Due, Judge
from orket.warehouse import Warehouse
from orket.warehouse.parts import time_ordered_id

POLICY_YIELDED = "POLICY_YIELDED"
ROUND_LOST = "ROUND_LOST"
"""Why a step is gone where nothing of a whole round counts."""


class Steadiness:
    """Goes from step to step, and says so."""

    def __init__(self, context: Context, warehouse: Warehouse, judge: Judge) -> None:
        self._context = context
        self._warehouse = warehouse
        self._judge = judge
        self._can_yield = any(model.yields_to for model in context.plan.models)
        self._before: Users | None = None

    def watch(self) -> None:
        """From here on it can be told who used the CPU."""
        self._before = read_users() if self._can_yield else None

    def steps(self) -> dict[str, int]:
        """Steps that were gone by now, by model; empty where there are none to go."""
        if not self._can_yield:
            return {}
        return {step["model_id"]: step["step"] for step in self._judge.read_steps()}

    def settle_gate(self) -> None:
        """Go on under looser thresholds for as long as the gate asks for it."""
        self._recall()
        gone: dict[str, Due] = {}
        while self._can_yield and (due := self._judge.read_gate_yields()):
            self._yield(due)
            gone |= {entry.model_id: entry for entry in due}
        self._tell(list(gone.values()))

    def _recall(self) -> None:
        """Say what rules a sweep that goes on, where a step was gone before."""
        if not self._can_yield:
            return
        for step in self._judge.read_steps():
            if step["step"]:
                rules = f"the profile {step['control_profile']} rules"
                if step["is_quality_only"]:
                    rules = "answers alone are judged"
                self._context.reporter.note(
                    f"{step['model_id']}: the machine was not steady before: {rules} "
                    "in all of this sweep; a new one judges speed again"
                )

    def settle_end(self) -> bool:
        """One step, where quants lack valid runs only through disturbances.

        Says whether anything rules by now that did not before.
        """
        return self._can_yield and self._settle(self._judge.read_starved())

    def settle_between(self) -> bool:
        """One step, where half of the latest runs are lost and rounds bring little.

        Says whether anything rules by now that did not before.
        """
        return self._can_yield and self._settle(self._judge.read_mostly_disturbed())

    def settle_round(self) -> bool:
        """One step of each model that has one left: nothing of a round counts."""
        if not self._can_yield:
            return False
        return self._settle(
            [
                Due(step["model_id"], ROUND_LOST)
                for step in self._judge.read_steps()
                if step["next_control_profile"] is not None
            ]
        )

    def _settle(self, due: Sequence[Due]) -> bool:
        self._yield(due)
        self._tell(due)
        return bool(due)

    def _yield(self, due: Sequence[Due]) -> None:
        """Keep one step of each as an event."""
        rows = [
            EventRow(
                event_id=time_ordered_id(),
                recorded_at=self._context.clock.now(),
                event=POLICY_YIELDED,
                sweep_id=self._context.plan.sweep_id,
                model_id=entry.model_id,
                reason=entry.because,
            )
            for entry in due
        ]
        if rows:
            self._warehouse.append("events", rows)

    def _tell(self, due: Sequence[Due]) -> None:
        """What rules by now, each line once: models are mostly disturbed together."""
        if not due:
            return
        who = self._busiest()
        ruling = {step["model_id"]: step for step in self._judge.read_steps()}
        for line in dict.fromkeys(
            say_step(entry, ruling[entry.model_id], who) for entry in due
        ):
            self._context.reporter.note(line)

    def _busiest(self) -> str:
        """The greatest foreign program since the last look, and what helps."""
        if self._before is None:
            return ""
        watched = self._context.observer.watched
        busiest = say_busiest(self._before, read_users(), watched)
        return f"; {busiest}" if busiest else ""


def say_step(due: Due, ruling: Mapping[str, Any], who: str) -> str:
    """One line: what was found, by whom, what rules now, how to get the rest."""
    found = due.found or "nothing of a whole round counts"
    if ruling["is_quality_only"]:
        goes_on = "Answers are judged all the same, and no speed; for that"
    else:
        profile = ruling["control_profile"]
        goes_on = f"It goes on by the profile {profile}, with rough speeds; for finer"
    if due.remedy is not None:
        return f"no time counts here: {found}. {goes_on}, {due.remedy}"
    return (
        f"the machine is not steady: {found}{who}. {goes_on}, run it again when the "
        f"machine is quiet{say_threads(ruling)}"
    )


def say_threads(ruling: Mapping[str, Any]) -> str:
    """How the model would leave others a CPU, where it takes all of them."""
    threads = ruling["free_threads"]
    return f", or with --threads {threads}" if threads else ""
