"""The second phase: every planned run in its order, with anchors in between."""

from __future__ import annotations

from orket.sweep.anchors import Anchors
from orket.sweep.context import Context
from orket.sweep.interrupts import Interrupted
from orket.sweep.pollution import Pollution
from orket.sweep.walk import Walk, blocks_of


def run_matrix(
    context: Context, walk: Walk, anchors: Anchors, pollution: Pollution
) -> None:
    """Run the matrix, or what is missing of it.

    Raises ServersGone, Doomed, and Interrupted where a person finds it too long.
    """
    with context.interrupts.allowed():
        agreed = context.reporter.agrees(_seconds_left(context))
    if not agreed:
        raise Interrupted
    anchors.start()
    for block in blocks_of(context.plan, "matrix"):
        context.reporter.left(_seconds_left(context))
        walk.run_block(block)
        anchors.run_if_due(block[0].model_id)
        pollution.show()
    anchors.close()


def _seconds_left(context: Context) -> float | None:
    """By what the calls so far took, the canary's among them."""
    waiting = [run for run in context.unmeasured() if run.phase == "matrix"]
    return context.forecast.seconds(waiting)
