"""The names of quants: one meaning per name, whoever spells it."""

from __future__ import annotations

import re
import tomllib
from decimal import Decimal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from orket import quants
from orket.quants import (
    canonical_tag,
    catalogue,
    distinctions,
    file_quant,
    find_quant,
    finer,
    is_coarser,
    ollama_spelling,
    quant_of_file_type,
    quant_of_words,
    same_quant,
    split_described,
    split_name,
    tensor_type,
)
from orket.resources import shipped

MODELS = (
    "Llama-3.2-3B-Instruct",
    "Qwen2.5-7B-Instruct-1M",
    "phi-4",
    "Mistral-7B-v0.3",
    "gemma-3-4b-it-qat",
    "Mixtral-8x7B",
    "Qwen3-30B-A3B",
    "Phi-3-mini-128k",
    "Qwen3-4B-2507",
    "gemma-3n-E4B",
    "faq8",
    "My_Model",
    "hf.co/org/X-GGUF",
)
TEXT = (shipped("presets") / "quants.toml").read_text(encoding="utf-8")
NAMES = [
    (entry["key"], name)
    for entry in tomllib.loads(TEXT)["quants"]
    for name in (entry["key"], *entry.get("aliases", ()), *entry.get("dtypes", ()))
]
SEPARATORS = ("_", "-", ".", " ", "")


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
        ("half", "F16"),
        ("bf16", "BF16"),
        ("iq3_xxs", "IQ3_XXS"),
        ("tq1_0", "TQ1_0"),
        ("ud-q4_k_xl", "UD-Q4_K_XL"),
        ("mxfp4_moe", "MXFP4_MOE"),
        ("mxfp4", "MXFP4"),
        ("awq", "AWQ"),
        ("gptq-int4", "GPTQ"),
        ("GPTQ-Int8", "GPTQ-INT8"),
        ("fp8", "FP8"),
        ("int8", "INT8"),
        ("i1-Q4_K_M", "Q4_K_M"),
        ("Q8_0@publisher", "Q8_0"),
    ],
)
def test_spellings_mean_one_entry(written, key):
    found = find_quant(written)
    assert found is not None
    assert found.key == key


@pytest.mark.parametrize("written", ["", "Q9_Z", "latest", "Q4_K_MM", "UD-IQ3_M"])
def test_unknown_tag_is_none(written):
    assert find_quant(written) is None


def test_order_follows_nominal_bits():
    entries = catalogue()
    assert [entry.order for entry in entries] == list(range(1, len(entries) + 1))
    bits = [entry.nominal_bpw_milli for entry in entries]
    assert bits == sorted(bits)


def test_keys_and_file_types_are_unique():
    keys = [entry.key for entry in catalogue()]
    types = [entry.file_type for entry in catalogue() if entry.file_type is not None]
    assert len(keys) == len(set(keys))
    assert len(types) == len(set(types))


@settings(max_examples=1500, deadline=None)
@given(
    st.sampled_from(NAMES),
    st.sampled_from(MODELS),
    st.sampled_from(SEPARATORS),
    st.sampled_from((str, str.upper, str.lower, str.title)),
    st.sampled_from("-_.:@/ "),
    st.sampled_from(("", ".gguf", ".GGUF", "-00001-of-00003.gguf", "-00002-of-00003")),
)
def test_every_name_is_read_in_any_case_with_any_separator(
    named, model, separator, case, joint, ending
):
    key, name = named
    spelled = case(re.sub("[-_. ]+", separator, name))
    # A number goes on behind its point: 4.3bit is no 3bit of a model 4.
    assume(not (joint == "." and model[-1].isdigit() and spelled[0].isdigit()))
    assert split_name(f"{model}{joint}{spelled}{ending}") == (model, key)


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(MODELS),
    st.from_regex(r"[A-Z]?[IT]?Q[0-9]{1,2}(_[A-Z0-9]{1,9}){1,4}", fullmatch=True),
    st.sampled_from((str, str.lower)),
    st.sampled_from("-.:@/ "),
)
def test_a_quant_of_tomorrow_stays_whole(model, tag, case, joint):
    words = ("GGUF", "IMAT", "CHAT", "BASE", "INST", "IT", "HF", "MTP", "MLX", "VL")
    if any(part in words or re.fullmatch(r"V\d+", part) for part in tag.split("_")):
        return
    found_model, found = split_name(f"{model}{joint}{case(tag)}")
    known = find_quant(tag)
    assert found_model == model
    assert found == (known.key if known else case(tag))


@pytest.mark.parametrize(
    "tag",
    [
        "PQ2_0",
        "Q2_0_g64",
        "Q2_0_g64x128",
        "Q4_0_4_8",
        "IQ9_XXL",
        "Q5_K_HQ",
        "Q4_TURBO",
        "Q6_K_R4",
        "IQ4_KSS",
        "UD-IQ3_M",
        "i1-IQ9_Z",
        "AWQ-4bit-128g",
        "GPTQ-4bit-32g",
        "unsloth-bnb-4bit",
        "4bit-DWQ",
        "EXL2",
        "EXL3",
        "exl2-4.65bpw",
        "4.0bpw-h6-exl2",
        "exl3:4.0bpw",
        "2.5bpw",
        "1.58bit",
        "MXFP6_E2M3",
        "NVFP4A16",
        "W4A8",
        "INT4_SYM",
        "mxfp4-q8",
        "F16-Q8_0",
        "i2_s",
        "Q2_K_M",
        "TQ3_1S",
        "NF3",
        "HQQ-4bit",
        "q5-k-hq",
        "oQ4",
        "FP8-KV",
        "FP8-block",
        "FP8_E5M2",
        "W8A8-FP8-Dynamic-Per-Token",
        "W4AFP8",
        "GPTQ-4b-128g",
        "GPTQ-Int4-Int8Mix",
        "AQLM-2Bit-1x16",
        "4bitgs64",
        "6bit-gs32",
        "OptiQ-4bit",
        "TurboQuant-4bit",
        "int4-AutoRound",
        "auto-round-int4",
        "8da4w",
        "int4wo",
        "float8dq",
        "BF16_R16",
        "F16_g32",
        "NF4_R4",
        "AWQ_R4",
        "MLX-4bit_g32",
        "GPTQv2",
        "QuIP-3bit",
        "autoround-w4g128",
        "MXFP4X",
        "INT4X",
        "BF162",
    ],
)
def test_a_quant_that_no_entry_knows_is_never_cut_nor_its_neighbour(tag):
    assert find_quant(tag) is None
    for model in ("Some-Model-8B", "org/Model-v0.3"):
        assert split_name(f"{model}-{tag}") == (model, tag)


@pytest.mark.parametrize(
    ("name", "model", "tag"),
    [
        ("Llama-3.2-3B-Instruct-Q4_K_M", "Llama-3.2-3B-Instruct", "Q4_K_M"),
        ("llama3.1:8b-instruct-q4_K_M", "llama3.1:8b-instruct", "Q4_K_M"),
        ("gemma-3-4b-it-UD-Q4_K_XL", "gemma-3-4b-it", "UD-Q4_K_XL"),
        ("model.Q5_K_S", "model", "Q5_K_S"),
        ("x-IQ3_XXS", "x", "IQ3_XXS"),
        ("Model.i1-Q4_K_M.gguf", "Model", "i1-Q4_K_M"),
        ("bartowski-Q6_K_L", "bartowski", "Q6_K_L"),
        ("qwen2.5-7b-instruct-awq", "qwen2.5-7b-instruct", "AWQ"),
        ("gpt-oss-20b-MXFP4", "gpt-oss-20b", "MXFP4"),
        ("Qwen3-4B-4bit", "Qwen3-4B", "MLX-4BIT"),
        ("Qwen3-4B-MLX-8bit", "Qwen3-4B", "MLX-8BIT"),
        ("qwen3-4b@q4_k_m", "qwen3-4b", "Q4_K_M"),
        ("Qwen3-4B-Q8_0-GGUF", "Qwen3-4B-GGUF", "Q8_0"),
        ("Model (Q8_0)", "Model", "Q8_0"),
        ("[Q8_0] Model", "Model", "Q8_0"),
        ("Model (v2)-Q8_0", "Model (v2)", "Q8_0"),
        ("Model-Q8_0 (1).gguf", "Model", "Q8_0"),
        ("Model-6.5bit", "Model", "6.5bit"),
        ("Model-v1.5-4bit", "Model-v1.5", "MLX-4BIT"),
        ("Llama-3.2-1B-q4f16_1-MLC", "Llama-3.2-1B-MLC", "q4f16_1"),
        ("Llama-3.2-1B-q0f32", "Llama-3.2-1B", "q0f32"),
        ("Q4-model-Q8_0", "Q4-model", "Q8_0"),
        ("model-q8", "model", "q8"),
        ("model-half", "model", "F16"),
        ("Q4_K_M", "Q4_K_M", "Q4_K_M"),
        ("Model-F16_7B", "Model_7B", "F16"),
        ("Model-BF16_v2", "Model_v2", "BF16"),
        ("Model-FP16_it", "Model_it", "F16"),
        ("phi-4", "phi-4", None),
        ("My-Half-Life-7B", "My-Half-Life-7B", None),
        ("LLaMA-Q8-chat-7b", "LLaMA-Q8-chat-7b", None),
        ("t5_seq2seq_base", "t5_seq2seq_base", None),
        ("Q2.5-Some-14B", "Q2.5-Some-14B", None),
        ("Q25-1.5B-Some", "Q25-1.5B-Some", None),
        ("Q3-8B-Some", "Q3-8B-Some", None),
        ("Some-Q-Former", "Some-Q-Former", None),
        ("Some-7B-unquantized", "Some-7B-unquantized", None),
        ("Some-7B-dequant", "Some-7B-dequant", None),
        ("Model.Q6_K.llamafile", "Model", "Q6_K"),
        ("Model.i1-Q6_K.gguf.part1of2", "Model", "i1-Q6_K"),
        ("Model-F8_E4M3", "Model", "FP8"),
        ("Model-AWQ-GEMM", "Model", "AWQ"),
        ("report-2024-Q3", "report-2024-Q3", None),
        ("Flash-55IQ2_XXS-34Q2_K-03F16", "Flash-55IQ2_XXS-34Q2_K-03F16", None),
    ],
)
def test_a_name_is_split_into_model_and_quant(name, model, tag):
    assert split_name(name) == (model, tag)


@pytest.mark.parametrize("model", MODELS)
def test_a_model_without_a_quant_has_none(model):
    assert split_name(model) == (model, None)


@pytest.mark.parametrize(
    ("named", "held", "both"),
    [
        ("Q4_K_M", "Q4_K_M", "Q4_K_M"),
        ("q4_k_m", "Q4_K - Medium", "Q4_K_M"),
        # Nobody says, or one does.
        (None, "Q4_0", "Q4_0"),
        ("Q4_0", "unknown", "Q4_0"),
        (None, None, "unknown"),
        # A mix goes by a plainer type in the file itself, never the other way.
        ("UD-Q2_K_XL", "Q4_K_M", "UD-Q2_K_XL"),
        ("UD-Q4_K_XL", "MXFP4_MOE", "UD-Q4_K_XL"),
        ("Q4_K_M", "UD-Q4_K_XL", None),
        # A quant of tomorrow as well.
        ("PQ2_0", "Q2_0", "PQ2_0"),
        ("Q2_0_g64", "Q2_0", "Q2_0_g64"),
        ("Q2_0", "Q2_0_g64", None),
        ("4bit-DWQ", "4bit", "4bit-DWQ"),
        # An edition of the same blocks.
        ("i1-Q4_K_M", "Q4_K_M", "i1-Q4_K_M"),
        ("i1-Q4_K_M", "Q4_K_S", None),
        # A coarse word, on either side.
        ("MXFP4", "MXFP4_MOE", "MXFP4_MOE"),
        ("MXFP4_MOE", "MXFP4", "MXFP4_MOE"),
        ("q8", "Q8_0", "Q8_0"),
        ("Q4", "Q8_0", None),
        ("Q8_0", "Q4_K_M", None),
        ("Q4_K_M", "Q4_K_S", None),
        ("AWQ", "Q4_K_M", None),
        ("4bit", "8bit", None),
        ("UD-Q4_K_XL", "4bit", None),
        ("F16", "BF16", None),
        ("Q2_K", "Q2_K_S", None),
    ],
)
def test_the_finer_of_two_that_agree_wins_and_contradictions_have_none(
    named, held, both
):
    assert finer(named, held) == both


def test_a_word_of_other_servers_says_in_a_file_how_many_bits_there_are():
    assert file_quant("MLX-4BIT", "Q4_K_M") == "Q4_K_M"
    assert file_quant("INT8", "Q8_0") == "Q8_0"
    assert file_quant("INT8", "Q4_0") is None
    assert file_quant("Q4_0", "Q4_K_M") is None
    assert file_quant("MXFP4", "Q4_0") is None


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(catalogue()), st.sampled_from(catalogue()))
def test_what_is_finer_agrees_with_both(one, other):
    both = finer(one.key, other.key)
    assert both in (one.key, other.key, None)
    if both is not None:
        assert finer(both, one.key) == both or finer(one.key, both) == both
    if one is other:
        assert both == one.key
    elif one.file_type is not None and other.file_type is not None:
        assert both is None


@pytest.mark.parametrize(
    ("words", "tag"),
    [
        ("all F32", "F32"),
        ("Q2_K - Small", "Q2_K_S"),
        ("Q2_K - Medium", "Q2_K"),
        ("MXFP4 MoE", "MXFP4_MOE"),
        ("IQ3_S mix - 3.66 bpw", "IQ3_M"),
        ("TQ1_0 - 1.69 bpw ternary", "TQ1_0"),
        ("IQ4_NL - 4.5 bpw", "IQ4_NL"),
        ("Q4_K - Medium (guessed)", None),
        ("unknown, may not work", None),
        ("UD-Q4_K_XL", None),
        ("AWQ", None),
        (None, None),
    ],
)
def test_the_words_of_a_file_type_are_its_tag(words, tag):
    assert quant_of_words(words) == tag


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("llama 7B mostly Q4_0", ("llama 7B", "Q4_0")),
        ("llama ?B Q4_K - Medium", ("llama ?B", "Q4_K_M")),
        ("qwen2 7B Q2_K - Medium", ("qwen2 7B", "Q2_K")),
        ("llama 8B IQ4_NL - 4.5 bpw", ("llama 8B", "IQ4_NL")),
        ("gpt-oss 20B MXFP4 MoE", ("gpt-oss 20B", "MXFP4_MOE")),
    ],
)
def test_a_description_of_llama_cpp_is_split(said, expected):
    assert split_described(said) == expected


def test_every_file_type_has_a_tag_that_leads_back_to_it():
    numbered = [quant for quant in catalogue() if quant.file_type is not None]
    assert len(numbered) > 30
    for quant in numbered:
        assert quant_of_file_type(quant.file_type) == quant.key
        assert quant_of_words(quant.key.lower().replace("_", "-")) == quant.key
    assert quant_of_file_type(999) is None
    assert quant_of_file_type(None) is None


def test_a_type_of_tensors_has_its_size():
    stored = tensor_type(12)
    assert (stored.name, stored.block_weights, stored.block_bytes) == ("Q4_K", 256, 144)
    assert tensor_type(77).name == "type 77"


def test_ollama_spells_in_its_own_way():
    assert ollama_spelling("Q4_K_M") == "q4_K_M"
    assert ollama_spelling("FP16") == "fp16"
    assert ollama_spelling("MXFP4_MOE") == "mxfp4"
    for quant in catalogue():
        assert same_quant(ollama_spelling(quant.key), quant.key) or is_coarser(
            ollama_spelling(quant.key), quant.key
        )


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("q4_K_M", "Q4_K_M"),
        ("Q4_K - Medium", "Q4_K_M"),
        ("fp16", "F16"),
        ("I1-q4_k_m", "i1-Q4_K_M"),
        ("something-new", "something-new"),
        ("Q8_0@other", "Q8_0@other"),
        ("unknown", None),
        ("", None),
        (None, None),
    ],
)
def test_one_spelling_for_each_quant(name, plain):
    assert canonical_tag(name) == plain


def test_labels_and_editions_make_other_quants():
    assert same_quant("q8_0", "Q8-0")
    assert not same_quant("Q8_0", "Q8_0@unsloth")
    assert not same_quant("Q4_K_M", "i1-Q4_K_M")
    assert same_quant("PQ2_0", "pq2_0")


@pytest.mark.parametrize(
    ("places", "labels"),
    [
        (["a/x/m.gguf", "b/x/m.gguf"], ["a", "b"]),
        (["p/x1/m.gguf", "p/x2/m.gguf"], ["x1", "x2"]),
        (["d/m-A.gguf", "d/m-B.gguf"], ["m-A", "m-B"]),
        (["a/x/m", "a/y/m", "b/x/m"], ["a/x/m", "a/y/m", "b/x/m"]),
        (["a:1", "a:1"], ["a:1#1", "a:1#2"]),
    ],
)
def test_places_are_told_apart_by_one_part(places, labels):
    assert distinctions(places) == labels


def test_a_new_quant_needs_no_more_than_its_entry(tmp_path, monkeypatch):
    more = (
        '\n[[quants]]\nkey = "ZQ7_9"\nfamily = "z-quant"\nbits = 40.5\n'
        'basis = "model"\naliases = ["ZUPER"]\nfile_type = 77\nollama = "zuper"\n'
    )
    (tmp_path / "quants.toml").write_text(TEXT + more, encoding="utf-8")
    monkeypatch.setattr(quants, "shipped", lambda name: tmp_path)
    quants._names.cache_clear()
    try:
        assert split_name("Some-Model-zq7-9.gguf") == ("Some-Model", "ZQ7_9")
        assert split_name("Some-Model-Zuper") == ("Some-Model", "ZQ7_9")
        assert quant_of_file_type(77) == "ZQ7_9"
        assert quant_of_words("ZQ7_9 - 40.5 bpw") == "ZQ7_9"
        assert ollama_spelling("ZQ7_9") == "zuper"
        found = find_quant("zq7.9")
        assert found is not None
        assert (found.order, found.nominal_bpw_milli) == (len(catalogue()), 40_500)
    finally:
        quants._names.cache_clear()


def test_a_name_that_two_entries_claim_is_refused():
    twice = '\n[[quants]]\nkey = "q8-0"\nfamily = "x"\nbits = 9\nbasis = "model"\n'
    with pytest.raises(ValueError, match="q8-0"):
        quants._Names(tomllib.loads(TEXT + twice, parse_float=Decimal))
