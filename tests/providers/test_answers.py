"""An answer that cannot be read is no empty answer, in whatever protocol it comes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from orket.limits import MAX_COUNT
from orket.providers.contract import Generation, ModelRef, ServerOptions
from orket.providers.registry import create_adapter
from orket.records import CallFacts, Controls, checked
from tests.fixture_files import Payload
from tests.replay_server import ReplayServer

PROTOCOLS = ["openai", "llama-server", "vllm", "ollama", "lmstudio"]
MODES = {"stream": True, "whole": False}
USAGE = {"prompt_tokens": 9, "completion_tokens": 3}
V1_STATS = {"input_tokens": 9, "total_output_tokens": 3}
OLLAMA_END = {"model": "m", "done": True, "done_reason": "stop"}
OLLAMA_COUNTS = {"prompt_eval_count": 9, "eval_count": 3, "eval_duration": 5}
SSE, NDJSON, JSON = "text/event-stream", "application/x-ndjson", "application/json"


def sse(*records: dict[str, Any]) -> bytes:
    return "".join(f"data: {json.dumps(record)}\n\n" for record in records).encode()


def body_of(protocol: str, stream: bool, message: dict[str, Any]) -> Payload:
    """One answer with this message, as the protocol says it."""
    if protocol == "ollama":
        if not stream:
            whole = {**OLLAMA_END, **OLLAMA_COUNTS, "message": message}
            return Payload(json.dumps(whole).encode(), content_type=JSON)
        lines = [{"model": "m", "message": message}, {**OLLAMA_END, **OLLAMA_COUNTS}]
        text = "".join(f"{json.dumps(line)}\n" for line in lines)
        return Payload(text.encode(), content_type=NDJSON)
    if protocol == "lmstudio":
        item = {"type": "message", **message}
        result = {"model_instance_id": "m", "stats": V1_STATS}
        if not stream:
            whole = {**result, "output": [item]}
            return Payload(json.dumps(whole).encode(), content_type=JSON)
        records = [
            {**item, "type": "message.delta"},
            {"type": "chat.end", "result": result},
        ]
        return Payload(sse(*records), content_type=SSE)
    choice = {"index": 0, "finish_reason": "stop"}
    if not stream:
        whole = {
            "model": "m",
            "choices": [{**choice, "message": message}],
            "usage": USAGE,
        }
        return Payload(json.dumps(whole).encode(), content_type=JSON)
    records = [
        {"model": "m", "choices": [{"index": 0, "delta": message}]},
        {"model": "m", "choices": [{**choice, "delta": {}}]},
        {"model": "m", "choices": [], "usage": USAGE},
    ]
    return Payload(sse(*records) + b"data: [DONE]\n\n", content_type=SSE)


ROUTES = {"ollama": "/api/chat", "lmstudio": "/api/v1/chat"}


def answer(protocol: str, stream: bool, payload: Payload) -> CallFacts:
    with ReplayServer() as server:
        route = ROUTES.get(protocol, "/v1/chat/completions")
        server.routes = {
            "GET /api/version": Payload(b'{"version": "0.34.0"}'),
            "GET /api/v1/models": Payload(b'{"models": []}'),
            f"POST {route}": payload,
        }
        adapter = create_adapter(protocol, ServerOptions(url=server.url))
        model = ModelRef("m", "Q8_0", "m")
        facts = adapter.generate(Generation(model, "hi", 8, Controls(), stream))
        adapter.close()
    return facts


def say(protocol: str, stream: bool, message: dict[str, Any]) -> CallFacts:
    return answer(protocol, stream, body_of(protocol, stream, message))


TEXT = {"type": "text", "text": "hello"}
MORE = {"type": "output_text", "text": " you"}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("content", "text", "thought"),
    [
        ("hello", "hello", None),
        ([TEXT], "hello", None),
        ([TEXT, MORE], "hello you", None),
        ([{"type": "thinking", "thinking": "hm"}, TEXT], "hello", "hm"),
        ([{"type": "thinking", "thinking": [TEXT, MORE]}, MORE], " you", "hello you"),
        ([{"type": "reasoning", "text": "hm"}], "", "hm"),
        ([], "", None),
        ("", "", None),
    ],
)
def test_content_is_text_or_a_list_of_parts(protocol, mode, content, text, thought):
    facts = say(protocol, MODES[mode], {"content": content})
    assert (facts.outcome, facts.error_message) == ("OK", None)
    assert (facts.answer_text, facts.reasoning_text) == (text, thought)
    # Counts of an answer with tokens in it stand as they were said.
    assert facts.completion_tokens == 3
    seen = MODES[mode] and bool(text or thought)
    assert (facts.ttft_ns is not None) is seen
    assert (facts.last_token_ns is not None) is seen


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "content",
    [
        7,
        0,
        True,
        False,
        1.5,
        {"text": "hello"},
        {},
        ["hello"],
        [7],
        [None],
        [{}],
        [{"text": "hello"}],
        [{"type": "image_url", "image_url": "x"}],
        [{"type": "text"}],
        [{"type": "text", "text": 7}],
        [{"type": ["text"], "text": "hello"}],
        [{"type": "thinking"}],
        [{"type": "thinking", "thinking": {"a": 1}}],
        [{"type": "thinking", "thinking": [{"type": "x"}]}],
        [TEXT, {"type": "refusal", "refusal": "no"}],
    ],
)
def test_content_of_any_other_shape_is_an_error(protocol, mode, content: Any):
    facts = say(protocol, MODES[mode], {"content": content})
    assert (facts.outcome, facts.error_class) == ("FAILED", "PROTOCOL_ERROR")
    assert "content" in (facts.error_message or "")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("protocol", "key"),
    [
        ("openai", "reasoning"),
        ("openai", "thinking"),
        ("vllm", "reasoning_content"),
        ("ollama", "thinking"),
    ],
)
def test_thought_in_a_field_of_its_own_has_the_same_shapes(protocol, key, mode):
    readable: list[tuple[Any, str]] = [("hm", "hm"), ([TEXT, MORE], "hello you")]
    for thought, said in readable:
        facts = say(protocol, MODES[mode], {"content": "", key: thought})
        assert (facts.answer_text, facts.reasoning_text) == ("", said)
    unreadable: list[Any] = [7, True, {"a": 1}, [{"type": "x"}]]
    for thought in unreadable:
        facts = say(protocol, MODES[mode], {"content": "", key: thought})
        assert facts.error_class == "PROTOCOL_ERROR"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("said", "thought", "answered"),
    [
        ("2 and 2\n</think>\n\n4", "2 and 2\n", "\n\n4"),
        ("2 and 2</think>\n4", "2 and 2", "\n4"),
        ("\n</think>4", "\n", "4"),
        ("2 and 2\n</think>", "2 and 2\n", ""),
        # Spoken of, or opened by the answer itself.
        ("cut at </think> and 4", None, "cut at </think> and 4"),
        ("say.split('</think>')[1]", None, "say.split('</think>')[1]"),
        ("<think>hm\n</think>\n4", None, "<think>hm\n</think>\n4"),
    ],
)
def test_what_ends_a_thought_of_the_prompt_is_no_answer(
    protocol, mode, said, thought, answered
):
    facts = say(protocol, MODES[mode], {"content": said})
    assert facts.outcome == "OK"
    assert (facts.reasoning_text, facts.answer_text) == (thought, answered)
    noted = "THOUGHT_IN_ANSWER" in facts.call_notes
    assert noted is (thought is not None)


NO_MESSAGE: dict[str, Callable[[bool], Payload]] = {
    "ollama": lambda stream: Payload(
        json.dumps({**OLLAMA_END, "prompt_eval_count": 10}).encode(),
        content_type=NDJSON if stream else JSON,
    ),
    "lmstudio": lambda stream: (
        Payload(
            sse({"type": "chat.end", "result": {"stats": V1_STATS}}), content_type=SSE
        )
        if stream
        else Payload(json.dumps({"stats": V1_STATS}).encode())
    ),
    "tgi": lambda stream: (
        Payload(sse({"generated_text": 7, "details": {}}), content_type=SSE)
        if stream
        else Payload(b'{"details": {"generated_tokens": 0}}')
    ),
}


def no_message(protocol: str, stream: bool) -> Payload:
    if protocol in NO_MESSAGE:
        return NO_MESSAGE[protocol](stream)
    if stream:
        return Payload(
            sse({"choices": [], "usage": USAGE}) + b"data: [DONE]\n\n", 200, SSE
        )
    return Payload(json.dumps({"choices": [{"finish_reason": "stop"}]}).encode())


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("mode", MODES)
def test_a_final_record_without_a_message_is_an_error(protocol, mode):
    facts = answer(protocol, MODES[mode], no_message(protocol, MODES[mode]))
    assert (facts.outcome, facts.error_class) == ("FAILED", "PROTOCOL_ERROR")
    assert facts.completion_tokens in (None, 3)


@pytest.mark.parametrize("kind", ["message", "reasoning"])
@pytest.mark.parametrize("mode", MODES)
def test_an_item_without_its_words_is_no_empty_answer(kind, mode):
    result = {"output": [{"type": kind, "text": "hello"}], "stats": V1_STATS}
    streamed = Payload(sse({"type": "chat.end", "result": result}), content_type=SSE)
    whole = Payload(json.dumps(result).encode())
    facts = answer("lmstudio", MODES[mode], streamed if MODES[mode] else whole)
    assert (facts.outcome, facts.error_class) == ("FAILED", "PROTOCOL_ERROR")
    assert f"a {kind} without content" in (facts.error_message or "")


@pytest.mark.parametrize("message", ["hello", 7, ["hello"], True])
@pytest.mark.parametrize("mode", MODES)
def test_a_message_that_is_no_object_is_an_error(message, mode):
    facts = say("ollama", MODES[mode], message)
    assert facts.error_class == "PROTOCOL_ERROR"


@pytest.mark.parametrize("protocol", ["llama-server", "openai", "vllm"])
@pytest.mark.parametrize("mode", MODES)
def test_a_sum_of_counts_that_no_column_takes_is_unknown(protocol, mode):
    """Each part may be kept, the whole may not: the call keeps its row."""
    timings = {"cache_n": MAX_COUNT, "prompt_n": MAX_COUNT, "predicted_n": 3}
    choice = {"index": 0, "finish_reason": "stop"}
    part = "delta" if MODES[mode] else "message"
    record = {
        "model": "m",
        "choices": [{**choice, part: {"content": "hello"}}],
        "timings": timings,
    }
    payload = (
        Payload(sse(record) + b"data: [DONE]\n\n", content_type=SSE)
        if MODES[mode]
        else Payload(json.dumps(record).encode())
    )
    facts = answer(protocol, MODES[mode], payload)
    assert (facts.outcome, facts.prompt_tokens) == ("OK", None)
    assert (facts.cached_prompt_tokens, facts.completion_tokens) == (MAX_COUNT, 3)
    checked(facts)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("mode", MODES)
def test_a_key_that_stands_twice_is_an_error(protocol, mode):
    payload = body_of(protocol, MODES[mode], {"content": "hello"})
    for written in (b'"eval_count": 3', b'"completion_tokens": 3', b'_tokens": 3'):
        if written in payload.body:
            break
    key = payload.body[: payload.body.index(written) + len(written)].rpartition(b'"')
    name = key[0].rpartition(b'"')[2]
    twice = payload.body.replace(written, written + b', "' + name + b'": 7', 1)
    facts = answer(protocol, MODES[mode], Payload(twice, 200, payload.content_type))
    assert (facts.outcome, facts.error_class) == ("FAILED", "PROTOCOL_ERROR")
    assert f"'{name.decode()}' stands twice" in (facts.error_message or "")
    assert facts.completion_tokens is None


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("final", "tokens"),
    [
        # Zeros are left out; a counted prompt and no time of decoding agree with it.
        ({"prompt_eval_count": 10, "prompt_eval_duration": 5}, 0),
        ({"prompt_eval_count": 10, "eval_duration": 0}, 0),
        ({"prompt_eval_count": 10, "eval_count": 0, "eval_duration": 9}, 0),
        ({"prompt_eval_count": 10, "eval_count": 4, "eval_duration": 9}, 4),
        # A time of decoding without a count, or nothing counted at all: not said.
        ({"prompt_eval_count": 10, "eval_duration": 516371613757000}, None),
        ({"prompt_eval_count": 10, "eval_duration": "none"}, None),
        ({"eval_duration": 0}, None),
        ({}, None),
        ({"prompt_eval_count": 0}, None),
        ({"prompt_eval_count": "10"}, None),
        ({"prompt_eval_count": 10, "eval_count": "4"}, None),
    ],
)
def test_a_count_that_is_left_out_is_zero_only_where_the_times_agree(
    final, tokens, mode
):
    record = {**OLLAMA_END, **final, "message": {"role": "assistant", "content": ""}}
    media = NDJSON if MODES[mode] else JSON
    facts = answer(
        "ollama", MODES[mode], Payload(json.dumps(record).encode(), 200, media)
    )
    assert (facts.outcome, facts.completion_tokens) == ("OK", tokens)


@pytest.mark.parametrize("protocol", ["openai", "vllm", "llama-server"])
def test_a_usage_of_zeros_in_every_record_is_no_count(protocol):
    zeros: Any = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    records = [
        {"choices": [{"delta": {"content": "Hello"}}], "usage": zeros},
        {"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": zeros},
    ]
    payload = Payload(sse(*records) + b"data: [DONE]\n\n", 200, SSE)
    facts = answer(protocol, True, payload)
    assert (facts.outcome, facts.answer_text) == ("OK", "Hello")
    assert (facts.prompt_tokens, facts.completion_tokens) == (None, None)


def test_choices_are_never_mixed():
    records = [
        {"choices": [{"index": i, "delta": {"content": word}}]}
        for i, word in ((0, "one "), (1, "two "), (0, "word"), (1, "words"))
    ]
    payload = Payload(sse(*records) + b"data: [DONE]\n\n", 200, SSE)
    assert answer("openai", True, payload).answer_text == "one word"


@pytest.mark.parametrize("mode", MODES)
def test_a_gateway_that_ends_in_an_error_gave_no_answer(mode):
    choice: dict[str, Any] = {
        "finish_reason": "error",
        "error": {"code": 502, "message": "Upstream idle timeout exceeded"},
    }
    part = {"content": "Hel"}
    if MODES[mode]:
        records: list[dict[str, Any]] = [
            {"choices": [{"delta": part}]},
            {"choices": [{**choice, "delta": {}}]},
        ]
        payload = Payload(sse(*records) + b"data: [DONE]\n\n", 200, SSE)
    else:
        whole = {"choices": [{**choice, "message": part}]}
        payload = Payload(json.dumps(whole).encode())
    facts = answer("openai", MODES[mode], payload)
    assert (facts.error_class, facts.answer_text) == ("STREAM_ERROR", "Hel")
    assert facts.error_message == "Upstream idle timeout exceeded"


@pytest.mark.parametrize(
    "body",
    [
        b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n',
        b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}\n\n',
        b'data: {"choices":[{"delta":{"content":"a"}}]}\n'
        b'data: {"choices":[{"delta":{"content":"b"}}]}\ndata: [DONE]\n\n',
        b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
        b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":859}}\n\n'
        b'data: {"choices":[],"cost":"0"}\n\n',
    ],
)
def test_a_stream_of_a_gateway_without_its_end_is_incomplete(body):
    facts = answer("openai", True, Payload(body, 200, SSE))
    assert (facts.outcome, facts.error_class) == ("FAILED", "STREAM_INCOMPLETE")


MARK = b"\xef\xbb\xbf"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("mode", MODES)
def test_a_byte_order_mark_in_front_costs_no_record(protocol, mode):
    said = body_of(protocol, MODES[mode], {"content": "hello"})
    marked = Payload(MARK + said.body, content_type=said.content_type)
    facts = answer(protocol, MODES[mode], marked)
    assert (facts.outcome, facts.answer_text) == ("OK", "hello")


@pytest.mark.parametrize(
    "choice",
    [
        {"text": "hello"},
        {"message": {"content": "hello"}},
        {"delta": "hello"},
        {"delta": [TEXT]},
        {"delta": None, "content": "hello"},
    ],
)
def test_words_in_another_place_of_a_stream_are_no_empty_answer(choice):
    records: list[dict[str, Any]] = [
        {"model": "m", "choices": [choice]},
        {"choices": [{"delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": USAGE},
    ]
    facts = answer("openai", True, Payload(sse(*records), content_type=SSE))
    assert (facts.error_class, facts.answer_text) == ("PROTOCOL_ERROR", None)


def test_an_error_in_a_field_of_its_own_ends_a_stream_with_its_words():
    begun = sse({"model": "m", "choices": [{"delta": {"content": "Hel"}}]})
    said = b'error: {"code": 500, "message": "no memory"}\n\n'
    facts = answer("llama-server", True, Payload(begun + said, content_type=SSE))
    assert (facts.error_class, facts.error_message) == ("STREAM_ERROR", "no memory")
    assert facts.answer_text == "Hel"
