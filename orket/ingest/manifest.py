"""Writes manifests of imported sweeps: the plan of each is what its rows show.

Whatever order rows came in, and in however many files, the same rows give the same
manifest: it is built anew from all rows of the sweep after each ingest, and of several
the fullest one rules. Plans may be long, so they are put together by DuckDB.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from orket import __version__
from orket.admission import admit
from orket.identity import content_id
from orket.ingest.origin import UNKNOWN, Origin
from orket.quants import find_quant
from orket.records import (
    Capabilities,
    Controls,
    Hardware,
    ModelEntry,
    Policy,
    QuantEntry,
    SweepRow,
    TaskEntry,
    to_json,
)
from orket.warehouse import Warehouse

if TYPE_CHECKING:
    from orket.warehouse.bulk import BulkSession

_PLANS = """
CREATE TABLE plans AS
WITH planned AS (
    -- All attempts at a run agree on what was planned, but for their own order.
    SELECT
        sweep_id,
        run_id,
        min(order_index) AS order_index,
        min(phase) AS phase,
        min(model_id) AS model_id,
        min(quant_tag) AS quant_tag,
        min(test_id) AS test_id,
        min(repetition) AS repetition,
        min(block_index) AS block_index
    FROM raw.runs
    WHERE phase IN ('warmup', 'canary', 'matrix')
    GROUP BY sweep_id, run_id
),

listed AS (
    SELECT
        sweep_id,
        list(
            struct_pack(
                run_id := run_id,
                order_index := order_index,
                phase := phase,
                model_id := model_id,
                quant_tag := quant_tag,
                test_id := test_id,
                repetition := repetition,
                block_index := block_index
            )
            ORDER BY order_index, run_id
        ) AS plan,
        max(repetition) AS repetitions,
        bool_or(phase = 'canary') AS canary_planned
    FROM planned
    GROUP BY sweep_id
)

SELECT
    *,
    sha256(array_to_string(list_transform(plan, lambda run: run.run_id), ','))
        AS plan_hash
FROM listed
"""
_TASKS = """
SELECT
    sweep_id,
    test_id,
    min(bucket) AS bucket,
    min(task_revision) AS task_revision,
    max(checks.checks_total) AS checks_total,
    max(max_tokens) AS max_tokens,
    min(checks.checker_version) AS checker_version
FROM raw.runs
GROUP BY sweep_id, test_id
ORDER BY sweep_id, test_id
"""
_QUANTS = """
SELECT
    sweep_id,
    model_id,
    quant_tag,
    -- Of several weights under one name none is the quant's.
    if(count(DISTINCT model_digest) = 1, min(model_digest), NULL) AS model_digest
FROM (
    SELECT sweep_id, model_id, quant_tag, model_digest FROM raw.runs
    UNION ALL
    SELECT sweep_id, model_id, quant_tag, NULL FROM raw.sidecars
)
GROUP BY sweep_id, model_id, quant_tag
ORDER BY sweep_id, model_id, quant_tag
"""
_CONTROLS = """
SELECT DISTINCT ON (sweep_id, model_id) sweep_id, model_id, requested, locality
FROM raw.runs
ORDER BY sweep_id, model_id, recorded_at, attempt_id
"""
_SWEEPS = """
SELECT
    started.sweep_id,
    started.moment,
    plans.plan_hash,
    coalesce(plans.repetitions, 1) AS repetitions,
    coalesce(plans.canary_planned, false) AS canary_planned,
    coalesce(len(plans.plan), 0) AS planned_runs
FROM (
    SELECT sweep_id, min(moment) AS moment
    FROM (
        SELECT sweep_id, least(started_at, recorded_at) AS moment FROM raw.runs
        UNION ALL
        SELECT sweep_id, recorded_at FROM raw.sidecars
    )
    GROUP BY sweep_id
) AS started
LEFT JOIN plans
    ON plans.sweep_id = started.sweep_id
ORDER BY started.sweep_id
"""
_FINISHED = """
SELECT
    manifests.* REPLACE (coalesce(plans.plan, manifests.plan) AS plan)
FROM manifests
LEFT JOIN plans
    ON plans.sweep_id = manifests.sweep_id
"""


def write_manifests(
    warehouse: Warehouse, sweep_ids: Collection[str], origin: Origin | None = None
) -> None:
    """Write the manifests of sweeps that Orket did not run, where they are missing.

    `origin` is what their file said; None keeps what an earlier file of each said.
    """
    from orket.warehouse.bulk import BulkSession

    with BulkSession(warehouse, sweep_ids) as session:
        real = "SELECT DISTINCT sweep_id FROM raw.sweeps WHERE kind <> 'INGEST'"
        own = {row["sweep_id"] for row in session.rows(real)}
        if own.issuperset(sweep_ids):
            return
        known = session.rows(
            "SELECT * EXCLUDE (plan) FROM raw.sweeps ORDER BY sweep_id, manifest_id"
        )
        session.run(_PLANS)
        manifests = [
            manifest
            for manifest in _build(session, origin, known)
            if manifest.sweep_id not in own
        ]
        there = {row["manifest_id"] for row in known}
        fresh = [row for row in manifests if row.manifest_id not in there]
        if not fresh:
            return
        with tempfile.TemporaryDirectory(prefix="orket-ingest-") as folder:
            path = Path(folder) / "manifests.jsonl"
            path.write_bytes(b"".join(admit(row) + b"\n" for row in fresh))
            session.add_table("manifests", "sweeps", path)
            session.copy_rows("sweeps", _FINISHED, {row.sweep_id for row in fresh})


def _build(
    session: BulkSession, origin: Origin | None, known: list[dict[str, Any]]
) -> list[SweepRow]:
    """A manifest for each sweep, all but its plan, which stays in the database."""
    earlier = {row["sweep_id"]: row for row in reversed(known)}
    quants = _by_sweep(session.rows(_QUANTS))
    tasks = _by_sweep(session.rows(_TASKS))
    controls = _by_sweep(session.rows(_CONTROLS))
    manifests: list[SweepRow] = []
    for sweep in session.rows(_SWEEPS):
        name = sweep["sweep_id"]
        source = origin or (
            _earlier_origin(earlier[name]) if name in earlier else Origin()
        )
        manifests.append(
            _manifest(
                sweep, source, quants[name], tasks.get(name, []), controls.get(name, [])
            )
        )
    return manifests


def _by_sweep(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    grouped: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        grouped.setdefault(row["sweep_id"], []).append(row)
    return grouped


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
        families=tuple((task["test_id"], task["family"]) for task in manifest["tasks"]),
    )


def _manifest(
    sweep: Mapping[str, Any],
    origin: Origin,
    quants: list[dict[str, Any]],
    tasks: list[dict[str, Any]],
    controls: list[dict[str, Any]],
) -> SweepRow:
    policy = Policy()
    versions = [row["checker_version"] for row in tasks if row["checker_version"]]
    manifest = SweepRow(
        sweep_id=sweep["sweep_id"],
        manifest_id="",
        kind="INGEST",
        started_at=sweep["moment"].replace(tzinfo=UTC),
        orket_version=__version__,
        preset=origin.preset,
        plan_hash=f"ingest:{sweep['plan_hash'] or 'no runs'}",
        policy_hash=content_id(to_json(policy).decode()),
        execution_mode="import",
        hardware_fingerprint=origin.fingerprint,
        fingerprint_version=origin.fingerprint_version,
        hardware=origin.hardware,
        repetitions=sweep["repetitions"],
        polluted_retries=0,
        canary_planned=sweep["canary_planned"],
        checker_version=max(versions, default=UNKNOWN),
        models=_models(quants, controls, origin, policy),
        quants=_quants(quants, origin),
        tasks=[_task(row, dict(origin.tiers), dict(origin.families)) for row in tasks],
        plan=[],
    )
    # Of manifests with one start the first id rules: the more runs, the earlier.
    fullness = 10**10 - 1 - int(sweep["planned_runs"])
    identity = content_id(to_json(manifest).decode())
    return msgspec.structs.replace(manifest, manifest_id=f"{fullness:010}-{identity}")


def _models(
    quants: list[dict[str, Any]],
    controls: list[dict[str, Any]],
    origin: Origin,
    policy: Policy,
) -> list[ModelEntry]:
    first_runs = {row["model_id"]: row for row in controls}
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
        tensor_types=told.tensor_types if told else None,
        publisher=told.publisher if told else None,
    )


def _task(
    row: Mapping[str, Any],
    tiers: Mapping[str, int],
    families: Mapping[str, str | None],
) -> TaskEntry:
    bank, slash, task_id = row["test_id"].partition("/")
    return TaskEntry(
        test_id=row["test_id"],
        bank=bank if slash else UNKNOWN,
        task_id=task_id if slash and task_id else row["test_id"],
        bucket=row["bucket"],
        tier=tiers.get(row["test_id"], 1),
        family=families.get(row["test_id"]),
        task_revision=row["task_revision"],
        checks_total=row["checks_total"],
        max_tokens=row["max_tokens"],
    )
