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
from orket.warehouse.statements import statement

if TYPE_CHECKING:
    from orket.warehouse.bulk import BulkSession
    from orket.warehouse.damage import Damage


def write_manifests(
    warehouse: Warehouse, sweep_ids: Collection[str], origin: Origin | None = None
) -> list[Damage]:
    """Write the manifests of sweeps that Orket did not run, where they are missing.

    `origin` is what their file said; None keeps what an earlier file of each said. A
    sweep of which a part cannot be read gets none, and what is damaged comes back.
    Raises WarehouseError when the place cannot be written.
    """
    from orket.warehouse.bulk import over_rows

    return over_rows(
        warehouse, sweep_ids, lambda session: _write(session, sweep_ids, origin)
    )


def _write(
    session: BulkSession, sweep_ids: Collection[str], origin: Origin | None
) -> None:
    real = "SELECT DISTINCT sweep_id FROM raw.sweeps WHERE kind <> 'INGEST'"
    own = {row["sweep_id"] for row in session.rows(real)}
    if own.issuperset(sweep_ids):
        return
    known = session.rows(
        "SELECT * EXCLUDE (plan) FROM raw.sweeps ORDER BY sweep_id, manifest_id"
    )
    session.run(statement("ingest", "plans"))
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
        session.copy_rows("sweeps", statement("ingest", "finished"))


def _build(
    session: BulkSession, origin: Origin | None, known: list[dict[str, Any]]
) -> list[SweepRow]:
    """A manifest for each sweep, all but its plan, which stays in the database."""
    earlier = {row["sweep_id"]: row for row in reversed(known)}
    quants = _by_sweep(session.rows(statement("ingest", "quants")))
    tasks = _by_sweep(session.rows(statement("ingest", "tasks")))
    controls = _by_sweep(session.rows(statement("ingest", "controls")))
    manifests: list[SweepRow] = []
    for sweep in session.rows(statement("ingest", "sweeps")):
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
        policy=msgspec.convert(model["policy"], Policy) if model else Policy(),
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
    policy = origin.policy
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
