"""Runs a plan's sidecar after its matrix and keeps what it said."""

from __future__ import annotations

from collections.abc import Callable

from orket.errors import UsageError
from orket.planning.plan import Plan, SidecarPlan
from orket.sidecars.llama_bench import (
    SIDECARS,
    BenchOptions,
    ModelFile,
    choose_profile,
    find_binary,
    run_sidecar,
)
from orket.text import whole_number
from orket.warehouse import Warehouse


def check_sidecar(sidecar: SidecarPlan) -> None:
    """Raise UsageError for a tool or profile that there is not."""
    if sidecar.tool not in SIDECARS:
        raise UsageError(
            f"no sidecar named {sidecar.tool!r}", f"there are: {', '.join(SIDECARS)}"
        )
    choose_profile(sidecar.profile or "auto")


def note_absent(plan: Plan, announce: Callable[[str], None]) -> None:
    """Say before the sweep that its sidecar is not installed: the sweep runs anyway.

    Raises UsageError for a tool or profile that there is not.
    """
    sidecar = plan.sidecar
    if sidecar is None:
        return
    check_sidecar(sidecar)
    if find_binary(sidecar.binary) is None:
        announce(
            f"{sidecar.binary or sidecar.tool} is not installed: the sweep runs "
            "without this diagnosis; install it, or name it in [sidecar] binary"
        )


def has_sidecar_rows(warehouse: Warehouse, sweep_id: str) -> bool:
    """Whether the sidecar of a sweep was measured, or tried."""
    with warehouse.session(sweep_id) as session:
        rows = session.rows(
            "SELECT 1 FROM raw.sidecars WHERE sweep_id = ? LIMIT 1", [sweep_id]
        )
    return bool(rows)


def measure_sidecar(
    plan: Plan, warehouse: Warehouse, announce: Callable[[str], None] | None = None
) -> None:
    """Measure each model file of the plan; failures are rows, never an end."""
    sidecar = plan.sidecar
    if sidecar is None:
        return
    files = [
        ModelFile(
            target.ref.model_id,
            target.ref.quant_tag,
            target.ref.path,
            _threads(model.controls.threads),
            model.controls_of(target).kv_cache,
        )
        for model in plan.models
        for target in model.targets
    ]
    timeout = sidecar.timeout_seconds
    rows = run_sidecar(
        files,
        plan.sweep_id,
        binary=sidecar.binary,
        profile=sidecar.profile or "auto",
        options=BenchOptions(timeout_seconds=float(timeout)) if timeout else None,
        announce=announce,
    )
    warehouse.append("sidecars", rows, plan.sweep_id)


def _threads(asked: str | None) -> int | None:
    """The sweep's thread count, where it is a number: figures compare at equal ones."""
    return whole_number(asked)
