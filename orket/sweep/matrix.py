"""The second phase: every planned run in its order, with anchors in between."""

from __future__ import annotations

from collections.abc import Sequence

from orket.planning.estimate import add_seconds
from orket.sweep.agreement import Agreement
from orket.sweep.anchors import Anchors
from orket.sweep.context import Context
from orket.sweep.pollution import Pollution
from orket.sweep.reporter import Ahead, Key
from orket.sweep.walk import Walk, blocks_of


def run_matrix(
    context: Context,
    walk: Walk,
    anchors: Anchors,
    pollution: Pollution,
    agreement: Agreement,
) -> None:
    """Run the matrix, or what is missing of it.

    Raises ServersGone, Doomed, and Interrupted where a person finds it too long.
    """
    anchors.start()
    blocks = blocks_of(context.plan, "matrix")
    for place, block in enumerate(blocks):
        following = [
            (later[0].model_id, later[0].quant_tag) for later in blocks[place:]
        ]
        agreement.seek(matrix_ahead(context, following=following))
        walk.run_block(block)
        anchors.run_if_due(block[0].model_id)
        pollution.show()
    anchors.close()


def matrix_ahead(
    context: Context, before: float | None = 0.0, following: Sequence[Key] = ()
) -> Ahead:
    """What is left of the matrix, by what the calls so far took.

    `before` is the time of what comes first, None where it is not known.
    """
    waiting = [run for run in context.unmeasured() if run.phase == "matrix"]
    seconds = add_seconds(before, context.forecast.seconds(waiting))
    return Ahead(
        seconds,
        seconds,
        context.seconds_used(),
        tuple(following),
        slack=context.forecast.slack(),
    )
