"""What the mock server pretends to be: rates, answers and models, from a small TOML."""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import msgspec

from orket.errors import UsageError
from orket.quants import find_quant
from orket.text import nearest
from orket.toml_source import TomlSource, read_toml

ECHO = "echo"
"""Answer mode: the prompt comes back."""
FIXED = "fixed"
"""Answer mode: always `text`."""

UNKNOWN_BPW_MILLI = 5_000
"""Bits per weight (1/1000) of a quant that the catalogue does not know."""


@dataclass(frozen=True, slots=True)
class MockModel:
    """One model in one quant, as the mock server lists it."""

    name: str
    quant: str
    parameters: int = 1_000_000_000
    size_bytes: int | None = None
    file_format: str = "gguf"
    """`gguf`, `safetensors` (Ollama's MLX engine) or `mlx` (LM Studio)."""
    prefill_rate: float | None = None
    decode_rate: float | None = None
    layers: int = 16
    heads: int = 32
    kv_heads: int = 8
    width: int = 2048
    """The shape that Ollama tells of; a KV cache follows from it."""
    finetune: str = ""
    """What the header calls this flavour, such as Instruct; empty: nothing."""

    @property
    def bytes(self) -> int:
        """Size of the weights; from the quant's bits per weight where not given."""
        if self.size_bytes is not None:
            return self.size_bytes
        known = find_quant(self.quant)
        milli = known.nominal_bpw_milli if known else UNKNOWN_BPW_MILLI
        return self.parameters * milli // 8000

    @property
    def digest(self) -> str:
        """A sha256 that stays the same for the same model."""
        return hashlib.sha256(f"{self.name}\n{self.quant}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class CannedAnswer:
    """An answer for every prompt that `pattern` is found in."""

    pattern: str
    text: str
    quants: tuple[str, ...] = ()
    """Only for these quants; empty: for all."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One pretended server. Rates are tokens per second, times are seconds."""

    models: tuple[MockModel, ...] = (
        MockModel("demo:q8_0", "Q8_0"),
        MockModel("demo:q4_K_M", "Q4_K_M"),
        MockModel("demo:q2_K", "Q2_K"),
    )
    prefill_rate: float = 2_000.0
    decode_rate: float = 200.0
    latency_seconds: float = 0.0
    """Added before the prompt is read, as a queue or a network would."""
    load_seconds: float = 0.05
    drip_seconds: float = 0.05
    """Pause between two bytes of the fault slow-drip."""
    context_tokens: int = 4_096
    template_tokens: int = 8
    """Tokens that the chat template puts before the prompt."""
    mode: str = FIXED
    text: str = "The quick brown fox jumps over the lazy dog."
    answers: tuple[CannedAnswer, ...] = ()
    thinking: str = ""
    """What the model thinks before it answers, unless told not to; empty: nothing."""
    prompt_cache: bool = True
    version: str | None = None
    """Version the server claims; None: the newest the dialect knows."""
    vram_share: float = 0.0
    """Ollama: how much of a loaded model lies in VRAM."""
    router: bool = False
    """llama-server: a router that holds all models, each under its name."""
    request_metrics: bool = False
    """vLLM: started with --enable-per-request-metrics."""
    prometheus: bool = True
    """vLLM and TGI: answer on /metrics."""
    cached_details: bool = False
    """vLLM: started with --enable-prompt-tokens-details."""
    api_key: str | None = field(default=None, repr=False)

    def model(self, name: str) -> MockModel | None:
        """The model of that name; as Ollama does, `name` alone means `name:latest`."""
        wanted = {name, f"{name}:latest"}
        return next((m for m in self.models if m.name in wanted), None)

    def answer(self, prompt: str, quant: str) -> str:
        """The answer to `prompt`: the first canned one that fits, else by `mode`."""
        for canned in self.answers:
            if canned.quants and quant not in canned.quants:
                continue
            if re.search(canned.pattern, prompt):
                return canned.text
        return prompt if self.mode == ECHO else self.text


DEMO = Profile(
    models=(
        MockModel("demo:q8_0", "Q8_0", decode_rate=120.0),
        MockModel("demo:q4_K_M", "Q4_K_M", decode_rate=200.0),
        MockModel("demo:q2_K", "Q2_K", decode_rate=260.0),
    ),
)
"""What the command line serves unless told otherwise: smaller quants are faster."""


def load_profile(path: Path) -> Profile:
    """Read a profile from TOML. Raises UsageError naming the key that is wrong."""
    source = read_toml(path)
    _refuse_unknown(source, source.data, Profile)
    for table, kind in (("models", MockModel), ("answers", CannedAnswer)):
        rows = source.data.get(table, [])
        for index, row in enumerate(rows if isinstance(rows, list) else []):
            _refuse_unknown(source, row, kind, table, index)
    try:
        profile = msgspec.convert(source.data, Profile)
    except msgspec.ValidationError as error:
        raise UsageError(f"{path}: {error}", "correct that key") from error
    return check_profile(profile)


def check_profile(profile: Profile) -> Profile:
    """Refuse what cannot be replayed. Raises UsageError."""
    rates = [profile.prefill_rate, profile.decode_rate]
    rates += [
        rate for m in profile.models for rate in (m.prefill_rate, m.decode_rate) if rate
    ]
    if not all(
        isinstance(rate, (int, float)) and 0 < rate < math.inf for rate in rates
    ):
        raise UsageError("a rate must be above zero", "give tokens per second, e.g. 50")
    if not profile.models:
        raise UsageError("the mock server has no model", "add a [[models]] table")
    if profile.mode not in (ECHO, FIXED):
        raise UsageError(
            f"unknown answer mode {profile.mode!r}", f"use {ECHO} or {FIXED}"
        )
    for canned in profile.answers:
        try:
            re.compile(canned.pattern)
        except re.error as error:
            raise UsageError(
                f"the answer pattern {canned.pattern!r} is no regular expression:"
                f" {error}",
                "correct it",
            ) from error
    return profile


def _refuse_unknown(
    source: TomlSource, row: Any, kind: type[Any], *at: str | int
) -> None:
    known = {item.name for item in fields(kind)}
    for key in row if isinstance(row, dict) else ():
        if key not in known:
            raise source.error(
                f"unknown key {key!r}", *at, key, hint=nearest(key, sorted(known))
            )
