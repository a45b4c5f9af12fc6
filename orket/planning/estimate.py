"""How long a plan will take: by the calls made so far, and how sure that is.

A call costs what tokens of its quant have cost: prompt and answer tokens of the calls
of this sweep against their wall time. A quant that has not answered in this sweep costs
what it took in earlier ones on this machine, times what the others take now against
then. Else it costs as the others, and as much more as it takes to read its weights once
a token. Tokens are counted by task, so that the calls of one bank tell of another.
Beside the calls stands what a block takes that is no call: the load, and all that lies
between blocks.

A person is told a span: calls on a busy machine lie far apart, and those of a minute
ago may be those of another machine. What nothing was measured of is not told at all;
the assumptions then serve to cut work to a budget. An estimate enters nothing.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from orket.planning.fidelity import by_precision
from orket.planning.plan import MATRIX, Plan
from orket.planning.rounds import REPEAT
from orket.planning.schedule import PlannedModel
from orket.planning.targets import Target
from orket.planning.usual import first_runs, usual_runs
from orket.providers.contract import ModelRef
from orket.quants import find_quant
from orket.records import PlannedRun, RunRecord

MEMORY_BYTES_PER_SECOND = 20e9
"""Decoding reads all weights once per token: dual-channel DDR4, roughly."""
LOAD_BYTES_PER_SECOND = 1e9
LOAD_SECONDS = 0.5
SECONDS_PER_CALL = 0.010
"""Connection, checks, journal."""
BETWEEN_SECONDS = 0.3
"""Of a block: looks at the views, writing, waits."""
SECONDS_PER_TOKEN = 0.0005
"""The least a token takes, however small the model."""
NEAR_BUDGETS = 4
"""An answer to a task of twice or half the budget counts for a ninth."""
PROMPT_SPEEDUP = 5
"""Prompt tokens per answer token in equal time."""
CHARACTERS_PER_TOKEN = 4
BYTES_PER_RUN = 1200
"""Of a run in a Parquet part."""
RECENT_CALLS = 64
"""So many calls tell how far apart calls are by now."""
CALLS_OF_ONE = 4
"""What disturbs a call disturbs the next ones too: so many tell as much as one."""
LENGTH_ERROR = 0.5
"""Of one task, how far the length of its answer is from that of others."""
LEAST_ERROR = 0.15
"""What no number of calls takes away."""
MOST_ERROR = 3.0
LONG_SECONDS = 3600
"""A person is asked about a longer sweep, and told how to end it sooner."""
BETWEEN_SWEEPS = 1.25
"""How far a sweep is beyond those that were seen; of one alone by the square of it."""

Key = tuple[str, str]
"""Model and quant."""
Score = tuple[Key, str]
"""A quant that is asked about the prompt of a test in the phase `fidelity`."""
NANO = 1_000_000_000


class Span(NamedTuple):
    """Seconds that something takes: from, to."""

    low: float
    high: float


class Slack(NamedTuple):
    """By how much an estimate may be off: what it is to be multiplied by."""

    low: float = 1.0
    high: float = 1.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a plan takes; a time is None where no call here tells of it."""

    whole: Span | None
    """All of it."""
    usual: Span | None
    """What rounds usually come to, from those that are asked in any case; of a grid
    all of it."""
    is_long: bool
    """Whether it takes over an hour, if only by assumptions."""
    warehouse_bytes: int
    largest_model_bytes: int | None
    basis: str
    """What stands behind the times; empty where nothing does."""


def estimate_plan(plan: Plan, forecast: Forecast) -> Estimate:
    """What this plan will probably take, by a forecast made for it."""
    sizes = list(forecast.model_sizes)
    known = [size for size in sizes if size is not None]
    scores = forecast.seconds_of_scores(list_scores(plan))
    others = [run for run in plan.runs if run.phase not in (MATRIX, REPEAT)]
    breadth = first_runs(plan) if plan.is_adaptive else []
    usual = usual_runs(plan) if plan.is_adaptive else []
    asked = [run for run in plan.runs if run.phase != REPEAT or not plan.is_adaptive]
    least, middle, most = (
        add_seconds(forecast.seconds(runs), scores)
        for runs in (
            [*others, *breadth] if plan.is_adaptive else asked,
            [*others, *usual] if plan.is_adaptive else asked,
            asked,
        )
    )
    slack = forecast.slack()
    return Estimate(
        spread(most, most, slack),
        spread(least, middle, slack),
        (middle or 0.0) > LONG_SECONDS,
        len(plan.runs) * BYTES_PER_RUN,
        max(known) if len(known) == len(sizes) else None,
        forecast.basis(),
    )


def spread(least: float | None, most: float | None, slack: Slack | None) -> Span | None:
    """From the least to the most, each as far off as it may be; None: not known."""
    if least is None or most is None or slack is None:
        return None
    return Span(least * slack.low, most * slack.high)


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

    def add(self, calls: int, tokens: float, seconds: float) -> None:
        """Count calls that were made."""
        self.calls += calls
        self.tokens += tokens
        self.seconds += seconds


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
        self._answered: dict[str, tuple[int, float]] = {}
        """Task -> answers and their tokens: it answers alike in every quant."""
        self._loads: list[float] = []
        self._recent: deque[tuple[Key, float, float]] = deque(maxlen=RECENT_CALLS)
        """Weighed tokens and times of the latest calls."""
        self._past_sweeps: dict[str, dict[Key, _Spent]] = {}
        self._busy = 0.0
        """Seconds of this executor that calls and loads took."""
        self._mark: tuple[float, float] | None = None
        """When the last block began, and how busy it had been by then."""
        self._between = _Spent()
        """Blocks, and the time around them that was neither call nor load."""
        self._past_between: float | None = None
        self.remembered = 0
        """Calls of earlier sweeps behind it."""
        self._sweep_id, self._resumed = plan.sweep_id, 0
        """Calls of this sweep before it was resumed are told as its own."""

    @property
    def model_sizes(self) -> Iterable[int | None]:
        """Bytes of each quant; None where they are not known."""
        return self._bytes.values()

    @property
    def has_past(self) -> bool:
        """Whether any call was recorded before this executor began."""
        return self.remembered + self._resumed > 0

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
        key, seconds = (row.model_id, row.quant_tag), call.wall_ns / NANO
        tokens = answer + prompt / PROMPT_SPEEDUP
        self._spent.setdefault(key, _Spent()).add(1, tokens, seconds)
        self._recent.append((key, tokens, seconds))
        self._busy += seconds

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
        self._busy += seconds

    def begin_block(self, at_seconds: float) -> None:
        """A block begins, by the executor's clock."""
        self._mark = at_seconds, self._busy

    def end_block(self, at_seconds: float) -> None:
        """It has ended: learn what it took beside its calls and its load."""
        if self._mark is not None:
            passed, busy = at_seconds - self._mark[0], self._busy - self._mark[1]
            self._between.add(1, 1.0, max(passed - busy, 0.0))
            self._mark = None

    def saw_score(self, score: Score, seconds: float) -> None:
        """Learn what it took to ask a quant about a prompt: a call like others."""
        key, test_id = score
        tokens = self._score_tokens(test_id, self._longest_path)
        self._spent.setdefault(key, _Spent()).add(1, tokens, seconds)
        self._recent.append((key, tokens, seconds))
        self._busy += seconds

    def remember(
        self,
        key: Key,
        calls: int,
        tokens: float,
        seconds: float,
        banks: Iterable[str] = (),
        sweep_id: str = "",
    ) -> None:
        """What calls of an earlier sweep on this machine took, by weighed tokens."""
        of_sweep = self._past_sweeps.setdefault(sweep_id, {})
        for past in (self._past, of_sweep):
            past.setdefault(key, _Spent()).add(calls, tokens, seconds)
        if sweep_id == self._sweep_id:
            self._resumed += calls
            return
        self.remembered += calls
        self._banks.update(banks)

    def remember_between(self, seconds: float) -> None:
        """What a block of earlier sweeps on this machine took beside its calls."""
        self._past_between = seconds

    def basis(self) -> str:
        """What stands behind the seconds: `by ...`; empty: nothing was measured."""
        behind = ["the calls so far"] if self._spent or self._resumed else []
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
        total, loaded = 0.0, None
        for score in scores:
            cost = self._score_seconds(score)
            if cost is None:
                return None
            total += cost
            if score[0] != loaded:
                loaded = score[0]
                total += self.load_seconds(loaded) + self._between_seconds()
        return total

    def slack(self) -> Slack | None:
        """By how much these times may be off; None: no call tells of them at all.

        Calls of this sweep rule: how far they are apart, how few they are, whether the
        latest took longer than all, and of how many tasks the answers are known. Before
        the first of them it is how far earlier sweeps are apart.
        """
        length = LENGTH_ERROR / math.sqrt(max(len(self._answered), 1))
        if self._recent:
            error, drift = self._error_of_calls()
            off = 1 + min(math.hypot(error, length, LEAST_ERROR), MOST_ERROR)
            return Slack(min(1.0, drift) / off, max(1.0, drift) * off)
        shares = self._shares_of_sweeps()
        if not shares:
            return None
        beyond = BETWEEN_SWEEPS if len(shares) > 1 else BETWEEN_SWEEPS**2
        off = beyond * (1 + length)
        return Slack(min(shares) / off, max(shares) * off)

    def _error_of_calls(self) -> tuple[float, float]:
        """Of the latest calls, twice the error of their mean, and that mean; both as
        parts of what all calls of their quants took."""
        shares = [
            (seconds / (tokens * cost), tokens * cost)
            for key, tokens, seconds in self._recent
            if tokens and (cost := self._spent[key].token_seconds)
        ]
        weight = math.fsum(thought for _, thought in shares)
        if not weight:
            return MOST_ERROR, 1.0
        mean = math.fsum(share * thought for share, thought in shares) / weight
        varies = math.fsum(t * (share - mean) ** 2 for share, t in shares) / weight
        # As many calls as have the same weight: a few long ones tell less than many.
        count = weight**2 / math.fsum(thought**2 for _, thought in shares)
        error = 2 * math.sqrt(varies * CALLS_OF_ONE / count) / mean
        return error, mean

    def _shares_of_sweeps(self) -> list[float]:
        """What each earlier sweep took, as a part of what it had taken at the mean."""
        shares = []
        for spent in self._past_sweeps.values():
            thought = math.fsum(
                own.tokens * cost
                for key, own in spent.items()
                if (cost := self._past[key].token_seconds)
            )
            if thought:
                shares.append(
                    math.fsum(own.seconds for own in spent.values()) / thought
                )
        return shares

    def _between_seconds(self) -> float:
        """What a block takes beside its calls and its load."""
        own = self._between.token_seconds
        if own is not None:
            return own
        if self._past_between is not None:
            return self._past_between
        return BETWEEN_SECONDS

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
        between = len(blocks) * self._between_seconds()
        return total + between + sum(map(self.load_seconds, blocks.values()))

    def answer_seconds(self, key: Key, test_id: str, most_tokens: int) -> float | None:
        """Time one prompt with an answer of at most so many tokens will take."""
        token = self._token_seconds(key)
        if token is None:
            return None
        return SECONDS_PER_CALL + self._score_tokens(test_id, most_tokens) * token

    def _score_tokens(self, test_id: str, most_tokens: int) -> float:
        """Weighed tokens of a prompt with an answer of at most so many."""
        prompt = self._prompt.get(test_id, 0) / PROMPT_SPEEDUP
        return min(self._expected_tokens(test_id), most_tokens) + prompt

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
            _for_size(
                cost if name in self._spent else cost * self._slowness(),
                self._bytes.get(name),
                size,
            )
            for name, spent in known.items()
            if (cost := spent.token_seconds)
        ]
        if costs:
            return sum(costs) / len(costs)
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


def _for_size(cost: float, measured: int | None, size: int | None) -> float:
    """What a token costs at another size, as decoding reads every weight once a token.

    What takes longer than reading the weights can take does not hang on their number.
    """
    if measured is None or size is None:
        return cost
    reading = min(cost, measured / MEMORY_BYTES_PER_SECOND)
    return cost - reading + reading * size / measured


def model_bytes(model: PlannedModel, target: Target) -> int | None:
    """Size of a quant: its file's, else by nominal bits; None if neither is known."""
    if target.model_bytes is not None:
        return target.model_bytes
    entry = find_quant(target.ref.quant_tag)
    if model.parameters_billions is None or entry is None:
        return None
    bits = model.parameters_billions * 10**9 * entry.nominal_bpw_milli / 1000
    return int(bits / 8)
