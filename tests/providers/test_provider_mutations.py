"""Payloads damaged at random: nothing crashes, and nothing is invented.

Whatever is removed from a payload or made unusable, each figure of the call is the one
of the undamaged payload or unknown.
"""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orket.providers.contract import Adapter, Generation, ModelRef, ServerOptions
from orket.providers.ollama.eras import FIGURE_KEYS, find_era, read_figures
from orket.providers.reading.prometheus import Samples, grown_count, whole
from orket.providers.registry import create_adapter
from orket.records import CallFacts, Controls
from tests.fixture_files import Payload, payload
from tests.fuzzing import examples
from tests.replay_server import ReplayServer

FIGURES = (
    "prompt_tokens",
    "cached_prompt_tokens",
    "completion_tokens",
    "reasoning_tokens",
    "prefill_ns",
    "decode_ns",
    "load_ns",
    "server_total_ns",
)
UNUSABLE: list[Any] = [
    None,
    True,
    False,
    -1,
    -0.5,
    math.nan,
    math.inf,
    -math.inf,
    1e300,
    10**30,
    "12",
    "",
    [],
    {},
    [{}],
    {"a": 1},
    "\ud800",
]
"""Values that no contract gives a meaning to where a figure is expected."""


@dataclass(frozen=True)
class Case:
    """One provider's payload, and how it gets there."""

    provider: str
    name: str
    route: str
    model: str
    seed: int | None = None
    others: dict[str, str] = field(default_factory=dict)
    spoken_by: str | None = None
    """The adapter, where it is not named as the folder of its payloads."""

    def __str__(self) -> str:
        return f"{self.adapter}-{self.name}"

    @property
    def adapter(self) -> str:
        return self.spoken_by or self.provider

    @property
    def suffix(self) -> str:
        return "." + self.name.rpartition(".")[2]


OLLAMA = {"GET /api/version": "version_0.34.0.json"}
LMSTUDIO = {
    "GET /api/v1/models": "v1_models_loaded.json",
    "GET /api/v0/models": "v0_models.json",
}
CASES = [
    Case(
        "ollama",
        name,
        "POST /api/chat",
        "llama3.2:3b-instruct-q4_K_M",
        others=OLLAMA,
    )
    for name in ("v0.34_stream.ndjson", "v0.34_whole.json", "thinking_stream.ndjson")
]
CASES += [
    Case(
        "ollama",
        name,
        "POST /api/chat",
        "llama3.2:3b-instruct-q4_K_M",
        others={"GET /api/version": version},
    )
    for name, version in (
        ("v0.12_stream.ndjson", "version_0.12.6.json"),
        ("v0.5_whole.json", "version_0.5.7.json"),
    )
]
CASES += [
    Case("llamacpp", name, "POST /v1/chat/completions", "orket-demo", spoken_by=adapter)
    for adapter in ("llama-server", "openai")
    for name in (
        "chat_stream.sse",
        "chat_stream_every_timing.sse",
        "chat_cached.json",
        "chat_length.json",
    )
]
CASES += [
    Case("lmstudio", name, "POST /api/v1/chat", "qwen/qwen3-4b-2507", others=LMSTUDIO)
    for name in ("v1_reasoning_stream.sse", "v1_whole_loaded.json")
]
CASES += [
    Case(
        "lmstudio",
        "v0_whole.json",
        "POST /api/v0/chat/completions",
        "qwen/qwen3-4b-2507",
        seed=7,
        others=LMSTUDIO,
    )
]
CASES += [
    Case("vllm", name, "POST /v1/chat/completions", "Qwen/Qwen3-4B-AWQ")
    for name in (
        "metrics_stream.sse",
        "metrics_whole.json",
        "plain_stream.sse",
        "plain_whole.json",
    )
]
CASES += [
    Case("tgi", "stream.sse", "POST /generate_stream", "x"),
    Case("tgi", "generate.json", "POST /generate", "x"),
]


@pytest.fixture(scope="module", params=CASES, ids=str)
def replayed(
    request: pytest.FixtureRequest,
) -> Iterator[tuple[Case, ReplayServer, Adapter]]:
    case: Case = request.param
    with ReplayServer() as server:
        server.routes = {
            route: payload(case.provider, name) for route, name in case.others.items()
        }
        adapter = create_adapter(case.adapter, ServerOptions(url=server.url))
        yield case, server, adapter
        adapter.close()


def ask(replayed: tuple[Case, ReplayServer, Adapter], body: bytes) -> CallFacts:
    case, server, adapter = replayed
    media = payload(case.provider, case.name).content_type
    server.routes[case.route] = Payload(body, 200, media)
    facts = adapter.generate(
        Generation(
            ModelRef("m", "Q4_K_M", case.model),
            "Name a few primes.",
            64,
            Controls(seed=case.seed),
            stream=case.suffix != ".json",
        )
    )
    server.requests.clear()
    server.asked.clear()
    # What no column takes would be lost when the row is written.
    msgspec.json.decode(msgspec.json.encode(facts), type=CallFacts, strict=True)
    return facts


def read_documents(case: Case) -> list[Any]:
    """The JSON documents of a payload, in order."""
    text = payload(case.provider, case.name).body.decode()
    if case.suffix == ".json":
        return [json.loads(text)]
    if case.suffix == ".ndjson":
        return [json.loads(line) for line in text.splitlines()]
    lines = [line.partition(":")[2] for line in text.splitlines() if "data:" in line]
    return [json.loads(line) for line in lines if "[DONE]" not in line]


def write_documents(case: Case, documents: list[Any]) -> bytes:
    """The documents as that payload writes them."""
    lines = [json.dumps(document) for document in documents]
    if case.suffix == ".json":
        return lines[0].encode()
    if case.suffix == ".ndjson":
        return "".join(f"{line}\n" for line in lines).encode()
    events = "".join(f"data: {line}\n\n" for line in lines)
    marked = case.route == "POST /v1/chat/completions"
    return (events + ("data: [DONE]\n\n" if marked else "")).encode()


def all_paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of everything inside a JSON value."""
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    found = []
    for key, item in items:
        found.append((*path, key))
        found += all_paths(item, (*path, key))
    return found


@st.composite
def damage(draw: st.DrawFn, documents: list[Any]) -> list[Any]:
    """The documents with up to four things removed or made unusable."""
    damaged = copy.deepcopy(documents)
    for _ in range(draw(st.integers(1, 4))):
        paths = [path for path in all_paths(damaged) if len(path) > 1]
        if not paths:
            break
        *parents, last = draw(st.sampled_from(paths))
        holder = damaged
        for key in parents:
            holder = holder[key]
        if draw(st.booleans()):
            del holder[last]
        else:
            holder[last] = copy.deepcopy(draw(st.sampled_from(UNUSABLE)))
    return damaged


@settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_a_damaged_payload_never_crashes_and_never_invents(
    replayed: tuple[Case, ReplayServer, Adapter], data: st.DataObject
) -> None:
    case = replayed[0]
    documents = read_documents(case)
    whole = ask(replayed, write_documents(case, documents))
    damaged = data.draw(damage(documents))
    facts = ask(replayed, write_documents(case, damaged))
    assert facts.outcome in ("OK", "FAILED")
    assert (facts.outcome == "OK") is (facts.error_class is None)
    for name in FIGURES:
        said, meant = getattr(facts, name), getattr(whole, name)
        if name == "completion_tokens" and facts.count_note:
            assert said in (0, meant)
        else:
            assert said in (None, meant), name


def disorders(documents: list[Any]) -> Iterator[list[Any]]:
    """The records with one lost, said twice, or elsewhere, and with the end cut off."""
    for at, one in enumerate(documents):
        before, after = documents[:at], documents[at + 1 :]
        yield before + after
        yield [*before, one, one, *after]
        yield [*before, *after, one]
        yield [one, *before, *after]
        yield before


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.suffix != ".json"], ids=str
)
def test_a_record_that_is_lost_or_elsewhere_invents_no_figure(case: Case) -> None:
    documents = read_documents(case)
    with ReplayServer() as server:
        server.routes = {
            route: payload(case.provider, name) for route, name in case.others.items()
        }
        adapter = create_adapter(case.adapter, ServerOptions(url=server.url))
        replayed = case, server, adapter
        whole = ask(replayed, write_documents(case, documents))
        for changed in disorders(documents):
            facts = ask(replayed, write_documents(case, changed))
            for name in FIGURES:
                if facts.outcome == "OK":
                    assert getattr(facts, name) in (None, getattr(whole, name)), name
        adapter.close()


def repeat_key(text: str, at: int) -> str | None:
    """The JSON with one key and its value said twice; None where there is none."""
    found = list(
        re.finditer(r'"(\w+)": (-?[\d.]+|"[^"\\]*"|true|false|null)(?=[,}])', text)
    )
    if not found:
        return None
    pair = found[at % len(found)].group(0)
    place = found[at % len(found)].start()
    return f"{text[:place]}{pair}, {text[place:]}"


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_key_said_twice_anywhere_is_an_error(case: Case) -> None:
    documents = read_documents(case)
    body = write_documents(case, documents).decode()
    with ReplayServer() as server:
        server.routes = {
            route: payload(case.provider, name) for route, name in case.others.items()
        }
        adapter = create_adapter(case.adapter, ServerOptions(url=server.url))
        for at in range(0, 60, 7):
            twice = repeat_key(body, at)
            assert twice is not None
            facts = ask((case, server, adapter), twice.encode())
            assert facts.error_class == "PROTOCOL_ERROR", twice
            assert "stands twice" in (facts.error_message or "")
        adapter.close()


@settings(
    max_examples=examples(40),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_torn_and_dirty_bytes_never_crash(
    replayed: tuple[Case, ReplayServer, Adapter], data: st.DataObject
) -> None:
    case = replayed[0]
    body = bytearray(payload(case.provider, case.name).body)
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(body)))
    facts = ask(replayed, bytes(body[:cut]))
    assert facts.outcome in ("OK", "FAILED")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_each_figure_that_is_removed_is_unknown(case: Case) -> None:
    """Removing one key at a time: what depended on it is None, the rest stays."""
    documents = read_documents(case)
    with ReplayServer() as server:
        server.routes = {
            route: payload(case.provider, name) for route, name in case.others.items()
        }
        adapter = create_adapter(case.adapter, ServerOptions(url=server.url))
        replayed = case, server, adapter
        whole = ask(replayed, write_documents(case, documents))
        for path in all_paths(documents[-1]):
            damaged = copy.deepcopy(documents)
            holder = damaged[-1]
            for key in path[:-1]:
                holder = holder[key]
            if not isinstance(holder, dict):
                continue
            del holder[path[-1]]
            facts = ask(replayed, write_documents(case, damaged))
            for name in FIGURES:
                said = getattr(facts, name)
                assert said in (None, getattr(whole, name)), (path, name)
            told = TIMINGS_REMOVED if case.provider == "llamacpp" else REMOVED_WITH
            for name in told.get(path[-1], ()):
                assert getattr(facts, name) is None, (path, name)
        adapter.close()


REMOVED_WITH = {
    "prompt_eval_count": ("prompt_tokens",),
    "prompt_eval_cached_count": ("cached_prompt_tokens",),
    "eval_count": ("completion_tokens",),
    "prompt_eval_duration": ("prefill_ns",),
    "eval_duration": ("decode_ns",),
    "load_duration": ("load_ns",),
    "total_duration": ("server_total_ns",),
    "input_tokens": ("prompt_tokens",),
    "total_output_tokens": ("completion_tokens", "decode_ns"),
    "time_to_first_token_seconds": ("prefill_ns",),
    "tokens_per_second": (),
    "model_load_time_seconds": ("load_ns",),
    "generation_time": ("decode_ns",),
    "time_to_first_token": ("prefill_ns",),
    "prompt_tokens": ("prompt_tokens",),
    "completion_tokens": ("completion_tokens",),
    "usage": ("prompt_tokens", "completion_tokens"),
    "metrics": ("prefill_ns", "decode_ns"),
    "stats": ("prefill_ns", "decode_ns"),
    "time_to_first_token_ms": ("prefill_ns",),
    "generation_time_ms": ("decode_ns",),
    "input_length": ("prompt_tokens",),
    "generated_tokens": ("completion_tokens",),
}
"""Which figures go with which key."""
TIMINGS_REMOVED = {
    "prompt_ms": ("prefill_ns",),
    "predicted_ms": ("decode_ns",),
    "timings": ("prefill_ns", "decode_ns"),
}
"""The same of llama.cpp, which says its counts in `usage` and in `timings`."""

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=4,
)


@given(
    final=st.dictionaries(st.sampled_from(FIGURE_KEYS), ANYTHING),
    version=st.text() | st.none(),
    empty=st.booleans(),
)
def test_any_final_record_of_ollama_gives_usable_figures(
    final: dict[str, Any], version: str | None, empty: bool
) -> None:
    figures = read_figures(final, find_era(version, None), empty)
    for name in FIGURES:
        value = getattr(figures, name)
        assert value is None or (type(value) is int and value >= 0)
    if figures.prompt_tokens is not None:
        assert figures.prompt_tokens == final["prompt_eval_count"]


@given(text=st.text())
def test_any_text_is_read_as_counters_without_a_crash(text: str) -> None:
    assert Samples(text).total("no_such_counter") is None


@pytest.mark.parametrize(
    "value", ["1e300", "-1e300", "1e19", "-5", "Inf", "0.5", "1e308\nx 1e308"]
)
def test_what_no_machine_counts_to_is_no_count(value: str) -> None:
    before, after = Samples("x 0"), Samples(f"x {value}")
    assert whole(after.total("x")) is None
    assert grown_count(before, after, "x") is None
    assert grown_count(Samples(""), after, "x") is None


def test_counters_are_summed_over_their_series() -> None:
    samples = Samples(
        "# TYPE x counter\n"
        'x_total{engine="0",path="a b"} 2\n'
        'x_total{engine="1",path="say \\"}\\""} 3.5 1700000000\n'
        "y NaN\nz{} 7\nbroken{ 1\n"
    )
    assert samples.total("x") == 5.5
    assert samples.total("x_total", engine="1") == 3.5
    assert samples.total("x", engine="2") is None
    assert samples.total("y") is None
    assert samples.total("z") == 7
