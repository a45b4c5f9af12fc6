from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orket.errors import UsageError
from orket.gguf import (
    FILE_TYPES,
    BadGguf,
    hash_file,
    normalise_ftype,
    normalise_tag,
    read_header,
)
from orket.providers.contract import ModelRef
from orket.providers.discover import (
    discover,
    discover_folder,
    discover_server,
    pick_ladder,
    split_name,
)

Q4_K_M, Q8_0 = 15, 7


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def entry(key: str, value: str | int) -> bytes:
    if isinstance(value, str):
        return text(key) + struct.pack("<I", 8) + text(value)
    return text(key) + struct.pack("<II", 4, value)


def gguf(file_type: int | None = Q4_K_M, tensors: int = 2, **extra: str | int) -> bytes:
    """A GGUF header as the format's specification has it, without any weights."""
    entries = [
        entry("general.architecture", "llama"),
        entry("llama.context_length", 4096),
        *(entry(key.replace("__", "."), value) for key, value in extra.items()),
        text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 2) + text("a") * 2,
        text("tokenizer.ggml.scores") + struct.pack("<IIQ", 9, 6, 3) + b"\0" * 12,
    ]
    if file_type is not None:
        entries.append(entry("general.file_type", file_type))
    body = b"".join(entries)
    for number in range(tensors):
        body += text(f"blk.{number}") + struct.pack("<IQQIQ", 2, 10, 30, 12, 0)
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, len(entries)) + body


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_header_is_read(tmp_path):
    header = read_header(write(tmp_path / "a.gguf", gguf() + b"weights"))
    assert (header.architecture, header.quant_tag) == ("llama", "Q4_K_M")
    assert (header.parameters, header.context_tokens) == (600, 4096)
    assert header.file_bytes == len(gguf()) + 7


def test_what_a_header_does_not_say_is_none(tmp_path):
    header = read_header(write(tmp_path / "a.gguf", gguf(file_type=None)))
    assert (header.file_type, header.quant_tag, header.name) == (None, None, None)
    assert read_header(write(tmp_path / "b.gguf", gguf(999))).quant_tag is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a GGUF"),
        (b"hello world", "not a GGUF"),
        (b"GGUF" + struct.pack("<I", 9), "version 9"),
        (gguf()[:60], "ends inside"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + b"\xff" * 8, "without end"),
        (
            b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("k") + struct.pack("<I", 77),
            "type 77",
        ),
    ],
)
def test_what_is_no_gguf_says_why(tmp_path, content, reason):
    with pytest.raises(BadGguf, match=reason):
        read_header(write(tmp_path / "a.gguf", content))


@settings(max_examples=200, suppress_health_check=list(HealthCheck), deadline=None)
@given(st.integers(0, len(gguf())), st.binary(min_size=1, max_size=12))
def test_a_damaged_header_is_read_or_refused(tmp_path, place, wound):
    content = gguf()
    damaged = content[:place] + wound + content[place + len(wound) :]
    path = write(tmp_path / "a.gguf", damaged)
    try:
        header = read_header(path)
    except BadGguf:
        return
    assert header.parameters >= 0


def test_the_hash_is_that_of_the_file_as_it_is_now(tmp_path):
    path = write(tmp_path / "a", b"abc")
    first = hash_file(path)
    assert first == (
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
    write(path, b"abcd")
    assert hash_file(path) != first


@pytest.mark.parametrize("tag", sorted(FILE_TYPES.values()))
def test_every_file_type_is_known_by_its_tag(tag):
    assert normalise_tag(tag.lower().replace("_", "-")) == tag
    assert normalise_ftype(tag) == tag


def test_tags_that_are_no_file_type():
    assert normalise_tag("UD-Q4_K_XL") is None
    assert normalise_tag("AWQ") is None
    assert normalise_tag("") is None


@pytest.mark.parametrize(
    ("name", "model", "tag"),
    [
        ("Llama-3.2-3B-Instruct-Q4_K_M", "Llama-3.2-3B-Instruct", "Q4_K_M"),
        ("llama3.1:8b-instruct-q4_K_M", "llama3.1:8b-instruct", "Q4_K_M"),
        ("gemma-3-4b-it-UD-Q4_K_XL", "gemma-3-4b-it", "UD-Q4_K_XL"),
        ("model.Q5_K_S", "model", "Q5_K_S"),
        ("x-IQ3_XXS", "x", "IQ3_XXS"),
        ("bartowski-Q6_K_L", "bartowski", "Q6_K_L"),
        ("qwen2.5-7b-instruct-awq", "qwen2.5-7b-instruct", "AWQ"),
        ("gpt-oss-20b-MXFP4", "gpt-oss-20b", "MXFP4_MOE"),
        ("Qwen3-4B-4bit", "Qwen3-4B", "4BIT"),
        ("phi-4", "phi-4", None),
        ("Q4_K_M", "Q4_K_M", "Q4_K_M"),
    ],
)
def test_a_name_is_split_into_model_and_quant(name, model, tag):
    assert split_name(name) == (model, tag)


def test_a_folder_becomes_a_ladder(tmp_path):
    write(tmp_path / "m-Q8_0.gguf", gguf(Q8_0) + b"x" * 50)
    write(tmp_path / "deep/m-Q4_K_M.gguf", gguf())
    write(tmp_path / "m-UD-Q4_K_XL.gguf", gguf() + b"x" * 9)
    write(tmp_path / "mmproj.gguf", gguf(general__type="mmproj"))
    write(tmp_path / "vocab.gguf", gguf(tensors=0))
    write(tmp_path / "broken.gguf", b"GGUF")
    write(tmp_path / "notes.txt", b"")
    found = discover_folder(tmp_path)
    assert [(ref.model_id, ref.quant_tag) for ref in found] == [
        ("m", "Q8_0"),
        ("m", "UD-Q4_K_XL"),
        ("m", "Q4_K_M"),
    ]
    assert found[2].path == tmp_path / "deep/m-Q4_K_M.gguf"
    assert discover(tmp_path) == found


def test_the_header_decides_over_a_file_that_is_named_wrongly(tmp_path):
    write(tmp_path / "m-Q8_0.gguf", gguf(Q4_K_M))
    write(tmp_path / "noname.gguf", gguf(None))
    tags = {ref.model_id: ref.quant_tag for ref in discover_folder(tmp_path)}
    assert tags == {"m": "Q4_K_M", "noname": "unknown"}


def test_a_split_file_is_one_model(tmp_path):
    write(tmp_path / "m-Q8_0-00001-of-00002.gguf", gguf(Q8_0))
    write(tmp_path / "m-Q8_0-00002-of-00002.gguf", gguf(Q8_0) + b"x" * 100)
    (ref,) = discover_folder(tmp_path)
    assert (ref.model_id, ref.quant_tag, ref.name) == ("m", "Q8_0", "m-Q8_0")
    assert ref.path == tmp_path / "m-Q8_0-00001-of-00002.gguf"


def test_nothing_to_find_is_said(tmp_path):
    with pytest.raises(UsageError, match="no GGUF"):
        discover_folder(tmp_path)
    with pytest.raises(UsageError, match="no folder"):
        discover_folder(tmp_path / "nowhere")


def test_one_model_has_to_be_chosen():
    found = [ModelRef("a", "Q8_0", "x"), ModelRef("b", "Q4_0", "y")]
    assert pick_ladder(found, "A") == found[:1]
    assert pick_ladder(found[1:]) == found[1:]
    with pytest.raises(UsageError, match="a, b"):
        pick_ladder(found)
    with pytest.raises(UsageError, match="a, b"):
        pick_ladder(found, "c")


def test_a_provider_that_cannot_list_says_so():
    class Silent:
        name = "silent"

    with pytest.raises(UsageError, match="silent"):
        discover_server(Silent())  # type: ignore[arg-type]
