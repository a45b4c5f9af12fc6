"""Every fault of the mock server against every adapter, over real HTTP.

A call that fails is a fact with a class; one that succeeds says only what was said.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from orket.mockserver import FAULTS, Fault, MockServer, Profile
from orket.mockserver.faults import STATE_FAULTS
from orket.providers.contract import Adapter, Generation, ModelRef, ServerOptions
from orket.providers.http.problems import IdentityMismatch
from orket.providers.registry import create_adapter
from orket.records import CallFacts, Controls
from tests.token_status import TelemetryView

MODEL = ModelRef("demo", "Q8_0", "demo:q8_0")
OUTCOMES = {
    "slow-drip": ("TIMEOUT", {"TIMEOUT"}),
    "long-line": ("FAILED", {"LINE_TOO_LONG", "RESPONSE_TOO_LONG"}),
    "stream-error": ("FAILED", {"STREAM_ERROR", "HTTP_500"}),
    "truncated-stream": ("FAILED", {"STREAM_INCOMPLETE", "PROTOCOL_ERROR"}),
    "cut": ("FAILED", {"CONNECTION_LOST"}),
    "reset": ("FAILED", {"CONNECTION_LOST"}),
    "not-json": ("FAILED", {"PROTOCOL_ERROR"}),
    "http-401": ("FAILED", {"HTTP_401"}),
    "http-404": ("FAILED", {"HTTP_404"}),
    "http-429": ("FAILED", {"HTTP_429"}),
    "http-500": ("FAILED", {"HTTP_500"}),
    "http-503": ("FAILED", {"HTTP_503"}),
    "redirect": ("FAILED", {"HTTP_302"}),
    "html-error": ("FAILED", {"HTTP_502"}),
}
"""Outcome and possible classes of the faults that leave no answer."""

UNUSABLE = ("nan", "negative", "huge", "string-numbers", "no-metadata")


@dataclass(frozen=True)
class Setup:
    """One adapter with one kind of server."""

    provider: str
    timed: bool
    """The figures of a call hold times."""
    dialect: str | None = None
    seed: int | None = None
    request_metrics: bool = False
    prometheus: bool = False
    derived: bool = False
    """Decode time is worked out from a count, and goes missing with it."""

    def __str__(self) -> str:
        seeded = "-seeded" if self.seed is not None else ""
        timed = "" if self.timed else "-untimed"
        return f"{self.provider}{seeded}{timed}"


SETUPS = [
    Setup("ollama", timed=True),
    Setup("lmstudio", timed=True, derived=True),
    Setup("lmstudio", timed=True, seed=7),
    Setup("vllm", timed=True, request_metrics=True),
    Setup("vllm", timed=False),
    Setup("tgi", timed=False),
    Setup("llama-server", timed=True),
    Setup("openai", timed=False),
    Setup("openai", timed=True, dialect="llama-server"),
]


@pytest.fixture(scope="module")
def view() -> Iterator[TelemetryView]:
    telemetry = TelemetryView()
    yield telemetry
    telemetry.close()


@pytest.fixture(scope="module", params=SETUPS, ids=str)
def served(
    request: pytest.FixtureRequest,
) -> Iterator[tuple[Setup, MockServer, Adapter]]:
    setup: Setup = request.param
    profile = Profile(
        prefill_rate=1e6,
        decode_rate=1e5,
        load_seconds=0.0,
        drip_seconds=0.05,
        text="Seven primes.",
        prompt_cache=False,
        request_metrics=setup.request_metrics,
        prometheus=setup.prometheus,
    )
    with MockServer(setup.dialect or setup.provider, profile) as mock:
        adapter = create_adapter(setup.provider, ServerOptions(url=mock.url))
        adapter.load(MODEL, Controls())
        yield setup, mock, adapter
        mock.set_faults()
        adapter.close()


def ask(
    served: tuple[Setup, MockServer, Adapter], fault: str | None, stream: bool
) -> CallFacts:
    setup, mock, adapter = served
    mock.set_faults(*([Fault(fault)] if fault else []))
    return adapter.generate(
        Generation(
            MODEL,
            "Name a few primes.",
            64,
            Controls(seed=setup.seed, temperature_milli=0),
            stream=stream,
            timeout_seconds=0.4 if fault == "slow-drip" else 10.0,
        )
    )


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("fault", sorted(OUTCOMES))
def test_a_call_without_an_answer_is_a_fact_with_its_class(
    served: tuple[Setup, MockServer, Adapter], fault: str, stream: bool
) -> None:
    facts = ask(served, fault, stream)
    outcome, classes = OUTCOMES[fault]
    assert facts.outcome == outcome
    assert facts.error_class in classes
    assert facts.error_message
    assert "\n" not in facts.error_message
    assert (facts.prompt_tokens, facts.completion_tokens) == (None, None)
    assert (facts.prefill_ns, facts.decode_ns) == (None, None)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_a_whole_answer_has_every_figure_its_server_tells(
    served: tuple[Setup, MockServer, Adapter], view: TelemetryView, stream: bool
) -> None:
    setup = served[0]
    facts = ask(served, None, stream)
    assert (facts.outcome, facts.error_class) == ("OK", None)
    assert facts.answer_text == "Seven primes."
    assert facts.completion_tokens is not None
    assert facts.raw_figures
    assert facts.formula_id
    expected = "OK" if setup.timed else "TIMING_UNAVAILABLE"
    assert view.status(facts) == expected


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("fault", UNUSABLE)
def test_figures_that_cannot_be_used_are_unknown(
    served: tuple[Setup, MockServer, Adapter],
    view: TelemetryView,
    fault: str,
    stream: bool,
) -> None:
    facts = ask(served, fault, stream)
    assert (facts.outcome, facts.answer_text) == ("OK", "Seven primes.")
    if fault == "string-numbers" and served[0].provider == "tgi" and not stream:
        # Its counts stand in the headers too, where every number is a text.
        assert facts.completion_tokens == 5
        return
    assert view.status(facts) == "TOKEN_AND_TIMING_UNAVAILABLE"
    assert (facts.prompt_tokens, facts.completion_tokens) == (None, None)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize(
    "fault", ["missing-counts", "missing-prompt-count", "missing-completion-count"]
)
def test_counts_that_are_left_out_are_unknown(
    served: tuple[Setup, MockServer, Adapter],
    view: TelemetryView,
    fault: str,
    stream: bool,
) -> None:
    setup = served[0]
    facts = ask(served, fault, stream)
    assert facts.outcome == "OK"
    if fault != "missing-completion-count":
        assert facts.prompt_tokens is None
    if fault != "missing-prompt-count":
        assert facts.completion_tokens is None
    derivable = not setup.derived or fault == "missing-prompt-count"
    expected = (
        "TOKEN_COUNT_UNAVAILABLE"
        if setup.timed and derivable
        else "TOKEN_AND_TIMING_UNAVAILABLE"
    )
    assert view.status(facts) == expected


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("fault", ["missing-timings", "partial-timings"])
def test_timings_that_are_left_out_are_unknown(
    served: tuple[Setup, MockServer, Adapter],
    view: TelemetryView,
    fault: str,
    stream: bool,
) -> None:
    facts = ask(served, fault, stream)
    assert facts.outcome == "OK"
    assert facts.decode_ns is None
    assert view.status(facts) == "TIMING_UNAVAILABLE"


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_a_usage_of_zeros_is_a_default_and_no_count(
    served: tuple[Setup, MockServer, Adapter], view: TelemetryView, stream: bool
) -> None:
    facts = ask(served, "zero-usage", stream)
    assert facts.outcome == "OK"
    assert view.status(facts) in (
        "TOKEN_COUNT_UNAVAILABLE",
        "TOKEN_AND_TIMING_UNAVAILABLE",
    )
    assert facts.prompt_tokens is None
    assert facts.completion_tokens is None


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize(
    ("fault", "tokens", "reason"),
    [
        ("zero-tokens", 0, "ZERO_COMPLETION_TOKENS"),
        ("one-token", 1, "SINGLE_TOKEN_COMPLETION"),
    ],
)
def test_an_answer_without_decoding_is_a_fact(
    served: tuple[Setup, MockServer, Adapter],
    view: TelemetryView,
    fault: str,
    tokens: int,
    reason: str,
    stream: bool,
) -> None:
    setup = served[0]
    facts = ask(served, fault, stream)
    assert facts.outcome == "OK"
    assert facts.completion_tokens == tokens
    row = view.read(facts)
    assert row["generation_tokens_per_second_milli"] is None
    if setup.timed:
        assert row["token_metrics_status"] == "OK"
        assert row["generation_rate_reason"] == reason


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_fields_that_no_contract_names_change_nothing(
    served: tuple[Setup, MockServer, Adapter], stream: bool
) -> None:
    told = ask(served, "unknown-fields", stream)
    plain = ask(served, None, stream)
    for name in ("prompt_tokens", "completion_tokens", "prefill_ns", "decode_ns"):
        assert getattr(told, name) == getattr(plain, name)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_bytes_that_are_not_utf8_are_replaced_and_told(
    served: tuple[Setup, MockServer, Adapter], stream: bool
) -> None:
    facts = ask(served, "invalid-utf8", stream)
    assert facts.outcome == "OK"
    assert "INVALID_UTF8" in facts.call_notes
    assert "\ufffd" in (facts.answer_text or "")


def test_a_wait_that_the_server_asks_for_is_kept(
    served: tuple[Setup, MockServer, Adapter],
) -> None:
    assert ask(served, "http-429", stream=True).retry_after_ns == 1_000_000_000


def test_every_fault_is_tried() -> None:
    # The faults of log-probabilities: test_scores.py.
    tried = {*OUTCOMES, *UNUSABLE, *STATE_FAULTS} | {
        "missing-logprobs",
        "few-logprobs",
        "truncated-logprobs",
        "sampled-logprobs",
        "nan-logprobs",
        "distorted-logprobs",
        "retokenised",
        "missing-counts",
        "missing-prompt-count",
        "missing-completion-count",
        "missing-timings",
        "partial-timings",
        "zero-usage",
        "zero-tokens",
        "one-token",
        "unknown-fields",
        "invalid-utf8",
    }
    assert tried == set(FAULTS)


@pytest.mark.parametrize(
    "provider", ["ollama", "lmstudio", "vllm", "tgi", "llama-server"]
)
def test_the_wrong_model_under_the_name_is_never_measured(provider: str) -> None:
    profile = Profile(prefill_rate=1e6, decode_rate=1e5, load_seconds=0.0)
    with MockServer(provider, profile, [Fault("wrong-quant")]) as mock:
        adapter = create_adapter(provider, ServerOptions(url=mock.url))
        with pytest.raises(IdentityMismatch) as caught:
            adapter.load(MODEL, Controls())
        assert caught.value.error_class == "IDENTITY_MISMATCH"
        mock.set_faults()
        adapter.close()


@pytest.mark.parametrize(
    "provider", ["ollama", "lmstudio", "vllm", "tgi", "llama-server"]
)
def test_a_context_that_the_server_cut_is_read_back(provider: str) -> None:
    profile = Profile(prefill_rate=1e6, decode_rate=1e5, load_seconds=0.0)
    with MockServer(provider, profile, [Fault("context-shrunk")]) as mock:
        adapter = create_adapter(provider, ServerOptions(url=mock.url))
        loaded = adapter.load(MODEL, Controls(context_tokens=4096))
        assert loaded.effective.context_tokens == 2048
        adapter.close()


@pytest.mark.parametrize("provider", ["ollama", "lmstudio"])
def test_another_resident_model_is_told(provider: str) -> None:
    profile = Profile(prefill_rate=1e6, decode_rate=1e5, load_seconds=0.0)
    with MockServer(provider, profile, [Fault("other-model")]) as mock:
        adapter = create_adapter(provider, ServerOptions(url=mock.url))
        adapter.load(MODEL, Controls())
        (other,) = adapter.other_models() or []
        assert other.startswith("somebody-else")
        mock.set_faults()
        adapter.close()
