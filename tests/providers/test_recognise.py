"""Which server answers: two signs, and what it says of itself first."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orket.cli.main import run_command
from orket.mockserver import MockServer, Profile
from orket.providers.contract import ServerOptions
from orket.providers.http.problems import ProviderError
from orket.providers.recognise import Found, recognise
from orket.providers.registry import create_adapter
from tests.fixture_files import Payload
from tests.replay_server import ReplayServer

FAST = Profile(prefill_rate=1e6, decode_rate=1e5, load_seconds=0.0)
DIGEST = "ab" * 32

Routes = dict[str, Any]


def models(*owned: tuple[str, str | None], **more: Any) -> dict[str, Any]:
    return {
        "object": "list",
        "data": [
            {"id": name, **({"owned_by": owner} if owner else {}), **more}
            for name, owner in owned
        ],
    }


def tags(*names: str, **details: Any) -> dict[str, Any]:
    row = {"digest": DIGEST, "details": {"quantization_level": "Q4_0", **details}}
    return {"models": [{"name": name, "model": name, **row} for name in names]}


def serve(server: ReplayServer, routes: Routes) -> None:
    server.routes = {
        f"GET {path}": Payload(
            body.encode() if isinstance(body, str) else json.dumps(body).encode(),
            content_type="text/plain" if isinstance(body, str) else "application/json",
        )
        for path, body in routes.items()
    }


def found_by(routes: Routes) -> Found:
    with ReplayServer() as server:
        serve(server, routes)
        return recognise(ServerOptions(url=server.url))


GGUF_META = {"n_params": 7, "n_ctx_train": 4096}
LLAMA_PROPS = {
    "default_generation_settings": {"n_ctx": 4096},
    "total_slots": 1,
    "build_info": "b6341-b66df9d9",
}
OLLAMA_ROUTES = {"/api/version": {"version": "0.12.3"}, "/api/tags": tags("m")}


@pytest.mark.parametrize(
    "dialect", ["llama-server", "lmstudio", "ollama", "vllm", "tgi", "openai"]
)
def test_every_server_with_an_adapter_is_told(dialect):
    with MockServer(dialect, FAST) as mock:
        found = recognise(ServerOptions(url=f"{mock.url}/v1"))
    assert (found.provider, found.kind) == (dialect, None)


@pytest.mark.parametrize(
    ("routes", "kind"),
    [
        (
            {
                "/v1/models": models(("koboldcpp/Qwen3-4B", "koboldcpp")),
                "/props": {"default_generation_settings": {"n_ctx": 8192}},
                "/api/version": {"version": "0.7.0"},
                "/api/tags": tags("koboldcpp"),
            },
            "KoboldCpp",
        ),
        (
            {"/v1/models": models(("koboldcpp/Gemma", None)), **OLLAMA_ROUTES},
            "KoboldCpp",
        ),
        (
            {
                "/v1/models": models(("qwq", "llama-swap"), ("smol", "llama-swap")),
                "/api/version": {"version": "173", "commit": "4b3c4659"},
                "/running": {"running": []},
            },
            "llama-swap",
        ),
        (
            {"/v1/models": models(("KoboldCpp/x", "KoboldCpp")), "/props": LLAMA_PROPS},
            "KoboldCpp",
        ),
        ({"/v1/models": models(("tiny", "rkllama")), **OLLAMA_ROUTES}, "rkllama"),
        ({"/v1/models": models(("m", "LocalAI")), **OLLAMA_ROUTES}, "LocalAI"),
        (
            {"/v1/models": models(("q", "llama-box")), "/props": LLAMA_PROPS},
            "llama-box",
        ),
        ({"/v1/models": models(("m", "sglang"), max_model_len=4096)}, "SGLang"),
        ({"/v1/models": models(("gpt-4o", "openai")), **OLLAMA_ROUTES}, "gateway"),
    ],
)
def test_what_has_no_adapter_is_itself_and_spoken_to_plainly(routes, kind):
    found = found_by(routes)
    assert found.provider == "openai"
    assert kind in (found.kind or "")
    assert "--provider openai" in (found.note or "")


@pytest.mark.parametrize(
    ("routes", "like"),
    [
        # One sign each, or signs of two servers at once.
        (
            {
                "/v1/models": models(("m", "somebody")),
                "/props": {"default_generation_settings": {}},
            },
            {"llama-server"},
        ),
        # All that one route says is one sign: who emulates it says all of it.
        ({"/v1/models": models(("m", "x")), "/props": LLAMA_PROPS}, {"llama-server"}),
        ({"/v1/models": models(("m", None)), "/props": LLAMA_PROPS}, {"llama-server"}),
        (
            {"/v1/models": models(("openai/m", "openai")), "/props": LLAMA_PROPS},
            {"llama-server", "ollama"},
        ),
        (
            {
                "/v1/models": models(("m", "x"), meta=GGUF_META),
                "/props": LLAMA_PROPS,
            },
            {"llama-server"},
        ),
        # A gateway passes on whole entries of the one server behind it.
        ({"/v1/models": models(("m", "llamacpp"), meta=GGUF_META)}, {"llama-server"}),
        ({"/v1/models": models(("m", "vllm"), max_model_len=1)}, {"vllm"}),
        (
            {
                "/v1/models": models(("m", "vllm"), max_model_len=1),
                "/version": {"version": "0.11.0", "gateway": "x"},
            },
            {"vllm"},
        ),
        ({"/v1/models": models(("m", "somebody")), **OLLAMA_ROUTES}, {"ollama"}),
        ({"/v1/models": models(("m", None)), **OLLAMA_ROUTES}, {"ollama"}),
        # Ollama had no such route before 0.1, and an emulation a version of its own.
        (
            {
                "/v1/models": models(("m", "library")),
                "/api/version": {"version": "0.0.75"},
            },
            {"ollama"},
        ),
        (
            {"/v1/models": models(("m", "x"), max_model_len=1), "/metrics": "vllm:x 1"},
            {"vllm"},
        ),
        # A gateway passes on what each server behind it says of its models.
        (
            {
                "/v1/models": models(("m", "vllm"), ("n", "me"), max_model_len=1),
                "/metrics": "vllm:x 1",
            },
            {"vllm"},
        ),
        (
            {"/v1/models": models(("m", "llamacpp"), ("n", "organization_owner"))},
            set(),
        ),
        ({"/v1/models": models(("m", "x")), "/info": {"model_id": "m"}}, set()),
        (
            {"/v1/models": models(("m", "x")), "/api/v1/models": {"models": []}},
            {"lmstudio"},
        ),
        (
            {
                "/v1/models": models(("m", "x")),
                "/api/v1/models": {"models": [{"key": "m", "loaded_instances": []}]},
            },
            {"lmstudio"},
        ),
    ],
)
def test_one_sign_is_no_proof(routes, like):
    found = found_by(routes)
    assert (found.provider, found.kind) == ("openai", None)
    assert set(found.like) == like
    for name in like:
        assert f"--provider {name}" in (found.note or "")


@pytest.mark.parametrize(
    ("routes", "provider"),
    [
        (
            {"/v1/models": models(("m", "llamacpp")), "/props": LLAMA_PROPS},
            "llama-server",
        ),
        (
            {
                "/v1/models": models(("m", None), meta=GGUF_META),
                "/props": {"default_generation_settings": {}},
            },
            "llama-server",
        ),
        (
            {
                "/v1/models": models(("a", "llamacpp"), ("b", "llamacpp")),
                "/props": {"role": "router", **LLAMA_PROPS},
            },
            "llama-server",
        ),
        (
            {
                "/v1/models": models(
                    ("llama3.2:3b", "library"),
                    ("hf.co/bartowski/x-GGUF:Q4", "bartowski"),
                ),
                **OLLAMA_ROUTES,
            },
            "ollama",
        ),
        (
            {
                "/v1/models": models(
                    ("hf.co/openai/gpt-oss-20b:Q4_K_M", "openai"), ("mlx/x", "mlx")
                ),
                **OLLAMA_ROUTES,
            },
            "ollama",
        ),
        (
            {
                "/v1/models": {"object": "list", "data": []},
                "/api/v1/models": {"models": []},
                "/api/v0/models": {"object": "list", "data": []},
            },
            "lmstudio",
        ),
        (
            {
                "/v1/models": {"object": "list", "data": None},
                "/": "Ollama is running",
                "/api/version": {"version": "0.33.0-rc2"},
            },
            "ollama",
        ),
        ({"/info": {"model_id": "m", "max_total_tokens": 9}}, "tgi"),
    ],
)
def test_two_signs_are_enough(routes, provider):
    assert found_by(routes).provider == provider


def test_what_is_no_model_server_is_none_and_the_nearest_is_named():
    found = found_by({"/api/version": {"version": "0.12.3"}})
    assert (found.provider, found.like) == (None, ("ollama",))
    assert "--provider ollama" in (found.note or "")
    assert found_by({"/": "hello"}).like == ()


def test_a_server_that_denies_its_list_asks_for_its_key():
    with ReplayServer() as server:
        server.routes = {"GET /v1/models": Payload(b"{}", status=401)}
        with pytest.raises(ProviderError, match="API key"):
            recognise(ServerOptions(url=server.url))


@pytest.mark.parametrize("provider", ["ollama", "llama-server", "lmstudio", "vllm"])
@pytest.mark.parametrize("owner", ["koboldcpp", "llama-swap"])
def test_another_server_is_refused_under_the_name_of_a_known_one(provider, owner):
    routes = {
        "/v1/models": models(("m", owner)),
        "/props": LLAMA_PROPS,
        **OLLAMA_ROUTES,
    }
    with ReplayServer() as server:
        serve(server, routes)
        adapter = create_adapter(provider, ServerOptions(url=server.url))
        with pytest.raises(ProviderError, match="--provider openai") as caught:
            adapter.describe()
        adapter.close()
    assert caught.value.error_class == "WRONG_SERVER"


def test_the_probe_says_what_it_took_a_server_for(capfd):
    with MockServer("openai", FAST) as mock, ReplayServer() as server:
        serve(server, {"/api/version": {"version": "0.12.3"}})
        assert run_command(["providers", "probe", server.url]) == 2
        assert "--provider ollama" in capfd.readouterr().err
        assert run_command(["providers", "probe", mock.url, "--format", "csv"]) == 0
