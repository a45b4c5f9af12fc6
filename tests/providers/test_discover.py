"""Ladders from folders and servers: nothing that is found vanishes."""

from __future__ import annotations

import os
import struct
from dataclasses import replace

import pytest

from orket.errors import UsageError
from orket.providers.contract import ModelRef
from orket.providers.discover import (
    discover,
    discover_server,
    pick_ladder,
    tell_apart,
)
from orket.providers.gguf_folder import read_folder
from tests.gguf_files import gguf, write

F16, Q8_0, Q2_K, Q4_K_S, Q4_K_M, IQ4_NL, BF16, MXFP4_MOE, Q2_0 = (
    *(1, 7, 10, 14, 15, 25, 32, 38, 41),
)


def ladder_of(folder, model=None):
    return [(ref.model_id, ref.quant_tag) for ref in discover(folder, model).refs]


def reasons(folder):
    """Why each file is left out, by its name."""
    _, left_out = read_folder(folder)
    return {line.split(": ")[0].split("/")[-1]: line for line in left_out}


def test_a_folder_becomes_a_ladder(tmp_path):
    write(tmp_path / "m-Q8_0.gguf", gguf(Q8_0) + b"x" * 50)
    write(tmp_path / "deep/m-Q4_K_M.GGUF", gguf())
    write(tmp_path / "m-UD-Q4_K_XL.gguf", gguf() + b"x" * 9)
    write(tmp_path / "notes.txt", b"")
    found, _ = read_folder(tmp_path)
    assert [(ref.model_id, ref.quant_tag) for ref in found] == [
        ("m", "Q8_0"),
        ("m", "UD-Q4_K_XL"),
        ("m", "Q4_K_M"),
    ]
    assert found[2].path == tmp_path / "deep/m-Q4_K_M.GGUF"
    assert list(discover(tmp_path).refs) == found
    assert discover(tmp_path).left_out == ()


def test_quants_of_like_names_are_four(tmp_path):
    for tag, number in (("IQ4_NL", 25), ("IQ4_XS", 30), ("Q4_K_M", 15), ("Q8_0", 7)):
        write(tmp_path / f"M-V2.5-32b-{tag}.gguf", gguf(number))
    assert sorted(ladder_of(tmp_path)) == [
        ("M-V2.5-32b", tag) for tag in ("IQ4_NL", "IQ4_XS", "Q4_K_M", "Q8_0")
    ]


def test_quants_of_tomorrow_stay_whole_beside_the_one_they_begin_like(tmp_path):
    for tag in ("Q2_0", "PQ2_0", "Q2_0_g64"):
        write(tmp_path / f"Bonsai-8B-{tag}.gguf", gguf(Q2_0))
    assert sorted(ladder_of(tmp_path)) == [
        ("Bonsai-8B", tag) for tag in ("PQ2_0", "Q2_0", "Q2_0_g64")
    ]


def test_a_finer_name_wins_over_the_type_in_the_header(tmp_path):
    write(tmp_path / "M-UD-Q2_K_XL.gguf", gguf(Q4_K_M))
    write(tmp_path / "M-UD-IQ2_M.gguf", gguf(Q4_K_S))
    write(tmp_path / "M.i1-Q4_K_M.gguf", gguf(Q4_K_M))
    write(tmp_path / "M-Q4_K_M.gguf", gguf(Q4_K_M))
    write(tmp_path / "M-q8.gguf", gguf(Q8_0))
    tags = {tag for _, tag in ladder_of(tmp_path)}
    assert tags == {"UD-Q2_K_XL", "UD-IQ2_M", "i1-Q4_K_M", "Q4_K_M", "Q8_0"}


def test_a_name_that_contradicts_its_header_is_an_error_that_names_both(tmp_path):
    write(tmp_path / "m-Q8_0.gguf", gguf(Q4_K_M))
    write(tmp_path / "m-Q2_K.gguf", gguf(Q2_K))
    with pytest.raises(UsageError, match=r"m-Q8_0\.gguf: .*says Q8_0, .*header Q4_K_M"):
        discover(tmp_path)
    # Of another model it is no matter.
    write(tmp_path / "other-Q2_K.gguf", gguf(Q2_K))
    assert ladder_of(tmp_path, "other") == [("other", "Q2_K")]


def test_a_file_that_nobody_says_a_quant_of(tmp_path):
    write(tmp_path / "noname.gguf", gguf(None))
    write(tmp_path / "noname-Q9_X.gguf", gguf(999))
    assert sorted(ladder_of(tmp_path)) == [("noname", "Q9_X"), ("noname", "unknown")]


@pytest.mark.parametrize(
    ("first", "second", "labels"),
    [
        ("lm/X-GGUF/m-Q8_0.gguf", "unsloth/X-GGUF/m-Q8_0.gguf", {"lm", "unsloth"}),
        ("a/m-Q8_0.gguf", "a/M-q8-0.gguf", {"m-Q8_0", "M-q8-0"}),
        ("hub/repo1/s/m-Q8_0.gguf", "hub/repo2/s/m-Q8_0.gguf", {"repo1", "repo2"}),
    ],
)
def test_two_files_of_one_tag_are_told_apart(tmp_path, first, second, labels):
    write(tmp_path / first, gguf(Q8_0))
    write(tmp_path / second, gguf(Q8_0) + b"more")
    write(tmp_path / "m-Q2_K.gguf", gguf(Q2_K))
    tags = {ref.quant_tag: ref.path for ref in discover(tmp_path).refs}
    assert set(tags) == {"Q2_K", *(f"Q8_0@{label}" for label in labels)}
    assert {tmp_path / first, tmp_path / second} < set(tags.values())


def test_one_file_under_two_names_is_measured_once(tmp_path):
    path = write(tmp_path / "blobs/m-Q8_0.gguf", gguf(Q8_0))
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot/m-Q8_0.gguf").symlink_to(path)
    found = discover(tmp_path)
    assert [ref.quant_tag for ref in found.refs] == ["Q8_0"]
    assert "the same file as" in found.left_out[0]


def test_another_name_of_a_part_does_not_hide_the_model(tmp_path):
    for number in (1, 2):
        part = gguf(Q8_0, split__no=number - 1, split__count=2)
        write(tmp_path / f"m-Q8_0-0000{number}-of-00002.gguf", part)
    (tmp_path / "a-Q2_K.gguf").symlink_to(tmp_path / "m-Q8_0-00001-of-00002.gguf")
    (tmp_path / "b.gguf").hardlink_to(tmp_path / "m-Q8_0-00001-of-00002.gguf")
    found = discover(tmp_path)
    assert [(ref.model_id, ref.quant_tag) for ref in found.refs] == [("m", "Q8_0")]
    assert len(found.left_out) == 2


def test_both_spellings_of_a_type_are_that_type(tmp_path):
    write(tmp_path / "gpt-oss-20b-MXFP4.gguf", gguf(MXFP4_MOE))
    write(tmp_path / "gpt-oss-20b-mxfp4.gguf", gguf(MXFP4_MOE))
    write(tmp_path / "gpt-oss-20b-F16.gguf", gguf(F16))
    write(tmp_path / "gpt-oss-20b-UD-Q4_K_XL.gguf", gguf(MXFP4_MOE))
    assert sorted(ladder_of(tmp_path)) == [
        ("gpt-oss-20b", "F16"),
        ("gpt-oss-20b", "MXFP4_MOE@gpt-oss-20b-MXFP4"),
        ("gpt-oss-20b", "MXFP4_MOE@gpt-oss-20b-mxfp4"),
        ("gpt-oss-20b", "UD-Q4_K_XL"),
    ]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("m-Q4_0.gguf", b"<!doctype html>\n<html>", "an HTML page"),
        ("m-Q4_0.gguf", b"", "empty"),
        ("m-Q4_0.gguf", b"GGUF" + struct.pack(">IQQ", 3, 1, 1), "big-endian"),
        ("m-Q4_0.gguf", gguf()[:90], "cut short"),
        ("m-Q4_0.gguf", gguf()[:-64], "cut short: it has"),
        ("m-Q4_0.gguf.part", gguf(), "download that has not ended"),
        ("m-Q4_0.gguf.crdownload", gguf(), "download that has not ended"),
        ("m-Q4_0.gguf-split-b", b"x", "a piece of a file"),
        ("mmproj-F16.gguf", gguf(F16, architecture="clip"), "a projector"),
        ("p.gguf", gguf(F16, general__type="mmproj"), "a projector"),
        ("lora.gguf", gguf(F16, general__type="adapter"), "a LoRA adapter"),
        ("lora.gguf", gguf(F16, adapter__type="lora"), "a LoRA adapter"),
        ("vocab.gguf", gguf(None, tensors=0), "only a vocabulary"),
        ("imatrix.gguf", gguf(None, general__type="imatrix"), "importance matrix"),
        ("x.gguf", gguf(None, general__type="dataset"), "its header calls it dataset"),
        ("d.gguf", gguf(F16, architecture="eagle3"), "a draft head"),
        ("e.gguf", gguf(F16, architecture="nomic-bert"), "an embedding model"),
        ("e.gguf", gguf(F16, llama__pooling_type=3), "an embedding model"),
        ("n.gguf", gguf(F16, architecture=None), "no architecture"),
        ("s-00002-of-00002.gguf", gguf(Q8_0), "s-00001-of-00002.gguf is missing"),
        ("s-00001-of-00002.gguf", gguf(Q8_0), "s-00002-of-00002.gguf is missing"),
        ("s.gguf", gguf(Q8_0, split__count=3), "one of 3 parts by its header"),
    ],
)
def test_each_file_that_is_no_whole_model_is_named_with_the_reason(
    tmp_path, name, content, reason
):
    write(tmp_path / name, content)
    with pytest.raises(UsageError) as refused:
        discover(tmp_path)
    assert name in str(refused.value)
    assert reason in str(refused.value)
    write(tmp_path / "whole-Q8_0.gguf", gguf(Q8_0))
    found = discover(tmp_path)
    assert [ref.quant_tag for ref in found.refs] == ["Q8_0"]
    assert len(found.left_out) == 1
    assert name in found.left_out[0]
    assert reason in found.left_out[0]


def test_a_file_whose_download_goes_on_beside_it_is_left_out(tmp_path):
    write(tmp_path / "m-Q8_0.gguf", gguf(Q8_0))
    write(tmp_path / "m-Q8_0.gguf.aria2", b"")
    assert set(reasons(tmp_path)) == {"m-Q8_0.gguf", "m-Q8_0.gguf.aria2"}


def test_a_split_file_is_one_model(tmp_path):
    first = gguf(BF16, split__no=0, split__count=2)
    second = gguf(None, split__no=1, split__count=2) + b"x" * 100
    write(tmp_path / "M_26B.BF16-00001-of-00002.gguf", first)
    write(tmp_path / "M_26B.BF16-00002-of-00002.gguf", second)
    write(tmp_path / "M_26B.BF16-mmproj.gguf", gguf(BF16, architecture="clip"))
    found = discover(tmp_path)
    (ref,) = found.refs
    assert (ref.model_id, ref.quant_tag, ref.name) == ("M_26B", "BF16", "M_26B.BF16")
    assert ref.path == tmp_path / "M_26B.BF16-00001-of-00002.gguf"
    assert len(found.left_out) == 1


def test_a_part_that_is_cut_short_bars_the_whole(tmp_path):
    write(tmp_path / "m-Q8_0-00001-of-00002.gguf", gguf(Q8_0, split__count=2))
    write(tmp_path / "m-Q8_0-00002-of-00002.gguf", gguf(Q8_0, split__count=2)[:-70])
    found = reasons(tmp_path)
    assert "00002-of-00002.gguf is cut short" in found["m-Q8_0-00001-of-00002.gguf"]


def test_a_name_of_parts_is_no_quant_and_another_model(tmp_path):
    write(tmp_path / "F-55IQ2_XXS-34Q2_K-03F16.gguf", gguf(19))
    write(tmp_path / "F-Q8_0.gguf", gguf(Q8_0))
    with pytest.raises(UsageError, match="2 models were found: choose"):
        discover(tmp_path)
    mixed = "F-55IQ2_XXS-34Q2_K-03F16"
    assert ladder_of(tmp_path, mixed) == [(mixed, "IQ2_XXS")]


def test_a_model_beside_its_other_edition_has_to_be_chosen(tmp_path):
    for name in ("L-2.6B-Q4_0", "L-2.6B-QAD-Q4_0"):
        write(tmp_path / f"{name}.gguf", gguf(2))
    with pytest.raises(
        UsageError, match=r"choose one with --model: L-2.6B, L-2.6B-QAD"
    ):
        discover(tmp_path)
    found = discover(tmp_path, "l-2.6b")
    assert [ref.name for ref in found.refs] == ["L-2.6B-Q4_0"]
    assert "another model, L-2.6B-QAD" in found.left_out[0]


def test_what_the_headers_call_two_models_is_not_one(tmp_path):
    write(tmp_path / "a/ggml-model-Q8_0.gguf", gguf(Q8_0, general__name="Llama 8B"))
    write(tmp_path / "b/ggml-model-Q2_K.gguf", gguf(Q2_K, general__name="Qwen 7B"))
    with pytest.raises(UsageError, match=r"ggml-model \(Llama 8B\), ggml-model \(Qwen"):
        discover(tmp_path)
    write(tmp_path / "c/m-Q8_0.gguf", gguf(Q8_0, llama__block_count=32))
    write(tmp_path / "d/m-Q2_K.gguf", gguf(Q2_K, llama__block_count=28))
    write(tmp_path / "e/m-F16.gguf", gguf(F16, llama__block_count=28))
    assert ladder_of(tmp_path, "m (c)") == [("m (c)", "Q8_0")]
    assert [tag for _, tag in ladder_of(tmp_path, "m (d)")] == ["F16", "Q2_K"]


def test_names_that_differ_in_case_and_separators_are_one_model(tmp_path):
    write(tmp_path / "My-Model-7B-Q8_0.gguf", gguf(Q8_0))
    write(tmp_path / "My-Model-7B-Q2_K.gguf", gguf(Q2_K))
    write(tmp_path / "my_model.7b.q4_k_m.gguf", gguf(Q4_K_M))
    assert {model for model, _ in ladder_of(tmp_path)} == {"My-Model-7B"}


def test_a_file_called_by_its_quant_alone_has_its_folders_name(tmp_path):
    write(tmp_path / "Some-Model/Q8_0.gguf", gguf(Q8_0))
    write(tmp_path / "Some-Model/Q2_K.gguf", gguf(Q2_K))
    assert {model for model, _ in ladder_of(tmp_path)} == {"Some-Model"}


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path, monkeypatch):
    write(tmp_path / "m-Q8_0.gguf", gguf(Q8_0))
    closed = tmp_path / "closed"
    closed.mkdir()
    real = os.scandir

    def scandir(path):
        if os.fspath(path) == str(closed):
            raise PermissionError(13, "Permission denied", str(closed))
        return real(path)

    # The suite may run as a user who can read everything.
    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(UsageError, match=r"closed cannot be read \(Permission denied"):
        discover(tmp_path)


def test_what_is_no_plain_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe-Q8_0.gguf")
    (tmp_path / "gone-Q8_0.gguf").symlink_to(tmp_path / "nowhere")
    found = reasons(tmp_path)
    assert "no plain file" in found["pipe-Q8_0.gguf"]
    assert "cannot be read" in found["gone-Q8_0.gguf"]


def test_links_of_folders_are_followed_once(tmp_path):
    write(tmp_path / "real/m-Q8_0.gguf", gguf(Q8_0))
    (tmp_path / "found").mkdir()
    (tmp_path / "found/link").symlink_to(tmp_path / "real")
    (tmp_path / "real/loop").symlink_to(tmp_path / "real")
    assert ladder_of(tmp_path / "found") == [("m", "Q8_0")]


def test_nothing_to_find_is_said(tmp_path):
    with pytest.raises(UsageError, match="no GGUF"):
        discover(tmp_path)
    with pytest.raises(UsageError, match="no folder"):
        discover(tmp_path / "nowhere")


def test_one_model_has_to_be_chosen():
    found = [ModelRef("a", "Q8_0", "x"), ModelRef("b", "Q4_0", "y")]
    assert list(pick_ladder(found, "A").refs) == found[:1]
    assert list(pick_ladder(found[1:]).refs) == found[1:]
    with pytest.raises(UsageError, match="a, b"):
        pick_ladder(found)
    with pytest.raises(UsageError, match="a, b"):
        pick_ladder(found, "c")


def test_two_names_of_one_spelling_are_chosen_by_case():
    found = [ModelRef("Abc", "Q8_0", "x"), ModelRef("abc", "Q4_0", "y")]
    assert pick_ladder(found, "abc").refs == (found[1],)
    with pytest.raises(UsageError, match="2 models 'ABC' found"):
        pick_ladder(found, "ABC")


def test_what_is_barred_is_named_and_never_chosen():
    cloud = ModelRef("c", "MXFP4", "c:cloud", barred="it runs elsewhere, at there")
    own = ModelRef("m", "Q8_0", "m:q8_0")
    found = pick_ladder([cloud, own])
    assert (found.refs, found.left_out) == (
        (own,),
        ("c:cloud: it runs elsewhere, at there",),
    )
    with pytest.raises(UsageError, match="c:cloud: it runs elsewhere"):
        pick_ladder([cloud])


def test_weights_under_two_names_of_a_server_are_measured_once_and_told():
    latest = ModelRef("hub/m", "Q8_0", "hub/m:latest", digest="sha256:a")
    named = ModelRef("hub/m", "Q8_0", "hub/m:Q8_0", digest="sha256:a")
    other = ModelRef("hub/m", "Q8_0", "hub/m:again", digest="sha256:b")
    for order in ([latest, named, other], [other, named, latest]):
        found = pick_ladder(order)
        assert {ref.name for ref in found.refs} == {"hub/m:Q8_0", "hub/m:again"}
        assert found.left_out == ("hub/m:latest: the same weights as hub/m:Q8_0",)
    # Of which no digest is told, nothing is known.
    unknown = [ModelRef("m", "Q8_0", "m:1"), ModelRef("m", "Q4_0", "m:2")]
    assert pick_ladder(unknown).refs == tuple(unknown)


def test_one_name_of_two_things_is_refused_and_one_said_twice_is_told():
    first = ModelRef("m", "Q4_K_M", "m:q4", digest="sha256:a")
    ladder = pick_ladder([first, first, ModelRef("m", "Q8_0", "m:q8")])
    assert [ref.quant_tag for ref in ladder.refs] == ["Q4_K_M", "Q8_0"]
    assert ladder.left_out == ("m:q4: listed 2 times",)
    for other in (replace(first, digest="sha256:b"), replace(first, quant_tag="Q4_0")):
        with pytest.raises(UsageError, match="two models are installed as m:q4"):
            pick_ladder([first, other])


def test_servers_names_of_one_tag_are_told_apart():
    found = [
        ModelRef("m", "unknown", name) for name in ("hub/a/m:1", "hub/a/m:2", "hub/b/m")
    ]
    tags = [ref.quant_tag for ref in tell_apart(found)]
    assert len(set(tags)) == 3
    assert all(tag.startswith("unknown@") for tag in tags)


def test_a_provider_that_cannot_list_says_so():
    class Silent:
        name = "silent"

    with pytest.raises(UsageError, match="silent"):
        discover_server(Silent())  # type: ignore[arg-type]
