"""The phase before the matrix: does each quant do what the most precise one does?

The reference answers the prompts; every quant, the reference included, then says what
it would say at each place of these answers. It comes first because it is short and
tells at which quants a longer look is worth while. No row of it is a run: no latency
and no verdict comes from it. A failure is a row, never the end of the sweep.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import msgspec

from orket.errors import OrketError, UsageError, WarehouseError
from orket.planning.estimate import Score
from orket.planning.fidelity import by_precision
from orket.planning.plan import MATRIX
from orket.planning.prompts_in_time import fit_prompts, reference_share
from orket.planning.targets import Target
from orket.providers.contract import Generation, ScoresPath
from orket.providers.reading.scores import NO_LOGPROBS
from orket.records import FidelityPlan, ScoreFacts
from orket.sweep.agreement import Agreement
from orket.sweep.blocks import MAX_RELOADS, MAX_SILENT_CALLS, BlockRunner
from orket.sweep.context import Context
from orket.sweep.failures import TIMEOUT, Hangs, error_class
from orket.sweep.fidelity_rows import FidelityRows, facts_of, without_lists
from orket.sweep.judge import Judge
from orket.sweep.phase_time import PhaseTime
from orket.sweep.reporter import Ahead
from orket.sweep.rows import Ready
from orket.warehouse import Warehouse

REFERENCE, QUANT = "REFERENCE", "QUANT"
TELLING_ANSWERS = 4
"""Fewer of the reference's answers do not tell what one takes."""
MOST_OF_FEW = 0.25
"""The part of the phase's time that these may take."""

Ask = Callable[[ScoresPath, Generation, str], ScoreFacts]
"""One question to a loaded model: adapter, request, test."""


class Fidelity:
    """The phase for every model of a plan; empty where the plan does not ask for it."""

    def __init__(
        self,
        context: Context,
        blocks: BlockRunner,
        warehouse: Warehouse,
        judge: Judge,
    ) -> None:
        plan = context.plan
        self._context = context
        self._judge = judge
        self._phases: list[_Phase] = []
        if plan.fidelity is not None and plan.purpose == MATRIX:
            self._phases = [
                _Phase(context, blocks, warehouse, plan.fidelity, model.model_id)
                for model in plan.models
            ]

    def calls(self) -> int:
        """Prompts that are not asked yet."""
        return sum(len(phase.waiting()) for phase in self._phases)

    def run(self, agreement: Agreement, ahead: Callable[[float | None], Ahead]) -> None:
        """Measure the fidelity of each model's quants, and tell it.

        `ahead` says what lies ahead when this phase takes so long in front of it.
        Raises Interrupted where a person finds it too long.
        """
        if not self._phases:
            return
        for place, phase in enumerate(self._phases):
            phase.run(partial(self._tell, agreement, self._phases[place:], ahead))
        if any(phase.has_rows for phase in self._phases):
            self._context.reporter.faithful(self._judge.read_fidelity())

    def _tell(
        self,
        agreement: Agreement,
        phases: Sequence[_Phase],
        ahead: Callable[[float | None], Ahead],
    ) -> None:
        waiting = [score for phase in phases for score in phase.waiting()]
        found = ahead(self._context.forecast.seconds_of_scores(waiting))
        following = dict.fromkeys(key for key, _ in waiting)
        agreement.seek(replace(found, next=tuple(following)))


class _Phase:
    """The phase for one model."""

    def __init__(
        self,
        context: Context,
        blocks: BlockRunner,
        warehouse: Warehouse,
        plan: FidelityPlan,
        model_id: str,
    ) -> None:
        self._context = context
        self._blocks = blocks
        self._plan = plan
        self._planned = len(plan.test_ids)
        self._model_id = model_id
        self._rows = FidelityRows(context, warehouse, model_id)
        self._written: list[tuple[str, ScoreFacts]] = []
        self._done: set[tuple[str, str, str]] = set()
        self._answers: dict[str, ScoreFacts] = {}
        self._unsupported = False
        self._share = 1.0
        self._time = PhaseTime(context, warehouse, model_id)
        self._tell: Callable[[], None] = _tell_nobody
        model = context.plan.model(model_id)
        self._targets = by_precision(model.targets, model.controls)
        self._take_up()

    @property
    def has_rows(self) -> bool:
        """Whether anybody was asked anything, with or without an answer."""
        return bool(self._done)

    def waiting(self) -> list[Score]:
        """What was not asked yet, if the most precise quant is the reference."""
        roles = [(REFERENCE, self._targets[0])]
        roles += [(QUANT, target) for target in self._targets]
        return [
            ((self._model_id, target.ref.quant_tag), test)
            for role, target in roles
            if target.ref.quant_tag not in self._time.left_out
            for test in self._plan.test_ids
            if (target.ref.quant_tag, test, role) not in self._done
        ]

    def run(self, tell: Callable[[], None]) -> None:
        """The reference first; where it gives no answer, the next one is it.

        `tell` is called before each block. Raises Interrupted.
        """
        self._tell = tell
        promised = len(self.waiting())
        has_time = self._fit(self._targets)
        self._context.reporter.extended(len(self.waiting()) - promised)
        if has_time:
            self._run()
            # Without a reference the others are not asked.
            self._context.reporter.extended(-len(self.waiting()))

    def _run(self) -> None:
        targets, context = self._targets, self._context
        count, prompts = len(targets), len(self._plan.test_ids)
        seconds = context.forecast.seconds_of_scores(self.waiting())
        slack = context.forecast.slack()
        takes = ""
        if seconds is not None and slack is not None:
            least, most = (max(1, round(seconds * factor)) for factor in slack)
            takes = f", {least} to {most} s by the calls so far"
        if self.waiting():
            context.reporter.note(
                f"fidelity: {self._asked(prompts)}, {count} quants of "
                f"{self._model_id}{takes}"
            )
        for place, reference in enumerate(targets):
            self._ask_reference(reference)
            if self._answers:
                self._follow(reference, targets)
                return
            if self._unsupported:
                self._context.reporter.note(
                    "the server tells no log-probabilities: fidelity is read from the "
                    "recorded answers alone"
                )
                return
            if place + 1 < count:
                self._context.reporter.note(
                    f"{reference.ref.quant_tag} gave no answer: "
                    f"{targets[place + 1].ref.quant_tag} is the reference"
                )

    def _asked(self, prompts: int) -> str:
        """How many prompts are asked; of how many, where there is no time for all."""
        planned = self._planned
        most = "at most " if self._plan.seconds is not None else ""
        if prompts < planned:
            return f"{most}{prompts} of the {planned} prompts, as there is time for"
        return f"{most}{prompts} prompt{'' if prompts == 1 else 's'}"

    def _fit(self, targets: Sequence[Target]) -> bool:
        """Leave the prompts that there is no time for; False: there is for none."""
        context = self._context
        self._time.begin(self._plan)
        begun = {test for _, test, role in self._done if role == REFERENCE}
        if begun and any(role == QUANT for _, _, role in self._done):
            self._go_on_with(begun)
            return True
        whole = self._plan
        self._share = reference_share(context.forecast, targets, self._plan)
        self._plan = fit_prompts(
            context.forecast, targets, self._plan, context.budget_left()
        )
        if begun:
            # Stopped among the reference's answers: how many there was time for then
            # is known to nobody, so those that there is time for now are asked too.
            fitting = begun | set(self._plan.test_ids)
            self._plan = whole
            self._go_on_with(fitting)
        context.forecast.follow(self._plan.max_tokens)
        if not self._plan.test_ids:
            context.reporter.note("there is no time for fidelity")
        return bool(self._plan.test_ids)

    def _go_on_with(self, begun: set[str]) -> None:
        """The prompts, and how far, as the executor before had found time for."""
        kept = self._time.kept_before()
        plan = self._plan
        tests = [
            test
            for test in plan.test_ids
            if test in begun and (kept is None or test in kept)
        ]
        followed = [facts.max_tokens for facts in self._answers.values()]
        longest = min(plan.max_tokens, max(followed, default=plan.max_tokens))
        self._plan = msgspec.structs.replace(plan, test_ids=tests, max_tokens=longest)
        self._context.forecast.follow(longest)

    def _ask_reference(self, reference: Target) -> None:
        """Have the reference answer every prompt that it has not answered yet."""

        def answer(adapter: ScoresPath, request: Generation, _: str) -> ScoreFacts:
            return adapter.score_answer(request, self._plan.k)

        self._ask(reference, REFERENCE, self._plan.test_ids, answer)
        for test, facts in self._written:
            if facts.outcome == "OK":
                self._answers[test] = facts
            self._unsupported |= facts.outcome == "UNSUPPORTED"

    def _follow(self, reference: Target, targets: Sequence[Target]) -> None:
        """Lead every quant along the answers, the reference before the others."""

        def along(adapter: ScoresPath, request: Generation, test: str) -> ScoreFacts:
            return adapter.score_along(request, self._plan.k, self._answers[test])

        # What the reference had no time for, nobody is asked.
        answered = [t for t in self._plan.test_ids if t in self._answers]
        if any(
            (reference.ref.quant_tag, t, REFERENCE) not in self._done
            for t in self._plan.test_ids
        ):
            count = "1 answer" if len(answered) == 1 else f"{len(answered)} answers"
            self._context.reporter.note(
                f"fidelity: there was time for {count} of {reference.ref.quant_tag}: "
                "all are compared on these alone"
            )
        self._keep_prompts(answered)
        rest = [target for target in targets if target != reference]
        order = [reference, *rest]
        for place, target in enumerate(order):
            if not self._waiting(target, QUANT, self._plan.test_ids):
                continue
            following = order[place + 1 :]
            if not self._time.is_over:
                self._narrow(target, following)
                self._ask(target, QUANT, self._plan.test_ids, along, following)
            if self._time.is_over:
                self._leave_out([target, *following])
                return

    def _keep_prompts(self, test_ids: list[str]) -> None:
        """From here on these are the prompts, of everybody."""
        promised = len(self.waiting())
        self._plan = msgspec.structs.replace(self._plan, test_ids=test_ids)
        self._context.reporter.extended(len(self.waiting()) - promised)

    def _narrow(self, target: Target, following: Sequence[Target]) -> None:
        """Leave what there is no time for by now; the target is about to go on."""
        tests = self._plan.test_ids
        done = len(tests) - len(self._waiting(target, QUANT, tests))
        others = [t for t in following if self._waiting(t, QUANT, tests)]
        kept = self._time.narrow(tests, target, done, others)
        if len(kept) < len(tests):
            self._keep_prompts(kept)

    def _leave_out(self, targets: Sequence[Target]) -> None:
        """The time is up: who has not answered all prompts is compared on none."""
        tests = self._plan.test_ids
        late = [target for target in targets if self._waiting(target, QUANT, tests)]
        if not late:
            return
        promised = len(self.waiting())
        self._time.leave_out(late, len(tests))
        self._context.reporter.extended(len(self.waiting()) - promised)

    def _waiting(self, target: Target, role: str, test_ids: Sequence[str]) -> list[str]:
        """Of these prompts those that a target was not asked in this role."""
        quant = target.ref.quant_tag
        return [test for test in test_ids if (quant, test, role) not in self._done]

    def _ask(
        self,
        target: Target,
        role: str,
        test_ids: Sequence[str],
        ask: Ask,
        following: Sequence[Target] = (),
    ) -> None:
        """Ask a target about prompts, and keep a row for each; in one part.

        Each row is on the disk before the next prompt is asked.
        """
        self._written = []
        waiting = self._waiting(target, role, test_ids)
        if not waiting:
            return
        self._tell()
        try:
            self._ask_waiting(target, role, waiting, ask, following)
        finally:
            self._rows.fold()

    def _ask_waiting(
        self,
        target: Target,
        role: str,
        waiting: list[str],
        ask: Ask,
        following: Sequence[Target],
    ) -> None:
        context, reloads, silent, slowest = self._context, 0, 0, 0.0
        began_ns = context.clock.monotonic_ns()
        controls = context.plan.controls_of(target)
        try:
            ready = self._blocks.load(target, controls)
            while waiting:
                asked_ns = context.clock.monotonic_ns()
                facts = self._ask_one(ready, waiting[0], ask)
                seconds = (context.clock.monotonic_ns() - asked_ns) / 10**9
                silent = silent + 1 if facts.outcome == TIMEOUT else 0
                lost = self._blocks.has_lost_server(
                    facts.outcome, facts.error_class, ready
                )
                if silent == MAX_SILENT_CALLS and not lost:
                    raise Hangs(silent, context.plan.server.timeout_seconds)
                if lost and reloads < MAX_RELOADS:
                    reloads += 1
                    context.servers.forget(target)
                    ready = self._blocks.load(target, controls)
                    continue
                test = waiting.pop(0)
                if facts.outcome == "OK":
                    key = (self._model_id, target.ref.quant_tag)
                    self._learn(role, test, facts)
                    context.forecast.saw_score((key, test), seconds)
                    self._time.saw(facts.wall_ns)
                self._keep(target, role, test, facts, ready.loaded.digest)
                if role == REFERENCE:
                    slowest = max(slowest, seconds)
                    if self._is_too_slow(began_ns, slowest):
                        break
                elif waiting:
                    waiting = self._still_waiting(target, following, waiting)
        except (UsageError, WarehouseError):
            raise
        except OrketError as error:
            context.servers.forget(target)
            if context.health.left_out(self._model_id, target.ref.quant_tag) is None:
                context.reporter.note(f"{target.ref.quant_tag}: {error}")
            facts = self._without_lists(error_class(error), error.message)
            for test in waiting:
                self._keep(target, role, test, facts, None)

    def _still_waiting(
        self, target: Target, following: Sequence[Target], waiting: list[str]
    ) -> list[str]:
        """What a target that is being asked is still asked; nothing: the time is up."""
        if self._time.is_over:
            return []
        if self._time.is_due(len(self._written)):
            self._narrow(target, following)
        kept = set(self._plan.test_ids)
        return [test for test in waiting if test in kept]

    def _learn(self, role: str, test: str, facts: ScoreFacts) -> None:
        """The reference's answer tells how long the task's answers are."""
        path = facts.path_ids or facts.path_texts
        if role == REFERENCE and path is not None:
            whole = facts.ended is True
            self._context.forecast.saw_answer(test, len(path), whole)

    def _is_too_slow(self, began_ns: int, slowest: float) -> bool:
        """Whether one more answer would make the phase too long, by those so far.

        Estimates are of a quiet machine: where time sets the number of prompts, what
        the reference takes tells better. One answer that was held up tells nothing of
        the next: a few are made first, while that leaves most of the time, and the
        slowest is no measure of another.
        """
        seconds = (self._context.clock.monotonic_ns() - began_ns) / 10**9
        made = len(self._written)
        if self._plan.seconds is None:
            return False
        if made < TELLING_ANSWERS:
            return seconds > self._time.longest * MOST_OF_FEW
        another = (seconds - slowest) / (made - 1)
        return seconds + another > self._time.longest * self._share

    def _ask_one(self, ready: Ready, test: str, ask: Ask) -> ScoreFacts:
        adapter = ready.adapter
        if not isinstance(adapter, ScoresPath):
            return self._without_lists(
                NO_LOGPROBS, "its protocol has no log-probabilities", "UNSUPPORTED"
            )
        context = self._context
        task = context.tasks[test]
        controls = context.plan.controls_of(ready.target)
        request = Generation(
            model=ready.loaded.model,
            prompt=task.prompt,
            max_tokens=min(task.max_tokens, self._plan.max_tokens),
            controls=msgspec.structs.replace(controls, temperature_milli=0),
            stream=False,
            system=task.system,
            timeout_seconds=context.plan.server.timeout_seconds,
        )
        with context.interrupts.allowed():
            return ask(adapter, request, test)

    def _without_lists(
        self, reason: str, message: str, outcome: str = "FAILED"
    ) -> ScoreFacts:
        return without_lists(
            reason, message, self._plan.k, self._plan.max_tokens, outcome
        )

    def _keep(
        self,
        target: Target,
        role: str,
        test: str,
        facts: ScoreFacts,
        digest: str | None,
    ) -> None:
        self._written.append((test, self._rows.keep(target, role, test, facts, digest)))
        self._done.add((target.ref.quant_tag, test, role))
        self._context.reporter.followed(self._model_id, target.ref.quant_tag)

    def _take_up(self) -> None:
        """What an earlier executor of this sweep recorded, lists and all."""
        for row in self._rows.read():
            if row["outcome"] not in ("OK", "UNSUPPORTED"):
                continue
            self._done.add((row["quant_tag"], row["test_id"], row["role"]))
            is_reference = row["role"] == REFERENCE
            self._unsupported |= is_reference and row["outcome"] == "UNSUPPORTED"
            is_answer = is_reference and row["outcome"] == "OK"
            if is_answer and row["quant_tag"] == row["reference_quant_tag"]:
                self._answers[row["test_id"]] = facts_of(row)


def _tell_nobody() -> None:
    return
