"""Which quant the gate measures: one that its server can load."""

from __future__ import annotations

from dataclasses import dataclass

from orket.errors import OrketError
from orket.planning.fidelity import by_precision
from orket.planning.plan import Plan
from orket.planning.regate import with_gate_at
from orket.planning.schedule import CanaryCell
from orket.planning.targets import Target
from orket.sweep.failures import is_broken
from orket.sweep.interrupts import Interrupts
from orket.sweep.reporter import Reporter
from orket.sweep.servers import Servers
from orket.warehouse import Warehouse


@dataclass(frozen=True, slots=True)
class Unloadable:
    """A target that was tried for the gate and cannot be loaded."""

    target: Target
    cause: OrketError


def find_gate(
    plan: Plan, servers: Servers, interrupts: Interrupts, reporter: Reporter
) -> tuple[Plan, list[Unloadable]]:
    """The plan with its gates at quants that can be loaded, and those that cannot.

    A broken file is a fact about one quant, and no reason to measure none: where the
    quant of the gate cannot be loaded, the most precise that can takes its part. Where
    none can, or a server or the model is not there, the plan stays: its gate says so.
    What is loaded is the first that the sweep asks, and stays resident.
    """
    failed: list[Unloadable] = []
    for cell in plan.canary:
        found, unloadable = _first_loaded(plan, cell, servers, interrupts)
        failed += unloadable
        if found is None or not unloadable:
            continue
        plan = with_gate_at(plan, cell.model_id, found.ref.quant_tag)
        for tried in unloadable:
            reporter.note(f"{tried.target.ref.quant_tag}: {tried.cause}")
        reporter.note(
            f"{cell.quant_tag} of {cell.model_id} cannot be loaded: the gate measures "
            f"{found.ref.quant_tag}"
        )
    return plan, failed


def with_gates_so_far(plan: Plan, warehouse: Warehouse) -> Plan:
    """The plan of a sweep that goes on, with its gates where they were planned.

    Equal calls are held against each other: the gate of one sweep stays at one quant.
    """
    with warehouse.session(plan.sweep_id) as session:
        rows = session.rows(
            "SELECT DISTINCT model_id, quant_tag FROM v1.planned_run "
            "WHERE sweep_id = ? AND phase = 'canary' ORDER BY ALL",
            [plan.sweep_id],
        )
    planned = {row["model_id"]: row["quant_tag"] for row in rows}
    for cell in plan.canary:
        quant = planned.get(cell.model_id, cell.quant_tag)
        known = [t.ref.quant_tag for t in plan.model(cell.model_id).targets]
        if quant != cell.quant_tag and quant in known:
            plan = with_gate_at(plan, cell.model_id, quant)
    return plan


def _first_loaded(
    plan: Plan, cell: CanaryCell, servers: Servers, interrupts: Interrupts
) -> tuple[Target | None, list[Unloadable]]:
    """The first that can be loaded, the gate's own quant before the others."""
    model = plan.model(cell.model_id)
    own = plan.target(cell.model_id, cell.quant_tag)
    others = [t for t in by_precision(model.targets, model.controls) if t != own]
    unloadable: list[Unloadable] = []
    for target in (own, *others):
        try:
            with interrupts.allowed():
                servers.load(target, plan.controls_of(target))
        except OrketError as error:
            servers.forget(target)
            if not is_broken(error):
                return None, unloadable
            unloadable.append(Unloadable(target, error))
            continue
        return target, unloadable
    return None, unloadable
