"""The opening of a sweep: meet its servers, load what comes first, keep their words."""

from __future__ import annotations

from orket.errors import OrketError
from orket.machine.fingerprint import Fingerprint
from orket.providers.contract import LoadedModel, ServerInfo, StartsServers
from orket.records import SweepRow
from orket.sweep.context import Context
from orket.sweep.manifest import build_manifest


def meet_servers(context: Context) -> dict[str, list[ServerInfo]]:
    """What each server says of itself, by model. Raises ServerError."""
    with context.interrupts.allowed():
        return {
            model.model_id: [context.servers.info(target) for target in model.targets]
            for model in context.plan.models
        }


def open_sweep(
    context: Context,
    kind: str,
    fingerprint: Fingerprint,
) -> SweepRow:
    """The manifest of the sweep, with what its servers tell before the first call."""
    loaded = _load_first(context)
    # What Orket starts can tell of itself only now.
    infos = meet_servers(context)
    return build_manifest(
        context.plan,
        kind,
        context.started_at,
        fingerprint,
        infos,
        loaded,
        _identify(context) + list(loaded.values()),
        context.observer.host_load(),
    )


def _load_first(context: Context) -> dict[str, LoadedModel]:
    """Load the quant that each model starts with: the manifest tells what it found.

    A quant that cannot be loaded is recorded by its block, not here.
    """
    plan = context.plan
    loaded: dict[str, LoadedModel] = {}
    tried: set[tuple[str, str]] = set()
    for run in plan.runs:
        if run.model_id in loaded or (run.model_id, run.quant_tag) in tried:
            continue
        target = plan.target(run.model_id, run.quant_tag)
        controls = plan.controls_of(target)
        try:
            with context.interrupts.allowed():
                loaded[run.model_id] = context.servers.load(target, controls)
        except OrketError:
            if not isinstance(context.servers.adapter(target), StartsServers):
                break
            tried.add((run.model_id, run.quant_tag))
    return loaded


def _identify(context: Context) -> list[LoadedModel]:
    """What servers tell of models before they are loaded."""
    targets = [target for model in context.plan.models for target in model.targets]
    with context.interrupts.allowed():
        found = [context.servers.identify(target) for target in targets]
    return [facts for facts in found if facts is not None]
