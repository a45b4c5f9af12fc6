"""The honesty probe about a server's own times: what it says, and what was seen."""

from __future__ import annotations

from typing import Any

import pytest

from orket.providers.contract import ModelRef, ServerOptions
from orket.providers.openai import OpenAiAdapter
from orket.providers.probe import contradict, probe
from orket.records import CallFacts, Policy
from tests.scripted import ScriptedServer, respond, stream

MS = 1_000_000


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({}, None),
        ({"prefill_ns": 300 * MS}, None),
        ({"prefill_ns": 900 * MS}, "but the whole call took 1000.0 ms"),
        ({"prefill_ns": None, "decode_ns": 1100 * MS}, "but the whole call took"),
        ({"prefill_ns": 1100 * MS, "decode_ns": None}, "but the whole call took"),
        # Within the slack of the views: a hundredth of the call.
        ({"prefill_ns": 209 * MS, "decode_ns": 800 * MS}, None),
        (
            {"prefill_ns": 340 * MS, "decode_ns": 640 * MS},
            "but the first token came after 320.0 ms",
        ),
        ({"prefill_ns": 340 * MS, "ttft_ns": None, "last_token_ns": None}, None),
        ({"decode_ns": 300 * MS}, "but from first to last token it took 670.0 ms"),
        ({"decode_ns": 610 * MS}, None),
        ({"decode_ns": 300 * MS, "completion_tokens": 1}, None),
        ({"wall_ns": 0, "ttft_ns": None, "prefill_ns": 9000 * MS}, None),
    ],
)
def test_times_that_cannot_be_those_of_the_call(facts, said):
    known: dict[str, Any] = {
        "outcome": "OK",
        "wall_ns": 1000 * MS,
        "ttft_ns": 320 * MS,
        "last_token_ns": 990 * MS,
        "prefill_ns": 300 * MS,
        "decode_ns": 660 * MS,
        "completion_tokens": 20,
    }
    found = contradict(CallFacts(**(known | facts)), Policy())
    assert found == said or (said and (found or "").startswith(said))


@pytest.mark.parametrize("ms", [0.5, 50_000.0])
def test_the_probe_says_what_it_saw_of_a_servers_times(ms):
    timings = {"prompt_n": 9, "prompt_ms": 0.5, "cache_n": 0}
    timings |= {"predicted_n": 2, "predicted_ms": ms}
    choice = {"message": {"role": "assistant", "content": "one"}}
    whole = respond(200, {"choices": [choice], "timings": timings})
    streamed = stream(
        {"choices": [{"delta": {"content": "one"}, "finish_reason": "stop"}]},
        {"choices": [], "timings": timings},
    )

    def answer(connection: Any, request: bytes) -> None:
        if b"GET /v1/models" in request:
            listed = {"data": [{"id": "m"}]}
            connection.sendall(respond(200, listed))
        else:
            connection.sendall(streamed if b'"stream":true' in request else whole)

    with ScriptedServer(answer) as server:
        adapter = OpenAiAdapter(ServerOptions(url=server.url))
        report = probe(adapter, ModelRef("m", "unknown", "m"))
        adapter.close()
    found = {f.question: f for f in report.findings if "own times" in f.question}
    assert set(found) == {
        "reports its own times (whole)",
        "reports its own times (streamed)",
    }
    for finding in found.values():
        assert finding.answer == ("yes" if ms < 1 else "no")
        assert f"decode {ms:.1f} ms" in finding.evidence
        doubt = "but the whole call took" in finding.evidence
        assert doubt is (ms > 1)


def test_counts_that_were_not_said_are_unknown():
    whole = respond(200, {"choices": [{"message": {"content": "one"}}]})
    with ScriptedServer(whole) as server:
        adapter = OpenAiAdapter(ServerOptions(url=server.url))
        report = probe(adapter, ModelRef("m", "unknown", "m"))
        adapter.close()
    (counts,) = [f for f in report.findings if "token counts (whole)" in f.question]
    assert counts.evidence == "prompt unknown, completion unknown"
