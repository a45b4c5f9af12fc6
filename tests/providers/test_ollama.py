"""Ollama: every version's figures, what it holds, and how it is asked."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from orket.mockserver import MockModel, MockServer, Profile
from orket.providers.contract import Generation, ModelRef, ServerOptions
from orket.providers.http.problems import IdentityMismatch, ProviderError
from orket.providers.ollama.adapter import OllamaAdapter
from orket.providers.ollama.eras import find_era, parse_version
from orket.records import CallFacts, Controls
from tests.fixture_files import Payload, payload
from tests.replay_server import ReplayServer
from tests.token_status import TelemetryView, at_its_pace

MODEL = ModelRef("llama3.2", "Q4_K_M", "llama3.2:3b-instruct-q4_K_M")
FAST = Profile(prefill_rate=1e6, decode_rate=1e5, load_seconds=0.0)
MOCKED = ModelRef("demo", "Q4_K_M", "demo:q4_K_M")


@pytest.fixture
def server() -> Iterator[ReplayServer]:
    with ReplayServer() as replay:
        replay.routes = {
            "GET /api/version": payload("ollama", "version_0.34.0.json"),
            "GET /api/tags": payload("ollama", "tags.json"),
            "GET /api/ps": payload("ollama", "ps.json"),
            "POST /api/show": payload("ollama", "show.json"),
            "POST /api/generate": payload("ollama", "load.json"),
        }
        yield replay


@pytest.fixture(scope="module")
def view() -> Iterator[TelemetryView]:
    telemetry = TelemetryView()
    yield telemetry
    telemetry.close()


def call(
    server: ReplayServer, name: str, version: str = "0.34.0", **changes: object
) -> CallFacts:
    server.routes["GET /api/version"] = payload("ollama", f"version_{version}.json")
    server.routes["POST /api/chat"] = payload("ollama", name)
    adapter = OllamaAdapter(ServerOptions(url=server.url))
    settings = {
        "model": MODEL,
        "prompt": "Name a few primes.",
        "max_tokens": 64,
        "controls": Controls(seed=7, temperature_milli=0),
        "stream": name.endswith(".ndjson"),
        **changes,
    }
    facts = adapter.generate(Generation(**settings))  # type: ignore[arg-type]
    adapter.close()
    return facts


def test_the_newest_version_tells_the_cached_share(
    server: ReplayServer, view: TelemetryView
) -> None:
    for name in ("v0.34_stream.ndjson", "v0.34_whole.json"):
        facts = call(server, name)
        assert facts.outcome == "OK"
        assert facts.answer_text == "Seven primes."
        assert facts.formula_id == "ollama.llama-server.v0.34"
        assert (facts.prompt_tokens, facts.cached_prompt_tokens) == (38, 6)
        assert facts.completion_tokens == 4
        assert facts.prefill_ns == 160_004_000
        assert facts.decode_ns == 96_131_000
        assert facts.load_ns == 41_200_458
        assert facts.decode_clock == "first_token"
        row = view.read(at_its_pace(facts))
        assert row["token_metrics_status"] == "OK"
        assert row["prompt_tokens_per_second_milli"] == 199_995  # 32 / 0.160004 s
        assert row["generation_tokens_per_second_milli"] == 31_207  # 3 / 0.096131 s


@pytest.mark.parametrize(
    ("version", "name", "formula", "prompt_tokens"),
    [
        ("0.33.2", "v0.33_stream.ndjson", "ollama.llama-server.v0.30.1", 38),
        ("0.30.0", "v0.30.0_stream.ndjson", "ollama.llama-server.v0.30.0", 3),
        ("0.12.6", "v0.12_stream.ndjson", "ollama.runner.v0.12.5", 38),
        ("0.5.7", "v0.5_whole.json", "ollama.runner.v0.5", 38),
        ("0.3.14", "v0.3_cached_whole.json", "ollama.runner.legacy", None),
    ],
)
def test_older_versions_leave_the_cached_share_unknown(
    server: ReplayServer,
    view: TelemetryView,
    version: str,
    name: str,
    formula: str,
    prompt_tokens: int | None,
) -> None:
    facts = call(server, name, version)
    assert facts.formula_id == formula
    assert facts.prompt_tokens == prompt_tokens
    assert facts.cached_prompt_tokens is None
    assert facts.completion_tokens == 4
    row = view.read(at_its_pace(facts))
    assert row["prompt_tokens_per_second_milli"] is None
    expected = "OK" if prompt_tokens else "TOKEN_COUNT_UNAVAILABLE"
    assert row["token_metrics_status"] == expected
    assert row["generation_tokens_per_second_milli"] is not None


def test_version_0_30_0_counts_new_tokens_only_and_the_row_says_so(
    server: ReplayServer,
) -> None:
    facts = call(server, "v0.30.0_stream.ndjson", "0.30.0")
    assert facts.count_note is not None
    assert "new prompt tokens only" in facts.count_note


def test_mlx_decodes_from_the_end_of_the_prefill(
    server: ReplayServer, view: TelemetryView
) -> None:
    with MockServer(
        "ollama",
        Profile(
            models=(MockModel("demo:q4_K_M", "Q4_K_M", file_format="safetensors"),),
            prefill_rate=1e6,
            decode_rate=1_000.0,
            load_seconds=0.0,
        ),
    ) as mock:
        adapter = OllamaAdapter(ServerOptions(url=mock.url))
        adapter.load(MOCKED, Controls())
        facts = adapter.generate(Generation(MOCKED, "Hi", 64, Controls()))
        adapter.close()
    assert (facts.formula_id, facts.engine) == ("ollama.mlx", "mlx")
    assert facts.decode_clock == "prefill_end"
    row = view.read(at_its_pace(facts))
    # 12 tokens shown and counted, 13 steps made with the end of sequence.
    assert (facts.completion_tokens, facts.decode_ns) == (12, 13_000_000)
    assert row["decoded_tokens"] == 12


@pytest.mark.parametrize(
    ("version", "formula"),
    [
        ("0.34.0", "ollama.llama-server.v0.34"),
        ("0.34.0-rc1", "ollama.llama-server.v0.34"),
        ("1.2.0", "ollama.llama-server.v0.34"),
        ("0.33.9", "ollama.llama-server.v0.30.1"),
        ("0.30.1", "ollama.llama-server.v0.30.1"),
        ("0.30.0", "ollama.llama-server.v0.30.0"),
        ("0.24.0", "ollama.runner.v0.12.5"),
        ("0.12.5", "ollama.runner.v0.12.5"),
        ("0.12.4", "ollama.runner.v0.5"),
        ("0.5.0", "ollama.runner.v0.5"),
        ("0.4.7", "ollama.runner.legacy"),
        ("0.0.0", "ollama.unknown-version"),
        ("main", "ollama.unknown-version"),
        (None, "ollama.unknown-version"),
    ],
)
def test_the_version_chooses_the_formula(version: str | None, formula: str) -> None:
    assert find_era(version, "gguf").formula_id == formula
    assert find_era(version, "safetensors").formula_id == "ollama.mlx"


def test_a_version_without_numbers_is_none() -> None:
    assert parse_version("") is None
    assert parse_version("v0.9.3-12-gabc") == (0, 9, 3)


def test_one_token_has_nothing_to_decode(
    server: ReplayServer, view: TelemetryView
) -> None:
    facts = call(server, "one_token_stream.ndjson")
    assert (facts.completion_tokens, facts.decode_ns) == (1, None)
    row = view.read(at_its_pace(facts))
    assert row["token_metrics_status"] == "OK"
    assert row["generation_rate_reason"] == "SINGLE_TOKEN_COMPLETION"


def test_an_empty_answer_without_a_count_is_zero_tokens_by_contract(
    server: ReplayServer, view: TelemetryView
) -> None:
    facts = call(server, "zero_tokens_stream.ndjson")
    assert (facts.outcome, facts.answer_text) == ("OK", "")
    assert facts.completion_tokens == 0
    assert facts.count_note is not None
    row = view.read(at_its_pace(facts))
    assert row["token_metrics_status"] == "OK"
    assert row["generation_rate_reason"] == "ZERO_COMPLETION_TOKENS"


def test_thinking_is_told_apart_and_carries_the_first_token(
    server: ReplayServer,
) -> None:
    facts = call(server, "thinking_stream.ndjson")
    assert facts.reasoning_text == "Two, three, five."
    assert facts.answer_text == "Seven."
    assert facts.ttft_ns is not None


def test_an_error_line_after_200_is_a_failure(server: ReplayServer) -> None:
    facts = call(server, "error_line_stream.ndjson")
    assert (facts.outcome, facts.error_class) == ("FAILED", "STREAM_ERROR")
    assert "CUDA error" in (facts.error_message or "")
    assert (facts.http_status, facts.completion_tokens) == (200, None)


def test_a_stream_without_its_final_record_is_a_failure(server: ReplayServer) -> None:
    facts = call(server, "no_final_stream.ndjson")
    assert (facts.outcome, facts.error_class) == ("FAILED", "STREAM_INCOMPLETE")
    assert facts.answer_text == "Seven primes."


def test_a_load_in_place_of_an_answer_is_a_failure(server: ReplayServer) -> None:
    facts = call(server, "load.json")
    assert (facts.outcome, facts.error_class) == ("FAILED", "PROTOCOL_ERROR")


def test_an_answer_of_another_model_is_an_identity_mismatch(
    server: ReplayServer,
) -> None:
    other = ModelRef("qwen3", "Q4_K_M", "qwen3:0.6b")
    facts = call(server, "v0.34_stream.ndjson", model=other)
    assert (facts.outcome, facts.error_class) == ("FAILED", "IDENTITY_MISMATCH")


def test_the_request_switches_off_what_would_falsify_it(server: ReplayServer) -> None:
    call(
        server,
        "v0.34_stream.ndjson",
        system="Be brief.",
        controls=Controls(
            seed=7,
            temperature_milli=700,
            context_tokens=2048,
            batch_tokens=256,
            threads="4",
        ),
    )
    body = server.last_body("/api/chat")
    assert body["think"] is False
    assert body["truncate"] is False
    assert body["shift"] is False
    assert body["options"] == {
        "seed": 7,
        "temperature": 0.7,
        "num_ctx": 2048,
        "num_batch": 256,
        "num_thread": 4,
        "num_predict": 64,
    }
    assert [message["role"] for message in body["messages"]] == ["system", "user"]


@pytest.mark.parametrize(
    ("asked", "kept"), [("nonce", "nonce"), ("disabled", "uncontrolled")]
)
def test_a_cache_without_a_switch_is_never_called_disabled(
    server: ReplayServer, asked: str, kept: str
) -> None:
    assert call(server, "v0.34_whole.json", prompt_cache=asked).prompt_cache == kept


def test_loading_verifies_the_model(server: ReplayServer) -> None:
    server.routes["GET /api/ps"] = [
        payload("ollama", "ps_empty.json"),
        payload("ollama", "ps.json"),
    ]
    adapter = OllamaAdapter(ServerOptions(url=server.url))
    loaded = adapter.load(MODEL, Controls(context_tokens=4096))
    assert loaded.reported_quant == "Q4_K_M"
    assert loaded.digest == (
        "sha256:a80c4f17acd55265feec403c7aef86be0c25983ab279d83f3bcd3abbcb5b8b72"
    )
    assert loaded.effective.context_tokens == 4096
    assert loaded.parameters == 3_212_749_888
    assert loaded.model_bytes == 2_019_393_189
    assert loaded.reported_memory_bytes == 3_101_409_280
    assert loaded.cpu_only is False
    assert loaded.load_ns is not None
    assert server.last_body("/api/generate")["options"] == {"num_ctx": 4096}


def test_another_quant_under_the_name_is_refused(server: ReplayServer) -> None:
    adapter = OllamaAdapter(ServerOptions(url=server.url))
    with pytest.raises(IdentityMismatch, match="holds Q4_K_M"):
        adapter.load(ModelRef("llama3.2", "Q8_0", MODEL.name), Controls())
    adapter.close()


def test_a_model_that_is_not_installed_is_named_with_its_cure(
    server: ReplayServer,
) -> None:
    adapter = OllamaAdapter(ServerOptions(url=server.url))
    with pytest.raises(ProviderError, match="ollama pull gemma3"):
        adapter.load(ModelRef("gemma3", "Q4_K_M", "gemma3"), Controls())
    adapter.close()


def test_a_model_that_did_not_stay_resident_is_refused(server: ReplayServer) -> None:
    server.routes["GET /api/ps"] = payload("ollama", "ps_empty.json")
    adapter = OllamaAdapter(ServerOptions(url=server.url))
    with pytest.raises(ProviderError) as caught:
        adapter.load(MODEL, Controls())
    assert caught.value.error_class == "MODEL_NOT_RESIDENT"


def test_the_installed_models_make_a_ladder(server: ReplayServer) -> None:
    found = OllamaAdapter(ServerOptions(url=server.url)).installed_models()
    assert MODEL.name in [ref.name for ref in found]
    assert {ref.quant_tag for ref in found} == {"Q4_K_M"}


@pytest.mark.parametrize(
    "said", [{"remote_model": "big"}, {"remote_host": "https://far"}, {}]
)
def test_what_stands_for_a_model_elsewhere_has_no_size(
    server: ReplayServer, said: dict[str, str]
) -> None:
    row = {
        "name": "big:120b-cloud",
        **said,
        "size": 339,
        "digest": "b" * 64,
        "details": {"quantization_level": "MXFP4"},
    }
    listed = json.dumps({"models": [row]}).encode()
    server.routes["GET /api/tags"] = Payload(listed)
    adapter = OllamaAdapter(ServerOptions(url=server.url))
    with pytest.raises(IdentityMismatch, match="runs elsewhere"):
        adapter.identify(ModelRef("big", "MXFP4", "big:120b-cloud"))
    adapter.close()


def test_what_orket_loaded_is_unloaded_and_what_was_there_stays() -> None:
    with MockServer("ollama", FAST) as mock:
        theirs = ModelRef("demo", "Q8_0", "demo:q8_0")
        mock.engine.load(mock.profile.models[0])
        adapter = OllamaAdapter(ServerOptions(url=mock.url))
        assert adapter.load(theirs, Controls()).load_ns is None
        adapter.load(MOCKED, Controls())
        assert adapter.other_models() == ["demo:q8_0"]
        adapter.load(ModelRef("demo", "Q2_K", "demo:q2_K"), Controls())
        assert sorted(mock.engine.resident) == ["demo:q2_K", "demo:q8_0"]
        adapter.close()
        assert sorted(mock.engine.resident) == ["demo:q8_0"]


def test_others_are_unloaded_only_when_the_user_agrees() -> None:
    with MockServer("ollama", FAST) as mock:
        mock.engine.load(mock.profile.models[0])
        adapter = OllamaAdapter(ServerOptions(url=mock.url, unload_others=True))
        adapter.load(MOCKED, Controls())
        assert adapter.other_models() == []
        adapter.close()


def test_a_context_cut_by_the_server_is_told() -> None:
    with MockServer("ollama", FAST) as mock:
        mock.set_faults("context-shrunk")
        adapter = OllamaAdapter(ServerOptions(url=mock.url))
        loaded = adapter.load(MOCKED, Controls(context_tokens=2048))
        assert loaded.effective.context_tokens == 1024
        adapter.close()


def test_a_prompt_beyond_the_context_is_refused_not_cut() -> None:
    with MockServer("ollama", FAST) as mock:
        adapter = OllamaAdapter(ServerOptions(url=mock.url))
        controls = Controls(context_tokens=64)
        adapter.load(MOCKED, controls)
        facts = adapter.generate(Generation(MOCKED, "word " * 100, 8, controls))
        assert facts.error_class == "CONTEXT_EXCEEDED"
        adapter.close()


def test_describe_says_what_this_version_tells() -> None:
    for version, tells in (("0.34.0", True), ("0.33.0", False)):
        with MockServer("ollama", Profile(version=version)) as mock:
            info = OllamaAdapter(ServerOptions(url=mock.url)).describe()
            assert (info.version, info.locality) == (version, "loopback")
            assert info.capabilities.cached_counts is tells
            assert info.capabilities.cache_control is False
