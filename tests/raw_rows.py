"""Raw rows for tests: valid, of sweeps whose answers are known by construction."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from orket.records import (
    CallFacts,
    Capabilities,
    CheckFacts,
    Controls,
    Counters,
    EventRow,
    Hardware,
    ModelEntry,
    PlannedRun,
    Policy,
    QuantEntry,
    RunRecord,
    SweepRow,
    TaskEntry,
)
from orket.warehouse import Warehouse

START = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
REVISION = "rev-1"
MACHINE = "hw1-0000000000000001"
CONTROLS = Controls(
    seed=7, temperature_milli=0, threads="2", affinity="none", warmup="1"
)

_SECOND = 1_000_000_000


def make_run(
    sweep_id: str = "sweep-a",
    test: str = "logic/one",
    repetition: int = 1,
    *,
    quant: str = "Q4_K_M",
    model: str = "demo",
    passed: int = 2,
    total: int = 2,
    wall_ns: int = _SECOND,
    outcome: str = "OK",
    swapped_bytes: int = 0,
    start: datetime = START,
    phase: str = "matrix",
    order: int = 0,
) -> RunRecord:
    """A run that is CLEAN unless it is told to fail or to run on a swapping machine."""
    moment = start + timedelta(seconds=order)
    run_id = f"{sweep_id}-{phase}-{model}-{quant}-{test}-{repetition}"
    before, after = _counters(0, 0, wall_ns), _counters(1, swapped_bytes, wall_ns)
    return RunRecord(
        sweep_id=sweep_id,
        run_id=run_id,
        attempt_id=f"{run_id}-1",
        attempt_number=1,
        executor_started_at=start,
        recorded_at=moment,
        phase=phase,
        model_id=model,
        quant_tag=quant,
        test_id=test,
        bucket="logic",
        task_revision=REVISION,
        repetition=repetition,
        order_index=order,
        block_index=0,
        started_at=moment,
        started_ns=order * 100 * _SECOND,
        ended_ns=order * 100 * _SECOND + wall_ns,
        prompt_sha256="p",
        max_tokens=32,
        requested=CONTROLS,
        effective=CONTROLS,
        call=CallFacts(
            outcome=outcome,
            error_class=None if outcome == "OK" else "HTTP_500",
            answer_text="42" if outcome == "OK" else None,
            prompt_tokens=10,
            cached_prompt_tokens=0,
            completion_tokens=4,
            prefill_ns=wall_ns // 4,
            decode_ns=wall_ns // 2,
            decode_clock="prefill_end",
            wall_ns=wall_ns,
            realtime_ns=wall_ns,
            prompt_cache="disabled",
            streamed=True,
        ),
        checks=CheckFacts(checks_passed=passed, checks_total=total)
        if outcome == "OK"
        else None,
        locality="child",
        before=before,
        after=after,
        peak_server_rss_bytes=1 << 30,
        other_models_resident=[],
    )


def _counters(step: int, swapped_bytes: int, wall_ns: int) -> Counters:
    """A two-CPU machine on which the server alone works."""
    return Counters(
        host_total_ns=step * 2 * wall_ns,
        host_busy_ns=step * 2 * wall_ns,
        host_idle_ns=0,
        host_iowait_ns=0,
        host_steal_ns=0,
        server_cpu_ns=step * 2 * wall_ns,
        client_cpu_ns=0,
        load1_milli=0,
        psi_memory_full_us=0,
        cgroup_throttled_ns=0,
        swap_in_bytes=0,
        swap_out_bytes=swapped_bytes,
        server_major_faults=0,
        thermal_throttle_count=0,
        on_battery=False,
        server_requests_processing=0,
        server_tokens_generated=4 * step,
    )


def make_manifest(
    runs: list[RunRecord],
    *,
    start: datetime = START,
    machine: str | None = MACHINE,
    policy: Policy | None = None,
    profile: str | None = "quiet",
    digest: str | None = None,
    endpoint: str | None = None,
) -> SweepRow:
    """The manifest of a sweep whose plan is exactly these runs."""
    models = sorted({run.model_id for run in runs})
    quants = sorted({(run.model_id, run.quant_tag) for run in runs})
    tests = sorted({run.test_id for run in runs})
    return SweepRow(
        sweep_id=runs[0].sweep_id,
        manifest_id=f"{runs[0].sweep_id}-manifest",
        kind="START",
        started_at=start,
        orket_version="0",
        preset="test",
        plan_hash="plan",
        policy_hash="policy",
        hardware_fingerprint=machine,
        fingerprint_version="1",
        hardware=Hardware(logical_cpus=2),
        repetitions=max(run.repetition for run in runs),
        models=[
            ModelEntry(
                model_id=model,
                provider="embedded",
                endpoint=endpoint,
                locality="child",
                server_logical_cpus=2,
                cpu_only=True,
                capabilities=Capabilities(),
                controls=CONTROLS,
                control_profile=profile,
                policy=policy or Policy(),
            )
            for model in models
        ],
        quants=[
            QuantEntry(
                model_id=model,
                quant_tag=quant,
                quant_key=quant,
                catalogue_order=1,
                nominal_bpw_milli=4000,
                model_digest=digest,
            )
            for model, quant in quants
        ],
        tasks=[
            TaskEntry(
                test_id=test,
                bank=test.partition("/")[0],
                task_id=test.partition("/")[2],
                bucket="logic",
                task_revision=REVISION,
                checks_total=2,
                max_tokens=32,
            )
            for test in tests
        ],
        plan=[
            PlannedRun(
                run_id=run.run_id,
                order_index=run.order_index,
                phase=run.phase,
                model_id=run.model_id,
                quant_tag=run.quant_tag,
                test_id=run.test_id,
                repetition=run.repetition,
                block_index=run.block_index,
            )
            for run in runs
        ],
    )


def finished(sweep_id: str, at: datetime = START) -> EventRow:
    """The event that a sweep ended well."""
    return EventRow(
        event_id=f"{sweep_id}-finished",
        recorded_at=at,
        event="SWEEP_FINISHED",
        sweep_id=sweep_id,
    )


def store_sweep(
    warehouse: Warehouse,
    runs: list[RunRecord],
    *,
    start: datetime = START,
    is_finished: bool = True,
    **manifest: Any,
) -> str:
    """Keep a whole sweep; returns its id."""
    sweep_id = runs[0].sweep_id
    row = make_manifest(runs, start=start, **manifest)
    warehouse.append("sweeps", [row], sweep_id)
    warehouse.append("runs", runs, sweep_id)
    if is_finished:
        warehouse.append("events", [finished(sweep_id, start)])
    return sweep_id


def changed(row: RunRecord, **changes: Any) -> RunRecord:
    """The row with other values; `call` and `checks` take dictionaries."""
    plain: dict[str, Any] = {}
    for name, value in changes.items():
        group = getattr(row, name)
        is_group = isinstance(value, Mapping) and group is not None
        plain[name] = msgspec.structs.replace(group, **value) if is_group else value
    return msgspec.structs.replace(row, **plain)
