"""Names and identity at every server: no figure under a wrong name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from orket.errors import UsageError
from orket.providers.contract import ModelRef, ServerOptions
from orket.providers.discover import discover
from orket.providers.http.problems import IdentityMismatch
from orket.providers.identity import listed_model
from orket.providers.llamacpp.server import LlamaServerAdapter
from orket.providers.lmstudio.adapter import LmStudioAdapter
from orket.providers.ollama.adapter import OllamaAdapter
from orket.providers.openai import OpenAiAdapter
from orket.records import Controls
from tests.fixture_files import Payload, payload
from tests.replay_server import ReplayServer


def answer(content: Any) -> Payload:
    return Payload(json.dumps(content).encode())


def tags(*models: tuple[str, str], **more: Any) -> Payload:
    """Ollama's list: name and level of each model."""
    rows = [
        {
            "name": name,
            "size": 2_019_393_189,
            "digest": f"{number:064x}",
            "details": {"format": "gguf", "quantization_level": level},
            **more,
        }
        for number, (name, level) in enumerate(models)
    ]
    return answer({"models": rows})


@pytest.fixture
def server() -> Iterator[ReplayServer]:
    with ReplayServer() as replay:
        replay.routes = {
            "GET /api/version": answer({"version": "0.12.3"}),
            "GET /api/ps": answer({"models": []}),
            "POST /api/show": answer({"details": {}}),
        }
        yield replay


def ladder(adapter: Any, model: str | None = None) -> list[tuple[str, str]]:
    return [(ref.quant_tag, ref.name) for ref in discover(adapter, model).refs]


def test_levels_that_nobody_knows_leave_three_quants_by_their_names(server):
    names = [f"hf.co/unsloth/X-GGUF:{tag}" for tag in ("UD-Q4_K_XL", "Q8_0", "Q9_X")]
    server.routes["GET /api/tags"] = tags(*((name, "unknown") for name in names))
    adapter = OllamaAdapter(ServerOptions(url=server.url))
    assert ladder(adapter) == [(name.partition(":")[2], name) for name in sorted(names)]
    assert adapter.describe().capabilities.quant_identity is False


def test_one_level_for_two_quants_leaves_both(server):
    told = (("UD-Q4_K_XL", "Q4_K_M"), ("Q4_K_M", "Q4_K_M"), ("UD-Q8_K_XL", "Q8_0"))
    server.routes["GET /api/tags"] = tags(*((f"u/X:{tag}", said) for tag, said in told))
    adapter = OllamaAdapter(ServerOptions(url=server.url))
    assert {tag for tag, _ in ladder(adapter)} == {tag for tag, _ in told}
    assert adapter.describe().capabilities.quant_identity is True


def test_models_without_any_quant_do_not_vanish(server):
    server.routes["GET /api/tags"] = tags(("a", "unknown"), ("b:7b", ""), ("b:8b", ""))
    found = OllamaAdapter(ServerOptions(url=server.url)).installed_models()
    assert [(ref.model_id, ref.quant_tag) for ref in found] == [
        ("a", "unknown"),
        ("b:7b", "unknown"),
        ("b:8b", "unknown"),
    ]


def test_a_name_that_contradicts_its_level_is_refused_with_both(server):
    server.routes["GET /api/tags"] = tags(("x:7b-q8_0", "Q4_K_M"), ("y:7b", "Q4_0"))
    adapter = OllamaAdapter(ServerOptions(url=server.url))
    with pytest.raises(UsageError, match="name says Q8_0, its server Q4_K_M"):
        discover(adapter, "x:7b")
    assert ladder(adapter, "y:7b") == [("Q4_0", "y:7b")]


def test_a_model_that_runs_elsewhere_is_no_local_quant(server):
    cloud = {"remote_host": "https://cloud.example", "remote_model": "big"}
    rows = json.loads(tags(("big:cloud", "MXFP4"), **cloud).body)["models"]
    rows += json.loads(tags(("own:q8_0", "Q8_0")).body)["models"]
    server.routes["GET /api/tags"] = answer({"models": rows})
    adapter = OllamaAdapter(ServerOptions(url=server.url))
    found = discover(adapter)
    assert [ref.name for ref in found.refs] == ["own:q8_0"]
    assert found.left_out == ("big:cloud: it runs elsewhere, at https://cloud.example",)
    with pytest.raises(IdentityMismatch, match=r"runs elsewhere, at https://cloud"):
        adapter.load(ModelRef("big", "MXFP4", "big:cloud"), Controls())


def test_a_name_is_asked_where_the_level_says_nothing(server):
    server.routes["GET /api/tags"] = tags(("x:q4_K_M", "unknown"))
    adapter = OllamaAdapter(ServerOptions(url=server.url))
    with pytest.raises(IdentityMismatch, match="Q4_K_M under the name x:q4_K_M"):
        adapter.load(ModelRef("x", "Q8_0", "x:q4_K_M"), Controls())


def test_ollama_tells_publisher_and_types_of_tensors(server):
    name = "hf.co/bartowski/X-GGUF:Q4_K_M"
    server.routes["GET /api/tags"] = tags((name, "Q4_K_M"))
    rows = [{"name": "a", "type": "Q4_K"}, {"name": "b", "type": "Q6_K"}] * 2
    server.routes["POST /api/show"] = answer({"details": {}, "tensors": rows})
    known = OllamaAdapter(ServerOptions(url=server.url)).identify(
        ModelRef("X", "Q4_K_M", name)
    )
    assert known.publisher == "bartowski"
    assert known.tensor_types == (("Q4_K", 2), ("Q6_K", 2))


def props(path: str, ftype: str | None, size: int, name: str = "alias") -> Any:
    """A llama-server that holds one file of 20 billion weights."""
    told = {"model_path": path, "total_slots": 1} | (
        {"model_ftype": ftype} if ftype else {}
    )
    meta = {"n_params": 20_000_000_000, "size": size}
    return {
        "GET /health": answer({"status": "ok"}),
        "GET /v1/models": answer({"data": [{"id": name, "meta": meta}]}),
        "GET /props": answer(told),
    }


@pytest.mark.parametrize(
    ("asked", "path", "ftype", "size", "refused"),
    [
        # The experts of a mixture stay in another type: 5.3 bits a weight in an F16.
        ("F16", "/m/gpt-oss-20b-F16.gguf", "F16", 13_250_000_000, None),
        ("F16", "/m/gpt-oss-20b-F16.gguf", None, 13_250_000_000, None),
        ("F16", "/m/some.gguf", None, 13_250_000_000, "bits per weight"),
        ("Q8_0", "/m/some-Q4_K_M.gguf", None, 13_250_000_000, "holds Q4_K_M"),
        ("Q8_0", "/m/some-Q8_0.gguf", "Q4_K - Medium", 13_250_000_000, "holds Q4_K_M"),
        ("Q2_0_g64", "/m/some-Q2_0_g64.gguf", "Q2_0", 5_000_000_000, None),
    ],
)
def test_weak_evidence_never_overrules_strong(
    server, asked, path, ftype, size, refused
):
    server.routes = props(path, ftype, size)
    adapter = LlamaServerAdapter(ServerOptions(url=server.url))
    model = ModelRef("m", asked, "")
    if refused is None:
        assert adapter.load(model, Controls()).model_bytes == size
        return
    with pytest.raises(IdentityMismatch, match=refused):
        adapter.load(model, Controls())


def test_a_llama_servers_ladder_has_the_finer_name(server):
    server.routes = props(
        "/m/X-8B-UD-Q4_K_XL.gguf", "Q4_K - Medium", 1, "X-8B-UD-Q4_K_XL"
    )
    adapter = LlamaServerAdapter(ServerOptions(url=server.url))
    (ref,) = discover(adapter).refs
    assert (ref.model_id, ref.quant_tag) == ("X-8B", "UD-Q4_K_XL")


def test_an_openai_server_of_two_publishers_has_two_models(server):
    names = ["a/X-AWQ", "b/X-AWQ", "b/X-GPTQ-4bit-128g"]
    server.routes["GET /v1/models"] = answer({"data": [{"id": name} for name in names]})
    adapter = OpenAiAdapter(ServerOptions(url=server.url))
    with pytest.raises(UsageError, match="--model: a/X, b/X"):
        discover(adapter)
    assert ladder(adapter, "b/X") == [("AWQ", names[1]), ("GPTQ-4bit-128g", names[2])]


def test_lm_studio_keeps_what_has_no_quant_and_tells_the_publisher(server):
    rows = [
        {"type": "llm", "key": "x@q4_k_m", "quantization": {"name": "Q4_K_M"}},
        {"type": "llm", "key": "x@mystery", "quantization": None, "publisher": "me"},
    ]
    server.routes["GET /api/v1/models"] = answer({"models": rows})
    adapter = LmStudioAdapter(ServerOptions(url=server.url))
    found = adapter.installed_models()
    assert [ref.quant_tag for ref in found] == ["unknown", "Q4_K_M"]
    assert adapter.identify(found[0]).publisher == "me"


def test_two_entries_of_one_tag_are_told_apart_by_their_names():
    names = ("org/a:latest", "org/a:q8_0", "org/a")
    refs = [listed_model(name, "Q8_0") for name in names]
    assert {ref.model_id for ref in refs} == {"org/a"}

    class Server:
        name = "some"

        def installed_models(self) -> list[ModelRef]:
            return refs

    tagged = [ref.quant_tag for ref in discover(Server()).refs]  # type: ignore[arg-type]
    assert tagged == ["Q8_0@a:latest", "Q8_0@a:q8_0", "Q8_0@a"]


def test_the_recorded_models_are_a_ladder(server):
    server.routes["GET /api/tags"] = payload("ollama", "tags.json")
    found = OllamaAdapter(ServerOptions(url=server.url)).installed_models()
    assert not any(ref.clash or ref.barred for ref in found)
