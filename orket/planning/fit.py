"""Whether a model fits: its weights and its KV cache against the memory that is free.

The KV cache follows from the model's own metadata (keys of GGUF, which Ollama tells
too): layers x KV heads x (key + value length) x context, each value in the bits of the
type that the cache is kept in. What the metadata does not say is unknown; nothing is
assumed in its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from orket.gguf import BadGguf, GgufHeader, read_header
from orket.levels import PLAIN_KV, kv_types
from orket.machine.memory import FreeMemory
from orket.planning.plan import Plan, starts_llamacpp
from orket.planning.schedule import PlannedModel
from orket.planning.targets import Target
from orket.providers.contract import ModelRef
from orket.providers.registry import EMBEDDED
from orket.quants import kv_type_bits_milli
from orket.records import Controls

SPARE_PPM = 50_000
"""Share of the weights that an engine needs beside them: its compute buffers."""
FITS, GPU_AND_RAM, TOO_LARGE, UNKNOWN = "fits", "in part on the GPU", "too large", "?"

_OTHER_CACHES = ("attention.kv_lora_rank", "ssm.state_size", "wkv.head_size")
"""Keys of models that keep something else, or less, than a plain KV cache."""


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes that one quant takes; None where it is not known."""

    weights_bytes: int | None
    kv_bytes: int | None
    context_tokens: int | None

    @property
    def total_bytes(self) -> int | None:
        """Weights, KV cache and the engine's buffers; None where a part is unknown."""
        if self.weights_bytes is None or self.kv_bytes is None:
            return None
        spare = self.weights_bytes * SPARE_PPM // 1_000_000
        return self.weights_bytes + self.kv_bytes + spare


def kv_cache_bytes(
    metadata: Mapping[str, Any], tokens: int, kv: str = PLAIN_KV
) -> int | None:
    """The KV cache of a model at a context, bytes; None where metadata is silent.

    `kv` is its type, `q8_0/f16` where keys and values differ; one that is not known
    makes the size unknown. A sliding window makes it smaller than this in some models,
    never larger.
    """
    architecture = metadata.get("general.architecture")

    def said(key: str) -> int | None:
        value = metadata.get(f"{architecture}.{key}")
        return value if type(value) is int and value > 0 else None

    if any(said(key) is not None for key in _OTHER_CACHES):
        return None
    layers, heads = said("block_count"), said("attention.head_count")
    kv_key = "attention.head_count_kv"
    is_listed = f"{architecture}.{kv_key}" in metadata
    kv_heads = said(kv_key) if is_listed else heads
    width = said("embedding_length")
    head = width // heads if width is not None and heads is not None else None
    key_length = said("attention.key_length") or head
    value_length = said("attention.value_length") or head
    bits = [kv_type_bits_milli(each) for each in kv_types(kv)]
    if None in (layers, kv_heads, key_length, value_length, *bits):
        return None
    assert layers and kv_heads and key_length and value_length and bits[0] and bits[1]
    token_bits = layers * kv_heads * (key_length * bits[0] + value_length * bits[1])
    return token_bits * tokens // 8000


def trained_context(target: Target) -> int | None:
    """The context that a model was made for, by its file; None where it is silent."""
    header = header_of(target)
    return header.context_tokens or None if header else None


def header_of(target: Target) -> GgufHeader | None:
    """What the file of a target says of itself; None where it cannot be read.

    Why it cannot be is told by the target itself.
    """
    if target.ref.path is None:
        return None
    try:
        state = target.ref.path.stat()
        return _read_header(target.ref.path, state.st_size, state.st_mtime_ns)
    except (BadGguf, OSError):
        return None


def fault_of(target: Target) -> str | None:
    """Why the file of a target is no whole model; None where it is, or has no file."""
    from orket.providers.gguf_folder import fault_of_parts

    path = target.ref.path
    if path is None:
        return None
    try:
        state = path.stat()
        header = _read_header(path, state.st_size, state.st_mtime_ns)
    except BadGguf as error:
        return str(error)
    except OSError as error:
        return error.strerror or str(error)
    return fault_of_parts(path, header)


@lru_cache(maxsize=64)
def _read_header(path: Path, size: int, mtime_ns: int) -> GgufHeader:
    """The header of one state of a file: a long vocabulary takes a while to read."""
    return read_header(path)


def judge_fit(need: Need, free: FreeMemory) -> str:
    """FITS, GPU_AND_RAM, TOO_LARGE or UNKNOWN for one quant alone on this machine."""
    total = need.total_bytes
    if total is None or free.ram_bytes is None:
        return UNKNOWN
    if free.gpu_bytes is not None and total <= free.gpu_bytes:
        return FITS
    if total <= free.ram_bytes:
        return FITS if free.gpu_bytes is None else GPU_AND_RAM
    if free.gpu_bytes is not None and total <= free.gpu_bytes + free.ram_bytes:
        return GPU_AND_RAM
    return TOO_LARGE


def find_needs(plan: Plan) -> dict[ModelRef, Need]:
    """What each quant takes that Orket starts here; servers know their own."""
    if not starts_llamacpp(plan.server):
        return {}
    return {
        target.ref: _read_need(target, model.controls_of(target))
        for model in plan.models
        for target in model.targets
        if target.ref.path is not None
    }


def context_of(plan: Plan, model: PlannedModel, target: Target) -> int | None:
    """Tokens of context that a quant of the plan gets; None: as its server likes."""
    asked = model.controls_of(target).context_tokens
    if plan.server.provider != EMBEDDED:
        # None: the server's own; nothing is known of it before it is asked.
        return asked
    from orket.providers.llamacpp.embedded import given_context

    return given_context(asked, trained_context(target))


def _read_need(target: Target, controls: Controls) -> Need:
    from orket.providers.llamacpp.embedded import given_context

    tokens, header = controls.context_tokens, header_of(target)
    if target.command is None:
        tokens = given_context(tokens, header.context_tokens if header else None)
    if tokens is None or header is None:
        # None: the server's own; nothing is known of it before it is asked.
        return Need(target.model_bytes, None, tokens)
    kv = kv_cache_bytes(header.metadata, tokens, controls.kv_cache or PLAIN_KV)
    return Need(target.model_bytes, kv, tokens)
