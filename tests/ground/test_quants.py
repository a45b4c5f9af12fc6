"""The quant catalogue: one meaning per tag, in one order of precision."""

from __future__ import annotations

import pytest

from orket.quants import catalogue, find_quant


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("Q4_K_M", "Q4_K_M"),
        ("q4_k_m", "Q4_K_M"),
        ("q4-k-m", "Q4_K_M"),
        ("Q4KM", "Q4_K_M"),
        ("Q4_K - Medium", "Q4_K_M"),
        ("Q4_K", "Q4_K_M"),
        ("fp16", "F16"),
        ("bf16", "BF16"),
        ("iq3_xxs", "IQ3_XXS"),
        ("tq1_0", "TQ1_0"),
        ("ud-q4_k_xl", "UD-Q4_K_XL"),
        ("mxfp4_moe", "MXFP4"),
        ("awq", "AWQ"),
        ("gptq-int4", "GPTQ"),
        ("GPTQ-Int8", "GPTQ-INT8"),
        ("fp8", "FP8"),
        ("int8", "INT8"),
    ],
)
def test_spellings_mean_one_entry(written, key):
    found = find_quant(written)
    assert found is not None
    assert found.key == key


@pytest.mark.parametrize("written", ["", "Q9_Z", "latest", "Q4_K_MM"])
def test_unknown_tag_is_none(written):
    assert find_quant(written) is None


def test_order_follows_nominal_bits():
    entries = catalogue()
    assert [entry.order for entry in entries] == list(range(1, len(entries) + 1))
    bits = [entry.nominal_bpw_milli for entry in entries]
    assert bits == sorted(bits)


def test_keys_are_unique():
    keys = [entry.key for entry in catalogue()]
    assert len(keys) == len(set(keys))


def test_every_file_type_of_gguf_is_known():
    from orket.gguf import FILE_TYPES

    unknown = [tag for tag in FILE_TYPES.values() if find_quant(tag) is None]
    assert unknown == []
