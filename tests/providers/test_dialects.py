from __future__ import annotations

import copy
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orket.providers.reading.dialects import read_figures
from tests.places import FIXTURES

FOLDER = FIXTURES / "providers/llamacpp"
CHAT = json.loads((FOLDER / "chat_cached.json").read_text())
ABSENT = object()
USELESS = [ABSENT, None, True, "12", -1, math.nan, math.inf, 10**40, [], {}, 1e300]
NOT_WHOLE = 12.5

Source = tuple[str, ...]
SOURCES: dict[str, list[list[Source]]] = {
    # Each figure, and the ways to it: one way needs all of its fields.
    "prompt_tokens": [
        [("timings", "prompt_n"), ("timings", "cache_n")],
        [("usage", "prompt_tokens")],
    ],
    "cached_prompt_tokens": [
        [("timings", "cache_n")],
        [("usage", "prompt_tokens_details", "cached_tokens")],
    ],
    "completion_tokens": [
        [("timings", "predicted_n")],
        [("usage", "completion_tokens")],
    ],
    "prefill_ns": [[("timings", "prompt_ms")]],
    "decode_ns": [[("timings", "predicted_ms")]],
}
FIELDS = sorted({field for ways in SOURCES.values() for way in ways for field in way})


def damage(document: dict[str, Any], path: Source, value: object) -> None:
    parent: Any = document
    for key in path[:-1]:
        parent = parent.get(key)
        if not isinstance(parent, dict):
            return
    if value is ABSENT:
        parent.pop(path[-1], None)
    else:
        parent[path[-1]] = value


def reached(ways: list[list[Source]], damaged: set[Source]) -> bool:
    return any(not damaged & set(way) for way in ways)


damages = st.dictionaries(st.sampled_from(FIELDS), st.sampled_from(USELESS), max_size=7)


@given(damages)
def test_a_damaged_figure_is_none_and_no_other_changes(changes):
    document = copy.deepcopy(CHAT)
    for path, value in changes.items():
        damage(document, path, value)
    found, whole = read_figures(document), read_figures(CHAT)
    damaged = set(changes)
    if {("usage", "prompt_tokens"), ("usage", "completion_tokens")} <= damaged:
        # Usage without any count is a default, and not believed on details.
        damaged.add(("usage", "prompt_tokens_details", "cached_tokens"))
    timings = {path for path in FIELDS if path[0] == "timings"}
    for name, ways in SOURCES.items():
        value, truth = getattr(found, name), getattr(whole, name)
        assert value in (None, truth)
        if not reached(ways, damaged):
            assert value is None
        elif not damaged & timings:
            assert value == truth


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    # No key that a dialect knows: what stands there would have been said.
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abc_"), inner),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from(["usage", "timings", "metrics", "stats"]), json_values
    )
)
def test_nothing_is_invented_from_nonsense(document):
    found = read_figures(document)
    assert found.prompt_tokens is None
    assert found.completion_tokens is None
    assert (found.prefill_ns, found.decode_ns) == (None, None)


def test_llamacpp_timings_are_read_as_their_contract_says():
    found = read_figures(CHAT)
    timings = CHAT["timings"]
    assert found.formula_id == "llamacpp.timings.v1"
    assert found.prompt_tokens == timings["prompt_n"] + timings["cache_n"] == 24
    assert found.cached_prompt_tokens == 23
    assert found.completion_tokens == timings["predicted_n"]
    assert found.prefill_ns == round(timings["prompt_ms"] * 1e6)
    assert found.decode_ns == round(timings["predicted_ms"] * 1e6)
    assert (found.decode_clock, found.prefill_kind) == ("first_token", "internal")
    assert json.loads(found.raw_figures or "") == {
        "usage": CHAT["usage"],
        "timings": timings,
    }


def test_draft_counts_change_no_figure_and_are_kept():
    timings = {"prompt_n": 1, "prompt_ms": 228.522, "predicted_n": 200}
    timings |= {"predicted_ms": 11082.606, "draft_n": 347, "draft_n_accepted": 65}
    found = read_figures(
        {"usage": {"prompt_tokens": 14, "completion_tokens": 200}, "timings": timings}
    )
    assert (found.prompt_tokens, found.completion_tokens) == (14, 200)
    assert (found.prefill_ns, found.decode_ns) == (228_522_000, 11_082_606_000)
    assert found.cached_prompt_tokens is None
    assert json.loads(found.raw_figures or "")["timings"]["draft_n_accepted"] == 65


@pytest.mark.parametrize(
    "document",
    [
        {"timings": {"predicted_n": 64, "predicted_per_second": 19.5, "prompt_n": 7}},
        {"timings": {"predicted_n": 64, "predicted_ms": None, "prompt_per_second": 9}},
        {"usage": {"time_per_output_token_ms": 6.49, "tokens_per_second": 154.1}},
        {"stats": {"tokens_per_second": 51.4}},
        {"metrics": {"tokens_per_second": 51.4}},
    ],
)
def test_a_rate_that_a_server_says_is_no_time(document):
    found = read_figures({"usage": USAGE, **document})
    assert (found.prefill_ns, found.decode_ns) == (None, None)


def test_usage_of_zeros_is_a_default():
    usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    found = read_figures({"usage": usage})
    assert (found.prompt_tokens, found.completion_tokens) == (None, None)
    assert found.raw_figures is not None


def test_an_empty_answer_to_a_counted_prompt_is_zero_tokens():
    found = read_figures({"usage": {"prompt_tokens": 9, "completion_tokens": 0}})
    assert (found.prompt_tokens, found.completion_tokens) == (9, 0)


def test_a_total_that_is_no_sum_is_noted():
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 20}
    assert read_figures({"usage": usage}).count_note == "USAGE_TOTAL_DIFFERS"
    assert read_figures({"usage": {**usage, "total_tokens": 12}}).count_note is None


USAGE = {"prompt_tokens": 9, "completion_tokens": 3}


@pytest.mark.parametrize(
    ("document", "formula", "prefill_ns", "decode_ns", "clock"),
    [
        ({"usage": USAGE}, "openai.usage.v1", None, None, None),
        (
            {
                "usage": USAGE,
                "metrics": {"time_to_first_token_ms": 1.5, "generation_time_ms": 20},
            },
            "vllm.metrics.v1",
            1_500_000,
            20_000_000,
            "first_token",
        ),
        (
            {
                "usage": USAGE,
                "stats": {"time_to_first_token": 0.111, "generation_time": 0.954},
            },
            "lmstudio.v0_stats.v1",
            111_000_000,
            954_000_000,
            "first_token",
        ),
        (
            {"usage": {**USAGE, "prompt_time": 0.004, "completion_time": 0.25}},
            "groq.usage.v1",
            4_000_000,
            250_000_000,
            "prefill_end",
        ),
        (
            {"usage": {**USAGE, "time_to_first_token": 0.2, "total_latency": 0.5}},
            "sambanova.usage.v1",
            200_000_000,
            None,
            None,
        ),
        (
            {"usage": USAGE, "stats": {"type": "NIM LLM Model Stats", "version": 1}},
            "nim.stats.v1",
            None,
            None,
            None,
        ),
        ({}, None, None, None, None),
    ],
)
def test_a_dialect_is_known_by_its_shape(
    document, formula, prefill_ns, decode_ns, clock
):
    found = read_figures(document)
    assert found.formula_id == formula
    assert (found.prefill_ns, found.decode_ns) == (prefill_ns, decode_ns)
    assert found.decode_clock == clock
    if document:
        assert (found.prompt_tokens, found.completion_tokens) == (9, 3)


def test_nim_counts_stand_in_for_a_missing_usage():
    stats = {
        "type": "NIM LLM Model Stats",
        "llm_input_token_length": 12,
        "llm_output_token_length": 0,
    }
    found = read_figures({"stats": stats})
    assert (found.prompt_tokens, found.completion_tokens) == (12, 0)


def test_reasoning_tokens_are_told_apart():
    usage = {**USAGE, "completion_tokens_details": {"reasoning_tokens": 2}}
    assert read_figures({"usage": usage}).reasoning_tokens == 2
