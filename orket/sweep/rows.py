"""Turns calls into durable rows: one for each call, also when it could not be made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import msgspec

from orket.errors import OrketError
from orket.planning import identity
from orket.planning.prompts import DISABLED, Prompt, make_prompt
from orket.planning.schedule import model_identity, warmup_steps
from orket.planning.targets import Target
from orket.providers.contract import Adapter, LoadedModel, ServerInfo
from orket.records import CallFacts, CheckFacts, Controls, Counters, RunRecord
from orket.sweep.context import Call, Context
from orket.sweep.failures import error_class, is_measured


@dataclass(frozen=True, slots=True)
class Ready:
    """A model that is resident, with what was found out about it."""

    target: Target
    adapter: Adapter
    info: ServerInfo
    loaded: LoadedModel
    effective: Controls
    cache_mode: str
    others: list[str] | None


@dataclass(frozen=True, slots=True)
class Timed:
    """When a call was made, and the counters around it."""

    started_at: datetime
    started_ns: int
    ended_ns: int
    before: Counters | None = None
    after: Counters | None = None


class RowWriter:
    """Turns calls of one block into durable rows."""

    def __init__(
        self,
        context: Context,
        target: Target,
        controls: Controls,
        block: int,
        retry_pass: int,
    ) -> None:
        self.controls = controls
        self._context = context
        self._target = target
        self._block = block
        self._retry_pass = retry_pass

    def write(
        self,
        call: Call,
        prompt: Prompt,
        facts: CallFacts,
        checks: CheckFacts | None,
        ready: Ready,
        timed: Timed,
    ) -> None:
        """Record a call that was made."""
        observer = self._context.observer
        rss_bytes, gpu_bytes = observer.peak()
        row = self._row(call, prompt, facts, timed)
        self._append(
            msgspec.structs.replace(
                row,
                model_digest=ready.loaded.digest or self._target.digest,
                effective=ready.effective,
                unsupported_controls=sorted(ready.loaded.unsupported),
                checks=checks,
                locality=ready.info.locality,
                peak_server_rss_bytes=rss_bytes,
                peak_gpu_memory_bytes=gpu_bytes,
                reported_model_bytes=ready.loaded.reported_memory_bytes,
                reported_gpu_bytes=ready.loaded.reported_gpu_bytes,
                other_models_resident=ready.others,
                sensor_gaps=observer.gaps,
            )
        )

    def write_failure(self, call: Call, error: OrketError) -> None:
        """Record a call that could not be made."""
        context = self._context
        task = context.tasks[call.test_id]
        prompt = make_prompt(task, context.revisions[call.test_id], DISABLED, 0)
        now_ns = context.clock.monotonic_ns()
        facts = CallFacts(
            outcome="FAILED",
            error_class=error_class(error),
            error_message=" ".join(error.message.split()),
        )
        self._append(
            self._row(call, prompt, facts, Timed(context.clock.now(), now_ns, now_ns))
        )

    def _row(
        self, call: Call, prompt: Prompt, facts: CallFacts, timed: Timed
    ) -> RunRecord:
        context = self._context
        number = context.attempts.get(call.run_id, 0) + 1
        task = context.tasks[call.test_id]
        return RunRecord(
            sweep_id=context.plan.sweep_id,
            run_id=call.run_id,
            attempt_id=identity.attempt_id(call.run_id, number, context.started_at),
            attempt_number=number,
            executor_started_at=context.started_at,
            recorded_at=context.clock.now(),
            phase=call.phase,
            model_id=self._target.ref.model_id,
            model_digest=self._target.digest,
            quant_tag=self._target.ref.quant_tag,
            test_id=call.test_id,
            bucket=task.bucket,
            task_revision=context.revisions[call.test_id],
            repetition=call.repetition,
            order_index=context.take_order()
            if call.order_index is None
            else call.order_index,
            block_index=self._block,
            retry_pass=self._retry_pass,
            started_at=timed.started_at,
            started_ns=timed.started_ns,
            ended_ns=timed.ended_ns,
            prompt_sha256=prompt.sha256,
            nonce=prompt.nonce,
            max_tokens=task.max_tokens,
            requested=self.controls,
            effective=Controls(),
            call=facts,
            before=timed.before,
            after=timed.after,
        )

    def _append(self, row: RunRecord) -> None:
        context = self._context
        context.journal.append(row)
        context.attempts[row.run_id] = row.attempt_number
        context.calls += 1
        if is_measured(row.call.outcome, row.call.error_class):
            context.measured.add(row.run_id)
        if row.call.outcome == "OK":
            context.answers += 1
        elif row.call.outcome != "CANCELLED":
            context.last_failure = f"{row.call.error_class}: {row.call.error_message}"
        context.forecast.saw(row)
        context.reporter.recorded(row)


def extra_warmups(
    context: Context, target: Target, test_id: str, steps: int | None = None
) -> list[Call]:
    """Warm-up calls beyond the plan, each with an identity of its own."""
    controls = context.plan.controls_of(target)
    cell = (target.ref.model_id, target.ref.quant_tag, test_id)
    calls = []
    for _ in range(warmup_steps(controls) if steps is None else steps):
        ordinal = context.warmups.get(cell, 0) + 1
        context.warmups[cell] = ordinal
        calls.append(extra_call(context, target, "warmup", test_id, ordinal))
    return calls


def extra_call(
    context: Context, target: Target, phase: str, test_id: str, repetition: int
) -> Call:
    """A call beyond the plan."""
    planned_run = identity.run_id(
        context.plan.sweep_id,
        phase,
        model_identity(target),
        target.ref.quant_tag,
        test_id,
        context.revisions[test_id],
        repetition,
    )
    return Call(planned_run, phase, test_id, repetition)
