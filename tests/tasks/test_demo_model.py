"""The shipped demo ladder and its task bank keep what the model card promises."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import struct
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.places import ROOT
from tools.demo_model import gates
from tools.demo_model.generator import is_held_out, training_batch
from tools.demo_model.grading import passes_all
from tools.demo_model.write_bank import bank_text

LADDER = ROOT / "presets" / "models" / "orket-demo"
BANK = ROOT / "presets" / "tasks" / "quickstart.toml"

# The file type that llama.cpp writes for each quant (llama_ftype).
FILE_TYPES = {
    "F16": 1,
    "Q8_0": 7,
    "Q6_K": 18,
    "Q5_K_M": 17,
    "Q4_K_M": 15,
    "IQ4_XS": 30,
    "Q3_K_M": 12,
    "Q3_K_S": 11,
    "Q2_K": 10,
}
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q"}
STRING, ARRAY = 8, 9


def model_path(quant: str) -> Path:
    return LADDER / f"orket-demo-{quant}.gguf"


def read_value(file: io.BufferedIOBase, kind: int) -> Any:
    """Read one metadata value of a GGUF file."""
    if kind == STRING:
        (length,) = struct.unpack("<Q", file.read(8))
        return file.read(length).decode()
    if kind == ARRAY:
        inner, count = struct.unpack("<IQ", file.read(12))
        return [read_value(file, inner) for _ in range(count)]
    form = "<" + SCALARS[kind]
    return struct.unpack(form, file.read(struct.calcsize(form)))[0]


def read_header(path: Path) -> tuple[bytes, int, int, dict[str, Any]]:
    """Return magic, version, number of tensors and metadata of a GGUF file."""
    with path.open("rb") as file:
        magic = file.read(4)
        version, tensors, keys = struct.unpack("<IQQ", file.read(20))
        metadata = {}
        for _ in range(keys):
            key = read_value(file, STRING)
            (kind,) = struct.unpack("<I", file.read(4))
            metadata[key] = read_value(file, kind)
    return magic, version, tensors, metadata


@pytest.fixture(scope="module")
def tasks() -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = tomllib.loads(BANK.read_text())["tasks"]
    return loaded


def test_every_file_has_its_recorded_hash() -> None:
    lines = (LADDER / "SHA256SUMS").read_text().splitlines()
    recorded = {name: digest for digest, name in (line.split("  ") for line in lines)}
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in LADDER.glob("*.gguf")
    }
    assert found == recorded


def test_the_ladder_is_complete_and_small() -> None:
    files = {path.name: path.stat().st_size for path in LADDER.glob("*.gguf")}
    assert set(files) == {model_path(quant).name for quant in FILE_TYPES}
    assert sum(files.values()) <= 16_000_000
    sizes = [files[model_path(quant).name] for quant in FILE_TYPES]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("quant", FILE_TYPES)
def test_the_header_says_what_the_file_is(quant: str) -> None:
    magic, version, tensors, metadata = read_header(model_path(quant))
    assert (magic, version, tensors) == (b"GGUF", 3, 30)
    assert metadata["general.architecture"] == "llama"
    assert metadata["general.name"] == "orket-demo"
    assert metadata["general.license"] == "mit"
    assert metadata["general.file_type"] == FILE_TYPES[quant]
    assert metadata["llama.context_length"] == 512
    assert len(metadata["tokenizer.ggml.tokens"]) == metadata["llama.vocab_size"]
    assert "<|assistant|>" in metadata["tokenizer.chat_template"]


def test_the_bank_is_large_enough_in_every_bucket(tasks: list[dict[str, Any]]) -> None:
    buckets = Counter(task["bucket"] for task in tasks)
    assert set(buckets) == {"logic", "refactor", "mixed"}
    assert min(buckets.values()) >= 60
    assert len(tasks) >= 180
    assert len({task["id"] for task in tasks}) == len(tasks)
    assert len({task["prompt"] for task in tasks}) == len(tasks)


def test_every_bucket_has_answers_long_enough_to_time(
    tasks: list[dict[str, Any]],
) -> None:
    long = Counter(
        task["bucket"]
        for task in tasks
        # One byte is one token of this model.
        if len(task["samples"]["pass"][0].encode()) >= 40
    )
    assert min(long[bucket] for bucket in ("logic", "refactor", "mixed")) >= 20


def test_every_sample_is_judged_as_the_bank_says(
    tasks: list[dict[str, Any]],
) -> None:
    for task in tasks:
        right, wrong = task["samples"]["pass"], task["samples"]["fail"]
        assert right and len(wrong) >= 2, task["id"]
        for answer in right:
            assert passes_all(answer, task["checks"]), (task["id"], answer)
            assert len(answer.encode()) < task["max_tokens"], task["id"]
        for answer in wrong:
            assert not passes_all(answer, task["checks"]), (task["id"], answer)


def test_the_bank_holds_only_prompts_never_trained_on(
    tasks: list[dict[str, Any]],
) -> None:
    assert all(is_held_out(task["prompt"]) for task in tasks)


def test_training_batches_leave_the_hold_out_alone() -> None:
    batches = [training_batch(1, step, 64) for step in range(5)]
    prompts = [example.prompt for batch in batches for example in batch]
    assert not any(is_held_out(prompt) for prompt in prompts)


def test_the_bank_is_what_its_writer_writes() -> None:
    assert bank_text() == BANK.read_text(), (
        "run: python -m tools.demo_model.write_bank presets/tasks/quickstart.toml"
    )


@pytest.mark.live
def test_the_ends_of_the_ladder_keep_the_gates(
    tasks: list[dict[str, Any]],
) -> None:
    if importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("the embedded engine is not installed")
    ends = ("F16", "Q2_K")
    table = {q: gates.measure(model_path(q), tasks, "bucket") for q in ends}
    assert gates.failures({}, table) == []
