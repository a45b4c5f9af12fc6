"""The OpenAI chat protocol, spoken by the generic adapter to a scripted server."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orket.errors import UsageError
from orket.providers.contract import Generation, ModelRef, ServerOptions
from orket.providers.http.problems import IdentityMismatch, ProviderError
from orket.providers.openai import OpenAiAdapter
from orket.records import CallFacts, Controls, checked
from tests.fuzzing import examples
from tests.places import FIXTURES
from tests.scripted import SSE, Script, ScriptedServer, respond, stream

FOLDER = FIXTURES / "providers/llamacpp"
MODEL = ModelRef("m", "Q4_K_M", "m-q4")
USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
LISTED = respond(200, {"object": "list", "data": [{"id": "m-q4"}]})


@contextmanager
def adapter(
    *answers: bytes | Script, **options: Any
) -> Iterator[tuple[OpenAiAdapter, ScriptedServer]]:
    with ScriptedServer(*answers) as server:
        opened = OpenAiAdapter(ServerOptions(url=server.url, **options))
        try:
            yield opened, server
        finally:
            opened.close()


def generate(*answers: bytes | Script, streamed: bool = True) -> CallFacts:
    with adapter(*answers) as (opened, _):
        return opened.generate(request(streamed))


def request(streamed: bool = True) -> Generation:
    return Generation(
        MODEL, "hi", 8, Controls(seed=7, temperature_milli=500), streamed, "be brief"
    )


def delta(finish: str | None = None, **said: Any) -> dict[str, Any]:
    return {
        "model": "m-q4",
        "choices": [{"index": 0, "delta": said, "finish_reason": finish}],
    }


def whole(**said: Any) -> dict[str, Any]:
    message = {"role": "assistant", **said}
    return {"choices": [{"message": message, "finish_reason": "stop"}], "usage": USAGE}


def last(**said: Any) -> dict[str, Any]:
    return {"choices": [], **said}


def test_a_stream_is_read_to_its_last_word():
    facts = generate(
        stream(
            delta(role="assistant", content=None),
            delta(content="he"),
            delta(content="llo"),
            delta("stop"),
            last(usage=USAGE),
        )
    )
    assert (facts.outcome, facts.answer_text) == ("OK", "hello")
    assert (facts.prompt_tokens, facts.completion_tokens) == (9, 3)
    assert (facts.prefill_ns, facts.decode_ns) == (None, None)
    assert facts.formula_id == "openai.usage.v1"
    assert (facts.stop_reason, facts.reported_model) == ("stop", "m-q4")
    assert facts.streamed and facts.ttft_ns is not None
    assert facts.wall_ns is not None and facts.ttft_ns <= facts.wall_ns
    assert facts.prompt_cache == "uncontrolled"


def test_the_request_is_what_was_asked_for():
    with adapter(stream(delta("stop"), last(usage=USAGE))) as (opened, server):
        opened.generate(request())
        (body,) = server.bodies()
    assert body == {
        "model": "m-q4",
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "hi"},
        ],
        "max_tokens": 8,
        "temperature": 0.5,
        "seed": 7,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_a_whole_answer_is_read():
    facts = generate(respond(200, whole(content="hello")), streamed=False)
    assert (facts.outcome, facts.answer_text) == ("OK", "hello")
    assert (facts.streamed, facts.ttft_ns) == (False, None)
    assert facts.completion_tokens == 3


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
def test_reasoning_is_told_apart_and_is_a_token(key):
    facts = generate(
        stream(
            delta(role="assistant"),
            delta(**{key: "hm"}),
            delta(content="yes"),
            delta("stop"),
            last(usage=USAGE),
        )
    )
    assert (facts.answer_text, facts.reasoning_text) == ("yes", "hm")
    only = generate(stream(delta(**{key: "hm"}), delta("length"), last(usage=USAGE)))
    assert (only.outcome, only.answer_text) == ("OK", "")
    assert only.ttft_ns is not None


def test_a_role_alone_is_no_token():
    facts = generate(
        stream(delta(role="assistant"), delta("stop"), last(usage={**USAGE}))
    )
    assert (facts.outcome, facts.answer_text, facts.ttft_ns) == ("OK", "", None)


def test_an_empty_answer_of_zero_tokens_is_a_fact():
    usage = {"prompt_tokens": 9, "completion_tokens": 0}
    facts = generate(stream(delta(content=""), delta("stop"), last(usage=usage)))
    assert (facts.outcome, facts.completion_tokens) == ("OK", 0)


def test_zero_tokens_for_an_answer_with_text_is_no_count():
    usage = {"prompt_tokens": 9, "completion_tokens": 0}
    facts = generate(stream(delta(content="x"), delta("stop"), last(usage=usage)))
    assert (facts.prompt_tokens, facts.completion_tokens) == (9, None)


def test_figures_of_a_part_of_the_answer_are_not_those_of_all_of_it():
    def timed(record: dict[str, Any], tokens: int | None) -> dict[str, Any]:
        timings: dict[str, Any] = {"prompt_n": 9, "prompt_ms": 1.0, "cache_n": 0}
        timings |= {"predicted_n": tokens, "predicted_ms": tokens}
        return {**record, "timings": timings if tokens else None}

    begun = [timed(delta(content="a"), 1), timed(delta(content="b"), 2)]
    whole_one = generate(stream(*begun, timed(delta("stop"), 3)))
    assert (whole_one.completion_tokens, whole_one.decode_ns) == (3, 3_000_000)
    later = generate(stream(*begun, delta("stop"), timed(last(), 3)))
    assert (later.completion_tokens, later.decode_ns) == (3, 3_000_000)
    silent = generate(stream(*begun, timed(delta("stop"), None)))
    assert (silent.outcome, silent.answer_text) == ("OK", "ab")
    assert (silent.completion_tokens, silent.decode_ns) == (None, None)


def timed(record: dict[str, Any], tokens: int) -> dict[str, Any]:
    timings = {"prompt_n": 9, "prompt_ms": 1.0, "cache_n": 0}
    return {
        **record,
        "timings": {**timings, "predicted_n": tokens, "predicted_ms": tokens},
    }


@pytest.mark.parametrize(
    ("records", "tokens"),
    [
        # They ran along, and the record that ends speaks itself: one step behind.
        ([timed(delta(content="a"), 1), timed(delta("stop", content="b"), 1)], None),
        # It ends the answer, and words come after it.
        ([timed(delta("stop", content="a"), 1), delta(content="b")], None),
        ([timed(delta("stop"), 1), delta(content="b"), delta("stop")], None),
        # A record of the middle comes after the last one.
        ([delta("stop"), timed(last(), 2), timed(delta(content="a"), 1)], None),
        # No record ends it: what ran along is not the last word.
        ([timed(delta(content="a"), 1), timed(delta(content="b"), 2)], None),
        # The same where the last record has no words, or no choice.
        ([timed(delta(content="a"), 1), timed(delta(), 2)], None),
        ([timed(delta(content="a"), 1), timed(last(), 2)], None),
        ([delta(content="a"), {**timed(last(), 2), "choices": [{}]}], None),
        # Said once, by the record that ends, or by one behind it.
        ([delta(content="a"), timed(delta("stop", content="b"), 2)], 2),
        ([timed(delta(content="a"), 1), delta("stop"), timed(last(), 2)], 2),
        ([delta(content="a"), delta(content="b"), timed(last(), 2)], 2),
    ],
)
def test_figures_that_may_be_those_of_a_part_are_unknown_and_said_so(records, tokens):
    facts = generate(stream(*records))
    decode_ns = tokens and tokens * 1_000_000
    assert (facts.outcome, facts.error_class) == ("OK", None)
    assert (facts.completion_tokens, facts.decode_ns) == (tokens, decode_ns)
    assert facts.prompt_tokens == (tokens and 9)
    assert facts.call_notes == ([] if tokens else ["PARTIAL_FIGURES"])


def test_a_stream_without_a_mark_ends_by_figures_of_the_whole_alone():
    partial = stream(timed(delta("stop", content="a"), 1), delta(content="b"))
    assert generate(partial.replace(b"data: [DONE]\n\n", b"")).error_class == (
        "STREAM_INCOMPLETE"
    )


@pytest.mark.parametrize(
    ("usage", "note"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 2}, None),
        ({"prompt_tokens": 8, "completion_tokens": 2}, "TIMINGS_DIFFER_FROM_USAGE"),
        ({"prompt_tokens": 9, "completion_tokens": 3}, "TIMINGS_DIFFER_FROM_USAGE"),
        ({"completion_tokens": 2}, None),
    ],
)
def test_counts_that_are_said_twice_and_not_alike_are_noted(usage, note):
    facts = generate(stream(delta("stop"), {**timed(last(), 2), "usage": usage}))
    assert (facts.prompt_tokens, facts.completion_tokens) == (9, 2)
    assert facts.count_note == note


def test_chunks_are_never_counted_as_tokens():
    facts = generate(stream(*[delta(content="x")] * 5, delta("stop")))
    assert facts.outcome == "OK"
    assert (facts.prompt_tokens, facts.completion_tokens) == (None, None)
    assert facts.raw_figures is None


def test_a_pair_of_surrogates_split_over_two_events_is_one_character():
    halves = [
        '{"choices":[{"delta":{"content":"\\ud83d"}}]}',
        '{"choices":[{"delta":{"content":"\\ude00"},"finish_reason":"stop"}]}',
    ]
    assert generate(stream(*halves)).answer_text == "😀"
    assert generate(stream(halves[0])).answer_text == "\ufffd"


@pytest.mark.parametrize(
    ("answer", "error_class", "kept"),
    [
        (
            stream(delta(content="a"), {"error": {"message": "boom"}}),
            "STREAM_ERROR",
            "a",
        ),
        (stream(delta(content="a"), {"error": "boom"}), "STREAM_ERROR", "a"),
        (SSE + b'event: error\ndata: {"message": "boom"}\n\n', "STREAM_ERROR", None),
        (stream(delta(content="a"), done=False), "STREAM_INCOMPLETE", "a"),
        (stream(delta("stop"), done=False), "STREAM_INCOMPLETE", None),
        (SSE, "STREAM_INCOMPLETE", None),
        (SSE + b'data: {"choices":[{"del', "STREAM_INCOMPLETE", None),
        (SSE + b"data: {broken}\n\n", "PROTOCOL_ERROR", None),
        (stream("[1]"), "PROTOCOL_ERROR", None),
        (respond(503, {"error": {"message": "Loading model"}}), "HTTP_503", None),
    ],
)
def test_a_stream_that_is_no_answer_fails_and_keeps_what_came(
    answer, error_class, kept
):
    facts = generate(answer)
    assert (facts.outcome, facts.error_class) == ("FAILED", error_class)
    assert facts.answer_text == kept
    assert facts.error_message


@pytest.mark.parametrize(
    ("body", "error_class"),
    [
        ({"error": {"message": "boom"}}, "STREAM_ERROR"),
        ({"choices": []}, "PROTOCOL_ERROR"),
        ({"choices": [{"message": {"role": "assistant"}}]}, "PROTOCOL_ERROR"),
        ({"choices": [{"message": {"content": 7}}]}, "PROTOCOL_ERROR"),
        (b"[]", "PROTOCOL_ERROR"),
        (b"not json", "PROTOCOL_ERROR"),
    ],
)
def test_a_whole_response_that_is_no_answer_fails(body, error_class):
    facts = generate(respond(200, body), streamed=False)
    assert (facts.outcome, facts.error_class) == ("FAILED", error_class)
    assert facts.answer_text is None


def test_a_stream_that_never_came_is_read_as_one_document():
    facts = generate(respond(200, whole(content="all at once")))
    assert (facts.outcome, facts.answer_text) == ("OK", "all at once")
    assert (facts.streamed, facts.ttft_ns) == (False, None)
    assert facts.call_notes == ["NOT_STREAMED"]


def test_invalid_utf8_is_replaced_and_noted():
    text = b'data: {"choices":[{"delta":{"content":"a\xff"}}]}\n\ndata: [DONE]\n\n'
    facts = generate(SSE + text)
    assert (facts.outcome, facts.answer_text) == ("OK", "a\ufffd")
    assert facts.call_notes == ["INVALID_UTF8"]


def test_a_server_that_rejects_include_usage_is_asked_without_from_then_on():
    rejected = respond(400, {"error": "unknown field stream_options"})
    answered = stream(delta(content="a"), delta("stop"))
    with adapter(rejected, answered) as (opened, server):
        first, second = opened.generate(request()), opened.generate(request())
        asked = ["stream_options" in body for body in server.bodies()]
    assert asked == [True, False, False]
    for facts in (first, second):
        assert facts.outcome == "OK"
        assert facts.call_notes == ["USAGE_NOT_OFFERED"]


def test_a_request_that_is_wrong_in_itself_fails_as_such():
    with adapter(respond(400, {"error": "no such model"})) as (opened, server):
        facts = opened.generate(request())
        assert facts.error_class == "HTTP_400"
        opened.generate(request())
        assert len(server.requests) == 4


def test_a_model_that_is_not_listed_is_another_one():
    with adapter(LISTED) as (opened, _):
        loaded = opened.load(MODEL, Controls(threads="4", affinity="none", seed=1))
        assert loaded.unsupported == ("threads",)
        assert loaded.effective == Controls()
        with pytest.raises(IdentityMismatch, match="m-q4"):
            opened.load(ModelRef("m", "Q8_0", "m-q8"), Controls())


def test_the_only_model_needs_no_name():
    with adapter(LISTED) as (opened, _):
        held = opened.load(ModelRef("m", "Q4_K_M", ""), Controls())
        assert (held.model.name, held.reported_quant) == ("m-q4", "q4")
    with adapter(respond(404, {})) as (opened, _):
        with pytest.raises(UsageError):
            opened.load(ModelRef("m", "Q8_0", ""), Controls())
        assert opened.load(MODEL, Controls()).model == MODEL


def test_what_it_tells_is_found_out_by_asking():
    answered = stream(delta(content="a"), delta("stop"), last(usage=USAGE))
    with adapter(LISTED, answered) as (opened, _):
        info = opened.describe()
    assert info.capabilities.token_counts is True
    assert info.capabilities.internal_timings is False
    assert info.capabilities.cache_control is False
    assert (info.locality, info.tls_verified) == ("loopback", None)


def test_a_trial_of_a_server_that_hangs_takes_no_longer_than_a_call():
    def hang(connection: socket.socket, request: bytes) -> None:
        connection.recv(1)  # until the client gives up

    with adapter(LISTED, hang, call_seconds=0.3) as (opened, _):
        begun = time.monotonic()
        assert opened.describe().capabilities.token_counts is None
        assert time.monotonic() - begun < 10


def test_a_server_of_many_models_is_not_made_to_load_one():
    listed = respond(200, {"data": [{"id": "a"}, {"id": "b"}]})
    with adapter(listed) as (opened, server):
        assert opened.describe().capabilities.token_counts is None
        assert len(server.requests) == 1


def test_a_server_without_access_says_what_to_do():
    with adapter(respond(401, {"error": "no key"})) as (opened, _):
        with pytest.raises(ProviderError, match="API key") as caught:
            opened.describe()
        assert caught.value.error_class == "HTTP_401"


def test_streaming_can_be_switched_off():
    with adapter(respond(200, whole(content="a")), streaming=False) as (opened, server):
        assert opened.generate(request()).streamed is False
        assert server.bodies()[0]["stream"] is False


def recorded(name: str) -> bytes:
    return (FOLDER / name).read_bytes()


def test_llamacpp_is_recognised_behind_the_generic_route():
    facts = generate(SSE + recorded("chat_stream.sse"))
    assert facts.formula_id == "llamacpp.timings.v1"
    assert facts.prompt_tokens == 24 and facts.cached_prompt_tokens == 0
    assert facts.prefill_ns and facts.decode_ns
    silent = generate(SSE + recorded("chat_stream_no_usage.sse"))
    assert silent.completion_tokens == facts.completion_tokens


REAL_STREAM = recorded("chat_stream.sse")


@settings(
    max_examples=examples(60), suppress_health_check=list(HealthCheck), deadline=None
)
@given(
    st.lists(
        st.tuples(
            st.integers(0, len(REAL_STREAM)), st.integers(0, 40), st.binary(max_size=8)
        ),
        max_size=4,
    )
)
def test_no_damage_to_a_real_stream_crashes_or_makes_an_invalid_row(wounds):
    body = REAL_STREAM
    for place, length, new in wounds:
        body = body[:place] + new + body[place + length :]
    facts = generate(SSE + body)
    checked(facts)
    assert facts.outcome in ("OK", "FAILED")
    assert (facts.error_class is None) == (facts.outcome == "OK")


@settings(
    max_examples=examples(40), suppress_health_check=list(HealthCheck), deadline=None
)
@given(st.integers(0, len(REAL_STREAM) - len(b"data: [DONE]\n\n")))
def test_a_real_stream_cut_anywhere_before_its_figures_is_incomplete(place):
    facts = generate(SSE + REAL_STREAM[:place])
    if facts.outcome == "OK":
        assert facts.completion_tokens == 26
    else:
        assert facts.error_class == "STREAM_INCOMPLETE"
        assert facts.completion_tokens is None
