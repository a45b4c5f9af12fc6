"""The second phase: every planned run in its order, with anchors in between."""

from __future__ import annotations

from orket.sweep.anchors import Anchors
from orket.sweep.context import Context
from orket.sweep.pollution import Pollution
from orket.sweep.walk import Walk, blocks_of


def run_matrix(
    context: Context, walk: Walk, anchors: Anchors, pollution: Pollution
) -> None:
    """Run the matrix, or what is missing of it. Raises ServersGone, Doomed."""
    anchors.start()
    for block in blocks_of(context.plan, "matrix"):
        walk.run_block(block)
        anchors.run_if_due(block[0].model_id)
        pollution.show()
    anchors.close()
