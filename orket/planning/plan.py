"""Resolves a preset into a plan: the ordered list of planned runs, and its hash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import msgspec

from orket.errors import UsageError
from orket.levels import PLAIN_KV, read_kv
from orket.planning import identity
from orket.planning.budget import CLEAR, read_budget
from orket.planning.evidence import count_worth
from orket.planning.fidelity import plan_fidelity
from orket.planning.kept import keep_preset
from orket.planning.preset import (
    DEFAULT_PROFILE,
    Preset,
    Profile,
    known_profiles,
    load_profile,
)
from orket.planning.preset_file import ControlsTable, ModelTable
from orket.planning.rounds import ADAPTIVE, order_tasks, rule_facts
from orket.planning.schedule import (
    CanaryCell,
    PlannedModel,
    build_schedule,
    model_identity,
)
from orket.planning.targets import Target, resolve_target
from orket.policy import build_policy, policy_facts
from orket.providers.options import ServerOptions
from orket.providers.registry import EMBEDDED, LLAMA_SERVER, require_provider
from orket.providers.serving.command import (
    ServeCommand,
    find_untold,
    join_words,
    read_command,
    told_of,
)
from orket.records import (
    Controls,
    FidelityPlan,
    Label,
    Override,
    PlannedRun,
    PolicyStep,
    ProfileLimit,
    TaskEntry,
)
from orket.tasks.bank import Task, TaskBank, load_bank, select_tasks
from orket.tasks.checkers import CHECKER_VERSION
from orket.tasks.samples import prove_samples

MATRIX, CANARY_ONLY, DETERMINISM = "matrix", "canary", "determinism"
"""What a sweep is for."""

ANSWERS = "answers"
"""As what an unsteady machine is judged by: answers alone, and no time."""
CANARY_QUANT = "Q4_K_M"
CANARY_BUCKET = "logic"
ANCHOR_EVERY_SECONDS = 600
DEFAULT_TIMEOUT_SECONDS = 300


@dataclass(frozen=True, slots=True)
class ServerPlan:
    """How the server is reached; of this only name, streaming and timeout identify."""

    provider: str
    options: ServerOptions
    timeout_seconds: float
    command: ServeCommand | None = None
    """What starts a server for each quant; None where they are there."""


@dataclass(frozen=True, slots=True)
class SidecarPlan:
    """The diagnostic tool that runs after the matrix."""

    tool: str
    profile: str | None = None
    binary: str | None = None
    timeout_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a sweep is going to do."""

    sweep_id: str
    purpose: str
    preset: str
    preset_content: str
    """What it resolved to: see `kept`."""
    title: str | None
    profiles: Mapping[str, Profile]
    """The control profile in force, by model."""
    server: ServerPlan
    models: tuple[PlannedModel, ...]
    tasks: tuple[Task, ...]
    task_entries: tuple[TaskEntry, ...]
    repetitions: int
    order: str
    until: str | None
    """How far an adaptive sweep goes, of `budget.UNTIL`; None: the full grid."""
    budget_seconds: int | None
    """How long an adaptive sweep may take; None: until it is decided."""
    polluted_retries: int
    nonce_rule: str
    canary: tuple[CanaryCell, ...]
    anchor_every_seconds: int
    anchor_every_blocks: int
    sandbox: str | None
    sidecar: SidecarPlan | None
    fidelity: FidelityPlan | None
    labels: tuple[Label, ...]
    overrides: tuple[Override, ...]
    runtime_target: str
    execution_mode: str
    profile_limits: tuple[ProfileLimit, ...]
    """What each known control profile would allow the canary of this preset."""
    runs: tuple[PlannedRun, ...]
    plan_hash: str
    policy_hash: str
    extends: str | None = None
    """Hash of the plan of this sweep that this one adds tasks to."""
    added_tests: tuple[str, ...] = ()
    """Tasks that it adds."""

    @property
    def is_adaptive(self) -> bool:
        """Whether the rows so far tell who is asked next."""
        return self.until is not None

    @property
    def control_profiles(self) -> tuple[str, ...]:
        """Names of the control profiles in force, in the order of the models."""
        return tuple(dict.fromkeys(self.profiles[m.model_id].name for m in self.models))

    def model(self, model_id: str) -> PlannedModel:
        """The model of that id."""
        return next(model for model in self.models if model.model_id == model_id)

    def controls_of(self, target: Target) -> Controls:
        """The controls that are asked for with a target: its level's go first."""
        return self.model(target.ref.model_id).controls_of(target)

    def target(self, model_id: str, quant_tag: str) -> Target:
        """The target of that model and quant."""
        targets = self.model(model_id).targets
        return next(target for target in targets if target.ref.quant_tag == quant_tag)


def build_plan(
    preset: Preset,
    sweep_id: str,
    purpose: str = MATRIX,
    skip_canary: bool = False,
    only: Sequence[str] | None = None,
) -> Plan:
    """The plan of a preset. The same content gives the same `plan_hash`.

    `only`: of the tasks that the preset selects these test ids alone, in this order.
    Raises UsageError for anything that does not resolve.
    """
    table = preset.table
    server = _plan_server(preset)
    bank = load_bank(table.tasks.bank or "")
    tasks = select_tasks(
        bank, table.tasks.buckets, table.tasks.select, table.tasks.limit
    )
    prove_samples(bank, tasks, table.tasks.sandbox)
    if only is not None:
        by_id = {task.test_id: task for task in tasks}
        tasks = tuple(by_id[test_id] for test_id in only)
    entries = tuple(_task_entry(task) for task in tasks)
    until = _plan_until(preset, purpose)
    is_adaptive = until is not None
    profiles = {model.id: _profile_of(preset, model) for model in table.models}
    models = tuple(
        _plan_model(preset, model, profiles[model.id], server, purpose)
        for model in table.models
    )
    repetitions = 0 if purpose == CANARY_ONLY else table.repetitions or 1
    order: str = table.order or "reversed"
    if is_adaptive:
        # Repeated answers are no evidence, and who is asked when is told by the rows.
        repetitions, order = 1, ADAPTIVE
    gate = purpose == CANARY_ONLY or (
        table.canary.enabled is not False and not skip_canary
    )
    canary = (
        _canary_cells(preset, bank, models, entries)
        if gate and purpose != DETERMINISM
        else ()
    )
    rule = identity.SHARED_NONCE_RULE if purpose == DETERMINISM else identity.NONCE_RULE
    sandbox = table.tasks.sandbox
    facts = {
        "adapter": server.provider,
        "streaming": server.options.streaming,
        "timeout_ms": int(server.timeout_seconds * 1000),
        "models": [_model_facts(model) for model in models],
        "tasks": [[entry.test_id, entry.task_revision] for entry in entries],
        "checker_version": CHECKER_VERSION,
        "sandbox": sandbox,
        "repetitions": repetitions,
        "order": order,
        "nonce_rule": rule,
    }
    ordered = order_tasks(entries) if is_adaptive else entries
    # One quant alone has nobody to be faithful to.
    comes_first = is_adaptive and any(len(model.targets) > 1 for model in models)
    fidelity = (
        plan_fidelity(table.fidelity, ordered, comes_first)
        if purpose == MATRIX
        else None
    )
    if fidelity is not None:
        facts["fidelity"] = msgspec.to_builtins(fidelity)
    if server.command is not None:
        facts["serve_cmd"] = str(server.command.shown())
    if is_adaptive:
        facts["adaptive"] = [
            rule_facts(model.policy, count_worth(entries, model.policy))
            for model in models
        ]
    return Plan(
        sweep_id=sweep_id,
        purpose=purpose,
        preset=preset.name,
        preset_content=keep_preset(preset),
        title=table.title,
        profiles=profiles,
        server=server,
        models=models,
        tasks=tasks,
        task_entries=entries,
        repetitions=repetitions,
        order=order,
        until=until,
        budget_seconds=read_budget(table.budget or "none") if is_adaptive else None,
        polluted_retries=_or(table.polluted_retries, 1),
        nonce_rule=rule,
        canary=canary,
        anchor_every_seconds=_or(
            table.canary.anchor_every_seconds, ANCHOR_EVERY_SECONDS
        ),
        anchor_every_blocks=_or(table.canary.anchor_every_blocks, 0),
        sandbox=sandbox,
        sidecar=_plan_sidecar(preset),
        fidelity=fidelity,
        labels=tuple(
            Label(key=key, value=value) for key, value in sorted(table.labels.items())
        ),
        overrides=preset.overrides,
        runtime_target=table.runtime_target or "local-hardware",
        execution_mode=table.execution_mode or "live",
        profile_limits=_profile_limits(preset),
        runs=build_schedule(
            sweep_id,
            models,
            ordered,
            repetitions,
            order,
            canary,
        ),
        plan_hash=identity.hash_of(facts),
        policy_hash=identity.hash_of(
            {model.model_id: _policies_of(model) for model in models}
        ),
    )


def _policies_of(model: PlannedModel) -> dict[str, Any]:
    """All thresholds that may come into force; without steps those of ever."""
    facts = policy_facts(model.policy)
    if model.yields_to:
        facts["yields_to"] = [msgspec.to_builtins(step) for step in model.yields_to]
    return facts


def _plan_until(preset: Preset, purpose: str) -> str | None:
    """How far an adaptive sweep goes; None for the grid. Raises UsageError."""
    table = preset.table
    if (table.budget is None and table.until is None) or purpose != MATRIX:
        return None
    policies = [table.policy, *(model.policy for model in table.models)]
    if any(policy.get("evidence_rule") == "bet" for policy in policies):
        raise UsageError(
            "a sweep in rounds proves by counting tasks, not by a bet",
            "leave out evidence_rule, or run the full grid with --grid",
        )
    return table.until or CLEAR


def _profile_of(preset: Preset, model: ModelTable) -> Profile:
    own = model.control_profile or preset.table.control_profile
    return load_profile(own or DEFAULT_PROFILE)


def _plan_model(
    preset: Preset,
    model: ModelTable,
    profile: Profile,
    server: ServerPlan,
    purpose: str,
) -> PlannedModel:
    table = preset.table
    layers = (profile.table.controls, table.controls, model.controls)
    targets = tuple(
        resolve_target(
            model,
            quant,
            server.provider,
            server.options.url,
            preset.path.parent,
            is_served=server.command is not None,
        )
        for quant in model.quants
    )
    controls = _build_controls(layers)
    if any(target.level and target.level.kv for target in targets):
        controls = _with_plain_kv(controls, server)
    planned = PlannedModel(
        model_id=model.id,
        targets=targets,
        controls=controls,
        policy=build_policy(profile.table.policy, table.policy, model.policy),
        parameters_billions=None
        if model.parameters_billions is None
        else Decimal(model.parameters_billions),
        yields_to=_plan_steps(preset, model, profile) if purpose == MATRIX else (),
    )
    if server.command is None:
        return planned
    return replace(
        planned,
        targets=tuple(
            _with_command(target, planned.controls_of(target), server.command)
            for target in targets
        ),
    )


def _plan_steps(
    preset: Preset, model: ModelTable, profile: Profile
) -> tuple[PolicyStep, ...]:
    """What a model goes on under, step by step, where its machine is not steady.

    Of a control profile its thresholds alone: controls stay what they are.
    Raises UsageError for one that is not known.
    """
    own: list[Mapping[str, object]] = [preset.table.policy, model.policy]
    if build_policy(profile.table.policy, *own).quality_only:
        return ()
    steps: list[PolicyStep] = []
    ruling = profile
    for name in preset.table.canary.yields_to:
        is_last = name == ANSWERS
        ruling = ruling if is_last else load_profile(name)
        last: Mapping[str, object] = {"quality_only": True} if is_last else {}
        policy = build_policy(ruling.table.policy, *own, last)
        steps.append(PolicyStep(control_profile=ruling.name, policy=policy))
    return tuple(steps)


def _with_command(target: Target, controls: Controls, command: ServeCommand) -> Target:
    """A target with the command that serves it, or why it cannot be made."""
    told = told_of(target.ref, controls)
    missing = target.missing if "path" in command.placeholders else None
    if missing is None and (untold := find_untold(command, told, target.ref.quant_tag)):
        missing = f"{target.ref.model_id} {target.ref.quant_tag}: {untold}"
    shown = join_words(command.shown().fill(told))
    return replace(target, command=shown, missing=missing)


def _with_plain_kv(controls: Controls, server: ServerPlan) -> Controls:
    """Beside quants at a level of KV cache, the others ask for what is usual.

    So all are started alike, and what each really has is verified.
    """
    command = server.command
    is_told = command is None or "kv_cache" in command.sets
    if controls.kv_cache is not None or not starts_llamacpp(server) or not is_told:
        return controls
    return msgspec.structs.replace(controls, kv_cache=PLAIN_KV)


def starts_llamacpp(server: ServerPlan) -> bool:
    """Whether Orket starts an engine of llama.cpp's for each quant."""
    is_served = server.command is not None and server.provider == LLAMA_SERVER
    return server.provider == EMBEDDED or is_served


def _profile_limits(preset: Preset) -> tuple[ProfileLimit, ...]:
    """Variation that each known profile allows; none where the preset sets its own."""
    tables = [preset.table.policy, *(model.policy for model in preset.table.models)]
    if any("canary_max_latency_cv" in table for table in tables):
        return ()
    limits = []
    for name in known_profiles():
        try:
            policy = build_policy(load_profile(name).table.policy)
        except UsageError:
            continue  # A broken profile of the user's cannot be advised.
        limit = policy.canary_max_latency_cv_ppm
        limits.append(ProfileLimit(name=name, canary_max_latency_cv_ppm=limit))
    return tuple(limits)


def _build_controls(layers: Sequence[ControlsTable]) -> Controls:
    values: dict[str, Any] = {}
    for layer in layers:
        values |= layer.model_dump(exclude_none=True)
    temperature = values.get("temperature")
    milli = None if temperature is None else Decimal(temperature) * 1000
    if milli is not None and milli != milli.to_integral_value():
        raise UsageError(f"temperature is {temperature}", "its finest step is 0.001")
    return Controls(
        seed=values.get("seed"),
        temperature_milli=None if milli is None else int(milli),
        threads=_text(values.get("threads")),
        affinity=values.get("affinity"),
        warmup=_text(values.get("warmup")),
        context_tokens=values.get("context"),
        batch_tokens=values.get("batch"),
        kv_cache=read_kv(values["kv_cache"]) if "kv_cache" in values else None,
        thinking=values.get("thinking"),
    )


def _plan_server(preset: Preset) -> ServerPlan:
    table = preset.table.provider
    assert table.name is not None
    require_provider(table.name)
    timeout = table.timeout_seconds
    seconds = float(DEFAULT_TIMEOUT_SECONDS if timeout is None else timeout)
    serve_cmd = table.serve_cmd  # type: ignore[attr-defined, unused-ignore]
    return ServerPlan(
        command=None if serve_cmd is None else read_command(serve_cmd),
        provider=table.name,
        options=replace(table.options(), call_seconds=seconds),
        timeout_seconds=seconds,
    )


def _plan_sidecar(preset: Preset) -> SidecarPlan | None:
    table = preset.table.sidecar
    if table.tool is None:
        return None
    return SidecarPlan(table.tool, table.profile, table.binary, table.timeout_seconds)


def _task_entry(task: Task) -> TaskEntry:
    return TaskEntry(
        test_id=task.test_id,
        bank=task.bank,
        task_id=task.id,
        bucket=task.bucket,
        tier=task.tier,
        family=task.family,
        task_revision=task.revision,
        checks_total=len(task.checks),
        max_tokens=task.max_tokens,
    )


def _canary_cells(
    preset: Preset,
    bank: TaskBank,
    models: Sequence[PlannedModel],
    tasks: Sequence[TaskEntry],
) -> tuple[CanaryCell, ...]:
    """The cell of each model that the gate and the anchors measure."""
    test_id = _canary_task(preset, bank, tasks)
    asked = preset.table.canary.quant
    return tuple(
        CanaryCell(
            model.model_id,
            _canary_quant(asked, [target.ref.quant_tag for target in model.targets]),
            test_id,
        )
        for model in models
    )


def _canary_quant(asked: str | None, quants: Sequence[str]) -> str:
    """The asked one where it is planned, else Q4_K_M, else the most precise one."""
    from orket.quants import find_named, find_quant

    for quant in (asked, CANARY_QUANT):
        if quant is not None and (planned := find_named(quant, quants)):
            return planned[0]

    def precision(quant: str) -> int:
        entry = find_quant(quant)
        return entry.order if entry else -1

    return max(quants, key=precision)


def _canary_task(preset: Preset, bank: TaskBank, tasks: Sequence[TaskEntry]) -> str:
    """The asked one where it is selected, else the first logic task."""
    asked = preset.table.canary.task
    for entry in tasks:
        if asked in (entry.test_id, entry.task_id):
            return entry.test_id
    if asked and not any(asked in (task.id, task.test_id) for task in bank.tasks):
        raise UsageError(
            f"the canary task {asked!r} is not in the bank {bank.bank}",
            "name one of its tasks in [canary] task",
        )
    logic = [entry for entry in tasks if entry.bucket == CANARY_BUCKET]
    return (logic or list(tasks))[0].test_id


def _model_facts(model: PlannedModel) -> dict[str, Any]:
    return {
        "id": model.model_id,
        "quants": [
            [target.ref.quant_tag, model_identity(target)] for target in model.targets
        ],
        "controls": controls_facts(model.controls),
    }


def controls_facts(controls: Controls) -> dict[str, Any]:
    """The controls as a hash has them: plans without a KV type keep theirs."""
    facts: dict[str, Any] = msgspec.to_builtins(controls)
    if controls.kv_cache is None:
        del facts["kv_cache"]
    return facts


def _or(value: int | None, default: int) -> int:
    return default if value is None else value


def _text(value: object) -> str | None:
    return None if value is None else str(value)
