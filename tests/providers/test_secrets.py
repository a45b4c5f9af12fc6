"""A key or a password is sent to its server, and stands nowhere else."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from orket.providers.contract import Adapter, Generation, ModelRef, ServerOptions
from orket.providers.http.problems import ProviderError
from orket.providers.registry import create_adapter
from orket.records import CallFacts, Controls
from tests.scripted import ScriptedServer, respond, stream

KEY = "sk-Verysecret/9=="
PASSWORD = "p@ss:wörd/9"  # noqa: S105
ENCODED = "p%40ss%3Aw%C3%B6rd%2F9"
MODEL = ModelRef("m", "Q8_0", "m")
SECRETS = (KEY, PASSWORD, ENCODED, "YWRhOnBAc3M6d8O2cmQvOQ==")


@pytest.fixture(params=["key", "password"])
def secret(request, tmp_path) -> Iterator[tuple[str, dict[str, Any], str]]:
    """A secret, how it is given, and what goes before the host of the URL."""
    if request.param == "key":
        (tmp_path / "key").write_text(KEY)
        yield KEY, {"api_key_file": tmp_path / "key"}, ""
    else:
        yield PASSWORD, {}, f"ada:{ENCODED}@"


def open_at(provider: str, server: ScriptedServer, secret: Any) -> Adapter:
    _, options, user = secret
    url = server.url.replace("http://", f"http://{user}")
    return create_adapter(provider, ServerOptions(url=url, **options))


def ask(
    provider: str, secret: Any, *answers: Any, streamed: bool = True
) -> tuple[CallFacts, list[bytes]]:
    with ScriptedServer(*answers) as server:
        adapter = open_at(provider, server, secret)
        facts = adapter.generate(Generation(MODEL, "hi", 8, Controls(), streamed))
        adapter.close()
    assert b"uthorization: B" in server.requests[0]
    return facts, server.requests


def assert_clean(facts: object) -> None:
    said = msgspec.json.encode(facts).decode() + json.dumps(
        msgspec.to_builtins(facts), ensure_ascii=False
    )
    assert not [word for word in SECRETS if word in said]


def chat(secret: str, where: str) -> list[dict[str, Any]]:
    """The records of an answer that says the secret in one place."""
    half = len(secret) // 2
    usage: dict[str, Any] = {"prompt_tokens": 9, "completion_tokens": 3}
    pieces: list[dict[str, Any]] = [{"content": "he"}, {"content": "llo"}]
    if where == "answer":
        pieces = [{"content": secret[:half]}, {"content": secret[half:]}]
    if where == "thought":
        pieces.insert(0, {"reasoning_content": f"I was asked with {secret}"})
    if where == "figures":
        usage |= {"you": {"said": [secret]}, secret: 1}
    model = f"m {secret}" if where == "model" else "m"
    reason = f"stop {secret}" if where == "reason" else "stop"
    return [
        *({"model": model, "choices": [{"delta": piece}]} for piece in pieces),
        {"model": model, "choices": [{"delta": {}, "finish_reason": reason}]},
        {"model": model, "choices": [], "usage": usage},
    ]


def as_whole(records: list[dict[str, Any]]) -> dict[str, Any]:
    deltas = [r["choices"][0]["delta"] for r in records if r["choices"]]
    thoughts = "".join(delta.get("reasoning_content", "") for delta in deltas)
    return {
        "model": records[0]["model"],
        "usage": records[-1]["usage"],
        "choices": [
            {
                "message": {
                    "content": "".join(delta.get("content", "") for delta in deltas),
                    **({"reasoning": thoughts} if thoughts else {}),
                },
                "finish_reason": records[-2]["choices"][0]["finish_reason"],
            }
        ],
    }


PLACES = ["answer", "thought", "figures", "model", "reason"]


@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("where", PLACES)
def test_an_echo_is_taken_out_and_said(secret, where, streamed):
    records = chat(secret[0], where)
    answer = stream(*records) if streamed else respond(200, as_whole(records))
    facts, _ = ask("openai", secret, answer, streamed=streamed)
    assert_clean(facts)
    assert (facts.outcome, facts.completion_tokens) == ("OK", 3)
    assert "SECRET_REMOVED" in facts.call_notes
    assert facts.answer_text == ("[secret]" if where == "answer" else "hello")


def test_an_answer_without_an_echo_is_left_alone(secret):
    facts, _ = ask("openai", secret, stream(*chat(secret[0], "nowhere")))
    assert (facts.answer_text, facts.call_notes) == ("hello", [])


@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "whole"])
def test_a_key_in_another_spelling_is_a_key(tmp_path, streamed):
    key = "sk+of/ours?>~~"
    (tmp_path / "key").write_text(key)
    spelled = base64.b64encode(key.encode()).decode()
    for said in (spelled, spelled.rstrip("="), quote(key, safe="")):
        records = chat(said, "answer")
        answer = stream(*records) if streamed else respond(200, as_whole(records))
        given = (key, {"api_key_file": tmp_path / "key"}, "")
        facts, _ = ask("openai", given, answer, streamed=streamed)
        assert facts.answer_text == "[secret]"


@pytest.mark.parametrize(
    "answer",
    [
        lambda said: respond(401, {"error": f"wrong key {said}"}),
        lambda said: respond(500, f"<html><title>{said}</title>".encode(), "text/html"),
        lambda said: respond(302, b"", Location=f"http://x/?key={said}"),
        lambda said: stream({"error": {"message": f"no {said}"}}),
        lambda said: stream({"choices": [{"delta": {"content": {said: said}}}]}),
        lambda said: stream({"choices": [{"delta": {"content": [{"type": said}]}}]}),
        lambda said: respond(200, f'{{"{said}": 1, "{said}": 2}}'.encode()),
    ],
)
def test_an_error_does_not_say_it(secret, answer):
    word = secret[0] if secret[0].isascii() else ENCODED
    facts, _ = ask("openai", secret, answer(word))
    assert facts.outcome == "FAILED"
    assert_clean(facts)


def test_headers_that_become_figures_do_not_say_it(secret):
    word = secret[0] if secret[0].isascii() else ENCODED
    body = {"generated_text": "hello", "details": {"generated_tokens": 2}}
    answer = respond(200, body, x_queue_time=f"5{word}")
    missing = respond(404, {})
    facts, _ = ask("tgi", secret, missing, missing, answer, streamed=False)
    assert (facts.outcome, facts.answer_text) == ("OK", "hello")
    assert "x-queue-time" in (facts.raw_figures or "")
    assert_clean(facts)


def test_what_a_server_says_of_itself_does_not_say_it(secret):
    with ScriptedServer(respond(200, {"version": f"0.34.0-{secret[0]}"})) as server:
        adapter = open_at("ollama", server, secret)
        info = adapter.describe()
        adapter.close()
    assert info.version == "0.34.0-[secret]"
    assert_clean(info)


def test_an_error_of_identity_does_not_say_it(secret):
    listed = respond(200, {"data": [{"id": f"other-{secret[0]}"}]})
    with ScriptedServer(listed) as server:
        adapter = open_at("vllm", server, secret)
        with pytest.raises(ProviderError) as caught:
            adapter.load(MODEL, Controls())
        adapter.close()
    assert "other-[secret]" in str(caught.value)
    assert_clean(str(caught.value))
