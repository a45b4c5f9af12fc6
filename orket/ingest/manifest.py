"""Writes the manifest of an imported sweep: its plan is what its rows show.

Whatever order rows came in, and in however many files, the same rows give the same
manifest: it is built anew from all rows of the sweep after each ingest, and of several
the fullest one rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from orket import __version__
from orket.identity import content_id
from orket.ingest.origin import UNKNOWN, Origin
from orket.quants import find_quant
from orket.records import (
    Capabilities,
    Controls,
    Hardware,
    ModelEntry,
    PlannedRun,
    Policy,
    QuantEntry,
    SweepRow,
    TaskEntry,
    to_json,
)
from orket.warehouse import Warehouse

if TYPE_CHECKING:
    from orket.warehouse.session import Session

_PLAN = """
SELECT DISTINCT ON (run_id)
    run_id, order_index, phase, model_id, quant_tag, test_id, repetition, block_index
FROM raw.runs
WHERE phase IN ('warmup', 'canary', 'matrix')
ORDER BY run_id, recorded_at, attempt_id
"""
_TASKS = """
SELECT
    test_id,
    min(bucket) AS bucket,
    min(task_revision) AS task_revision,
    max(checks.checks_total) AS checks_total,
    max(max_tokens) AS max_tokens,
    min(checks.checker_version) AS checker_version
FROM raw.runs
GROUP BY test_id
ORDER BY test_id
"""
_QUANTS = """
SELECT model_id, quant_tag, min(model_digest) AS model_digest
FROM (
    SELECT model_id, quant_tag, model_digest FROM raw.runs
    UNION ALL
    SELECT model_id, quant_tag, NULL FROM raw.sidecars
)
GROUP BY model_id, quant_tag
ORDER BY model_id, quant_tag
"""
_CONTROLS = """
SELECT DISTINCT ON (model_id) model_id, requested, locality
FROM raw.runs
ORDER BY model_id, recorded_at, attempt_id
"""
_STARTED = """
SELECT min(moment) AS moment
FROM (
    SELECT least(started_at, recorded_at) AS moment FROM raw.runs
    UNION ALL
    SELECT recorded_at FROM raw.sidecars
)
"""


def write_manifest(
    warehouse: Warehouse, sweep_id: str, origin: Origin | None = None
) -> None:
    """Write the manifest of a sweep that Orket did not run, if it has none yet.

    `origin` is what the file said; None keeps what an earlier file of it said.
    """
    with warehouse.session(sweep_id) as session:
        manifests = session.rows("SELECT * FROM raw.sweeps ORDER BY manifest_id")
        if any(row["kind"] != "INGEST" for row in manifests):
            return
        if origin is None and manifests:
            origin = _earlier_origin(manifests[0])
        manifest = _build(session, sweep_id, origin or Origin())
    if manifest.manifest_id not in {row["manifest_id"] for row in manifests}:
        warehouse.append("sweeps", [manifest], sweep_id)


def _earlier_origin(manifest: Mapping[str, Any]) -> Origin:
    model = manifest["models"][0] if manifest["models"] else {}
    return Origin(
        preset=manifest["preset"],
        provider=model.get("provider", UNKNOWN),
        provider_version=model.get("provider_version"),
        endpoint=model.get("endpoint"),
        hardware=msgspec.convert(manifest["hardware"], Hardware),
        fingerprint=manifest["hardware_fingerprint"],
        fingerprint_version=manifest["fingerprint_version"],
        quants=tuple(msgspec.convert(manifest["quants"], list[QuantEntry])),
        tiers=tuple((task["test_id"], task["tier"]) for task in manifest["tasks"]),
    )


def _build(session: Session, sweep_id: str, origin: Origin) -> SweepRow:
    plan = [PlannedRun(**row) for row in session.rows(_PLAN)]
    plan.sort(key=lambda run: (run.order_index, run.run_id))
    tasks = session.rows(_TASKS)
    quants = session.rows(_QUANTS)
    started = session.rows(_STARTED)[0]["moment"]
    assert isinstance(started, datetime)
    policy = Policy()
    manifest = SweepRow(
        sweep_id=sweep_id,
        manifest_id="",
        kind="INGEST",
        started_at=started.replace(tzinfo=UTC),
        orket_version=__version__,
        preset=origin.preset,
        plan_hash=content_id(*(to_json(run).decode() for run in plan)),
        policy_hash=content_id(to_json(policy).decode()),
        execution_mode="import",
        hardware_fingerprint=origin.fingerprint,
        fingerprint_version=origin.fingerprint_version,
        hardware=origin.hardware,
        repetitions=max((run.repetition for run in plan), default=1),
        polluted_retries=0,
        canary_planned=any(run.phase == "canary" for run in plan),
        checker_version=max((row["checker_version"] or "" for row in tasks), default="")
        or UNKNOWN,
        models=_models(session, quants, origin, policy),
        quants=_quants(quants, origin),
        tasks=[_task(row, dict(origin.tiers)) for row in tasks],
        plan=plan,
    )
    # Of manifests with one start the first id rules: the more runs, the earlier.
    fullness = 10**10 - 1 - len(plan)
    identity = content_id(to_json(manifest).decode())
    return msgspec.structs.replace(manifest, manifest_id=f"{fullness:010}-{identity}")


def _models(
    session: Session, quants: list[dict[str, Any]], origin: Origin, policy: Policy
) -> list[ModelEntry]:
    first_runs = {row["model_id"]: row for row in session.rows(_CONTROLS)}
    names = sorted({row["model_id"] for row in quants})
    return [
        ModelEntry(
            model_id=name,
            provider=origin.provider,
            provider_version=origin.provider_version,
            endpoint=origin.endpoint,
            locality=first_runs.get(name, {}).get("locality"),
            capabilities=Capabilities(),
            controls=msgspec.convert(
                first_runs.get(name, {}).get("requested") or {}, Controls
            ),
            policy=policy,
        )
        for name in names
    ]


def _quants(rows: list[dict[str, Any]], origin: Origin) -> list[QuantEntry]:
    told = {(entry.model_id, entry.quant_tag): entry for entry in origin.quants}
    return [_quant(row, told.get((row["model_id"], row["quant_tag"]))) for row in rows]


def _quant(row: Mapping[str, Any], told: QuantEntry | None) -> QuantEntry:
    entry = find_quant(row["quant_tag"])
    return QuantEntry(
        model_id=row["model_id"],
        quant_tag=row["quant_tag"],
        quant_key=entry.key if entry else None,
        quant_family=entry.family if entry else None,
        catalogue_order=entry.order if entry else None,
        nominal_bpw_milli=entry.nominal_bpw_milli if entry else None,
        model_digest=row["model_digest"] or (told.model_digest if told else None),
        model_bytes=told.model_bytes if told else None,
        parameters=told.parameters if told else None,
        reported_quant=told.reported_quant if told else None,
    )


def _task(row: Mapping[str, Any], tiers: Mapping[str, int]) -> TaskEntry:
    bank, slash, task_id = row["test_id"].partition("/")
    return TaskEntry(
        test_id=row["test_id"],
        bank=bank if slash else UNKNOWN,
        task_id=task_id if slash and task_id else row["test_id"],
        bucket=row["bucket"],
        tier=tiers.get(row["test_id"], 1),
        task_revision=row["task_revision"],
        checks_total=row["checks_total"],
        max_tokens=row["max_tokens"],
    )
