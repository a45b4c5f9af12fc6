from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orket.providers.http.framing import (
    Event,
    LineSplitter,
    LineTooLong,
    NdjsonFraming,
    RepeatedKey,
    SseFraming,
    read_json,
)


def read_sse(*chunks: bytes) -> list[Event]:
    splitter, framing = LineSplitter(), SseFraming()
    events = [
        event
        for chunk in chunks
        for line in splitter.feed(chunk)
        if (event := framing.line(line, 0)) is not None
    ]
    if rest := splitter.rest():
        framing.line(rest, 0)
    last = framing.end(0)
    return [*events, last] if last else events


def test_unicode_line_breaks_do_not_split_an_event():
    body = 'data: {"content":"a\u2028b\u0085c"}\n\n'.encode()
    (event,) = read_sse(body)
    assert event.json() == {"content": "a\u2028b\u0085c"}


def test_comments_names_and_many_data_lines():
    body = b": ping\n\nevent: chat.end\r\ndata: one\r\ndata:two\r\nid: 4\r\n\r\n: x\n"
    (event,) = read_sse(body)
    assert (event.name, event.data) == ("chat.end", "one\ntwo")


def test_what_is_left_at_the_end_is_known_to_be_unfinished():
    whole, left = read_sse(b"data: 1\n\ndata: 2")
    assert (whole.data, whole.complete) == ("1", True)
    assert (left.data, left.complete) == ("2", False)


def test_invalid_utf8_is_replaced_and_told():
    (event,) = read_sse(b"data: a\xff\n\n")
    assert (event.data, event.valid_utf8) == ("a\ufffd", False)


@given(
    st.lists(
        st.text(st.characters(exclude_characters="\n\r", codec="utf-8"), min_size=1)
    ),
    st.lists(st.integers(1, 50)),
)
def test_events_do_not_depend_on_how_the_bytes_were_cut(texts, sizes):
    body = b"".join(b"data: " + text.encode() + b"\n\n" for text in texts)
    chunks, rest = [], body
    for size in sizes:
        chunks.append(rest[:size])
        rest = rest[size:]
    assert [event.data for event in read_sse(*chunks, rest)] == texts


def test_a_line_without_end_is_refused_before_it_fills_the_memory():
    splitter = LineSplitter(limit_bytes=100)
    with pytest.raises(LineTooLong):
        for _ in range(20):
            list(splitter.feed(b"x" * 10))


def test_many_short_data_lines_of_one_event_are_bounded_too():
    framing = SseFraming(limit_bytes=100)
    with pytest.raises(LineTooLong):
        for _ in range(20):
            framing.line(b"data: " + b"x" * 10, 0)


def test_ndjson_passes_over_empty_lines():
    framing = NdjsonFraming()
    assert framing.line(b"  ", 0) is None
    event = framing.line(b'{"done":true}', 5)
    assert event is not None and event.json() == {"done": True}
    assert event.arrived_ns == 5


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "[" * 500 + "]" * 500, "{", "", '{"a":']
)
def test_broken_json_is_a_value_error(text):
    with pytest.raises(ValueError):
        read_json(text)


def test_a_key_twice_among_very_many_is_found_at_once():
    keys = ", ".join(f'"k{n}": 0' for n in range(200_000))
    begun = time.perf_counter()
    with pytest.raises(RepeatedKey, match="'k199999' stands twice"):
        read_json(f'{{{keys}, "k199999": 1}}')
    # To count each key among all of them would take hours.
    assert time.perf_counter() - begun < 20


def test_empty_lines_of_data_are_not_collected_without_end():
    framing = SseFraming(limit_bytes=15)
    with pytest.raises(LineTooLong):
        for _ in range(20):
            framing.line(b"data:", 0)


def test_numbers_beyond_all_bounds_do_not_stop_the_reader():
    body = read_json('{"a": ' + "9" * 10_000 + ', "b": NaN, "c": 1e999}')
    assert body["a"] == float("inf")
    assert body["c"] == float("inf")
