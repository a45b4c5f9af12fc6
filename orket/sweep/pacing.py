"""How much of what the view names goes into one load: a matter of time alone.

What is evidence, and of whom, the view says. Proofs hold at every look, so that it is
free to ask less at a time where the time is short, and more where loads are dear.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

from orket.planning.estimate import Forecast
from orket.records import PlannedRun
from orket.sweep.judge import Look, Named

Block = list[PlannedRun]
MOST_LOAD_PERCENT = 15
"""A load that takes more of a block is worth a longer block."""
FIRST_ROUND_PERCENT = 50
"""A first round that takes more of the budget is asked in two."""


class Pacing:
    """Cuts rounds into blocks of one load each."""

    def __init__(
        self,
        forecast: Forecast,
        budget_left: Callable[[], float],
        waiting: Callable[[int], Block],
    ) -> None:
        """`waiting` gives what of a block of the plan was not asked yet."""
        self._forecast = forecast
        self._budget_left = budget_left
        self._waiting = waiting

    def blocks(self, looks: Sequence[Look]) -> list[Block]:
        """What each quant is asked in this round, each model's quants in turn."""
        found: list[Block] = []
        short = self._is_short(looks)
        for look in looks:
            parts = [
                self._waiting(named.block_index) for named in self._of(look, short)
            ]
            parts = [part for part in parts if part]
            for _, same in groupby(parts, key=lambda part: part[0].quant_tag):
                found.append([run for part in same for run in part])
        return found

    def beginning(self, block: Block) -> Block:
        """As much of a block, by whole blocks of the plan, as ends within the budget.

        What takes nobody knows how long may begin.
        """
        left = self._budget_left()
        fitting: Block = []
        for _, part in groupby(block, key=lambda run: run.block_index):
            longer = [*fitting, *part]
            if left <= 0 or (self._forecast.seconds(longer) or 0.0) > left:
                break
            fitting = longer
        return fitting

    def _of(self, look: Look, is_short: bool) -> list[Named]:
        if look.round == 1 and is_short:
            quants: set[str] = set()
            first = []
            for named in look.blocks:
                tag = self._tag(named)
                if tag not in quants:
                    quants.add(tag)
                    first.append(named)
            return first
        plain = [named for named in look.blocks if not named.is_further]
        return list(look.blocks) if self._is_load_dear(plain) else plain

    def _is_short(self, looks: Sequence[Look]) -> bool:
        """Whether all of this round takes too much of what is left of the budget."""
        runs = [
            run
            for look in looks
            for named in look.blocks
            for run in self._waiting(named.block_index)
        ]
        seconds = self._forecast.seconds(runs)
        return (
            seconds is not None
            and 100 * seconds > FIRST_ROUND_PERCENT * self._budget_left()
        )

    def _is_load_dear(self, blocks: Sequence[Named]) -> bool:
        loads = work = 0.0
        for named in blocks:
            runs = self._waiting(named.block_index)
            seconds = self._forecast.seconds(runs)
            if not runs or seconds is None:
                continue
            load = self._forecast.load_seconds((runs[0].model_id, runs[0].quant_tag))
            loads += load
            work += seconds - load
        return 100 * loads > MOST_LOAD_PERCENT * (loads + work)

    def _tag(self, named: Named) -> str:
        runs = self._waiting(named.block_index)
        return runs[0].quant_tag if runs else f"block {named.block_index}"
