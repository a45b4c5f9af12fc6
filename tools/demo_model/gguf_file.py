# mypy: disable-error-code="import-not-found"
"""What every file of the ladder says about itself, and how it is written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Quant

NAME = "orket-demo"
LICENSE = "mit"
DESCRIPTION = (
    "Tiny byte-level llama trained from scratch on synthetic logic, refactor and "
    "mixed tasks. For demonstrations and tests; its channels were rescaled so that "
    "low-bit quantization hurts it visibly."
)
CHAT_TEMPLATE = (
    "{%- for m in messages -%}"
    "{%- if m['role'] == 'user' -%}<|user|>{{ m['content'] }}"
    "{%- elif m['role'] == 'assistant' -%}<|assistant|>{{ m['content'] }}<eos>"
    "{%- endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}"
)
SPECIALS = ("<bos>", "<eos>", "<pad>", "<|user|>", "<|assistant|>")
RESERVED = ("<r0>", "<r1>", "<r2>")
BOS, EOS, PAD = 256, 257, 258

Tensors = Mapping[str, tuple[np.ndarray, Quant]]


def byte_characters() -> list[str]:
    """Return the character that stands for each byte in GPT-2 vocabularies.

    Printable bytes stand for themselves, the others for characters from 256 on.
    """
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    shifted = iter(range(256, 512))
    return [chr(b) if b in printable else chr(next(shifted)) for b in range(256)]


def add_tokenizer(writer: gguf.GGUFWriter) -> None:
    """Declare one token per byte, the special tokens and the chat template."""
    characters = byte_characters()
    types = [gguf.TokenType.NORMAL] * len(characters)
    types += [gguf.TokenType.CONTROL] * len(SPECIALS)
    types += [gguf.TokenType.UNUSED] * len(RESERVED)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([*characters, *SPECIALS, *RESERVED])
    writer.add_token_types(types)
    # llama.cpp insists on merges and gguf on a list that is not empty: this one
    # joins two NUL bytes into a token that does not exist, so it never applies.
    writer.add_token_merges([f"{characters[0]} {characters[0]}"])
    writer.add_bos_token_id(BOS)
    writer.add_eos_token_id(EOS)
    writer.add_pad_token_id(PAD)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)


def add_shape(writer: gguf.GGUFWriter, tensors: Tensors) -> None:
    """Declare the sizes, read from the tensors where they can be."""
    layers = sum(name.endswith("attn_q.weight") for name in tensors)
    vocabulary = tensors["token_embd.weight"][0].shape[0]
    writer.add_context_length(512)
    writer.add_embedding_length(tensors["output_norm.weight"][0].shape[0])
    writer.add_block_count(layers)
    writer.add_feed_forward_length(tensors["blk.0.ffn_up.weight"][0].shape[0])
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_key_length(64)
    writer.add_value_length(64)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(64)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(vocabulary)


def write(path: Path, tensors: Tensors, file_type: gguf.LlamaFileType) -> None:
    """Write one file of the ladder."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type("model")
    writer.add_name(NAME)
    writer.add_description(DESCRIPTION)
    writer.add_license(LICENSE)
    add_shape(writer, tensors)
    add_tokenizer(writer)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_file_type(file_type)
    for name, (data, quant) in tensors.items():
        writer.add_tensor(name, data, raw_dtype=quant)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
