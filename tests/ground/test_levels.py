"""Levels of a quant: read, spelled in one way, and never mistaken for a label."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orket.errors import UsageError
from orket.levels import (
    Level,
    as_label,
    continues_level,
    kv_types,
    spell_level,
    split_level,
    with_level,
    without_level,
)
from orket.quants import (
    canonical_tag,
    find_at_level,
    find_named,
    find_quant,
    kv_bits_milli,
    same_quant,
)


@pytest.mark.parametrize(
    ("tag", "base", "level"),
    [
        ("Q4_K_M", "Q4_K_M", None),
        ("Q8_0@unsloth", "Q8_0@unsloth", None),
        ("Q4_K_M@kv=q8_0", "Q4_K_M", Level("q8_0")),
        ("Q4_K_M@ctx=16k", "Q4_K_M", Level(None, 16_384)),
        ("Q4_K_M@ctx=16384,kv=Q8_0", "Q4_K_M", Level("q8_0", 16_384)),
        ("Q8_0@unsloth@kv=q8_0/f16,ctx=500", "Q8_0@unsloth", Level("q8_0/f16", 500)),
        ("Q4_K_M@kv=f16/f16", "Q4_K_M", Level("f16")),
    ],
)
def test_a_level_is_read(tag, base, level):
    assert split_level(tag) == (base, level)
    assert without_level(tag) == base


def test_a_level_has_one_spelling():
    assert spell_level(" Q4_K_M@ctx=16384, kv=Q8_0/q8_0 ") == "Q4_K_M@kv=q8_0,ctx=16k"
    assert spell_level("Q4_K_M@ctx=1000") == "Q4_K_M@ctx=1000"
    assert canonical_tag("q4_k_m@ctx=8192") == "Q4_K_M@ctx=8k"


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        ("Q4_K_M@kvs=q8_0", "no level is called 'kvs=q8_0'"),
        ("Q4_K_M@kv=q8_0,16k", "no level is called '16k'"),
        ("Q4_K_M@kv=q8_0,kv=f16", "kv stands there twice"),
        ("Q4_K_M@kv=", "'' is no type of a KV cache"),
        ("Q4_K_M@kv=a/b/c", "'a/b/c' is no type of a KV cache"),
        ("Q4_K_M@ctx=0", "'0' is no context"),
        ("Q4_K_M@ctx=16g", "'16g' is no context"),
    ],
)
def test_what_is_no_level_is_refused(tag, said):
    with pytest.raises(UsageError) as refused:
        split_level(tag)
    assert said in str(refused.value)
    # Words of others are never refused: they are compared as they stand.
    assert spell_level(tag) == tag


def test_the_same_quant_at_another_level_is_another():
    assert same_quant("q4_k_m@kv=q8_0", "Q4_K_M@kv=Q8_0")
    assert same_quant("Q4_K_M@ctx=16k", "Q4_K_M@ctx=16384")
    assert not same_quant("Q4_K_M", "Q4_K_M@kv=q8_0")
    assert not same_quant("Q4_K_M@ctx=8k", "Q4_K_M@ctx=16k")
    assert find_quant("Q4_K_M@kv=q8_0") is find_quant("Q4_K_M")


def test_a_name_finds_its_level_and_a_level_its_quant():
    ladder = ["F16", "Q4_K_M", "Q4_K_M@kv=q8_0", "Q8_0@unsloth"]
    assert find_named("q4_k_m", ladder) == ["Q4_K_M"]
    assert find_named("q4_k_m@kv=q8_0", ladder) == ["Q4_K_M@kv=q8_0"]
    assert find_named("Q4_K_M@kv=q4_0", ladder) == []
    assert find_at_level("Q4_K_M@kv=q4_0", ladder) == ["Q4_K_M@kv=q4_0"]
    assert find_at_level("q8_0@ctx=8192", ladder) == ["Q8_0@unsloth@ctx=8k"]
    assert find_at_level("Q2_K@ctx=8k", ladder) == []
    assert find_named("Q4_K_M", ["F16", "Q4_K_M@kv=q8_0"]) == ["Q4_K_M@kv=q8_0"]
    two = ["Q4_K_M@kv=q8_0", "Q4_K_M@kv=q4_0"]
    assert find_named("Q4_K_M", two) == two


def test_a_label_is_no_level():
    assert split_level(f"Q8_0{as_label('kv=q8_0')}") == ("Q8_0@kv-q8_0", None)


def test_a_list_goes_on_with_its_level():
    assert continues_level("ctx=16k")
    assert continues_level("kv=q8_0")
    assert not continues_level("Q4_K_M@kv=q8_0")
    assert not continues_level("threads=4")


def test_bits_of_a_cache():
    assert kv_bits_milli("f16") == 16_000
    assert kv_bits_milli("q8_0") == 8_500
    assert kv_bits_milli("q8_0/q4_0") == 6_500
    assert kv_bits_milli("fp8_e4m3") == 8_000
    assert kv_bits_milli("auto") is None
    assert kv_bits_milli("q8_0/auto") is None
    assert kv_bits_milli(None) is None


@given(
    st.sampled_from(["q8_0", "f16", "q4_0/f16", None]),
    st.one_of(st.none(), st.integers(1, 999_999_999)),
)
def test_what_is_spelled_is_read_again(kv, tokens):
    level = Level(kv, tokens)
    if level == Level():
        return
    tag = with_level("Q4_K_M", level)
    assert split_level(tag) == ("Q4_K_M", level)
    assert kv is None or kv_types(kv)[0] in ("q8_0", "f16", "q4_0")
