"""Runs one block: load, recorded warm-ups, timed calls, one row for each.

A failure of the server is a row: a call that lost its server makes it be waited for
and loaded again, a bounded number of times; what can then not be run is recorded as
failed. Only what dooms every further call ends the sweep: a refused request, in the
gate a model that cannot be loaded or called at all, and no server left (see `Walk`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from orket.errors import OrketError, UsageError, WarehouseError
from orket.levels import Level
from orket.machine.servers import ServerFinder
from orket.planning.prompts import NONCE, Prompt, cache_mode, make_prompt, nonce_ordinal
from orket.planning.schedule import warmup_steps
from orket.planning.targets import Target
from orket.providers.contract import Generation, LoadedModel, SaysReady, ServerInfo
from orket.providers.http.problems import IdentityMismatch, ProviderError
from orket.records import CallFacts, CheckFacts, Controls, Counters
from orket.sweep.context import Call, Context
from orket.sweep.failures import (
    GONE_SERVER,
    LOST_SERVER,
    TIMEOUT,
    Doomed,
    Hangs,
    call_error,
    error_class,
    incurable_cause,
    says_of_model,
)
from orket.sweep.interrupts import Interrupted
from orket.sweep.rows import Ready, RowWriter, Timed, extra_warmups
from orket.tasks.bank import Task
from orket.tasks.checkers import check_answer
from orket.tasks.sandboxes import open_sandbox

WARMUP = "warmup"
MAX_RELOADS = 2
"""Times a server that was lost is loaded again within one block."""
LONG_RUN_NS = 200_000_000
"""After a run this long the server's own traffic counters, which cost 1 ms, are
read around each run; after shorter ones at both ends of the block."""
SAME_MOMENT_NS = 1_000_000
"""Counters read behind a call this long ago are those in front of the next: reading
them again would take a twentieth of a call of 3 ms, and tell the same."""
RECONNECT_SECONDS = (1, 4, 10)
"""Waits before a server that is not there any more is taken for gone."""
PATIENCE_SECONDS = 30.0
"""So long, and no longer than a call may take, is waited for one that keeps silent."""
MAX_SILENT_CALLS = 2
"""Streamed calls in a row without one token, after which a server hangs."""


class BlockRunner:
    """Runs blocks one after the other, on whatever servers the plan names."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._sandbox = open_sandbox(context.plan.sandbox)
        self._finder = ServerFinder()
        self._last_wall_ns = 0
        self._last_read: _Reading | None = None
        self._last_prompt: str | None = None
        self._last_target: Target | None = None
        self._silent = 0
        """Calls in a row of the last target that hung."""

    def run(
        self, target: Target, calls: Sequence[Call], block: int, retry_pass: int = 0
    ) -> None:
        """Run the calls of one block on one target; its warm-ups come first in them.

        Raises Doomed, with the row of the failed call written.
        """
        context = self._context
        controls = context.plan.controls_of(target)
        writer = RowWriter(context, target, controls, block, retry_pass)
        waiting = deque(calls)
        answers = context.answers
        is_gate = calls[-1].phase == "canary"
        try:
            failed = self._run_calls(writer, target, waiting, is_gate)
        except WarehouseError:
            # No row can say so: the place for rows is what failed.
            raise
        except OrketError as error:
            dooms = is_gate and len(waiting) == len(calls)
            self._give_up(writer, target, waiting, error, dooms)
        else:
            if context.answers > answers or failed is None:
                context.health.saw_answer(target)
            else:
                cause = call_error(failed, _place(target))
                context.health.saw_failure(target, cause)
        context.journal.fold_if_due()
        context.refusals.tell(context.reporter.note)

    def _run_calls(
        self, writer: RowWriter, target: Target, waiting: deque[Call], is_gate: bool
    ) -> CallFacts | None:
        """Make the calls that wait, in order, and take each that was made from them.

        Gives the last that failed. Raises OrketError where no more can be made, Doomed.
        """
        context = self._context
        reloads, failed = 0, None
        if target != self._last_target:
            self._last_target, self._silent = target, 0
        ready = self.load(target, writer.controls)
        if not is_gate:
            self._leave_too_long(writer, ready, waiting)
        first = waiting[0] if waiting else None
        while waiting:
            call = waiting[0]
            is_edge = call is first, len(waiting) == 1
            facts = self._run_call(writer, ready, call, is_edge)
            waiting.popleft()
            failed = failed if facts.outcome == "OK" else facts
            if is_gate and call is first:
                _stop_if_incurable(facts, target)
            # Behind the last call nothing waits for the server but the gate's verdict.
            is_over = not waiting and not is_gate
            if is_over:
                self._stop_if_hangs()
                continue
            if not self.has_lost_server(facts.outcome, facts.error_class, ready):
                self._stop_if_hangs()
                continue
            context.servers.forget(target)
            if reloads == MAX_RELOADS:
                raise OrketError(
                    f"the server was lost {reloads + 1} times", "see why in its log"
                )
            reloads += 1
            context.reporter.note(f"{target.ref.quant_tag}: server lost, restarting")
            ready = self.load(target, writer.controls)
            if not waiting:
                break
            warmups = extra_warmups(context, target, waiting[0].test_id)
            context.reporter.extended(len(warmups))
            waiting.extendleft(reversed(warmups))
        return failed

    def _leave_too_long(
        self, writer: RowWriter, ready: Ready, waiting: deque[Call]
    ) -> None:
        """Record what is known not to fit the context; warm up by what does."""
        context, kept = self._context, list[Call]()
        target, tokens = ready.target, ready.effective.context_tokens

        def cause(test_id: str) -> ProviderError | None:
            return context.refusals.cause(target.ref.model_id, test_id, tokens)

        timed = [call for call in waiting if call.phase != WARMUP]
        fitting = next((c.test_id for c in timed if cause(c.test_id) is None), None)
        for call in waiting:
            refused = cause(call.test_id)
            if refused is None:
                kept.append(call)
            elif call.phase == WARMUP and fitting is not None:
                kept += extra_warmups(context, target, fitting, steps=1)
            else:
                writer.write_failure(call, refused)
        waiting.clear()
        waiting.extend(kept if fitting is not None or not timed else ())

    def _give_up(
        self,
        writer: RowWriter,
        target: Target,
        waiting: deque[Call],
        error: OrketError,
        dooms: bool,
    ) -> None:
        """Record what can not be run any more, and what it says of the server."""
        context = self._context
        context.servers.forget(target)
        is_refused = isinstance(error, UsageError) and not context.answers and waiting
        if is_refused or dooms:
            writer.write_failure(waiting[0], error)
            raise Doomed(error) from error
        if context.health.left_out(target.ref.model_id, target.ref.quant_tag) is None:
            context.reporter.note(f"{target.ref.quant_tag}: {error}")
        for call in waiting:
            writer.write_failure(call, error)
        if isinstance(error, Hangs):
            context.health.saw_silence(target, error)
        elif error_class(error) in GONE_SERVER:
            context.health.saw_nothing(target, error)
        else:
            context.health.saw_failure(target, error)

    def load(self, target: Target, controls: Controls) -> Ready:
        """Make the target resident; a server that was there is waited for.

        Raises OrketError, at once where it could not be loaded before.
        """
        context, ref = self._context, target.ref
        if cause := context.health.left_out(ref.model_id, ref.quant_tag):
            raise cause
        try:
            ready = self._load_or_wait(target, controls)
        except OrketError as error:
            is_new = says_of_model(error) and context.health.saw_failed_load(
                target, error
            )
            if is_new:
                context.reporter.note(
                    f"{ref.quant_tag} of {ref.model_id} could not be loaded twice: it "
                    f"is left out, and --resume tries it again ({error.message})"
                )
            raise
        # The rows of the last block were folded meanwhile: never while one measures.
        context.journal.settle()
        context.health.saw_load(target)
        return ready

    def _load_or_wait(self, target: Target, controls: Controls) -> Ready:
        context = self._context
        waits = () if context.health.is_gone(target) else RECONNECT_SECONDS
        began_ns = context.clock.monotonic_ns()
        patience = min(PATIENCE_SECONDS, context.plan.server.timeout_seconds)
        for seconds in waits:
            try:
                return self._load_now(target, controls)
            except OrketError as error:
                if error_class(error) not in GONE_SERVER:
                    raise
                waited = (context.clock.monotonic_ns() - began_ns) / 10**9
                if error_class(error) == TIMEOUT and waited + seconds > patience:
                    raise
                context.reporter.note(
                    f"{target.ref.quant_tag}: {error.message}; trying again in "
                    f"{seconds} s"
                )
            with context.interrupts.allowed():
                context.clock.sleep(seconds)
        return self._load_now(target, controls)

    def _load_now(self, target: Target, controls: Controls) -> Ready:
        """Make the target resident and watch its server. Raises OrketError."""
        context = self._context
        context.reporter.loading(target.ref.model_id, target.ref.quant_tag)
        began_ns = context.clock.monotonic_ns()
        with context.interrupts.allowed():
            context.servers.info(target)
            loaded = context.servers.load(target, controls)
            info = context.servers.info(target)
        context.forecast.saw_load((context.clock.monotonic_ns() - began_ns) / 10**9)
        _check_identity(target, loaded)
        adapter = context.servers.adapter(target)
        context.observer.attach(self._server_pids(info, loaded), info.locality)
        effective = loaded.effective
        if effective.warmup is None:
            # Warm-ups are this executor's own doing: nobody else could confirm them.
            steps = str(warmup_steps(controls))
            effective = msgspec.structs.replace(effective, warmup=steps)
        return Ready(
            target,
            adapter,
            info,
            loaded,
            effective,
            cache_mode(info.capabilities),
            adapter.other_models(),
        )

    def _server_pids(self, info: ServerInfo, loaded: LoadedModel) -> tuple[int, ...]:
        """Root processes of the server; none where it is remote or cannot be found."""
        if loaded.pids or info.locality != "loopback" or not info.endpoint:
            return loaded.pids
        found = self._finder.find(info.endpoint)
        return tuple(found.pids) if found else ()

    def has_lost_server(self, outcome: str, failure: str | None, ready: Ready) -> bool:
        """Whether the model may be gone; a server that kept silent is asked again."""
        if outcome != TIMEOUT:
            return outcome == "FAILED" and failure in LOST_SERVER
        adapter = ready.adapter
        with self._context.interrupts.allowed():
            if isinstance(adapter, SaysReady):
                return not adapter.is_ready()
            try:
                adapter.describe()
            except OrketError:
                return True
        return False

    def _run_call(
        self,
        writer: RowWriter,
        ready: Ready,
        call: Call,
        is_edge: tuple[bool, bool],
    ) -> CallFacts:
        """Make one call and record it."""
        context = self._context
        task = context.tasks[call.test_id]
        prompt = make_prompt(
            task,
            context.revisions[call.test_id],
            ready.cache_mode,
            nonce_ordinal(call.phase, call.repetition, context.plan.nonce_rule),
        )
        if ready.cache_mode == NONCE and prompt.sha256 == self._last_prompt:
            self._run_filler(writer, ready, call)
            self._stop_if_hangs()
        return self._make_call(writer, ready, call, task, prompt, is_edge)

    def _stop_if_hangs(self) -> None:
        if self._silent >= MAX_SILENT_CALLS:
            raise Hangs(self._silent, self._context.plan.server.timeout_seconds)

    def _run_filler(self, writer: RowWriter, ready: Ready, call: Call) -> None:
        """A warm-up call in between, so that a repeated prompt is not found cached."""
        (filler,) = extra_warmups(self._context, ready.target, call.test_id, steps=1)
        self._context.reporter.extended(1)
        self._run_call(writer, ready, filler, (False, False))

    def _make_call(
        self,
        writer: RowWriter,
        ready: Ready,
        call: Call,
        task: Task,
        prompt: Prompt,
        is_edge: tuple[bool, bool],
    ) -> CallFacts:
        context = self._context
        plan = context.plan
        request = Generation(
            model=ready.loaded.model,
            prompt=prompt.text,
            max_tokens=task.max_tokens,
            controls=writer.controls,
            stream=plan.server.options.streaming
            and ready.info.capabilities.streaming is not False,
            system=prompt.system,
            prompt_cache=ready.cache_mode,
            timeout_seconds=plan.server.timeout_seconds,
        )
        before = self._read_before(ready, is_edge[0])
        started_at, started_ns = context.clock.now(), context.clock.monotonic_ns()
        interrupted = False
        try:
            with context.interrupts.allowed():
                facts = ready.adapter.generate(request)
        except Interrupted:
            interrupted = True
            facts = CallFacts(
                outcome="CANCELLED",
                error_class="INTERRUPTED",
                error_message="stopped by the user",
                prompt_cache=ready.cache_mode,
            )
        ended_ns = context.clock.monotonic_ns()
        after = self._read(ready, self._asks_load(is_edge[1]))
        self._last_wall_ns = ended_ns - started_ns
        self._last_read = _Reading(ready, context.clock.monotonic_ns(), after)
        self._last_prompt = prompt.sha256
        self._silent = self._silent + 1 if _is_silent(facts) else 0
        timed = Timed(started_at, started_ns, ended_ns, before, after)
        writer.write(call, prompt, facts, self._check(call, task, facts), ready, timed)
        context.refusals.saw(
            facts,
            (
                ready.target.ref.model_id,
                ready.target.ref.quant_tag,
                call.test_id,
                ready.effective.context_tokens,
            ),
        )
        if interrupted:
            raise Interrupted
        return facts

    def _read_before(self, ready: Ready, is_edge: bool) -> Counters:
        """The counters at the start of a call: those behind the call before it, where
        hardly any time has passed."""
        last, asks = self._last_read, self._asks_load(is_edge)
        if asks or last is None or last.ready is not ready:
            return self._read(ready, asks)
        passed_ns = self._context.clock.monotonic_ns() - last.read_ns
        is_same = passed_ns <= SAME_MOMENT_NS
        return last.counters if is_same else self._read(ready, asks)

    def _asks_load(self, is_edge: bool) -> bool:
        return is_edge or self._last_wall_ns >= LONG_RUN_NS

    def _read(self, ready: Ready, asks_load: bool) -> Counters:
        load = ready.adapter.server_load() if asks_load else None
        return self._context.observer.read(load)

    def _check(self, call: Call, task: Task, facts: CallFacts) -> CheckFacts | None:
        if call.phase == "warmup" or facts.outcome != "OK":
            return None
        return check_answer(task, facts.answer_text, self._sandbox, facts.stop_reason)


@dataclass(frozen=True, slots=True)
class _Reading:
    """The counters behind a call."""

    ready: Ready
    read_ns: int
    counters: Counters


def _is_silent(facts: CallFacts) -> bool:
    """Whether a streamed call hung: what is slow has said something by its end."""
    return facts.outcome == TIMEOUT and bool(facts.streamed) and facts.ttft_ns is None


def _check_identity(target: Target, loaded: LoadedModel) -> None:
    """Raise where the server holds other weights than the file that was planned."""
    level = target.level or Level()
    asked = {"kv_cache": level.kv, "context_tokens": level.context_tokens}
    for name, value in asked.items():
        if value is not None and name in loaded.unsupported:
            raise IdentityMismatch(
                f"{target.ref.quant_tag}: this server cannot be told its {name}",
                "leave the level out, or let Orket start the engine",
            )
    planned, found = (
        digest.removeprefix("sha256:").lower() if digest else None
        for digest in (target.digest, loaded.digest)
    )
    if planned and found and planned != found:
        raise IdentityMismatch(
            f"{target.ref.name}: the server holds weights {found[:12]}, "
            f"planned were {planned[:12]}",
            "load the planned file, or plan the served one",
        )


def _stop_if_incurable(facts: CallFacts, target: Target) -> None:
    """Raise Doomed where the first call of the gate was refused for good."""
    cause = incurable_cause(facts, _place(target))
    if cause is not None:
        raise Doomed(cause)


def _place(target: Target) -> str:
    return f"{target.ref.model_id} {target.ref.quant_tag}"
