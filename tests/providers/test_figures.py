from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orket.limits import MAX_COUNT, MAX_NS, MAX_RATE
from orket.providers.reading import figures
from orket.records import CallFacts, checked
from orket.text import storable

UNUSABLE: list[Any] = [
    None,
    True,
    False,
    "12",
    "",
    -1,
    -0.5,
    math.nan,
    math.inf,
    -math.inf,
]
UNUSABLE += [10**30, 1e300, [], {}, [12]]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@pytest.mark.parametrize("value", [*UNUSABLE, 12.0, 12.5])
def test_only_a_whole_number_is_a_count(value):
    assert figures.count(value) is None
    assert figures.nanoseconds(value) is None
    assert figures.size_bytes(value) is None


@pytest.mark.parametrize("value", UNUSABLE)
def test_only_a_number_is_a_duration(value):
    assert figures.nanoseconds_from_ms(value) is None
    assert figures.nanoseconds_from_seconds(value) is None


def test_zero_is_a_figure():
    assert figures.count(0) == 0
    assert figures.nanoseconds_from_ms(0.0) == 0
    assert figures.nanoseconds_from_seconds(0) == 0


def test_durations_become_whole_nanoseconds():
    assert figures.nanoseconds_from_ms(2.611) == 2_611_000
    assert figures.nanoseconds_from_ms(3) == 3_000_000
    assert figures.nanoseconds_from_seconds(0.954) == 954_000_000
    assert figures.nanoseconds(17) == 17


@given(json_values)
def test_raw_figures_are_always_valid_json_and_utf8(value):
    line = figures.raw_json({"usage": value})
    if value is None:
        assert line is None
    else:
        assert line is not None
        json.loads(line, parse_constant=pytest.fail)
        line.encode()


def test_raw_figures_keep_what_was_said():
    said = {"usage": {"prompt_tokens": "12", "odd": [1, None]}, "timings": None}
    line = figures.raw_json(said)
    assert line == '{"usage":{"prompt_tokens":"12","odd":[1,null]}}'
    assert figures.raw_json({"usage": {"n": math.nan}}) == '{"usage":{"n":"nan"}}'


def test_a_pair_of_surrogates_split_over_two_events_is_joined():
    assert storable("\ud83d" + "\ude00") == "😀"
    assert storable("a\ud83db") == "a\ufffdb"


def facts_with(name: str, value: int) -> CallFacts:
    return msgspec.structs.replace(CallFacts(outcome="OK"), **{name: value})


def test_the_bounds_of_a_figure_are_those_of_a_row():
    """What an adapter reads, the row type takes; one more is read by neither."""
    cases: list[tuple[str, Any, int]] = [
        ("prompt_tokens", figures.count, MAX_COUNT),
        ("completion_tokens", figures.count, MAX_COUNT),
        ("prefill_ns", figures.nanoseconds, MAX_NS),
        ("decode_ns", figures.nanoseconds, MAX_NS),
        ("last_token_ns", figures.nanoseconds, MAX_NS),
    ]
    for name, read, limit in cases:
        assert read(limit) == limit and read(limit + 1) is None
        checked(facts_with(name, limit))
        with pytest.raises(msgspec.ValidationError):
            checked(facts_with(name, limit + 1))
    assert figures.nanoseconds_from_ms(MAX_NS // 10**6) == MAX_NS
    assert figures.nanoseconds_from_ms(MAX_NS // 10**6 + 1) is None
    assert figures.nanoseconds_from_seconds(MAX_NS / 10**9) == MAX_NS
    assert figures.nanoseconds_from_seconds(MAX_NS / 10**9 * 1.01) is None
    assert figures.rate(MAX_RATE) == MAX_RATE and figures.rate(MAX_RATE * 1.01) is None
