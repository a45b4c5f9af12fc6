"""llama.cpp's answers, as recorded from its real server."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orket.providers.contract import Generation, ModelRef, ServerLoad, ServerOptions
from orket.providers.http.endpoint import read_endpoint
from orket.providers.http.problems import IdentityMismatch, ProviderError
from orket.providers.http.transport import Reply, Transport
from orket.providers.llamacpp.engine import read_placement_log
from orket.providers.llamacpp.engine_child import has_gpu
from orket.providers.llamacpp.protocol import (
    HeldModel,
    LlamaCppServer,
    build_payload,
    list_entries,
    read_held_model,
    read_metrics,
    require_name,
    require_quant,
)
from orket.providers.llamacpp.server import LlamaServerAdapter
from orket.providers.reading.chat import ChatCall
from orket.records import Controls, checked
from tests.places import FIXTURES
from tests.scripted import SSE, ScriptedServer, respond

FOLDER = FIXTURES / "providers/llamacpp"
CONTROLS = Controls(seed=7, temperature_milli=0)
Routes = dict[str, bytes]


def load(name: str) -> Any:
    return json.loads((FOLDER / name).read_text())


def recorded(status: int = 200, **changed: bytes) -> Routes:
    """Every route of a llama-server, as recorded; `changed` replaces some."""
    routes = {
        "/health": respond(200, load("health.json")),
        "/v1/models": respond(200, load("v1_models.json")),
        "/props": respond(200, load("props.json")),
        "/metrics": respond(200, (FOLDER / "metrics.txt").read_bytes(), "text/plain"),
        "/slots": respond(200, (FOLDER / "slots.json").read_bytes()),
        "/completion": respond(200, load("completion.json")),
        "/v1/chat/completions": respond(200, load("chat.json")),
    }
    return routes | {f"/{name}": answer for name, answer in changed.items()}


class RecordedServer(ScriptedServer):
    """Answers by route."""

    def __init__(self, routes: Routes) -> None:
        def script(connection, request):
            route = request.split(b" ")[1].decode()
            if route == "/v1/chat/completions" and b'"stream":true' in request:
                answer = SSE + (FOLDER / "chat_stream.sse").read_bytes()
            else:
                answer = routes.get(route, respond(404, {"error": "no such route"}))
            connection.sendall(answer)

        super().__init__(script)


def test_whether_it_streams_is_unknown_where_the_trial_failed():
    def script(connection, request):
        route = request.split(b" ")[1].decode()
        answer = recorded().get(route, respond(404, {}))
        if b'"stream":true' in request:
            answer = respond(500, {"error": "out of memory"})
        connection.sendall(answer)

    with ScriptedServer(script) as server:
        adapter = LlamaServerAdapter(ServerOptions(url=server.url))
        can = adapter.describe().capabilities
        adapter.close()
    assert (can.token_counts, can.streaming) == (True, None)


class NoWaiting:
    """A clock that never waits."""

    def __init__(self) -> None:
        self.slept = 0

    def monotonic_ns(self) -> int:
        return 0

    def realtime_ns(self) -> int:
        return 0

    def sleep(self, seconds: float) -> None:
        self.slept += 1


def asked(stream: bool = True, **changes: Any) -> Generation:
    model = ModelRef("m", "Q6_K", "orket-demo")
    return Generation(model, "hi", 64, CONTROLS, stream, **changes)


def held_of(listed: Any, props: Any) -> HeldModel:
    return read_held_model(next(iter(list_entries(listed)), {}), props)


def test_what_a_server_holds_is_read():
    held = held_of(load("v1_models.json"), load("props.json"))
    assert held == HeldModel(
        names=("orket-demo", "orket-demo-Q6_K.gguf"),
        path="orket-demo-Q6_K.gguf",
        ftype="Q6_K",
        context_tokens=512,
        parameters=1_906_432,
        model_bytes=1_569_568,
        build="b0-unknown",
        slots=1,
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.data())
def test_a_damaged_description_is_less_and_never_another_one(data):
    truth = held_of(load("v1_models.json"), load("props.json"))
    listed, props = load("v1_models.json"), load("props.json")
    for document in (listed["data"][0]["meta"], listed["data"][0], listed, props):
        for key in data.draw(st.sets(st.sampled_from(sorted(document)))):
            document.pop(key)
    found = held_of(listed, props)
    for name in HeldModel.__slots__:
        if name != "names":
            assert getattr(found, name) in (None, getattr(truth, name))
    assert set(found.names) <= set(truth.names)


@given(json_values, json_values)
def test_nonsense_is_no_model(listed, props):
    found = held_of({"data": listed}, {"model_ftype": props, "total_slots": props})
    assert found.parameters is None and found.context_tokens is None


@pytest.mark.parametrize(
    ("ftype", "asked_for", "matches"),
    [
        ("Q4_K - Medium", "Q4_K_M", True),
        ("Q4_K - Medium", "q4_k_m", True),
        ("Q4_K - Medium", "Q4_K_S", False),
        ("IQ4_XS - 4.25 bpw", "IQ4_XS", True),
        ("IQ3_S mix - 3.66 bpw", "IQ3_M", True),
        ("all F32", "F32", True),
        ("Q2_K - Medium", "Q2_K", True),
        ("Q2_K - Small", "Q2_K", False),
        ("TQ1_0 - 1.69 bpw ternary", "TQ1_0", True),
        ("MXFP4 MoE", "MXFP4", True),
        ("F16", "FP16", True),
        ("BF16", "F16", False),
        # No evidence: a guess, a type that is not known, a tag that is no type.
        ("(guessed) Q4_0", "Q8_0", True),
        ("some new type", "Q8_0", True),
        ("Q4_K - Medium", "UD-Q4_K_XL", True),
        (None, "Q8_0", True),
    ],
)
def test_another_quant_is_refused_and_an_unknown_one_is_not(ftype, asked_for, matches):
    model, held = ModelRef("m", asked_for, "m"), HeldModel(ftype=ftype)
    if matches:
        require_quant(model, held, "the server")
        return
    with pytest.raises(IdentityMismatch) as caught:
        require_quant(model, held, "the server")
    assert caught.value.error_class == "IDENTITY_MISMATCH"


def test_a_server_that_goes_by_another_name_is_refused():
    held = HeldModel(names=("orket-demo", "/models/orket-demo-Q6_K.gguf"))
    for name in ("", "orket-demo", "Orket-Demo-Q6_K"):
        require_name(ModelRef("m", "Q6_K", name), held, "the server")
    with pytest.raises(IdentityMismatch, match="orket-demo"):
        require_name(ModelRef("m", "Q6_K", "llama3"), held, "the server")


def test_metrics_are_read_by_name():
    values = read_metrics((FOLDER / "metrics.txt").read_text())
    assert values["requests_processing"] == 0
    assert values["tokens_predicted_total"] == 136
    assert read_metrics("llamacpp:x NaN\nllamacpp:y -1\nother 3\n") == {}
    # No number is the first digits of another.
    assert read_metrics(f"llamacpp:x {10**20}\nllamacpp:y 7\n") == {"y": 7}


def test_the_prompt_cache_is_asked_off_and_thinking_too():
    payload = build_payload(asked(), stream=True)
    assert payload["cache_prompt"] is False
    assert payload["stream_options"] == {"include_usage": True}
    assert "chat_template_kwargs" not in payload
    whole = build_payload(asked(prompt_cache="nonce"), stream=False)
    assert "cache_prompt" not in whole and "stream_options" not in whole
    quiet = Controls(thinking=False)
    payload = build_payload(Generation(asked().model, "hi", 1, quiet), stream=True)
    assert payload["chat_template_kwargs"] == {"enable_thinking": False}


def test_a_recorded_server_is_described_and_loaded():
    with RecordedServer(recorded()) as server:
        adapter = LlamaServerAdapter(ServerOptions(url=server.url))
        info = adapter.describe()
        loaded = adapter.load(
            asked().model,
            Controls(seed=7, temperature_milli=0, threads="2", context_tokens=2048),
        )
        load_now = adapter.server_load()
        adapter.close()
    assert info.version == "b0-unknown"
    assert info.capabilities.internal_timings is True
    assert info.capabilities.cache_control is True
    assert loaded.effective == Controls(seed=7, temperature_milli=0, context_tokens=512)
    assert loaded.unsupported == ("threads",)
    assert (loaded.model_bytes, loaded.parameters) == (1_569_568, 1_906_432)
    assert loaded.digest is None
    assert load_now == ServerLoad(0, 136)


def test_counters_switched_off_leave_the_slots():
    off = respond(501, {"error": {"message": "start it with --metrics"}})
    busy = respond(200, b'[{"is_processing":true},{"is_processing":false}]')
    with RecordedServer(recorded(metrics=off, slots=busy)) as server:
        adapter = LlamaServerAdapter(ServerOptions(url=server.url))
        assert adapter.server_load() == ServerLoad(1, None)
        adapter.close()
    with RecordedServer(recorded(metrics=off, slots=off)) as server:
        adapter = LlamaServerAdapter(ServerOptions(url=server.url))
        assert adapter.server_load() is None
        assert any("--metrics" in note for note in adapter.describe().notes)
        adapter.close()


def test_a_server_that_is_loading_is_waited_for_and_then_given_up():
    loading = respond(503, {"error": {"message": "Loading model"}})
    clock = NoWaiting()
    routes = recorded(health=loading) | {"/v1/models": loading}
    with RecordedServer(routes) as server:
        adapter = LlamaServerAdapter(ServerOptions(url=server.url, clock=clock))
        with pytest.raises(ProviderError, match="Loading model") as caught:
            adapter.describe()
        adapter.close()
    assert clock.slept > 0
    assert caught.value.error_class == "HTTP_503"


def test_a_missing_key_is_told_before_anything_is_measured():
    denied = respond(401, {"error": {"message": "Invalid API Key"}})
    with RecordedServer(recorded(props=denied)) as server:
        adapter = LlamaServerAdapter(ServerOptions(url=server.url))
        for ask in (adapter.describe, lambda: adapter.load(asked().model, CONTROLS)):
            with pytest.raises(ProviderError, match="API key") as caught:
                ask()
            assert caught.value.error_class == "HTTP_401"
        adapter.close()


def test_a_size_no_such_quant_can_have_is_refused():
    models = load("v1_models.json")
    models["data"][0]["meta"].update(size=4 * 1_906_432, ftype="unheard of")
    routes = recorded() | {
        "/v1/models": respond(200, models),
        "/props": respond(501, {}),
    }
    with RecordedServer(routes) as server:
        adapter = LlamaServerAdapter(ServerOptions(url=server.url))
        with pytest.raises(IdentityMismatch, match="bits per weight"):
            adapter.load(asked().model, CONTROLS)
        adapter.close()


@pytest.mark.parametrize("stream", [True, False])
def test_a_recorded_answer_is_read(stream):
    with RecordedServer(recorded()) as server:
        adapter = LlamaServerAdapter(ServerOptions(url=server.url))
        facts = adapter.generate(asked(stream))
        adapter.close()
    assert facts.outcome == "OK"
    assert facts.answer_text == '{"name": "da", "age": 36}'
    assert (facts.prompt_tokens, facts.cached_prompt_tokens) == (24, 0)
    assert facts.completion_tokens == 26
    assert facts.formula_id == "llamacpp.timings.v1"
    assert facts.engine == "llama.cpp"
    assert facts.prompt_cache == "disabled"
    assert facts.streamed is stream


def test_a_prompt_beyond_the_context_is_a_class_of_its_own():
    answer = respond(400, load("error_context.json"))
    routes = recorded() | {"/v1/chat/completions": answer}
    with RecordedServer(routes) as server:
        adapter = LlamaServerAdapter(ServerOptions(url=server.url))
        facts = adapter.generate(asked(stream=False))
        adapter.close()
    assert (facts.outcome, facts.error_class) == ("FAILED", "CONTEXT_EXCEEDED")
    assert facts.http_status == 400
    assert "512 tokens" in (facts.error_message or "")


Place = tuple[str | int, ...]


def paths_in(document: Any, start: Place = ()) -> list[Place]:
    """Every place in a document."""
    inner: list[tuple[str | int, Any]] = []
    if isinstance(document, dict):
        inner = list(document.items())
    elif isinstance(document, list):
        inner = list(enumerate(document))
    found = [start] if start else []
    return found + [p for key, value in inner for p in paths_in(value, (*start, key))]


def put(document: Any, path: Place, value: object) -> None:
    for key in path[:-1]:
        try:
            document = document[key]
        except (KeyError, IndexError, TypeError):
            return
    if isinstance(document, dict):
        document[path[-1]] = value


FIGURES = (
    "prompt_tokens",
    "cached_prompt_tokens",
    "completion_tokens",
    "prefill_ns",
    "decode_ns",
    "answer_text",
    "stop_reason",
    "reported_model",
)
CHAT_PATHS = paths_in(load("chat_cached.json"))
nonsense: st.SearchStrategy[object] = st.one_of(
    st.sampled_from([None, True, -1, 1e300, 10**40, float("nan")]),
    st.builds(list),
    st.builds(dict),
)


def read(document: Any) -> Any:
    with Transport(read_endpoint("127.0.0.1:1")) as transport:
        call = ChatCall(asked(stream=False), transport)
        call.take(Reply(200, json=document))
        return call.facts()


@given(st.dictionaries(st.sampled_from(CHAT_PATHS), nonsense, max_size=4))
def test_a_damaged_answer_says_less_and_nothing_else(changes):
    truth, document = read(load("chat_cached.json")), load("chat_cached.json")
    for path, value in changes.items():
        put(document, path, value)
    facts = read(document)
    checked(facts)
    assert facts.outcome in ("OK", "FAILED")
    for name in FIGURES:
        assert getattr(facts, name) in (None, "", getattr(truth, name)), name


@pytest.mark.parametrize(
    ("template", "found"),
    [({"prompt": "same"}, None), (None, None)],
)
def test_a_template_without_a_switch_leaves_thinking_unverified(template, found):
    answer = respond(404, {}) if template is None else respond(200, template)
    routes = recorded() | {"/apply-template": answer}
    with RecordedServer(routes) as server:
        adapter = LlamaServerAdapter(ServerOptions(url=f"{server.url}/v1"))
        loaded = adapter.load(asked().model, Controls(thinking=False))
        adapter.close()
    assert loaded.effective.thinking is found


def test_a_template_with_a_switch_verifies_thinking():
    def script(connection, request):
        word = "on" if b'"enable_thinking":true' in request else "off"
        connection.sendall(respond(200, {"prompt": word}))

    with ScriptedServer(script) as server:
        transport = Transport(read_endpoint(server.url))
        echoed = LlamaCppServer(transport).echoed_controls(Controls(thinking=False))
        transport.close()
    assert echoed.thinking is False


def routed(*models: tuple[str, str], **more: Any) -> dict[str, Any]:
    """A router's list: ids and what is the case with each."""
    return {
        "data": [
            {
                "id": name,
                "owned_by": "llamacpp",
                "path": f"/opt/m/{name.partition('/')[2] or name}.gguf",
                "status": {"value": status, "args": []},
                **more,
            }
            for name, status in models
        ]
    }


ROUTER = {
    "role": "router",
    "model_path": "none",
    "build_info": "b7400-0",
    "default_generation_settings": {"params": {}, "n_ctx": 0},
}
TWO = (("a-Q8_0", "unloaded"), ("a-Q4_K_M", "loaded"), ("b-Q8_0", "loaded"))


def router_of(*models: tuple[str, str], **answers: bytes) -> Routes:
    return {
        "/health": respond(200, {"status": "ok"}),
        "/v1/models": respond(200, routed(*models)),
        "/props": respond(200, ROUTER),
        **answers,
    }


@pytest.mark.parametrize(
    ("name", "quant", "found"),
    [
        ("a-Q4_K_M", "Q4_K_M", "a-Q4_K_M"),
        ("A-q4_k_m", "Q4_K_M", "a-Q4_K_M"),
        ("b", "Q8_0", "b-Q8_0"),
    ],
)
def test_a_model_of_a_router_is_picked_by_its_name(name, quant, found):
    chat = json.dumps({**load("chat.json"), "model": found}).encode()
    routes = router_of(*TWO) | {"/v1/chat/completions": respond(200, chat)}
    with RecordedServer(routes) as server:
        adapter = LlamaServerAdapter(ServerOptions(url=server.url, streaming=False))
        model = ModelRef("m", quant, name)
        loaded = adapter.load(model, Controls())
        facts = adapter.generate(replace(asked(), model=loaded.model))
        assert (
            json.loads(server.requests[-1].partition(b"\r\n\r\n")[2])["model"] == found
        )
        assert adapter.other_models() == sorted({"a-Q4_K_M", "b-Q8_0"} - {found})
        adapter.close()
    assert (loaded.model.name, loaded.effective.context_tokens) == (found, None)
    assert facts.outcome == "OK"


@pytest.mark.parametrize(
    ("name", "quant", "reason"),
    [
        ("a-Q8_0", "Q8_0", "has not loaded a-Q8_0"),
        ("c", "Q8_0", "'c' is not one of a-Q8_0, a-Q4_K_M, b-Q8_0"),
        ("a", "Q4_K_M", "'a' may be any of a-Q8_0, a-Q4_K_M"),
        ("", "Q4_K_M", "not clear"),
        ("a-Q4_K_M", "Q8_0", "holds Q4_K_M, not Q8_0"),
    ],
)
def test_a_router_is_never_asked_for_a_model_that_is_not_clear(name, quant, reason):
    with RecordedServer(router_of(*TWO)) as server:
        adapter = LlamaServerAdapter(ServerOptions(url=server.url))
        with pytest.raises(ProviderError, match=reason) as caught:
            adapter.load(ModelRef("m", quant, name), Controls())
        adapter.close()
    assert "start one llama-server" in str(caught.value) or quant == "Q8_0"


def test_a_model_of_a_router_is_its_name_to_the_letter_first():
    routes = router_of(("x-Q8_0", "loaded"), ("X-q8_0", "loaded"))
    with RecordedServer(routes) as server:
        adapter = LlamaServerAdapter(ServerOptions(url=server.url))
        for name in ("x-Q8_0", "X-q8_0"):
            loaded = adapter.load(ModelRef("m", "Q8_0", name), Controls())
            assert loaded.model.name == name
        with pytest.raises(ProviderError, match="'X-Q8_0' may be any of"):
            adapter.load(ModelRef("m", "Q8_0", "X-Q8_0"), Controls())
        adapter.close()


def test_the_answer_of_another_model_of_a_router_is_no_answer():
    routes = router_of(*TWO) | {"/v1/chat/completions": respond(200, load("chat.json"))}
    with RecordedServer(routes) as server:
        adapter = LlamaServerAdapter(ServerOptions(url=server.url, streaming=False))
        loaded = adapter.load(ModelRef("m", "Q4_K_M", "a-Q4_K_M"), Controls())
        facts = adapter.generate(replace(asked(), model=loaded.model))
        adapter.close()
    assert facts.error_class == "IDENTITY_MISMATCH"


def test_a_router_lists_what_it_has_loaded_with_what_each_says_of_itself():
    own = {"model_path": "/opt/m/b.gguf", "model_ftype": "Q5_K - Medium"}
    props = {"/props?model=b-Q8_0&autoload=false": respond(200, own)}
    for models, names in ((TWO, ["a-Q4_K_M", "b-Q8_0"]), (TWO[:1], [])):
        with RecordedServer(router_of(*models) | props) as server:
            adapter = LlamaServerAdapter(ServerOptions(url=server.url))
            found = adapter.installed_models()
            info = adapter.describe()
            adapter.close()
        assert [ref.name for ref in found if not ref.barred] == names
        # What it has not loaded is named, and can not be chosen.
        assert len(found) == len(models)
        assert "router of" in info.notes[-1] or "router of" in info.notes[0]
    # Its name says one quant and its own server another: neither is believed.
    with RecordedServer(router_of(*TWO) | props) as server:
        adapter = LlamaServerAdapter(ServerOptions(url=server.url))
        with pytest.raises(ProviderError, match="holds Q5_K_M"):
            adapter.load(ModelRef("m", "Q8_0", "b-Q8_0"), Controls())
        adapter.close()


def load_log(*buffers: tuple[str, str]) -> str:
    """What a load writes of its buffers."""
    return "0.1 I llama_model_loader: loaded meta data with 30 pairs\n" + "".join(
        f"0.2 I load_tensors: {name:>12} model buffer size = {size:>8} MiB\n"
        for name, size in buffers
    )


DRAFT = load_log(("CUDA0", "20.00"))


@pytest.mark.parametrize(
    ("log", "placed"),
    [
        ("", None),
        ("llama_kv_cache:      CUDA0 KV buffer size =    12.00 MiB", None),
        (load_log(("CPU_Mapped", "3.50")), (3.5, 0)),
        (load_log(("CPU_Mapped", "1.00"), ("CUDA0", "3.00")), (4, 3)),
        (load_log(("CUDA_Host", "1.00"), ("CUDA0", "2.00"), ("CUDA1", "1.00")), (4, 3)),
        (load_log(("CPU_REPACK", "1.00"), ("MTL0_Mapped", "1.00")), (2, 1)),
        # A small model that drafts for the measured one, loaded after it or before.
        (load_log(("CPU", "50.00"), ("Vulkan0", "50.00")) + DRAFT, (100, 50)),
        (DRAFT + load_log(("CPU", "50.00"), ("Vulkan0", "50.00")), (100, 50)),
        (load_log(("CUDA0", "9" * 400 + ".00")), None),
    ],
)
def test_the_log_tells_where_the_weights_lie(log, placed):
    found = read_placement_log(log)
    told = found and (found.total_bytes / 2**20, found.gpu_bytes / 2**20)
    assert told == placed


@pytest.mark.parametrize(
    ("devices", "is_there"),
    [
        (None, False),
        (["DEVICE_TYPE_CPU", "DEVICE_TYPE_ACCEL"], False),
        (["DEVICE_TYPE_CPU", "DEVICE_TYPE_GPU"], True),
        (["DEVICE_TYPE_IGPU"], True),
    ],
)
def test_a_device_that_a_layer_could_lie_on_is_known(devices, is_there):
    assert has_gpu(devices) is is_there
