"""The first phase: is this machine, with these servers, steady enough to measure on?"""

from __future__ import annotations

from typing import Any

from orket.sweep.context import Context
from orket.sweep.judge import read_canary
from orket.sweep.walk import Walk, blocks_of
from orket.warehouse import Warehouse


def run_gate(
    context: Context, walk: Walk, warehouse: Warehouse
) -> list[dict[str, Any]]:
    """Run the canary of each model; the rows of those that did not pass.

    Raises Doomed where no call could be answered, ServersGone.
    """
    plan = context.plan
    for block in blocks_of(plan, "canary"):
        walk.run_block(block)
    if not plan.canary:
        return []
    rows = read_canary(warehouse, plan.sweep_id)
    return [row for row in rows if row["verdict"] != "PASSED"]
