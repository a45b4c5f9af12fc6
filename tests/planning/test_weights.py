"""What a file of weights is: its digest, size, types of tensors and publisher."""

from __future__ import annotations

import pytest

from orket.gguf import hash_model
from orket.planning.targets import Target
from orket.planning.weights import read_weights
from orket.providers.contract import LoadedModel, ModelRef
from orket.records import TensorCount
from orket.sweep.manifest import quant_entry
from tests.gguf_files import F32, MXFP4, gguf, write


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_the_facts_of_a_file_are_the_same_from_the_cache(tmp_path):
    path = write(tmp_path / "m.gguf", gguf(general__quantized_by="Some One"))
    first = read_weights(path)
    assert (first.tensor_types, first.publisher) == ((("F32", 2),), "Some One")
    assert (first.parameters, first.model_bytes) == (640, path.stat().st_size)
    assert read_weights(path) == first


def test_an_older_cache_is_read_anew(tmp_path):
    path = write(tmp_path / "m.gguf", gguf())
    cache = tmp_path / "cache/orket/weights.json"
    cache.parent.mkdir(parents=True)
    cache.write_text('{"x": ["sha256:1", 3]}')
    assert read_weights(path).tensor_types == (("F32", 2),)


def test_parts_are_counted_together(tmp_path):
    write(tmp_path / "m-00001-of-00002.gguf", gguf(split__count=2, kind=F32))
    write(tmp_path / "m-00002-of-00002.gguf", gguf(split__count=2, kind=MXFP4))
    found = read_weights(tmp_path / "m-00001-of-00002.gguf")
    assert found.tensor_types == (("F32", 2), ("MXFP4", 2))
    assert found.parameters == 1280
    # The engine that loads the first part names the same weights.
    assert found.digest == hash_model(tmp_path / "m-00001-of-00002.gguf")
    alone = read_weights(write(tmp_path / "m.gguf", gguf()))
    assert alone.digest == hash_model(tmp_path / "m.gguf") != found.digest


def test_the_manifest_has_what_file_and_server_say():
    target = Target(ModelRef("m", "Q8_0", "m"), tensor_types=(("Q8_0", 3),))
    known = LoadedModel(target.ref, tensor_types=(("F16", 1),), publisher="them")
    entry = quant_entry(target, known)
    assert entry.tensor_types == [TensorCount(type="Q8_0", tensors=3)]
    assert entry.publisher == "them"
    alone = quant_entry(Target(target.ref))
    assert (alone.tensor_types, alone.publisher) == (None, None)


def test_a_labelled_quant_has_the_rank_of_its_tag():
    labelled = quant_entry(Target(ModelRef("m", "Q8_0@unsloth", "m")))
    plain = quant_entry(Target(ModelRef("m", "Q8_0", "m")))
    assert labelled.quant_key == "Q8_0"
    assert labelled.catalogue_order == plain.catalogue_order
