"""A quant that was added to the catalogue today is known in every room."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from orket import quants
from orket.ingest.importer import ingest_file
from orket.mockserver import MockModel, MockServer, Profile
from orket.providers.contract import ServerOptions
from orket.providers.discover import discover
from orket.providers.registry import create_adapter
from orket.records import Controls
from orket.resources import shipped
from orket.warehouse import Warehouse
from tests.gguf_files import gguf, write
from tests.places import FIXTURES

NEW = """
[[quants]]
key = "ZQ7_9"
family = "z-quant"
bits = 40.5
basis = "model"
aliases = ["ZUPER"]
file_type = 77
ollama = "zuper"
"""
ANOTHER = "Q4_K_M"
WEIGHTS = 1_000_000_000


@pytest.fixture(autouse=True)
def catalogue(tmp_path_factory, monkeypatch) -> Iterator[None]:
    text = (shipped("presets") / "quants.toml").read_text(encoding="utf-8")
    folder = tmp_path_factory.mktemp("presets")
    (folder / "quants.toml").write_text(text + NEW, encoding="utf-8")
    monkeypatch.setattr(quants, "shipped", lambda name: folder)
    quants._names.cache_clear()
    yield
    quants._names.cache_clear()


def test_a_folder_has_it_by_name_and_by_header(tmp_path):
    write(tmp_path / "m-zuper.gguf", gguf(77))
    write(tmp_path / "other/n.gguf", gguf(77))
    found = discover(tmp_path, "m").refs + discover(tmp_path, "n").refs
    assert [(ref.model_id, ref.quant_tag) for ref in found] == [
        ("m", "ZQ7_9"),
        ("n", "ZQ7_9"),
    ]


@pytest.mark.parametrize(
    ("dialect", "name"),
    [
        ("ollama", "demo:8b-zuper"),
        ("lmstudio", "demo@zq7-9"),
        ("vllm", "org/demo-ZUPER"),
        ("openai", "org/demo-zq7_9"),
    ],
)
def test_a_server_that_lists_it_is_understood(dialect, name):
    head = re.sub(r"zuper$|zq7.9$", "", name, flags=re.IGNORECASE)
    models = (MockModel(name, "ZQ7_9"), MockModel(f"{head}{ANOTHER}", ANOTHER))
    with MockServer(dialect, Profile(models=models, load_seconds=0)) as server:
        adapter = create_adapter(dialect, ServerOptions(url=server.url))
        refs = discover(adapter).refs
        # A vLLM serves one model; the others both.
        assert {ref.quant_tag for ref in refs} in ({"ZQ7_9", ANOTHER}, {"ZQ7_9"})
        assert len({ref.model_id for ref in refs}) == 1
        new = next(ref for ref in refs if ref.quant_tag == "ZQ7_9")
        loaded = adapter.load(new, Controls())
        adapter.close()
    if loaded.model_bytes is not None:
        assert loaded.model_bytes == WEIGHTS * 40_500 // 8000


def test_a_llama_server_that_runs_it_is_understood():
    model = MockModel("demo-zq7_9", "ZQ7_9")
    with MockServer("llama-server", Profile(models=(model,))) as server:
        adapter = create_adapter("llama-server", ServerOptions(url=server.url))
        (ref,) = discover(adapter).refs
        assert (ref.model_id, ref.quant_tag) == ("demo", "ZQ7_9")
        assert adapter.load(ref, Controls()).reported_quant == "ZQ7_9"
        adapter.close()


def test_a_measurement_of_it_is_imported_under_its_name(tmp_path):
    (test, *_) = json.loads((FIXTURES / "llama_bench/llama-bench.json").read_text())
    rows: list[dict[str, Any]] = [
        test | {"model_filename": name, "model_type": said, "model_size": size}
        for name, said, size in (
            ("m-zuper.gguf", "llama 8B ZQ7_9", 9),
            ("n.gguf", "llama 8B ZQ7_9 - 40.5 bpw", 8),
            (f"n-{ANOTHER}.gguf", "llama 8B Q4_K - Medium", 7),
        )
    ]
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    report = ingest_file(Warehouse.open(tmp_path / "warehouse"), path)
    assert report.rejected == 0
    with Warehouse.open(tmp_path / "warehouse").session() as session:
        found = session.rows("SELECT DISTINCT model_id, quant_tag FROM v1.sidecar")
    assert {tuple(row.values()) for row in found} == {
        ("m", "ZQ7_9"),
        ("n", "ZQ7_9"),
        ("n", ANOTHER),
    }
