"""How long a plan will take: by the calls made so far, else from stated assumptions.

A call costs what tokens of its quant have cost: prompt and answer tokens of the calls
so far (of this sweep, or of an earlier one on this machine) against their wall time. A
quant that has not answered yet costs in proportion to its size, as decoding reads every
weight once a token; where no size is known, as the others. An estimate enters nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from orket.planning.plan import Plan
from orket.planning.schedule import PlannedModel
from orket.planning.targets import Target
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
PROMPT_SPEEDUP = 5
"""Prompt tokens per answer token in equal time."""
CHARACTERS_PER_TOKEN = 4
BYTES_PER_RUN = 1200
"""Of a run in a Parquet part."""

ASSUMPTIONS = (
    "assumes 20 GB/s of memory bandwidth, answers of half their budget, no retries"
)
MEASURED = "by {calls} earlier calls on this machine; no retries"

Key = tuple[str, str]
"""Model and quant."""
NANO = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds and bytes; None where the size of a model is not known."""

    seconds: float | None
    warehouse_bytes: int
    largest_model_bytes: int | None
    basis: str
    """What stands behind the seconds."""


def estimate_plan(plan: Plan, forecast: Forecast) -> Estimate:
    """What this plan will probably take, by a forecast made for it."""
    sizes = list(forecast.model_sizes)
    known = [size for size in sizes if size is not None]
    remembered = forecast.remembered
    return Estimate(
        forecast.seconds(plan.runs),
        len(plan.runs) * BYTES_PER_RUN,
        max(known) if len(known) == len(sizes) else None,
        MEASURED.format(calls=remembered) if remembered else ASSUMPTIONS,
    )


@dataclass(slots=True)
class _Spent:
    """Calls of one quant so far: weighed tokens, and the time they took."""

    calls: int = 0
    tokens: float = 0.0
    seconds: float = 0.0


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
        self._answered: dict[str, tuple[int, int]] = {}
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
            count, tokens = self._answered.get(row.test_id, (0, 0))
            told = tokens + call.completion_tokens
            self._answered[row.test_id] = (count + 1, told)
        prompt = call.prompt_tokens
        if prompt is None:
            prompt = round(self._prompt.get(row.test_id, 0))
        spent = self._spent.setdefault((row.model_id, row.quant_tag), _Spent())
        spent.calls += 1
        spent.tokens += answer + prompt / PROMPT_SPEEDUP
        spent.seconds += call.wall_ns / NANO

    def saw_load(self, seconds: float) -> None:
        """Learn how long it took to make a model resident."""
        self._loads.append(seconds)

    def remember(self, key: Key, calls: int, tokens: float, seconds: float) -> None:
        """What calls of an earlier sweep on this machine took, by weighed tokens."""
        self._spent[key] = _Spent(calls, tokens, seconds)
        self.remembered += calls

    def seconds(self, runs: Iterable[PlannedRun]) -> float | None:
        """Time these runs will take; None where nothing tells the size of a quant."""
        total = 0.0
        blocks: dict[int, Key] = {}
        for run in runs:
            key = (run.model_id, run.quant_tag)
            token = self._token_seconds(key)
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
        asked = sum(
            self._budget.get(test, 0) * count
            for test, (count, _) in self._answered.items()
        )
        told = sum(tokens for _, tokens in self._answered.values())
        share = told / asked if asked else 0.5
        return self._budget.get(test_id, 0) * share

    def _token_seconds(self, key: Key) -> float | None:
        spent = self._spent.get(key)
        if spent is not None and spent.tokens:
            return spent.seconds / spent.tokens
        size = self._bytes.get(key)
        known = [
            (other.seconds / other.tokens, self._bytes.get(name))
            for name, other in self._spent.items()
            if other.tokens
        ]
        scaled = [
            token * size / other
            for token, other in known
            if size is not None and other is not None
        ]
        if scaled or known:
            costs = scaled or [token for token, _ in known]
            return sum(costs) / len(costs)
        if size is None:
            return None
        return max(size / MEMORY_BYTES_PER_SECOND, SECONDS_PER_TOKEN)


def model_bytes(model: PlannedModel, target: Target) -> int | None:
    """Size of a quant: its file's, else by nominal bits; None if neither is known."""
    if target.model_bytes is not None:
        return target.model_bytes
    entry = find_quant(target.ref.quant_tag)
    if model.parameters_billions is None or entry is None:
        return None
    bits = model.parameters_billions * 10**9 * entry.nominal_bpw_milli / 1000
    return int(bits / 8)
