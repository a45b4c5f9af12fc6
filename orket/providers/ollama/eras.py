"""What Ollama's figures mean, by version and engine.

The same field changed its meaning as Ollama changed its engine; a formula is named by
the first version it holds for. `docs/providers.md` has the table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orket.providers.reading.facts import Figures
from orket.providers.reading.figures import count, nanoseconds, raw_json

ZERO_OMITTED = "eval_count left out with an empty answer: 0, for zeros are left out"
NEW_TOKENS_ONLY = "prompt_eval_count of Ollama 0.30.0: new prompt tokens only"

FIGURE_KEYS = (
    "total_duration",
    "load_duration",
    "prompt_eval_count",
    "prompt_eval_cached_count",
    "prompt_eval_duration",
    "eval_count",
    "eval_duration",
)
MLX_FORMAT = "safetensors"


@dataclass(frozen=True, slots=True)
class Era:
    """One meaning of the figures."""

    formula_id: str
    engine: str
    decode_clock: str = "first_token"
    reports_cached: bool = False
    counts_new_only: bool = False
    """`prompt_eval_count` leaves cached tokens out."""


MLX = Era("ollama.mlx", "mlx", decode_clock="prefill_end")
UNKNOWN = Era("ollama.unknown-version", "unknown")

ERAS: tuple[tuple[tuple[int, int, int], Era], ...] = (
    ((0, 34, 0), Era("ollama.llama-server.v0.34", "llama-server", reports_cached=True)),
    ((0, 30, 1), Era("ollama.llama-server.v0.30.1", "llama-server")),
    (
        (0, 30, 0),
        Era("ollama.llama-server.v0.30.0", "llama-server", counts_new_only=True),
    ),
    ((0, 12, 5), Era("ollama.runner.v0.12.5", "ollama-runner")),
    ((0, 5, 0), Era("ollama.runner.v0.5", "ollama-runner")),
    ((0, 0, 1), Era("ollama.runner.legacy", "ollama-runner")),
)
"""First version -> era, newest first."""


def parse_version(text: str | None) -> tuple[int, int, int] | None:
    """The three numbers of a version; None where there are none."""
    found = re.match(r"v?(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?", text or "")
    if found is None:
        return None
    major, minor, patch = (int(part or 0) for part in found.groups())
    return major, minor, patch


def find_era(version: str | None, file_format: str | None) -> Era:
    """The meaning of the figures of this server for a model of this format."""
    if file_format == MLX_FORMAT:
        return MLX
    numbers = parse_version(version)
    if numbers is None:
        return UNKNOWN
    return next((era for first, era in ERAS if numbers >= first), UNKNOWN)


def read_figures(final: Mapping[str, Any], era: Era, empty_answer: bool) -> Figures:
    """The figures of a final record, as the era means them."""
    prompt_tokens = count(final.get("prompt_eval_count"))
    completion_tokens = count(final.get("eval_count"))
    notes = []
    if empty_answer and _leaves_out_zeros(final):
        completion_tokens = 0
        notes.append(ZERO_OMITTED)
    if era.counts_new_only and prompt_tokens:
        notes.append(NEW_TOKENS_ONLY)
    cached = None
    if era.reports_cached:
        cached = count(final.get("prompt_eval_cached_count"))
        if "prompt_eval_count" in final and cached is not None:
            # More cached than there is: one of the two is wrong.
            cached = cached if cached <= (prompt_tokens or 0) else None
            cached = None if prompt_tokens is None else cached
    return Figures(
        formula_id=era.formula_id,
        raw_figures=raw_json({key: final.get(key) for key in FIGURE_KEYS}),
        prompt_tokens=prompt_tokens,
        cached_prompt_tokens=cached,
        completion_tokens=completion_tokens,
        count_note="; ".join(notes) or None,
        prefill_ns=nanoseconds(final.get("prompt_eval_duration")),
        decode_ns=nanoseconds(final.get("eval_duration")),
        load_ns=nanoseconds(final.get("load_duration")),
        server_total_ns=nanoseconds(final.get("total_duration")),
        decode_clock=era.decode_clock,
        prefill_kind="internal",
        engine=era.engine,
    )


def _leaves_out_zeros(final: Mapping[str, Any]) -> bool:
    """Whether a missing `eval_count` is a 0 that was left out.

    Only where the server counted the prompt and tells of no time of decoding: a
    record without any figures says nothing of tokens.
    """
    if "eval_count" in final or not count(final.get("prompt_eval_count")):
        return False
    return "eval_duration" not in final or nanoseconds(final["eval_duration"]) == 0
