"""Likeliest tokens along an answer: read strictly, and by every server's own way."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orket.mockserver import MockModel, MockServer, Profile
from orket.mockserver.scores import logprob_of
from orket.providers.contract import Generation, ModelRef, ScoresPath
from orket.providers.options import ServerOptions
from orket.providers.probe import probe
from orket.providers.reading.scores import (
    NoScores,
    read_chat,
    read_llamacpp,
    read_prefill,
    read_prompt,
    read_tokens,
    score_columns,
)
from orket.providers.registry import create_adapter
from orket.records import Controls, FidelityRow, ScoreFacts, checked
from tests.places import FIXTURES

FOLDER = FIXTURES / "providers/llamacpp"
EIGHT = MockModel("demo:q8_0", "Q8_0", size_bytes=1_062_500_000)
TWO = MockModel("demo:q2_K", "Q2_K", size_bytes=418_750_000)
PROFILE = Profile(
    models=(EIGHT, TWO),
    prefill_rate=1e6,
    decode_rate=1e5,
    load_seconds=0.0,
    text="Seven primes are 2 and 3.",
)
REF = ModelRef("demo", "Q8_0", "demo:q8_0")
REQUEST = Generation(REF, "Name primes.", 64, Controls(temperature_milli=0))
K = 8
LISTING = ("llama-server", "openai", "ollama", "vllm")
"""Servers that list other tokens than the answer's own."""


def opened(dialect: str, mock: MockServer) -> Any:
    """An adapter that scores, at a mock server."""
    return create_adapter(dialect, ServerOptions(url=mock.url))


def recorded(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text())


def test_a_recorded_completion_is_read_as_it_was_said():
    places = read_llamacpp(recorded("completion_nprobs"), 3)
    assert [place.token.id for place in places] == [123, 34, 110]
    assert [token.id for token in places[1].top] == [34, 50, 49]
    assert [token.nnats for token in places[1].top] == [
        -1788,  # -1.7881409348774469e-06
        -14_115_964_890,  # -14.115964889526367
        -15_089_187_622,  # -15.089187622070313
    ]
    columns = score_columns(places)
    assert columns["path_ids"] == [123, 34, 110]
    assert columns["path_nnats"] == [0, -1788, -715]
    assert "path_texts" not in columns


def test_a_recorded_chat_has_ids_where_the_server_adds_them():
    choice = recorded("chat_logprobs")["choices"][0]
    columns = score_columns(read_chat(choice, 2))
    assert columns["top_ids"] == [[123, 34], [34, 50], [110, 112]]
    for entry in choice["logprobs"]["content"]:
        del entry["top_logprobs"][0]["id"]
    columns = score_columns(read_chat(choice, 2))
    assert columns["top_texts"] == [["{", '"'], ['"', "2"], ["n", "p"]]
    assert "top_ids" not in columns


def entry(token: str, *logprobs: float) -> dict[str, Any]:
    top = [
        {"token": f"{token}{rank}", "logprob": logprob}
        for rank, logprob in enumerate(logprobs)
    ]
    return {**top[0], "top_logprobs": top}


def test_a_token_that_is_no_text_is_told_by_its_bytes():
    odd = {"token": "\ufffd", "bytes": [0xE2, 0x80], "logprob": -0.1}
    other = {"token": "\ufffd", "bytes": [0xE2, 0x81], "logprob": -3.0}
    (place,) = read_tokens([{**odd, "top_logprobs": [odd, other]}], 2)
    assert [token.text for token in place.top] == [r"\xe2\x80", r"\xe2\x81"]


def test_what_a_server_calls_impossible_is_on_no_list():
    lowest = -3.4028234663852886e38
    for impossible in (lowest, -9999.0, -math.inf):
        places = read_tokens([entry("a", -0.1, -3.0, impossible)], 3)
        assert score_columns(places)["top_nnats"] == [[-100_000_000, -3_000_000_000]]


BAD_ENTRIES: dict[str, tuple[Any, str]] = {
    "nothing": (None, "NO_LOGPROBS"),
    "an empty list": ([], "NO_LOGPROBS"),
    "a text": ("-0.1", "BAD_LOGPROBS"),
    "a number": ([entry("a", -0.1, -3.0), 7], "BAD_LOGPROBS"),
    "NaN": ([entry("a", -0.1, math.nan)], "BAD_LOGPROBS"),
    "above 1": ([entry("a", 0.5, -3.0)], "BAD_LOGPROBS"),
    "above 1 in sum": ([entry("a", -0.1, -0.2)], "BAD_LOGPROBS"),
    "rising": ([entry("a", -3.0, -0.1)], "BAD_LOGPROBS"),
    "texts": ([entry("a", -0.1, "-3.0")], "BAD_LOGPROBS"),  # type: ignore[arg-type]
    "a truth": ([entry("a", -0.1, True)], "BAD_LOGPROBS"),
    "null inside": ([entry("a", -0.1, None)], "BAD_LOGPROBS"),  # type: ignore[arg-type]
    "too few": ([entry("a", -0.1, -3.0), entry("b", -0.1)], "TOO_FEW_LOGPROBS"),
    "no lists": ([{"token": "a", "logprob": -0.1}], "TOO_FEW_LOGPROBS"),
    "all impossible": ([entry("a", -math.inf, -math.inf)], "BAD_LOGPROBS"),
}


@pytest.mark.parametrize("name", BAD_ENTRIES)
def test_lists_that_are_none_are_unknown_with_a_reason(name):
    said, error_class = BAD_ENTRIES[name]
    with pytest.raises(NoScores) as caught:
        read_tokens(said, 2)
    assert caught.value.error_class == error_class
    assert caught.value.message


def test_places_must_make_up_the_answer():
    said = [entry("a", -0.1, -3.0)]
    assert read_tokens(said, 2, answer=" a0")
    with pytest.raises(NoScores, match="before the answer") as caught:
        read_tokens(said, 2, answer="a0 and more")
    assert caught.value.error_class == "TOO_FEW_LOGPROBS"


def test_probabilities_of_an_earlier_meaning_are_refused():
    old = {"content": "a", "probs": [{"tok_str": "a", "prob": 1.0}]}
    with pytest.raises(NoScores) as caught:
        read_llamacpp({"completion_probabilities": [old]}, 1)
    assert caught.value.error_class == "OLD_LOGPROBS"


def test_a_scored_prompt_is_read_from_its_end_by_rank():
    said = [
        None,
        {"5": {"logprob": -9.0, "rank": 1}},
        {"7": {"logprob": -2.0, "rank": 2}, "6": {"logprob": -0.2, "rank": 1}},
        {
            "9": {"logprob": -8.0, "rank": 400},
            "6": {"logprob": -0.1, "rank": 1},
            "4": {"logprob": -3.0, "rank": 2},
        },
    ]
    columns = score_columns(read_prompt(said, [7, 9], 2))
    assert columns == {
        "path_ids": [7, 9],
        "path_nnats": [-2_000_000_000, -8_000_000_000],
        "top_ids": [[6, 7], [6, 4]],
        "top_nnats": [[-200_000_000, -2_000_000_000], [-100_000_000, -3_000_000_000]],
    }
    for path, wrong in (([7, 1], said), ([1, 2, 3, 4], said), ([7], [{"7": 0}])):
        with pytest.raises(NoScores):
            read_prompt(wrong, path, 2)
    for key in ("9" * 5_000, "²", "٣", "-1", ""):
        odd = [None, {key: {"logprob": -0.1, "rank": 1}}]
        with pytest.raises(NoScores, match="no id and rank"):
            read_prompt(odd, [7], 1)


def test_a_scored_input_must_be_the_path():
    said = [
        {"id": 3, "text": "a", "logprob": None},
        {"id": 4, "text": "b", "logprob": -0.5},
    ]
    columns = score_columns(read_prefill(said, [4]))
    assert columns == {"path_ids": [4], "path_nnats": [-500_000_000]}
    for path, error_class in (([5], "PATH_BROKEN"), ([9, 3, 4], "TOO_FEW_LOGPROBS")):
        with pytest.raises(NoScores) as caught:
            read_prefill(said, path)
        assert caught.value.error_class == error_class


scalars = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=4)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["token", "logprob", "top_logprobs", "id", "bytes", "rank"])
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(anything, st.integers(0, 4))
def test_whatever_is_said_is_read_or_refused(said, k):
    for read in (
        lambda: read_tokens(said, k),
        lambda: read_chat(said, k),
        lambda: read_llamacpp({"completion_probabilities": said}, k),
        lambda: read_prompt(said, [1], k),
        lambda: read_prefill(said, [1]),
    ):
        try:
            columns = score_columns(read())
        except NoScores:
            continue
        facts = ScoreFacts(level="PATH", outcome="OK", k=k, max_tokens=1, **columns)
        assert checked(facts)


@given(st.data())
def test_one_damaged_value_is_refused_or_changes_no_other(data):
    whole = recorded("completion_nprobs")
    plain = read_llamacpp(whole, 3)
    place = data.draw(st.integers(0, 2))
    rank = data.draw(st.integers(0, 2))
    key = data.draw(st.sampled_from(["id", "logprob"]))
    damaged = copy.deepcopy(whole)
    listed = damaged["completion_probabilities"][place]["top_logprobs"]
    listed[rank][key] = data.draw(scalars)
    try:
        found = read_llamacpp(damaged, 3)
    except NoScores:
        return
    for number, (before, after) in enumerate(zip(plain, found, strict=True)):
        assert (number == place) or before == after


@pytest.fixture(params=[*LISTING, "tgi"])
def served(request) -> Iterator[tuple[MockServer, Any]]:
    with MockServer(request.param, PROFILE) as mock:
        adapter = opened(request.param, mock)
        adapter.load(REF, Controls())
        yield mock, adapter
        mock.set_faults()
        adapter.close()


def test_an_answer_is_told_with_its_likeliest_tokens(served):
    mock, adapter = served
    assert isinstance(adapter, ScoresPath)
    answer = adapter.score_answer(REQUEST, K)
    assert (answer.outcome, answer.error_class, answer.ended) == ("OK", None, True)
    assert answer.wall_ns
    # 8.5 bits per weight, d = 0.2 + 2 / 8.5: rank r has (1 - d) * d^r.
    first = round(math.log(1 - (0.2 + 2 / 8.5)) * 1e9)
    assert answer.path_nnats
    assert set(answer.path_nnats) == {first}
    if mock.dialect.name == "tgi":
        assert (answer.top_nnats, answer.top_ids, answer.top_texts) == (None,) * 3
        return
    assert answer.top_nnats
    falling = [round(logprob_of(EIGHT, rank) * 1e9) for rank in range(K)]
    assert all(listed == falling for listed in answer.top_nnats)
    led = answer.level == "PATH"
    assert (answer.top_ids is not None, answer.top_texts is not None) == (led, not led)
    # The end is a place where a model is led along ids; a chat does not tell it.
    assert len(answer.top_nnats) == (9 if led else 8)


def test_the_same_model_says_the_same_along_its_own_answer(served):
    _, adapter = served
    answer = adapter.score_answer(REQUEST, K)
    again = adapter.score_along(REQUEST, K, answer)
    assert again.method == {
        "llama-server": "GRAMMAR",
        "vllm": "PROMPT_LOGPROBS",
        "tgi": "PROMPT_LOGPROBS",
    }.get(adapter.name, "GENERATED")
    for name in ("top_ids", "top_texts", "top_nnats", "path_nnats", "ended"):
        assert getattr(again, name) == getattr(answer, name)


@pytest.mark.parametrize("dialect", ["llama-server", "vllm"])
def test_another_quant_is_led_along_the_answer_of_the_first(dialect):
    answers = {"Q8_0": "Seven primes.", "Q2_K": "Nine or so."}
    asked = {}
    for model, other in ((EIGHT, TWO), (TWO, EIGHT)):
        profile = Profile(
            models=(model, other),
            prefill_rate=1e6,
            decode_rate=1e5,
            answers=(),
            text="",
        )
        canned = [
            {"pattern": ".", "text": text, "quants": (quant,)}
            for quant, text in answers.items()
        ]
        profile = profile_with(profile, canned)
        with MockServer(dialect, profile) as mock:
            adapter = opened(dialect, mock)
            adapter.load(ModelRef("demo", model.quant, model.name), Controls())
            if model is EIGHT:
                asked["path"] = adapter.score_answer(REQUEST, K)
            asked[model.quant] = adapter.score_along(REQUEST, K, asked["path"])
            adapter.close()
    path, two = asked["path"], asked["Q2_K"]
    assert two.path_ids == path.path_ids
    # Each wants its own word first and the other's second.
    assert two.top_ids[0][0] == path.top_ids[0][1] != path.path_ids[0]
    assert two.path_nnats[0] == round(logprob_of(TWO, 1) * 1e9)


def profile_with(profile: Profile, canned: list[dict[str, Any]]) -> Profile:
    from dataclasses import replace

    from orket.mockserver.profile import CannedAnswer

    return replace(profile, answers=tuple(CannedAnswer(**row) for row in canned))


FAULTY = {
    "missing-logprobs": ("DIVERGENCE", "UNSUPPORTED", "NO_LOGPROBS"),
    "few-logprobs": (None, "FAILED", "TOO_FEW_LOGPROBS"),
    "truncated-logprobs": (None, "FAILED", "TOO_FEW_LOGPROBS"),
    "nan-logprobs": (None, "FAILED", "BAD_LOGPROBS"),
    "distorted-logprobs": (None, "FAILED", "BAD_LOGPROBS"),
    "sampled-logprobs": ("DIVERGENCE", "UNSUPPORTED", "OLD_LOGPROBS"),
    "http-500": (None, "FAILED", "HTTP_500"),
    "http-404": ("DIVERGENCE", "UNSUPPORTED", "NO_LOGPROBS"),
    "not-json": (None, "FAILED", "PROTOCOL_ERROR"),
}


@pytest.mark.parametrize("fault", FAULTY)
def test_a_faulty_list_is_unknown_never_a_zero(served, fault):
    mock, adapter = served
    answer = adapter.score_answer(REQUEST, K)
    adapter.score_along(REQUEST, K, answer)
    mock.set_faults(fault)
    level, outcome, error_class = FAULTY[fault]
    of_lists = ("few-logprobs", "distorted-logprobs", "sampled-logprobs")
    if mock.dialect.name == "tgi" and fault in of_lists:
        assert adapter.score_answer(REQUEST, K).outcome == "OK"  # it lists none
        return
    for facts in (
        adapter.score_answer(REQUEST, K),
        adapter.score_along(REQUEST, K, answer),
    ):
        assert facts.top_nnats is facts.top_ids is facts.path_nnats is None
        if fault not in ("http-404", "not-json"):
            assert (facts.outcome, facts.error_class) == (outcome, error_class)
            assert facts.level == level or facts.level in ("PATH", "PREFIX")
        assert facts.outcome != "OK"
        assert facts.error_message


def test_a_model_that_leaves_the_path_is_told():
    with MockServer("llama-server", PROFILE) as mock:
        adapter = opened("llama-server", mock)
        answer = adapter.score_answer(REQUEST, K)
        adapter.score_along(REQUEST, K, answer)
        mock.set_faults("retokenised")
        # The last token of the path is the end, which may be spelled otherwise.
        cut = adapter.score_answer(
            Generation(REF, "Name primes.", 4, Controls(temperature_milli=0)), K
        )
        found = adapter.score_along(REQUEST, K, cut)
        assert (found.outcome, found.error_class) == ("FAILED", "PATH_BROKEN")
        adapter.close()


@pytest.mark.parametrize("dialect", ["llama-server", "vllm"])
def test_another_tokenizer_is_not_led(dialect):
    with MockServer(dialect, PROFILE) as mock:
        adapter = opened(dialect, mock)
        adapter.load(REF, Controls())
        answer = adapter.score_answer(REQUEST, K)
        mock.set_faults("other-tokenizer")
        found = adapter.score_along(REQUEST, K, answer)
        assert (found.outcome, found.error_class) == (
            "UNSUPPORTED",
            "TOKENIZER_DIFFERS",
        )
        adapter.close()


@pytest.mark.parametrize("fault", ["no-token-grammar", "grammar-ignored"])
def test_a_build_without_grammars_of_ids_is_asked_once_a_place(fault):
    with MockServer("llama-server", PROFILE) as mock:
        adapter = opened("llama-server", mock)
        answer = adapter.score_answer(REQUEST, K)
        mock.set_faults(fault)
        found = adapter.score_along(REQUEST, K, answer)
        assert (found.outcome, found.method) == ("OK", "PREFIX_REQUESTS")
        assert found.top_nnats == answer.top_nnats
        asked = [r.body for r in mock.requests if r.path == "/completion"]
        # The answer, the trial of a grammar, and one request for each of 9 places.
        assert len(asked) == 2 + 9
        assert [body["cache_prompt"] for body in asked[2:]] == [True] * 9
        assert all(isinstance(body["prompt"], list) for body in asked)
        adapter.close()


def test_the_end_stays_out_of_the_grammar():
    with MockServer("llama-server", PROFILE) as mock:
        adapter = opened("llama-server", mock)
        answer = adapter.score_answer(REQUEST, K)
        adapter.score_along(REQUEST, K, answer)
        last = [r.body for r in mock.requests if r.path == "/completion"][-1]
        words = " ".join(f"<[{number}]>" for number in answer.path_ids[:-1])
        assert last["grammar"] == f"root ::= {words}"
        assert (last["n_predict"], last["cache_prompt"]) == (9, False)
        assert last["post_sampling_probs"] is False
        adapter.close()


def test_lm_studio_tells_no_lists():
    adapter = create_adapter("lmstudio")
    assert not isinstance(adapter, ScoresPath)
    adapter.close()


def test_a_row_without_lists_is_a_row():
    row = {
        "sweep_id": "s",
        "fidelity_id": "f",
        "recorded_at": "2026-01-01T00:00:00Z",
        "role": "QUANT",
        "model_id": "m",
        "quant_tag": "Q4_K_M",
        "test_id": "core/a",
        "task_revision": "r",
        "prompt_sha256": "sha256:0",
        "level": "DIVERGENCE",
        "outcome": "UNSUPPORTED",
        "k": 20,
        "max_tokens": 64,
    }
    from orket.records import judge

    assert judge(FidelityRow, json.dumps(row)).top_ids is None


@pytest.mark.parametrize(
    ("dialect", "fault", "answer", "evidence"),
    [
        ("llama-server", None, "yes", "PATH by GRAMMAR; twice: the same lists"),
        ("ollama", None, "yes", "PREFIX by GENERATED; twice: the same lists"),
        ("openai", "missing-logprobs", "no", "NO_LOGPROBS: the server gives no"),
        ("openai", "few-logprobs", "unknown", "TOO_FEW_LOGPROBS: 10 tokens at a"),
        ("lmstudio", None, "no", "its protocol has no log-probabilities"),
    ],
)
def test_the_probe_says_what_a_server_tells(dialect, fault, answer, evidence):
    with MockServer(dialect, PROFILE) as mock:
        adapter = opened(dialect, mock)
        mock.set_faults(*([fault] if fault else []))
        report = probe(adapter, REF)
        adapter.close()
    (found,) = [f for f in report.findings if "likeliest" in f.question]
    assert (found.answer, found.evidence[: len(evidence)]) == (answer, evidence)
