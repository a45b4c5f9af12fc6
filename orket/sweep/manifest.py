"""The manifest row of a sweep: what is planned, on what machine, with which servers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from orket import __version__
from orket.machine.checkout import read_checkout
from orket.machine.fingerprint import Fingerprint
from orket.planning.fit import Need, find_needs, trained_context
from orket.planning.plan import MATRIX, Plan
from orket.planning.schedule import PlannedModel
from orket.planning.targets import Target
from orket.providers.contract import LoadedModel, ServerInfo
from orket.quants import find_quant, kv_bits_milli
from orket.records import (
    Capabilities,
    Controls,
    ModelEntry,
    QuantEntry,
    SweepRow,
    TensorCount,
)
from orket.tasks.checkers import CHECKER_VERSION
from orket.text import storable
from orket.warehouse.parts import time_ordered_id

START, RESUME = "START", "RESUME"


def build_manifest(
    plan: Plan,
    kind: str,
    started_at: datetime,
    fingerprint: Fingerprint,
    infos: Mapping[str, list[ServerInfo]],
    loaded: Mapping[str, LoadedModel],
    known: Sequence[LoadedModel],
    load1_milli: int | None,
) -> SweepRow:
    """The manifest; `infos` and `loaded` tell of the servers, by model.

    `known` is what is known of single quants, before they run.
    """
    facts = {entry.model: entry for entry in known}
    checkout, needs = read_checkout(), find_needs(plan)
    return SweepRow(
        sweep_id=plan.sweep_id,
        manifest_id=time_ordered_id(),
        kind=kind,
        started_at=started_at,
        orket_version=__version__,
        commit_sha=checkout.commit if checkout else None,
        preset=plan.preset,
        preset_content=plan.preset_content if plan.purpose == MATRIX else None,
        plan_hash=plan.plan_hash,
        policy_hash=plan.policy_hash,
        labels=list(plan.labels),
        overrides=list(plan.overrides),
        runtime_target=plan.runtime_target,
        execution_mode=plan.execution_mode,
        hardware_fingerprint=fingerprint.id,
        fingerprint_version=fingerprint.version,
        hardware=fingerprint.hardware,
        order=plan.order,
        until=plan.until,
        repetitions=plan.repetitions,
        polluted_retries=plan.polluted_retries,
        canary_planned=bool(plan.canary),
        sidecar_planned=plan.sidecar is not None,
        fidelity=plan.fidelity,
        sandbox=plan.sandbox,
        control_profiles=list(plan.profile_limits),
        checker_version=CHECKER_VERSION,
        executor_load1_milli=load1_milli,
        models=[
            _model_entry(plan, model, infos[model.model_id], loaded.get(model.model_id))
            for model in plan.models
        ],
        quants=[
            quant_entry(
                target,
                facts.get(target.ref),
                model.controls_of(target),
                needs.get(target.ref),
            )
            for model in plan.models
            for target in model.targets
        ],
        tasks=list(plan.task_entries),
        plan=list(plan.runs),
    )


def quant_entry(
    target: Target,
    known: LoadedModel | None = None,
    controls: Controls | None = None,
    need: Need | None = None,
) -> QuantEntry:
    """What is known of a quant before it runs: its file, the catalogue, its server.

    `controls` are those that are asked for with it, `need` is the memory it takes.
    """
    controls = controls or Controls()
    ref = target.ref
    entry = find_quant(ref.quant_tag)
    types = target.tensor_types or (known.tensor_types if known else ())
    return QuantEntry(
        model_id=ref.model_id,
        quant_tag=ref.quant_tag,
        quant_key=entry.key if entry else None,
        quant_family=entry.family if entry else None,
        catalogue_order=entry.order if entry else None,
        nominal_bpw_milli=entry.nominal_bpw_milli if entry else None,
        model_bytes=target.model_bytes or (known.model_bytes if known else None),
        parameters=target.parameters or (known.parameters if known else None),
        model_digest=target.digest or (known.digest if known else None),
        reported_quant=known.reported_quant if known else None,
        tensor_types=[TensorCount(type=name, tensors=number) for name, number in types]
        or None,
        publisher=target.publisher or (known.publisher if known else None),
        server_name=ref.name or None,
        file=storable(str(ref.path.absolute())) if ref.path else None,
        context_tokens=controls.context_tokens,
        kv_cache=controls.kv_cache,
        kv_bits_milli=kv_bits_milli(controls.kv_cache),
        kv_cache_bytes=need.kv_bytes if need else None,
        serve_command=target.command,
        trained_context_tokens=trained_context(target)
        or (known.context_limit if known else None),
    )


def _model_entry(
    plan: Plan,
    model: PlannedModel,
    infos: list[ServerInfo],
    loaded: LoadedModel | None,
) -> ModelEntry:
    first = infos[0]
    endpoints = dict.fromkeys(info.endpoint for info in infos if info.endpoint)
    return ModelEntry(
        model_id=model.model_id,
        provider=first.provider,
        provider_version=first.version,
        endpoint=", ".join(endpoints) or None,
        streaming=plan.server.options.streaming,
        locality=_agreed([info.locality for info in infos]),
        tls_verified=all(info.tls_verified for info in infos)
        if any(info.tls_verified is not None for info in infos)
        else None,
        server_logical_cpus=loaded.compute_threads if loaded else None,
        cpu_only=loaded.cpu_only if loaded else None,
        capabilities=_common([info.capabilities for info in infos]),
        controls=model.controls,
        control_profile=plan.profiles[model.model_id].name,
        policy=model.policy,
        yields_to=list(model.yields_to) or None,
    )


def _agreed(values: list[str]) -> str:
    """The one locality of all servers; remote where they differ."""
    return values[0] if len(set(values)) == 1 else "remote"


def _common(capabilities: list[Capabilities]) -> Capabilities:
    """What every server of a model can do; None where they differ."""
    first = capabilities[0]
    return Capabilities(
        **{
            name: getattr(first, name)
            if all(getattr(c, name) == getattr(first, name) for c in capabilities)
            else None
            for name in Capabilities.__struct_fields__
        }
    )
