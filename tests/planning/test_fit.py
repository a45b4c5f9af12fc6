from __future__ import annotations

import pytest

from orket.gguf import read_header
from orket.machine.memory import FreeMemory, read_free_memory
from orket.planning.fit import (
    FITS,
    GPU_AND_RAM,
    TOO_LARGE,
    UNKNOWN,
    Need,
    judge_fit,
    kv_cache_bytes,
)
from orket.providers.llamacpp.embedded import DEFAULT_CONTEXT_TOKENS, given_context
from tests.gguf_files import gguf, write
from tests.live import demo_gguf

# Llama 3.1 8B: 32 layers, 8 KV heads of 128, so 128 KiB a token.
LLAMA = {
    "general.architecture": "llama",
    "llama.block_count": 32,
    "llama.embedding_length": 4096,
    "llama.attention.head_count": 32,
    "llama.attention.head_count_kv": 8,
}
GIB = 2**30


def test_the_kv_cache_of_a_known_model():
    assert kv_cache_bytes(LLAMA, 1) == 128 * 1024
    assert kv_cache_bytes(LLAMA, 8192) == GIB


def test_a_model_without_grouped_heads_keeps_all_of_them():
    plain = {k: v for k, v in LLAMA.items() if not k.endswith("_kv")}
    assert kv_cache_bytes(plain, 1) == 4 * 128 * 1024


def test_stated_key_and_value_lengths_go_before_the_width():
    wide = LLAMA | {
        "llama.attention.key_length": 256,
        "llama.attention.value_length": 128,
    }
    assert kv_cache_bytes(wide, 10) == 32 * 8 * (256 + 128) * 10 * 2


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"general.architecture": "llama"},
        # Heads by layer: the header reader keeps no arrays.
        LLAMA | {"llama.attention.head_count_kv": None},
        LLAMA | {"llama.attention.kv_lora_rank": 512},
        LLAMA | {"llama.ssm.state_size": 128},
        LLAMA | {"llama.block_count": "32"},
    ],
)
def test_what_the_metadata_does_not_say_is_unknown(metadata):
    assert kv_cache_bytes(metadata, 4096) is None


def test_the_demo_model_says_what_it_needs():
    header = read_header(demo_gguf("F16"))
    needed = kv_cache_bytes(header.metadata, 512)
    assert needed is not None
    assert 0 < needed < 100 * 2**20


@pytest.mark.parametrize(
    ("weights", "kv", "ram", "gpu", "expected"),
    [
        (4 * GIB, GIB, 8 * GIB, None, FITS),
        (7 * GIB, GIB, 8 * GIB, None, TOO_LARGE),
        # The engine's own buffers: 7.5 + 0.5 are 8, and more is needed.
        (15 * GIB // 2, GIB // 2, 8 * GIB, None, TOO_LARGE),
        (4 * GIB, GIB, 8 * GIB, 6 * GIB, FITS),
        (4 * GIB, GIB, 8 * GIB, 2 * GIB, GPU_AND_RAM),
        (9 * GIB, GIB, 8 * GIB, 6 * GIB, GPU_AND_RAM),
        (19 * GIB, GIB, 8 * GIB, 6 * GIB, TOO_LARGE),
        (None, GIB, 8 * GIB, None, UNKNOWN),
        (4 * GIB, None, 8 * GIB, None, UNKNOWN),
        (4 * GIB, GIB, None, None, UNKNOWN),
    ],
)
def test_what_fits(weights, kv, ram, gpu, expected):
    assert judge_fit(Need(weights, kv, 4096), FreeMemory(ram, gpu)) == expected


def test_this_machine_has_some_memory_free():
    free = read_free_memory()
    assert free.ram_bytes is not None
    assert free.ram_bytes > 0


def test_the_embedded_engine_gives_no_more_than_a_model_was_made_for():
    assert given_context(None, 512) == 512
    assert given_context(None, 131_072) == DEFAULT_CONTEXT_TOKENS
    assert given_context(None, None) == DEFAULT_CONTEXT_TOKENS
    assert given_context(8192, 2048) == 2048
    assert given_context(256, 512) == 256


def test_a_vocabulary_of_bytes_makes_a_token_of_each_byte(tmp_path):
    assert read_header(demo_gguf("Q8_0")).is_bytewise
    pairs = gguf(tokenizer__ggml__model="gpt2")
    assert not read_header(write(tmp_path / "a.gguf", pairs)).is_bytewise
    assert not read_header(write(tmp_path / "b.gguf", gguf())).is_bytewise
