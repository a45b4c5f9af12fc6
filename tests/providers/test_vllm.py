"""vLLM: per-request metrics, Prometheus differences, and nothing when neither."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orket.providers.contract import Generation, ModelRef, ServerLoad, ServerOptions
from orket.providers.http.problems import IdentityMismatch
from orket.providers.vllm import VllmAdapter
from orket.records import CallFacts, Controls
from tests.fixture_files import Payload, payload
from tests.replay_server import ReplayServer
from tests.token_status import TelemetryView

MODEL = ModelRef("qwen3-4b", "AWQ", "Qwen/Qwen3-4B-AWQ")
CHAT = "POST /v1/chat/completions"


@pytest.fixture
def server() -> Iterator[ReplayServer]:
    with ReplayServer() as replay:
        replay.routes = {
            "GET /v1/models": payload("vllm", "models.json"),
            "GET /version": payload("vllm", "version.json"),
        }
        yield replay


@pytest.fixture(scope="module")
def view() -> Iterator[TelemetryView]:
    telemetry = TelemetryView()
    yield telemetry
    telemetry.close()


def call(server: ReplayServer, name: str, cache: str = "disabled") -> CallFacts:
    server.routes[CHAT] = payload("vllm", name)
    adapter = VllmAdapter(ServerOptions(url=server.url))
    facts = adapter.generate(
        Generation(
            MODEL,
            "Name a few primes.",
            64,
            Controls(seed=7, temperature_milli=0),
            stream=name.endswith(".sse"),
            prompt_cache=cache,
        )
    )
    adapter.close()
    return facts


def with_metrics(server: ReplayServer, *names: str) -> None:
    server.routes["GET /metrics"] = [payload("vllm", name) for name in names]


@pytest.mark.parametrize("name", ["metrics_stream.sse", "metrics_whole.json"])
def test_per_request_metrics_are_the_best_source(
    server: ReplayServer, view: TelemetryView, name: str
) -> None:
    facts = call(server, name)
    assert facts.formula_id == "vllm.metrics.v1"
    assert (facts.prompt_tokens, facts.completion_tokens) == (21, 31)
    assert facts.prefill_ns == 33_400_000
    assert facts.decode_ns == 402_750_000
    assert facts.prefill_kind == "internal"
    assert view.status(facts) == "OK"


def test_without_them_the_counters_are_subtracted(
    server: ReplayServer, view: TelemetryView
) -> None:
    for name in ("plain_stream.sse", "plain_whole.json", "null_metrics_whole.json"):
        with_metrics(server, "metrics_before.txt", "metrics_after.txt")
        facts = call(server, name)
        assert facts.formula_id == "vllm.prometheus-delta.v1"
        assert facts.prefill_ns == 31_250_000
        assert facts.decode_ns == 406_250_000
        assert facts.cached_prompt_tokens == 0
        assert view.status(facts) == "OK"
        assert "metrics_difference" in (facts.raw_figures or "")


def test_another_request_in_between_leaves_the_times_unknown(
    server: ReplayServer, view: TelemetryView
) -> None:
    with_metrics(server, "metrics_before.txt", "metrics_after_two.txt")
    facts = call(server, "plain_whole.json")
    assert facts.formula_id == "openai.usage.v1"
    assert (facts.prefill_ns, facts.decode_ns) == (None, None)
    assert facts.cached_prompt_tokens is None
    assert view.status(facts) == "TIMING_UNAVAILABLE"


def test_counters_that_come_late_are_waited_for(server: ReplayServer) -> None:
    with_metrics(server, *["metrics_before.txt"] * 3, "metrics_after.txt")
    assert call(server, "plain_whole.json").decode_ns == 406_250_000


def test_without_any_counters_timings_are_unavailable(
    server: ReplayServer, view: TelemetryView
) -> None:
    facts = call(server, "plain_whole.json")
    assert view.status(facts) == "TIMING_UNAVAILABLE"
    assert facts.decode_clock is None


def test_a_stream_without_usage_says_nothing(
    server: ReplayServer, view: TelemetryView
) -> None:
    with_metrics(server, "metrics_before.txt", "metrics_after.txt")
    facts = call(server, "no_usage_stream.sse")
    assert (facts.outcome, facts.answer_text) == ("OK", "Seven primes.")
    assert view.status(facts) == "TOKEN_AND_TIMING_UNAVAILABLE"


def test_a_usage_of_zeros_is_a_default(
    server: ReplayServer, view: TelemetryView
) -> None:
    facts = call(server, "zero_usage_whole.json")
    assert (facts.prompt_tokens, facts.completion_tokens) == (None, None)
    assert view.status(facts) == "TOKEN_AND_TIMING_UNAVAILABLE"


def test_an_error_event_is_a_failure(server: ReplayServer) -> None:
    facts = call(server, "error_stream.sse")
    assert (facts.outcome, facts.error_class) == ("FAILED", "STREAM_ERROR")
    assert facts.answer_text == "Sev"


def test_an_error_event_of_earlier_versions_is_a_failure(
    server: ReplayServer,
) -> None:
    body = (
        b'data: {"object":"error","message":"engine is dead","type":"X","code":500}'
        b"\n\ndata: [DONE]\n\n"
    )
    server.routes[CHAT] = Payload(body, 200, "text/event-stream")
    adapter = VllmAdapter(ServerOptions(url=server.url))
    facts = adapter.generate(Generation(MODEL, "Hi", 8, Controls()))
    assert (facts.error_class, facts.error_message) == (
        "STREAM_ERROR",
        "engine is dead",
    )


def test_each_call_has_its_own_salt_and_thinking_off(server: ReplayServer) -> None:
    salts = set()
    for _ in range(2):
        call(server, "metrics_stream.sse")
        body = server.last_body(CHAT)
        salts.add(body["cache_salt"])
        assert body["stream_options"] == {"include_usage": True}
        assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert len(salts) == 2
    assert call(server, "metrics_whole.json", "nonce").prompt_cache == "nonce"
    assert "cache_salt" not in server.last_body(CHAT)


def test_another_served_model_is_refused(server: ReplayServer) -> None:
    adapter = VllmAdapter(ServerOptions(url=server.url))
    loaded = adapter.load(MODEL, Controls(threads="8"))
    assert loaded.effective.context_tokens == 8192
    assert loaded.unsupported == ("threads",)
    with pytest.raises(IdentityMismatch, match="serves Qwen/Qwen3-4B-AWQ"):
        adapter.load(ModelRef("other", "AWQ", "other"), Controls())


def test_an_answer_of_another_model_is_an_identity_mismatch(
    server: ReplayServer,
) -> None:
    server.routes[CHAT] = payload("vllm", "plain_whole.json")
    adapter = VllmAdapter(ServerOptions(url=server.url, streaming=False))
    other = ModelRef("other", "AWQ", "other")
    facts = adapter.generate(Generation(other, "Hi", 8, Controls()))
    assert facts.error_class == "IDENTITY_MISMATCH"


def test_a_model_without_a_name_is_the_served_one(server: ReplayServer) -> None:
    server.routes[CHAT] = payload("vllm", "plain_whole.json")
    adapter = VllmAdapter(ServerOptions(url=server.url, streaming=False))
    unnamed = ModelRef("qwen3-4b", "AWQ", "")
    assert adapter.load(unnamed, Controls()).model.name == MODEL.name
    assert adapter.generate(Generation(unnamed, "Hi", 8, Controls())).outcome == "OK"
    assert server.last_body(CHAT)["model"] == MODEL.name


def test_the_capabilities_follow_the_counters(server: ReplayServer) -> None:
    bare = VllmAdapter(ServerOptions(url=server.url)).describe()
    assert bare.capabilities.internal_timings is None
    with_metrics(server, "metrics_before.txt")
    counted = VllmAdapter(ServerOptions(url=server.url)).describe()
    assert counted.version == "0.19.1"
    assert counted.capabilities.internal_timings is True
    assert counted.capabilities.cache_control is True


def test_the_served_model_is_listed(server: ReplayServer) -> None:
    (found,) = VllmAdapter(ServerOptions(url=server.url)).installed_models()
    assert (found.model_id, found.quant_tag) == ("Qwen/Qwen3-4B", "AWQ")


def test_the_traffic_of_all_clients_is_read(server: ReplayServer) -> None:
    adapter = VllmAdapter(ServerOptions(url=server.url))
    assert adapter.server_load() is None
    with_metrics(server, "metrics_before.txt")
    assert adapter.server_load() == ServerLoad(0, 310)


def test_a_key_that_the_server_echoes_is_taken_out(
    server: ReplayServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOCK_KEY", "sk-very-secret")
    server.routes[CHAT] = Payload(
        b'{"error":{"message":"bad key sk-very-secret","code":401}}', 401
    )
    adapter = VllmAdapter(ServerOptions(url=server.url, api_key_env="MOCK_KEY"))
    facts = adapter.generate(Generation(MODEL, "Hi", 8, Controls(), stream=False))
    assert facts.error_class == "HTTP_401"
    assert "sk-very-secret" not in str(facts)
