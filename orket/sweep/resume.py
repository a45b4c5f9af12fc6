"""Takes up a sweep that stopped: what is recorded counts, what is missing is run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from orket.errors import UsageError
from orket.planning.kept import restore_preset, with_tasks_of
from orket.planning.plan import Plan
from orket.planning.preset import Preset
from orket.records import PlannedRun
from orket.sweep.context import Context
from orket.sweep.failures import is_measured
from orket.sweep.refusals import CONTEXT_EXCEEDED, Refusal
from orket.warehouse import Warehouse
from orket.warehouse.journal import JOURNALED
from orket.warehouse.statements import statement

BUDGET_ENDED = "BUDGET_ENDED"
MACHINE_BUSY = "MACHINE_BUSY"
"""Why a sweep finished that more time, or a quieter machine, could tell more of."""


@dataclass(slots=True)
class Progress:
    """What earlier executors of a sweep recorded."""

    tried: set[str] = field(default_factory=set)
    """Planned runs with an attempt that was not cancelled."""
    measured: set[str] = field(default_factory=set)
    """Planned runs with an attempt that was answered, or failed by its own request."""
    attempts: dict[str, int] = field(default_factory=dict)
    next_order: int = 0
    next_block: int = 0
    warmups: dict[tuple[str, str, str], int] = field(default_factory=dict)
    anchors: dict[str, int] = field(default_factory=dict)
    """Anchor calls so far, by model."""
    digests: dict[tuple[str, str], str] = field(default_factory=dict)
    """Weights that each quant was measured with."""
    retry_pass: int = 0
    """The last retry pass that was begun."""
    spent_seconds: float = 0.0
    """Time that the executors took, from their start to their last call."""
    refusals: list[Refusal] = field(default_factory=list)
    """Prompts that did not fit a context."""
    retried: set[tuple[str, int]] = field(default_factory=set)
    """Planned runs with the retry passes they were measured in."""

    def is_done(self, run: PlannedRun) -> bool:
        """Whether the walk over the plan can pass over a planned run.

        Tried is not measured: what a server owed is made again, here or, once the
        retry passes have begun, by them.
        """
        if run.phase == "warmup" or self.retry_pass:
            return run.run_id in self.tried
        return run.run_id in self.measured

    def hand_to(self, context: Context) -> None:
        """Let an executor go on counting where the last one stopped."""
        context.attempts = dict(self.attempts)
        context.spent_seconds = self.spent_seconds
        context.measured |= self.measured
        context.refusals.take_up(self.refusals)
        context.next_order = max(context.next_order, self.next_order)
        context.next_block = max(context.next_block, self.next_block)
        for cell, ordinal in self.warmups.items():
            context.warmups[cell] = max(context.warmups.get(cell, 0), ordinal)
        for quant, digest in self.digests.items():
            context.servers.expect(context.plan.target(*quant), digest)


@dataclass(frozen=True, slots=True)
class Started:
    """What a sweep was started from, and whether a gate was planned."""

    preset: Preset
    canary_planned: bool
    password_removed: bool


def read_started(warehouse: Warehouse, sweep_id: str, is_last: bool = False) -> Started:
    """What the manifest of a sweep keeps of its preset and options.

    The first one rules, but for tasks that were added later; the last one is that of
    the last resume.
    Raises UsageError where it keeps none: it was imported, or is older.
    """
    with warehouse.session(sweep_id) as session:
        found = session.rows(
            "SELECT kept.preset, preset_content, kept.canary_planned, "
            "kept.plan_hash = ruling.plan_hash AS has_all_tasks "
            "FROM raw.sweeps AS kept INNER JOIN v1.manifest AS ruling USING (sweep_id) "
            "WHERE sweep_id = ? AND kept.kind <> 'INGEST' "
            "ORDER BY kept.started_at, kept.manifest_id",
            [sweep_id],
        )
    if not found or found[0]["preset_content"] is None:
        raise UsageError(
            f"sweep {sweep_id} does not keep the preset it was started from",
            f"name it, with its options: orket run PRESET --resume {sweep_id}",
        )
    kept = found[-1] if is_last and found[-1]["preset_content"] else found[0]
    restored = restore_preset(kept["preset_content"], kept["preset"], sweep_id)
    preset = restored.preset
    widest = next((row for row in found if row["has_all_tasks"]), kept)
    if widest is not kept and widest["preset_content"]:
        wide = restore_preset(widest["preset_content"], widest["preset"], sweep_id)
        preset = with_tasks_of(preset, wide.preset)
    return Started(preset, bool(kept["canary_planned"]), restored.password_removed)


def can_go_on(warehouse: Warehouse, sweep_id: str) -> bool:
    """Whether the manifest of a sweep has all that it takes to go on with it."""
    try:
        read_started(warehouse, sweep_id)
    except UsageError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class RoundsSoFar:
    """How far an adaptive sweep has come; a grid has no rounds."""

    count: int
    """Answers of the view that were obeyed."""
    budget: str | None
    """The budget that the last executor had, where there was one."""


def read_rounds_so_far(warehouse: Warehouse, sweep_id: str) -> RoundsSoFar:
    """The rounds of a sweep by its events. Raises UsageError as `read_started` does."""
    with warehouse.session(sweep_id) as session:
        (judged,) = session.rows(
            "SELECT count(*) AS rounds FROM raw.events "
            "WHERE sweep_id = ? AND event = 'ROUND_JUDGED'",
            [sweep_id],
        )
    last = read_started(warehouse, sweep_id, is_last=True)
    return RoundsSoFar(judged["rounds"], last.preset.table.budget)


def count_asked(warehouse: Warehouse, sweep_id: str, test_ids: Sequence[str]) -> int:
    """Planned runs of these tasks that were made, with or without success."""
    with warehouse.session(sweep_id) as session:
        (asked,) = session.rows(
            "SELECT count(DISTINCT run_id) AS runs FROM v1.attempts "
            "WHERE sweep_id = ? AND phase = 'matrix' AND list_contains(?, test_id)",
            [sweep_id, list(test_ids)],
        )
    return int(asked["runs"])


def read_progress(
    warehouse: Warehouse, plan: Plan, hardware_fingerprint: str | None
) -> Progress:
    """What is recorded of the plan's sweep.

    Raises UsageError where the plan, the policy or the machine is another one: rows of
    two experiments must not be mixed.
    """
    for dataset in JOURNALED:
        warehouse.journal(plan.sweep_id, dataset).fold()
    with warehouse.session(plan.sweep_id) as session:
        manifests = session.rows(
            "SELECT plan_hash, policy_hash, hardware_fingerprint FROM v1.manifest "
            "WHERE sweep_id = ?",
            [plan.sweep_id],
        )
        if not manifests:
            raise UsageError(
                f"sweep {plan.sweep_id} has no manifest", "start a new sweep"
            )
        _refuse_other(manifests[0], plan, hardware_fingerprint)
        rows = session.rows(
            "SELECT run_id, phase, model_id, quant_tag, test_id, outcome, error_class, "
            "repetition, "
            "attempt_number, order_index, block_index, retry_pass, model_digest, "
            "effective.context_tokens AS context_tokens, wall_ns "
            "FROM v1.attempts WHERE sweep_id = ?",
            [plan.sweep_id],
        )
        (spent,) = session.rows(
            # A prompt of fidelity does not name its executor: the last that began.
            "SELECT coalesce(sum(spent), 0.0) AS seconds FROM ("
            "SELECT epoch(max(recorded_at) - began.started_at) AS spent FROM ("
            "SELECT recorded_at FROM v1.attempts WHERE sweep_id = $sweep UNION ALL "
            "SELECT recorded_at FROM v1.fidelity_row WHERE sweep_id = $sweep) AS made "
            "ASOF JOIN (SELECT started_at FROM raw.sweeps WHERE sweep_id = $sweep) "
            "AS began ON made.recorded_at >= began.started_at "
            "GROUP BY began.started_at)",
            {"sweep": plan.sweep_id},
        )
    progress = Progress(spent_seconds=spent["seconds"])
    for row in rows:
        run = row["run_id"]
        if row["outcome"] != "CANCELLED":
            progress.tried.add(run)
        if is_measured(row["outcome"], row["error_class"]):
            progress.measured.add(run)
            progress.retried.add((run, row["retry_pass"]))
        if row["error_class"] == CONTEXT_EXCEEDED and row["wall_ns"] is not None:
            # One that was made: what was not asked for it tells nothing more.
            progress.refusals.append(
                (
                    row["model_id"],
                    row["quant_tag"],
                    row["test_id"],
                    row["context_tokens"],
                )
            )
        progress.attempts[run] = max(
            progress.attempts.get(run, 0), row["attempt_number"]
        )
        progress.next_order = max(progress.next_order, row["order_index"] + 1)
        progress.next_block = max(progress.next_block, row["block_index"] + 1)
        progress.retry_pass = max(progress.retry_pass, row["retry_pass"])
        if row["model_digest"]:
            quant = row["model_id"], row["quant_tag"]
            progress.digests.setdefault(quant, row["model_digest"])
        if row["phase"] == "warmup":
            cell = (row["model_id"], row["quant_tag"], row["test_id"])
            progress.warmups[cell] = max(
                progress.warmups.get(cell, 0), row["repetition"]
            )
        if row["phase"] == "anchor":
            model = row["model_id"]
            progress.anchors[model] = max(
                progress.anchors.get(model, 0), row["repetition"]
            )
    return progress


def is_complete(
    warehouse: Warehouse, plan: Plan, hardware_fingerprint: str | None
) -> bool:
    """Whether the plan's sweep was finished and every timed run of it was measured.

    Raises UsageError as `read_progress` does.
    """
    measured = read_progress(warehouse, plan, hardware_fingerprint).measured
    if plan.is_adaptive:
        return _is_decided(warehouse, plan)
    if any(run.run_id not in measured for run in plan.runs if run.phase != "warmup"):
        return False
    with warehouse.session(plan.sweep_id) as session:
        finished = session.rows(
            "SELECT event_id FROM raw.events "
            "WHERE sweep_id = ? AND event = 'SWEEP_FINISHED' LIMIT 1",
            [plan.sweep_id],
        )
    return bool(finished)


def _is_decided(warehouse: Warehouse, plan: Plan) -> bool:
    """Whether an adaptive sweep ended by the view's word: more time changes nothing.

    How it ended before tasks were added says nothing of them.
    """
    sweep_id = plan.sweep_id
    with warehouse.session(sweep_id) as session:
        finished = session.rows(
            statement("sweep", "ended"), [sweep_id, plan.plan_hash, sweep_id]
        )
    return bool(finished) and finished[0]["reason"] not in (
        BUDGET_ENDED,
        MACHINE_BUSY,
    )


def _refuse_other(
    manifest: dict[str, str], plan: Plan, hardware_fingerprint: str | None
) -> None:
    now = {
        "plan": (manifest["plan_hash"], plan.extends or plan.plan_hash),
        "policy": (manifest["policy_hash"], plan.policy_hash),
        "machine": (manifest["hardware_fingerprint"], hardware_fingerprint),
    }
    changed = [name for name, (before, after) in now.items() if before != after]
    if changed:
        raise UsageError(
            f"sweep {plan.sweep_id} cannot be resumed: another {' and '.join(changed)}",
            "give the preset and options it was started with, on the same machine, or "
            "start a new sweep",
        )
