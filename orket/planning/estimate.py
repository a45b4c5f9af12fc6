"""What a plan will probably take. An estimate from stated assumptions, no more."""

from __future__ import annotations

from dataclasses import dataclass

from orket.planning.plan import Plan
from orket.planning.schedule import PlannedModel
from orket.planning.targets import Target
from orket.quants import find_quant

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


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds and bytes; None where the size of a model is not known."""

    seconds: float | None
    warehouse_bytes: int
    largest_model_bytes: int | None


def estimate_plan(plan: Plan) -> Estimate:
    """What this plan will probably take."""
    sizes = {
        (model.model_id, target.ref.quant_tag): _model_bytes(model, target)
        for model in plan.models
        for target in model.targets
    }
    known = [size for size in sizes.values() if size is not None]
    complete = len(known) == len(sizes)
    return Estimate(
        _seconds(plan, sizes) if complete else None,
        len(plan.runs) * BYTES_PER_RUN,
        max(known) if complete else None,
    )


def _seconds(plan: Plan, sizes: dict[tuple[str, str], int | None]) -> float:
    tasks = {task.test_id: task for task in plan.tasks}
    seconds = 0.0
    block = -1
    for run in plan.runs:
        size = sizes[run.model_id, run.quant_tag] or 0
        if run.block_index != block:
            block = run.block_index
            seconds += LOAD_SECONDS + size / LOAD_BYTES_PER_SECOND
        task = tasks[run.test_id]
        prompt = len(task.prompt) / CHARACTERS_PER_TOKEN / PROMPT_SPEEDUP
        token = max(size / MEMORY_BYTES_PER_SECOND, SECONDS_PER_TOKEN)
        seconds += SECONDS_PER_CALL + (prompt + task.max_tokens / 2) * token
    return seconds


def _model_bytes(model: PlannedModel, target: Target) -> int | None:
    if target.model_bytes is not None:
        return target.model_bytes
    entry = find_quant(target.ref.quant_tag)
    if model.parameters_billions is None or entry is None:
        return None
    bits = model.parameters_billions * 10**9 * entry.nominal_bpw_milli / 1000
    return int(bits / 8)
