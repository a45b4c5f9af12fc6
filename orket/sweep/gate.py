"""The first phase: is this machine, with these servers, steady enough to measure on?"""

from __future__ import annotations

from typing import Any

from orket.machine.consumers import read_users, say_busiest
from orket.sweep.context import Context
from orket.sweep.failures import ServersGone
from orket.sweep.judge import Gate, Judge
from orket.sweep.steadiness import Steadiness, say_threads
from orket.sweep.walk import Walk, blocks_of


def run_gate(
    context: Context, walk: Walk, judge: Judge, steadiness: Steadiness
) -> list[dict[str, Any]]:
    """Run the canary of each model; the rows of those that did not pass.

    A sweep that may goes on under looser thresholds before any is told to have failed.

    Raises Doomed where no call could be answered, and ServersGone where a model did not
    pass and a server is gone.
    """
    plan = context.plan
    before = read_users() if plan.canary else None
    steadiness.watch()
    for block in blocks_of(plan, "canary"):
        walk.run_block(block)
    if before is None:
        return []
    steadiness.settle_gate()
    gate = judge.read_gate()
    if gate.is_busy:
        watched = context.observer.watched
        busiest = say_busiest(before, read_users(), watched)
        threads = "".join(dict.fromkeys(map(say_threads, judge.read_steps())))
        context.reporter.note(say_busy(gate, busiest) + threads)
    failed = [row for row in gate.rows if row["verdict"] != "PASSED"]
    if failed and (causes := context.health.gone()):
        # What a server owed says nothing of how steady the machine is.
        raise ServersGone(causes[0])
    return failed


def say_busy(gate: Gate, busiest: str | None) -> str:
    """That the machine is too busy, by whom, and what can be had all the same.

    `busiest` says who uses most of its CPUs, and how much.
    """
    who = busiest or "other programs use the CPU, none of them for long"
    return (
        f"this machine is too busy to time anything: {who}; {gate.disturbed} of the "
        f"gate's {gate.runs} runs were disturbed. Close what runs, or have the answers "
        "judged alone: --quality-only"
    )
