"""Keeps the phase `fidelity` within its time, however busy the machine gets.

How many prompts are asked follows from estimates, and estimates are of what was seen so
far. Where prompts take longer by now, all quants that wait are asked fewer of them, and
all are compared on these alone: the same prompts for everybody. Where even the fewest
take too long, quants are left out. Both are events, with all that they follow from.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Any

from orket.planning.identity import canonical_json
from orket.planning.prompts_in_time import (
    FEWEST_PROMPTS,
    longest_seconds,
    prompts_that_fit,
    usual_seconds,
)
from orket.planning.targets import Target
from orket.records import EventRow, FidelityPlan
from orket.sweep.context import Context
from orket.warehouse import Warehouse
from orket.warehouse.parts import time_ordered_id

NARROWED, LEFT_OUT = "FIDELITY_NARROWED", "FIDELITY_LEFT_OUT"
RECENT = 8
"""So many prompts tell what one takes by now."""
NANO = 10**9


class PhaseTime:
    """The time of one model's phase, and what becomes of it where that is short."""

    def __init__(self, context: Context, warehouse: Warehouse, model_id: str) -> None:
        self._context = context
        self._warehouse = warehouse
        self._model_id = model_id
        self._least = max(
            FEWEST_PROMPTS, context.plan.model(model_id).policy.fidelity_min_prompts
        )
        self._recent: deque[int] = deque(maxlen=RECENT)
        self._began_ns = 0
        self._usual = self._longest = math.inf
        self._is_narrowed = False
        self.left_out: set[str] = set()
        """Quants that there was no time for, by this executor."""

    def begin(self, plan: FidelityPlan) -> None:
        """The phase begins: from here on its time counts."""
        left = self._context.budget_left()
        self._began_ns = self._context.clock.monotonic_ns()
        if plan.seconds is None:
            # Whoever names prompts wants them; a budget ends the phase all the same.
            self._usual = self._longest = left
        else:
            self._usual = usual_seconds(plan, left)
            self._longest = longest_seconds(left)

    @property
    def longest(self) -> float:
        """Seconds that the phase may take at most; infinite where nothing bounds it."""
        return self._longest

    @property
    def is_over(self) -> bool:
        """Whether it has taken all the time that it may."""
        return self._used_ns() > self._longest * NANO

    def saw(self, wall_ns: int | None) -> None:
        """Learn what a prompt took by now."""
        if wall_ns is not None:
            self._recent.append(wall_ns)

    def is_due(self, done: int) -> bool:
        """Whether a quant has done so many prompts that it is worth a look."""
        return done % RECENT == 0

    def narrow(
        self,
        test_ids: list[str],
        target: Target,
        done: int,
        following: Sequence[Target],
    ) -> list[str]:
        """The prompts that there is time for, the first of these; kept where fewer.

        `done` of them the target has answered; who follows it is asked all of them.
        """
        if math.isinf(self._usual) or not self._recent:
            return test_ids
        facts = self._facts(len(test_ids), done, following)
        count = prompts_that_fit(
            facts["left_ns"],
            facts["prompt_ns"],
            facts["quants"],
            facts["done"],
            facts["least"],
            facts["now"],
        )
        if count >= len(test_ids):
            return test_ids
        kept = test_ids[:count]
        self._record(NARROWED, target.ref.quant_tag, facts, kept)
        if not self._is_narrowed:
            # Once: with each quant it may become less, and what was asked at last is
            # told with what was found.
            self._is_narrowed = True
            self._context.reporter.note(
                f"fidelity: a prompt takes {facts['prompt_ns'] / NANO:.1f} s by now, "
                f"which is too long for {len(test_ids)} of them: the quants of "
                f"{self._model_id} are compared on at most {count}"
            )
        return kept

    def leave_out(self, targets: Sequence[Target], count: int) -> None:
        """No time is left for these, not even for the fewest prompts."""
        for target in targets:
            facts = self._facts(count, 0, ())
            self._record(LEFT_OUT, target.ref.quant_tag, facts, None)
            self.left_out.add(target.ref.quant_tag)
        # Who has none is told with what was found: one list, by the rows.
        self._context.reporter.note(
            f"fidelity of {self._model_id}: it has taken {self._used_ns() / NANO:.0f} "
            "s, and may take no more"
        )

    def kept_before(self) -> set[str] | None:
        """The prompts that an earlier executor left; None: it left all."""
        plan = self._context.plan
        with self._warehouse.session(plan.sweep_id) as session:
            rows = session.rows(
                "SELECT test_ids FROM raw.events WHERE sweep_id = ? AND model_id = ? "
                "AND event = ? ORDER BY len(test_ids), event_id LIMIT 1",
                [plan.sweep_id, self._model_id, NARROWED],
            )
        return set(rows[0]["test_ids"]) if rows else None

    def _used_ns(self) -> int:
        return self._context.clock.monotonic_ns() - self._began_ns

    def _facts(
        self, now: int, done: int, following: Sequence[Target]
    ) -> dict[str, int]:
        """What a decision follows from, as integers."""
        loads = math.fsum(
            self._context.forecast.load_seconds((self._model_id, other.ref.quant_tag))
            for other in following
        )
        left = int((self._usual - loads) * NANO) - self._used_ns()
        recent = self._recent
        return {
            "left_ns": left,
            "prompt_ns": sum(recent) // len(recent) if recent else 0,
            "quants": len(following),
            "done": done,
            "least": min(self._least, now),
            "now": now,
        }

    def _record(
        self, event: str, quant: str, facts: dict[str, int], kept: list[str] | None
    ) -> None:
        row: dict[str, Any] = {"reason": canonical_json(facts), "test_ids": kept}
        self._warehouse.append(
            "events",
            [
                EventRow(
                    event_id=time_ordered_id(),
                    recorded_at=self._context.clock.now(),
                    event=event,
                    sweep_id=self._context.plan.sweep_id,
                    model_id=self._model_id,
                    quant_tag=quant,
                    **row,
                )
            ],
        )
