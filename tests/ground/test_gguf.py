from __future__ import annotations

import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orket.gguf import BadGguf, file_parts, hash_file, part_number, read_header
from tests.fuzzing import examples
from tests.gguf_files import F32, MXFP4, entry, gguf, text, write


def test_a_header_is_read(tmp_path):
    header = read_header(write(tmp_path / "a.gguf", gguf() + b"padding"))
    assert (header.architecture, header.quant_tag) == ("llama", "Q4_K_M")
    assert (header.parameters, header.context_tokens) == (640, 4096)
    assert header.file_bytes == len(gguf()) + 7
    assert header.tensor_types == (("F32", 2),)
    assert not header.is_cut_short


@pytest.mark.parametrize("kind", [F32, MXFP4, 8, 2])
def test_a_file_that_ends_before_its_weights_do_is_cut_short(tmp_path, kind):
    whole = gguf(kind=kind, tensors=3)
    # The last tensor may go without the bytes that align what would follow it.
    needed = read_header(write(tmp_path / "whole.gguf", whole)).whole_bytes
    assert len(whole) - 32 < needed <= len(whole)
    cut = read_header(write(tmp_path / "cut.gguf", whole[: needed - 1]))
    assert cut.is_cut_short
    assert not read_header(write(tmp_path / "b.gguf", whole[:needed])).is_cut_short


def test_the_parts_of_a_file_keep_the_spelling_of_its_name(tmp_path):
    first = tmp_path / "M-00001-OF-00003.GGUF"
    assert [part.name for part in file_parts(first)] == [
        f"M-0000{number}-OF-00003.GGUF" for number in (1, 2, 3)
    ]
    assert part_number(tmp_path / "m-00002-of-00003.gguf") == (2, 3)
    assert part_number(tmp_path / "m.gguf") is None


def test_what_a_header_does_not_say_is_none(tmp_path):
    header = read_header(write(tmp_path / "a.gguf", gguf(file_type=None)))
    assert (header.file_type, header.quant_tag, header.name) == (None, None, None)
    assert read_header(write(tmp_path / "b.gguf", gguf(999))).quant_tag is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"<!doctype html>\n<html>", "an HTML page"),
        (b"  <html lang=en>", "an HTML page"),
        (b'{"error": "gated repo"}', "a JSON text"),
        (b"version https://git-lfs.github.com/spec/v1", "pointer of Git LFS"),
        (b"tjgg" + b"\x03\0\0\0", "an older GGML format"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b'\x20\0\0\0\0\0\0\0{"__metadata__', "a safetensors file"),
        (b"\0" * 100, "nothing but zeros"),
        (b"GGUF" + struct.pack(">IQQ", 3, 1, 1), "big-endian"),
        (
            b"GGUF"
            + struct.pack("<IQQ", 3, 1, 0)
            + text("t")
            + struct.pack("<IQQIQ", 2, 2**40, 2**40, 0, 0),
            "more weights than any model",
        ),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 2) + entry("a", 1) * 2, "says a twice"),
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


@settings(
    max_examples=examples(200), suppress_health_check=list(HealthCheck), deadline=None
)
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
