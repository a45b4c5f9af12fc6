"""LM Studio: two REST versions, derived decode times, load and unload."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orket.mockserver import MockServer, Profile
from orket.providers.contract import Generation, ModelRef, ServerOptions
from orket.providers.http.problems import IdentityMismatch, ProviderError
from orket.providers.lmstudio.adapter import SEEDED_BY_V0, LmStudioAdapter
from orket.providers.lmstudio.call import read_v1_stats
from orket.records import CallFacts, Controls
from tests.fixture_files import Payload, payload
from tests.replay_server import ReplayServer
from tests.token_status import TelemetryView, at_its_pace

MODEL = ModelRef("qwen3-4b", "Q4_K_M", "qwen/qwen3-4b-2507")
MOCKED = ModelRef("demo", "Q4_K_M", "demo:q4_K_M")
FAST = Profile(prefill_rate=1e6, decode_rate=1e5, load_seconds=0.0)


@pytest.fixture
def server() -> Iterator[ReplayServer]:
    with ReplayServer() as replay:
        replay.routes = {
            "GET /api/v1/models": payload("lmstudio", "v1_models_loaded.json"),
            "GET /api/v0/models": payload("lmstudio", "v0_models.json"),
            "POST /api/v1/models/load": payload("lmstudio", "v1_load.json"),
            "POST /api/v1/models/unload": payload("lmstudio", "v1_unload.json"),
            "POST /api/v1/chat": payload("lmstudio", "v1_whole.json"),
            "POST /api/v0/chat/completions": payload("lmstudio", "v0_whole.json"),
        }
        yield replay


@pytest.fixture(scope="module")
def view() -> Iterator[TelemetryView]:
    telemetry = TelemetryView()
    yield telemetry
    telemetry.close()


def call(
    server: ReplayServer, name: str | None = None, seed: int | None = None
) -> CallFacts:
    if name is not None:
        server.routes["POST /api/v1/chat"] = payload("lmstudio", name)
    adapter = LmStudioAdapter(ServerOptions(url=server.url))
    streamed = name is None or name.endswith(".sse")
    controls = Controls(seed=seed, temperature_milli=0)
    facts = adapter.generate(
        Generation(MODEL, "Name a few primes.", 64, controls, stream=streamed)
    )
    adapter.close()
    return facts


@pytest.mark.parametrize("name", ["v1_stream.sse", "v1_whole.json"])
def test_v1_derives_the_decode_time_from_the_rate(
    server: ReplayServer, view: TelemetryView, name: str
) -> None:
    facts = call(server, name)
    assert (facts.outcome, facts.answer_text) == ("OK", "Seven primes.")
    assert facts.formula_id == "lmstudio.v1_stats.v1"
    assert (facts.prompt_tokens, facts.completion_tokens) == (27, 31)
    assert facts.prefill_kind == "ttft_proxy"
    assert facts.prefill_ns == 212_000_000
    assert facts.decode_ns == round(30 / 48.25 * 1e9)
    assert facts.load_ns is None
    row = view.read(at_its_pace(facts))
    assert row["token_metrics_status"] == "OK"
    assert row["generation_tokens_per_second_milli"] == 48_250
    assert row["prompt_rate_reason"] == "CACHED_SHARE_UNKNOWN"


def test_v1_tells_a_load_inside_the_call(server: ReplayServer) -> None:
    assert call(server, "v1_whole_loaded.json").load_ns == 2_656_000_000


def test_v1_reasoning_is_told_apart(server: ReplayServer) -> None:
    facts = call(server, "v1_reasoning_stream.sse")
    assert facts.reasoning_text == "Two, three, five."
    assert facts.answer_text == "Seven."
    assert facts.reasoning_tokens == 12
    assert facts.ttft_ns is not None


def test_an_error_event_fails_the_call_though_chat_end_follows(
    server: ReplayServer,
) -> None:
    facts = call(server, "v1_error_stream.sse")
    assert (facts.outcome, facts.error_class) == ("FAILED", "STREAM_ERROR")
    assert facts.error_message == "the model has crashed"
    assert facts.completion_tokens is None


def test_a_stream_without_chat_end_is_a_failure(server: ReplayServer) -> None:
    facts = call(server, "v1_no_end_stream.sse")
    assert (facts.error_class, facts.answer_text) == ("STREAM_INCOMPLETE", "Sev")


def test_a_seed_goes_through_v0_which_has_a_decode_time(
    server: ReplayServer, view: TelemetryView
) -> None:
    facts = call(server, seed=7)
    assert facts.formula_id == "lmstudio.v0_stats.v1"
    assert facts.call_notes == [SEEDED_BY_V0]
    assert (facts.streamed, facts.ttft_ns) == (False, None)
    assert facts.decode_ns == 648_000_000
    assert facts.engine == "llama.cpp-linux-x86_64-avx2 1.52.1"
    assert view.status(facts) == "OK"
    assert server.last_body("/api/v0/chat/completions")["seed"] == 7


def test_v0_tells_which_quant_answered(server: ReplayServer) -> None:
    adapter = LmStudioAdapter(ServerOptions(url=server.url))
    wrong = ModelRef("qwen3-4b", "Q8_0", MODEL.name)
    facts = adapter.generate(Generation(wrong, "Hi", 8, Controls(seed=1)))
    assert (facts.outcome, facts.error_class) == ("FAILED", "IDENTITY_MISMATCH")
    adapter.close()


def test_an_answer_of_another_model_is_an_identity_mismatch(
    server: ReplayServer,
) -> None:
    adapter = LmStudioAdapter(ServerOptions(url=server.url, streaming=False))
    other = ModelRef("gemma", "Q4_K_M", "gemma-3-4b")
    facts = adapter.generate(Generation(other, "Hi", 8, Controls()))
    assert facts.error_class == "IDENTITY_MISMATCH"
    adapter.close()


@pytest.mark.parametrize("shape", ["v1_load.json", "v1_load_first_documents.json"])
def test_loading_reads_both_documented_shapes(server: ReplayServer, shape: str) -> None:
    server.routes["GET /api/v1/models"] = [
        payload("lmstudio", "v1_models.json"),
        payload("lmstudio", "v1_models.json"),
        payload("lmstudio", "v1_models_loaded.json"),
    ]
    server.routes["POST /api/v1/models/load"] = payload("lmstudio", shape)
    adapter = LmStudioAdapter(ServerOptions(url=server.url))
    loaded = adapter.load(MODEL, Controls(context_tokens=8192))
    assert loaded.load_ns == 3_104_000_000
    assert loaded.effective.context_tokens == 4096
    assert loaded.effective.batch_tokens == 512
    assert loaded.reported_quant == "Q4_K_M"
    assert loaded.model_bytes == 2_497_281_120


def test_settings_one_level_deeper_are_tried_when_refused(
    server: ReplayServer,
) -> None:
    server.routes["GET /api/v1/models"] = [
        payload("lmstudio", "v1_models.json"),
        payload("lmstudio", "v1_models.json"),
        payload("lmstudio", "v1_models_loaded.json"),
    ]
    refusal = b'{"error":{"type":"invalid_request","message":"unrecognized key"}}'
    server.routes["POST /api/v1/models/load"] = [
        Payload(refusal, 400),
        payload("lmstudio", "v1_load_first_documents.json"),
    ]
    adapter = LmStudioAdapter(ServerOptions(url=server.url))
    adapter.load(MODEL, Controls(context_tokens=4096))
    body = server.last_body("/api/v1/models/load")
    assert body == {"model": MODEL.name, "config": {"context_length": 4096}}


def test_another_quant_is_refused(server: ReplayServer) -> None:
    adapter = LmStudioAdapter(ServerOptions(url=server.url))
    with pytest.raises(IdentityMismatch, match="Q4_K_M"):
        adapter.load(ModelRef("qwen3-4b", "Q8_0", MODEL.name), Controls())


def test_an_unknown_model_is_named_with_its_cure(server: ReplayServer) -> None:
    adapter = LmStudioAdapter(ServerOptions(url=server.url))
    with pytest.raises(ProviderError, match="lms get nobody"):
        adapter.load(ModelRef("nobody", "Q4_K_M", "nobody"), Controls())


def test_controls_it_does_not_have_are_named(server: ReplayServer) -> None:
    adapter = LmStudioAdapter(ServerOptions(url=server.url))
    controls = Controls(threads="4", affinity="compact", seed=1)
    assert adapter.load(MODEL, controls).unsupported == ("affinity", "threads")
    assert adapter.load(MODEL, Controls(threads="server")).unsupported == ()


def test_a_server_without_v1_is_spoken_to_by_v0(server: ReplayServer) -> None:
    del server.routes["GET /api/v1/models"]
    adapter = LmStudioAdapter(ServerOptions(url=server.url))
    info = adapter.describe()
    assert info.capabilities.streaming is False
    assert info.notes[0] == "REST routes: v0"
    loaded = adapter.load(MODEL, Controls(context_tokens=4096))
    assert loaded.unsupported == ("context_tokens",)
    assert loaded.reported_quant == "Q4_K_M"
    facts = adapter.generate(Generation(MODEL, "Hi", 8, Controls()))
    assert facts.formula_id == "lmstudio.v0_stats.v1"
    assert adapter.other_models() == []


def test_the_installed_language_models_are_listed(server: ReplayServer) -> None:
    found = LmStudioAdapter(ServerOptions(url=server.url)).installed_models()
    assert [(ref.name, ref.quant_tag) for ref in found if not ref.barred] == [
        (MODEL.name, "Q4_K_M")
    ]
    (embedding,) = [ref for ref in found if ref.barred]
    assert embedding.barred == "it writes no text: an embedding model"


@pytest.mark.parametrize(
    ("stats", "decode_ns"),
    [
        ({"total_output_tokens": 11, "tokens_per_second": 10.0}, 1_000_000_000),
        ({"total_output_tokens": 1, "tokens_per_second": 10.0}, None),
        ({"total_output_tokens": 11, "tokens_per_second": 0}, None),
        ({"total_output_tokens": 11, "tokens_per_second": 1e300}, None),
        ({"total_output_tokens": 11, "tokens_per_second": 1e-300}, None),
        ({"total_output_tokens": 11}, None),
        ({"tokens_per_second": 10.0}, None),
    ],
)
def test_the_derived_decode_time_needs_both_its_parts(
    stats: dict[str, float], decode_ns: int | None
) -> None:
    assert read_v1_stats(stats).decode_ns == decode_ns


def test_thinking_is_switched_off_where_the_model_lets_it() -> None:
    thinking = Profile(
        prefill_rate=1e6, decode_rate=1e5, load_seconds=0.0, thinking="Let me see. "
    )
    for profile, known in ((thinking, False), (FAST, None)):
        with MockServer("lmstudio", profile) as mock:
            adapter = LmStudioAdapter(ServerOptions(url=mock.url))
            loaded = adapter.load(MOCKED, Controls())
            assert loaded.effective.thinking is known
            facts = adapter.generate(Generation(MOCKED, "Hi", 64, Controls()))
            assert (facts.outcome, facts.reasoning_text) == ("OK", None)
            adapter.close()


def test_what_orket_loaded_is_unloaded_and_what_was_there_stays() -> None:
    with MockServer("lmstudio", FAST) as mock:
        mock.engine.load(mock.profile.models[0])
        adapter = LmStudioAdapter(ServerOptions(url=mock.url))
        adapter.load(MOCKED, Controls())
        assert adapter.other_models() == ["demo:q8_0"]
        adapter.load(ModelRef("demo", "Q2_K", "demo:q2_K"), Controls())
        assert sorted(mock.engine.resident) == ["demo:q2_K", "demo:q8_0"]
        adapter.close()
        assert sorted(mock.engine.resident) == ["demo:q8_0"]


def test_others_are_unloaded_only_when_the_user_agrees() -> None:
    with MockServer("lmstudio", FAST) as mock:
        mock.engine.load(mock.profile.models[0])
        adapter = LmStudioAdapter(ServerOptions(url=mock.url, unload_others=True))
        adapter.load(MOCKED, Controls())
        assert adapter.other_models() == []
        adapter.close()
