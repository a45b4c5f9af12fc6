"""What the phase `fidelity` asks: which prompts, and who is held for right."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from orket.levels import PLAIN_KV, Level
from orket.planning.preset_file import FidelityTable
from orket.planning.targets import Target
from orket.quants import find_quant, kv_bits_milli
from orket.records import Controls, FidelityPlan, TaskEntry

PROMPTS = 40
"""A KL divergence to within a tenth takes 34 to 72 prompts."""
MAX_TOKENS = 64
SHORT_SECONDS = 60
"""What the phase may take before an adaptive sweep, unless few prompts take longer."""
LIKELIEST = 20
"""The most that Ollama, OpenAI routes and vLLM give unless told otherwise."""


def plan_fidelity(
    table: FidelityTable, tasks: Sequence[TaskEntry], comes_first: bool = False
) -> FidelityPlan | None:
    """The prompts, spread evenly over the tasks; None where the phase is not wanted.

    Where it comes first it is wanted unless told otherwise. The tasks of an adaptive
    sweep come in an order of which any beginning is a fair sample: as many are asked as
    take a minute, where no number was named.
    """
    if not (comes_first if table.enabled is None else table.enabled):
        return None
    count = min(table.prompts or PROMPTS, len(tasks))
    chosen = [tasks[place * len(tasks) // count] for place in range(count)]
    is_timed = comes_first and table.prompts is None
    if is_timed:
        chosen = list(tasks[:count])
    return FidelityPlan(
        seconds=SHORT_SECONDS if is_timed else None,
        k=table.k or LIKELIEST,
        max_tokens=table.max_tokens or MAX_TOKENS,
        test_ids=[task.test_id for task in chosen],
    )


def by_precision(
    targets: Sequence[Target], controls: Controls | None = None
) -> list[Target]:
    """The targets, the most precise first; by their own bits where all have them.

    Of the same weights, the more precise has more bits in its KV cache, then the longer
    context, as `controls` say where its level does not. One whose precision is not
    known is held for right by nobody: it comes last.
    """
    asked = controls or Controls()
    has_kv = any(target.level and target.level.kv for target in targets)
    plain = asked.kv_cache or (PLAIN_KV if has_kv else None)
    bits = [_bits(target) for target in targets]
    measured = all(value is not None for value in bits)

    def precision(
        pair: tuple[Target, Fraction | None],
    ) -> tuple[Fraction, int, int, int]:
        level = pair[0].level or Level()
        kv = kv_bits_milli(level.kv or plain)
        context = level.context_tokens or asked.context_tokens
        entry = find_quant(pair[0].ref.quant_tag)
        nominal = Fraction(entry.nominal_bpw_milli, 1000) if entry else Fraction(-1)
        known = pair[1] if measured and pair[1] is not None else nominal
        order = entry.order if entry else -1
        return known, order, kv or -1, context or -1

    ranked = sorted(zip(targets, bits, strict=True), key=precision, reverse=True)
    return [target for target, _ in ranked]


def _bits(target: Target) -> Fraction | None:
    if not target.model_bytes or not target.parameters:
        return None
    return Fraction(target.model_bytes * 8, target.parameters)
