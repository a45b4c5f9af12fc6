"""TGI: details, headers, templates and Prometheus differences."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orket.providers.contract import Generation, ModelRef, ServerLoad, ServerOptions
from orket.providers.http.problems import IdentityMismatch
from orket.providers.tgi.adapter import NO_TEMPLATE, TgiAdapter
from orket.records import CallFacts, Controls
from tests.fixture_files import Payload, payload
from tests.replay_server import ReplayServer
from tests.token_status import TelemetryView

MODEL = ModelRef("smollm2", "F16", "HuggingFaceTB/SmolLM2-1.7B-Instruct")
HEADERS = {
    "x_prompt_tokens": "19",
    "x_generated_tokens": "4",
    "x_total_time": "203",
    "x_inference_time": "201",
    "x_time_per_token": "50",
}


@pytest.fixture
def server() -> Iterator[ReplayServer]:
    with ReplayServer() as replay:
        replay.routes = {
            "GET /info": payload("tgi", "info.json"),
            "POST /chat_tokenize": payload("tgi", "chat_tokenize.json"),
            "POST /tokenize": payload("tgi", "tokenize.json"),
            "POST /generate": payload("tgi", "generate.json", **HEADERS),
            "POST /generate_stream": payload("tgi", "stream.sse"),
        }
        yield replay


@pytest.fixture(scope="module")
def view() -> Iterator[TelemetryView]:
    telemetry = TelemetryView()
    yield telemetry
    telemetry.close()


def call(
    server: ReplayServer, stream: bool, controls: Controls | None = None
) -> CallFacts:
    adapter = TgiAdapter(ServerOptions(url=server.url))
    adapter.load(MODEL, Controls())
    controls = controls or Controls(seed=7, temperature_milli=0)
    facts = adapter.generate(Generation(MODEL, "Hi", 64, controls, stream=stream))
    adapter.close()
    return facts


@pytest.mark.parametrize("stream", [True, False])
def test_counts_come_from_details_and_headers(
    server: ReplayServer, view: TelemetryView, stream: bool
) -> None:
    facts = call(server, stream)
    assert (facts.outcome, facts.answer_text) == ("OK", "Seven primes.")
    assert (facts.prompt_tokens, facts.completion_tokens) == (19, 4)
    assert facts.stop_reason == "stop"
    assert facts.server_total_ns == (None if stream else 203_000_000)
    assert (facts.ttft_ns is not None) is stream
    assert view.status(facts) == "TIMING_UNAVAILABLE"


@pytest.mark.parametrize("stream", [True, False])
def test_times_are_differences_of_the_counters(
    server: ReplayServer, view: TelemetryView, stream: bool
) -> None:
    server.routes["GET /metrics"] = [
        payload("tgi", "metrics_before.txt"),
        payload("tgi", "metrics_after.txt"),
    ]
    facts = call(server, stream)
    assert facts.formula_id == "tgi.prometheus-delta.v1"
    assert facts.prefill_ns == 62_500_000
    assert facts.decode_ns == 125_000_000
    assert view.status(facts) == "OK"


def test_another_request_in_between_leaves_the_times_unknown(
    server: ReplayServer,
) -> None:
    server.routes["GET /metrics"] = [
        payload("tgi", "metrics_before.txt"),
        payload("tgi", "metrics_after_two.txt"),
    ]
    facts = call(server, stream=False)
    assert facts.formula_id == "tgi.details.v1"
    assert (facts.prefill_ns, facts.decode_ns) == (None, None)


def test_without_details_nothing_is_counted(
    server: ReplayServer, view: TelemetryView
) -> None:
    server.routes["POST /generate_stream"] = payload("tgi", "no_details_stream.sse")
    facts = call(server, stream=True)
    assert facts.outcome == "OK"
    assert view.status(facts) == "TOKEN_AND_TIMING_UNAVAILABLE"


@pytest.mark.parametrize(
    ("name", "error_class"),
    [
        ("error_stream.sse", "STREAM_ERROR"),
        ("no_end_stream.sse", "STREAM_INCOMPLETE"),
    ],
)
def test_a_stream_that_breaks_is_a_failure(
    server: ReplayServer, name: str, error_class: str
) -> None:
    server.routes["POST /generate_stream"] = payload("tgi", name)
    facts = call(server, stream=True)
    assert (facts.outcome, facts.error_class) == ("FAILED", error_class)
    assert facts.answer_text is not None


def test_the_template_is_applied_and_its_first_token_not_doubled(
    server: ReplayServer,
) -> None:
    call(server, stream=False)
    body = server.last_body("/generate")
    assert body["inputs"] == "user: Hi"
    assert body["parameters"]["do_sample"] is False
    assert body["parameters"]["seed"] == 7
    assert "temperature" not in body["parameters"]


def test_a_model_without_a_template_gets_the_prompt_as_it_is(
    server: ReplayServer,
) -> None:
    del server.routes["POST /chat_tokenize"]
    facts = call(server, stream=False)
    assert facts.call_notes == [NO_TEMPLATE]
    assert server.last_body("/generate")["inputs"] == "Hi"


def test_sampling_needs_a_temperature_above_zero(server: ReplayServer) -> None:
    call(server, False, Controls(temperature_milli=700))
    parameters = server.last_body("/generate")["parameters"]
    assert (parameters["do_sample"], parameters["temperature"]) == (True, 0.7)


def test_a_prompt_that_is_too_long_has_its_own_class(server: ReplayServer) -> None:
    server.routes["POST /generate"] = Payload(
        b'{"error":"Input validation error: `inputs` must have less than 4096 tokens.'
        b' Given: 5000","error_type":"validation"}',
        422,
    )
    assert call(server, stream=False).error_class == "CONTEXT_EXCEEDED"


def test_another_served_model_is_refused(server: ReplayServer) -> None:
    adapter = TgiAdapter(ServerOptions(url=server.url))
    loaded = adapter.load(MODEL, Controls(context_tokens=2048))
    assert loaded.effective.context_tokens == 4096
    assert loaded.digest == "revision:31b70e2e869a7173562077fd711b654946d38674"
    with pytest.raises(IdentityMismatch, match="SmolLM2"):
        adapter.load(ModelRef("other", "F16", "other"), Controls())


def test_the_served_model_is_listed(server: ReplayServer) -> None:
    (found,) = TgiAdapter(ServerOptions(url=server.url)).installed_models()
    assert (found.name, found.quant_tag) == (MODEL.name, "unknown")


def test_the_traffic_of_all_clients_is_read(server: ReplayServer) -> None:
    adapter = TgiAdapter(ServerOptions(url=server.url))
    assert adapter.server_load() is None
    server.routes["GET /metrics"] = payload("tgi", "metrics_before.txt")
    assert adapter.server_load() == ServerLoad(0, 44)
    assert adapter.describe().capabilities.internal_timings is True
