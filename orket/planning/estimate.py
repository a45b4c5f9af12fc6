"""How long a plan will take: by the calls made so far, else from stated assumptions.

A call costs what tokens of its quant have cost: prompt and answer tokens of the calls
of this sweep against their wall time. A quant that has not answered in this sweep costs
what it took in earlier ones on this machine, times what the others take now against
then. Else it costs in proportion to its size, as decoding reads every weight once a
token; where no size is known, as the others. Tokens are counted by task, so that the
calls of one bank tell of another. An estimate enters nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from orket.planning.fidelity import by_precision
from orket.planning.plan import MATRIX, Plan
from orket.planning.rounds import REPEAT
from orket.planning.schedule import PlannedModel
from orket.planning.targets import Target
from orket.planning.usual import usual_runs
from orket.providers.contract import ModelRef
from orket.quants import find_quant
from orket.records import PlannedRun, RunRecord

MEMORY_BYTES_PER_SECOND = 20e9
"""Decoding reads all weights once per token: dual-channel DDR4, roughly."""
LOAD_BYTES_PER_SECOND = 1e9
LOAD_SECONDS = 0.5
SECONDS_PER_CALL = 0.010
"""Connection, checks, journal."""
SECONDS_PER_TOKEN = 0.0005
"""The least a token takes, however small the model."""
NEAR_BUDGETS = 4
"""An answer to a task of twice or half the budget counts for a ninth."""
PROMPT_SPEEDUP = 5
"""Prompt tokens per answer token in equal time."""
CHARACTERS_PER_TOKEN = 4
BYTES_PER_RUN = 1200
"""Of a run in a Parquet part."""

ASSUMPTIONS = (
    "assumes 20 GB/s of memory bandwidth, answers of half their budget, no retries"
)
NO_RETRIES = "no retries"

Key = tuple[str, str]
"""Model and quant."""
Score = tuple[Key, str]
"""A quant that is asked about the prompt of a test in the phase `fidelity`."""
NANO = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds and bytes; None where the size of a model is not known."""

    seconds: float | None
    """All of it."""
    usual_seconds: float | None
    """What rounds usually come to; of a grid all of it."""
    warehouse_bytes: int
    largest_model_bytes: int | None
    basis: str
    """What stands behind the seconds."""


def estimate_plan(plan: Plan, forecast: Forecast) -> Estimate:
    """What this plan will probably take, by a forecast made for it."""
    sizes = list(forecast.model_sizes)
    known = [size for size in sizes if size is not None]
    scores = forecast.seconds_of_scores(list_scores(plan))
    others = [run for run in plan.runs if run.phase not in (MATRIX, REPEAT)]
    usual = [*others, *usual_runs(plan)] if plan.is_adaptive else plan.runs
    basis = forecast.basis()
    return Estimate(
        add_seconds(forecast.seconds(plan.runs), scores),
        add_seconds(forecast.seconds(usual), scores),
        len(plan.runs) * BYTES_PER_RUN,
        max(known) if len(known) == len(sizes) else None,
        f"{basis}; {NO_RETRIES}" if basis else ASSUMPTIONS,
    )


def add_seconds(*parts: float | None) -> float | None:
    """The sum of times; None where one of them is not known."""
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


def list_scores(plan: Plan) -> list[Score]:
    """What the phase `fidelity` asks: the reference's answers, then every quant's."""
    if plan.fidelity is None or plan.purpose != MATRIX:
        return []
    return [
        ((model.model_id, target.ref.quant_tag), test)
        for model in plan.models
        for target in _asked(model)
        for test in plan.fidelity.test_ids
    ]


def _asked(model: PlannedModel) -> list[Target]:
    """Who is asked in the phase `fidelity`, in order; the reference is so twice."""
    targets = by_precision(model.targets, model.controls)
    return [*targets[:1], *targets]


@dataclass(slots=True)
class _Spent:
    """Calls of one quant so far: weighed tokens, and the time they took."""

    calls: int = 0
    tokens: float = 0.0
    seconds: float = 0.0

    @property
    def token_seconds(self) -> float | None:
        """Time of one weighed token; None where nothing was measured."""
        return self.seconds / self.tokens if self.tokens else None


class Forecast:
    """Seconds that planned runs will take; it learns from every answered call."""

    def __init__(self, plan: Plan, sizes: Mapping[ModelRef, int] | None = None) -> None:
        """`sizes` are those that servers told, in bytes."""
        self._bytes = {
            (model.model_id, target.ref.quant_tag): (sizes or {}).get(target.ref)
            or model_bytes(model, target)
            for model in plan.models
            for target in model.targets
        }
        self._prompt = {
            task.test_id: len(task.prompt) / CHARACTERS_PER_TOKEN for task in plan.tasks
        }
        self._budget = {task.test_id: task.max_tokens for task in plan.tasks}
        self._spent: dict[Key, _Spent] = {}
        self._past: dict[Key, _Spent] = {}
        self._banks: set[str] = set()
        self._longest_path = plan.fidelity.max_tokens if plan.fidelity else 0
        self._scored = _Spent()
        """The phase `fidelity`: what its prompts were to take, and what they took."""
        self._answered: dict[str, tuple[int, float]] = {}
        """Task -> answers and their tokens: it answers alike in every quant."""
        self._loads: list[float] = []
        self.remembered = 0
        """Calls of earlier sweeps behind it."""

    @property
    def model_sizes(self) -> Iterable[int | None]:
        """Bytes of each quant; None where they are not known."""
        return self._bytes.values()

    def saw(self, row: RunRecord) -> None:
        """Learn from a recorded call; a failed one says nothing of speed."""
        call = row.call
        if call.outcome != "OK" or not call.wall_ns:
            return
        answer: float
        if call.completion_tokens is None:
            answer = self._expected_tokens(row.test_id)
        else:
            answer = call.completion_tokens
            self.saw_answer(row.test_id, call.completion_tokens)
        prompt = call.prompt_tokens
        if prompt is None:
            prompt = round(self._prompt.get(row.test_id, 0))
        spent = self._spent.setdefault((row.model_id, row.quant_tag), _Spent())
        spent.calls += 1
        spent.tokens += answer + prompt / PROMPT_SPEEDUP
        spent.seconds += call.wall_ns / NANO

    def saw_answer(self, test_id: str, tokens: float, is_whole: bool = True) -> None:
        """Learn how long the answer to a task is; other quants answer alike.

        One that was followed to a place and no further is that long at least.
        """
        if not is_whole:
            tokens = max(tokens, self._expected_tokens(test_id))
        count, told = self._answered.get(test_id, (0, 0))
        self._answered[test_id] = (count + 1, told + tokens)

    def saw_load(self, seconds: float) -> None:
        """Learn how long it took to make a model resident."""
        self._loads.append(seconds)

    def saw_score(self, score: Score, seconds: float) -> None:
        """Learn what it took to ask a quant about a prompt, beside what was thought."""
        thought = self._score_seconds(score)
        if thought is not None:
            self._scored.tokens += thought
            self._scored.seconds += seconds

    def remember(
        self,
        key: Key,
        calls: int,
        tokens: float,
        seconds: float,
        banks: Iterable[str] = (),
    ) -> None:
        """What calls of an earlier sweep on this machine took, by weighed tokens."""
        past = self._past.setdefault(key, _Spent())
        past.calls += calls
        past.tokens += tokens
        past.seconds += seconds
        self.remembered += calls
        self._banks.update(banks)

    def basis(self) -> str:
        """What stands behind the seconds: `by ...`; empty: nothing was measured."""
        behind = ["the calls so far"] if self._spent else []
        if self.remembered:
            calls = "1 call" if self.remembered == 1 else f"{self.remembered} calls"
            banks = ", ".join(sorted(self._banks))
            told = f" (tasks of {banks})" if banks else ""
            behind.append(f"{calls} of earlier sweeps{told}, scaled by tokens")
        return f"by {' and '.join(behind)}" if behind else ""

    def follow(self, most_tokens: int) -> None:
        """How far answers are followed in the phase `fidelity`."""
        self._longest_path = most_tokens

    def seconds_of_scores(self, scores: Iterable[Score]) -> float | None:
        """Time the phase `fidelity` will take for these; None: not known."""
        factor = (
            self._scored.seconds / self._scored.tokens if self._scored.tokens else 1.0
        )
        total, loaded = 0.0, None
        for score in scores:
            cost = self._score_seconds(score)
            if cost is None:
                return None
            total += cost * factor
            if score[0] != loaded:
                loaded = score[0]
                total += self.load_seconds(loaded)
        return total

    def _score_seconds(self, score: Score) -> float | None:
        key, test_id = score
        return self.answer_seconds(key, test_id, self._longest_path)

    def seconds(self, runs: Iterable[PlannedRun]) -> float | None:
        """Time these runs will take; None where nothing tells the size of a quant."""
        total = 0.0
        blocks: dict[int, Key] = {}
        costs: dict[Key, float | None] = {}
        for run in runs:
            key = (run.model_id, run.quant_tag)
            if key not in costs:
                costs[key] = self._token_seconds(key)
            token = costs[key]
            if token is None:
                return None
            blocks[run.block_index] = key
            prompt = self._prompt.get(run.test_id, 0) / PROMPT_SPEEDUP
            tokens = self._expected_tokens(run.test_id) + prompt
            total += SECONDS_PER_CALL + tokens * token
        return total + sum(map(self.load_seconds, blocks.values()))

    def answer_seconds(self, key: Key, test_id: str, most_tokens: int) -> float | None:
        """Time one prompt with an answer of at most so many tokens will take."""
        token = self._token_seconds(key)
        if token is None:
            return None
        prompt = self._prompt.get(test_id, 0) / PROMPT_SPEEDUP
        tokens = min(self._expected_tokens(test_id), most_tokens) + prompt
        return SECONDS_PER_CALL + tokens * token

    def load_seconds(self, key: Key) -> float:
        """Time it takes to make a quant resident."""
        if self._loads:
            return sum(self._loads) / len(self._loads)
        return LOAD_SECONDS + (self._bytes.get(key) or 0) / LOAD_BYTES_PER_SECOND

    def _expected_tokens(self, test_id: str) -> float:
        count, tokens = self._answered.get(test_id, (0, 0))
        if count:
            return tokens / count
        budget = self._budget.get(test_id, 0)
        return budget * self._share_of(budget)

    def _share_of(self, budget: int) -> float:
        """The part of a budget that answers take, by those of budgets like it.

        A model that answers briefly does not answer longer because it may.
        """
        asked = told = 0.0
        for test, (count, tokens) in self._answered.items():
            own = self._budget.get(test, 0)
            if not own:
                continue
            weight = 1 / (1 + (NEAR_BUDGETS * math.log(max(budget, 1) / own)) ** 2)
            asked += weight * own * count
            told += weight * tokens
        return told / asked if asked else 0.5

    def _token_seconds(self, key: Key) -> float | None:
        """By this sweep, by earlier ones, by other quants' size, else by assumption."""
        if cost := self._spent.get(key, _Spent()).token_seconds:
            return cost
        if cost := self._past.get(key, _Spent()).token_seconds:
            return cost * self._slowness()
        size = self._bytes.get(key)
        known = {**self._past, **self._spent}
        costs = [
            (cost if name in self._spent else cost * self._slowness(), name)
            for name, spent in known.items()
            if (cost := spent.token_seconds)
        ]
        scaled = [
            cost * size / other
            for cost, name in costs
            if size is not None and (other := self._bytes.get(name)) is not None
        ]
        if costs:
            found = scaled or [cost for cost, _ in costs]
            return sum(found) / len(found)
        if size is None:
            return None
        return max(size / MEMORY_BYTES_PER_SECOND, SECONDS_PER_TOKEN)

    def _slowness(self) -> float:
        """What tokens take now against what they took, over the quants of both."""
        shares = [
            now / before
            for key, spent in self._spent.items()
            if (now := spent.token_seconds)
            and (before := self._past.get(key, _Spent()).token_seconds)
        ]
        return sum(shares) / len(shares) if shares else 1.0


def model_bytes(model: PlannedModel, target: Target) -> int | None:
    """Size of a quant: its file's, else by nominal bits; None if neither is known."""
    if target.model_bytes is not None:
        return target.model_bytes
    entry = find_quant(target.ref.quant_tag)
    if model.parameters_billions is None or entry is None:
        return None
    bits = model.parameters_billions * 10**9 * entry.nominal_bpw_milli / 1000
    return int(bits / 8)
