"""Moves the gate of a plan to another quant, where the one meant cannot be loaded."""

from __future__ import annotations

from dataclasses import replace

from orket.planning.plan import Plan
from orket.planning.rounds import order_tasks
from orket.planning.schedule import build_schedule


def with_gate_at(plan: Plan, model_id: str, quant_tag: str) -> Plan:
    """The plan with the gate and the anchors of a model at this quant.

    All other runs stay as they are, and so does the hash: which quant shows that the
    machine is steady is no part of what is compared.
    """
    canary = tuple(
        replace(cell, quant_tag=quant_tag) if cell.model_id == model_id else cell
        for cell in plan.canary
    )
    entries = plan.task_entries
    if plan.extends is not None:
        # Its rounds were not planned at once; warm-ups are the gate's alone.
        gate = build_schedule(plan.sweep_id, plan.models, entries, 0, "grouped", canary)
        rest = (run for run in plan.runs if run.phase not in ("canary", "warmup"))
        return replace(plan, canary=canary, runs=(*gate, *rest))
    runs = build_schedule(
        plan.sweep_id,
        plan.models,
        order_tasks(entries) if plan.is_adaptive else entries,
        plan.repetitions,
        plan.order,
        canary,
    )
    return replace(plan, canary=canary, runs=runs)
