from __future__ import annotations

import threading

import pytest

from orket.errors import UsageError
from orket.providers.http.endpoint import read_endpoint
from orket.providers.http.framing import MAX_LINE_BYTES
from orket.providers.http.problems import Problem
from orket.providers.http.responses import MAX_BODY_BYTES
from orket.providers.http.transport import Stream, Timing, Transport
from tests.scripted import SSE, Script, ScriptedServer, drip, reset, respond, stream

KEY = "sk-verysecretkey"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)


class SteppedClock:
    """Counts how often it is asked: time that depends on nothing else."""

    def __init__(self) -> None:
        self._monotonic = 0

    def monotonic_ns(self) -> int:
        self._monotonic += 1_000
        return self._monotonic

    def realtime_ns(self) -> int:
        return 1_700_000_000_000_000_000 + 2 * self._monotonic


def read_stream(
    answer: bytes | Script, seconds: float = 5.0, framing: str = "sse"
) -> tuple[list[str], Stream]:
    with ScriptedServer(answer) as server, open_at(server.url) as transport:
        return read_from(transport, seconds, framing)


def read_from(
    transport: Transport, seconds: float = 5.0, framing: str = "sse"
) -> tuple[list[str], Stream]:
    with transport.stream("/x", {"a": 1}, seconds, framing) as opened:
        return [event.data for event in opened], opened


def ask(answer: bytes | Script, seconds: float = 5.0) -> Problem | None:
    with ScriptedServer(answer) as server, open_at(server.url) as transport:
        return transport.post("/x", {"a": 1}, seconds).problem


def open_at(url: str) -> Transport:
    return Transport(read_endpoint(url))


def class_of(problem: Problem | None) -> str:
    assert problem is not None
    assert "\n" not in problem.message and problem.message
    return problem.error_class


def hang_up(connection, request):
    connection.close()


def break_off(connection, request):
    connection.sendall(CHUNKED + b"a\r\ndata: 1\n\nd")
    reset(connection)


def end_inside_chunk(connection, request):
    connection.sendall(CHUNKED + b"ff\r\ndata: 1\n\nd")


@pytest.mark.parametrize(
    ("answer", "error_class"),
    [
        (respond(401, {"error": {"message": "no key"}}), "HTTP_401"),
        (respond(404, {"error": "model not found"}), "HTTP_404"),
        (respond(429, {"error": "slow down"}, Retry_After="7"), "HTTP_429"),
        (respond(500, {"detail": "broken"}), "HTTP_500"),
        (respond(503, {"error": {"message": "Loading model"}}), "HTTP_503"),
        (respond(502, b"<html><title>Bad gateway</title>", "text/html"), "HTTP_502"),
        (respond(302, b"", Location="http://else.where/"), "HTTP_302"),
        (respond(200, b"<!DOCTYPE html><p>hi", "text/html"), "PROTOCOL_ERROR"),
        (hang_up, "CONNECTION_LOST"),
        (break_off, "CONNECTION_LOST"),
        (end_inside_chunk, "CONNECTION_LOST"),
        (b"garbage\r\n\r\n", "PROTOCOL_ERROR"),
    ],
)
def test_every_failure_is_a_problem_of_its_class(answer, error_class):
    assert class_of(ask(answer)) == error_class
    events, opened = read_stream(answer)
    assert class_of(opened.problem) == error_class
    assert events == (["1"] if answer in (break_off, end_inside_chunk) else [])


def test_what_the_server_said_of_an_error_is_kept():
    found = ask(respond(404, {"error": {"message": "no such\nmodel", "code": 404}}))
    assert found == Problem("HTTP_404", "no such model", 404)
    found = ask(respond(429, {"error": "slow"}, Retry_After="7"))
    assert found == Problem(
        "HTTP_429", "slow (retry after 7 s)", 429, retry_after_ns=7_000_000_000
    )
    found = ask(respond(502, b"<html><title>Bad\n gateway</title>", "text/html"))
    assert found is not None
    assert found.message == "an HTML page instead of an answer: Bad gateway"


def test_a_prompt_that_is_too_long_has_a_class_of_its_own():
    body = {
        "error": {"message": "request (9 tokens) exceeds the available context size"}
    }
    assert class_of(ask(respond(400, body))) == "CONTEXT_EXCEEDED"
    assert class_of(ask(respond(400, {"error": "no messages"}))) == "HTTP_400"


def test_a_redirect_is_named_and_not_followed():
    answer = respond(307, b"", Location="http://ada:pw@else.where/v1")
    with ScriptedServer(answer) as server, open_at(server.url) as transport:
        found = transport.post("/x", {}).problem
        assert len(server.requests) == 1
    assert found is not None
    assert "[secret]@else.where/v1" in found.message and "pw" not in found.message


def test_nobody_there():
    with ScriptedServer(b"") as server:
        url = server.url
    with open_at(url) as transport:
        assert class_of(transport.get("/x").problem) == "CONNECTION_REFUSED"
        _, opened = read_from(transport)
        assert class_of(opened.problem) == "CONNECTION_REFUSED"
        assert opened.timing == Timing()


def test_an_unknown_host():
    with open_at("http://no-such-host.invalid") as transport:
        assert class_of(transport.get("/x").problem) == "CONNECTION_FAILED"


def test_a_server_without_tls_behind_https():
    with ScriptedServer(hang_up) as server:
        transport = open_at(server.url.replace("http", "https"))
        assert class_of(transport.get("/x").problem) == "TLS_ERROR"
        assert transport.tls_verified is True
        transport.close()


@pytest.mark.parametrize(
    ("name", "why"),
    [("absent.pem", "No such file or directory"), ("empty.pem", "certificate")],
)
def test_certificates_that_cannot_be_read_are_named(tmp_path, monkeypatch, name, why):
    (tmp_path / "empty.pem").touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / name))
    with pytest.raises(UsageError, match=f"SSL_CERT_FILE=.*{name} cannot be.*{why}"):
        open_at("https://localhost:9")
    open_at("http://localhost:9").close()


@pytest.mark.parametrize("start", [SSE, b"", b"HTTP/1.1 200 OK\r\nX: "])
def test_dripping_bytes_do_not_outlive_the_deadline(start):
    stop = threading.Event()
    parts = [start, *[b":"] * 10_000]
    try:
        _, opened = read_stream(drip(parts, stop, 0.02), seconds=0.15)
        assert class_of(opened.problem) == "TIMEOUT"
        assert opened.problem is not None and opened.problem.outcome == "TIMEOUT"
        assert class_of(ask(drip(parts, stop, 0.02), seconds=0.15)) == "TIMEOUT"
    finally:
        stop.set()


def test_silence_does_not_outlive_the_deadline():
    stop = threading.Event()
    events, opened = read_stream(
        drip([SSE + b"data: 1\n\n", b""], stop, 0.4), seconds=0.1
    )
    stop.set()
    assert events == ["1"]
    assert class_of(opened.problem) == "TIMEOUT"


def test_a_line_without_end_is_given_up():
    chunk = b"x" * (1024 * 1024)
    chunks = [SSE + b"data: ", *[chunk] * (MAX_LINE_BYTES // len(chunk) + 1)]

    def script(connection, request):
        for part in chunks:
            connection.sendall(part)

    events, opened = read_stream(script)
    assert events == []
    assert class_of(opened.problem) == "LINE_TOO_LONG"


def test_a_body_without_end_is_given_up():
    found = ask(respond(200, b"x" * (MAX_BODY_BYTES + 1)))
    assert class_of(found) == "RESPONSE_TOO_LONG"


def test_pings_and_unicode_line_breaks_pass():
    answer = SSE + ": ping\n\ndata: a\u2028b\n\n: ping\n\ndata: [DONE]\n\n".encode()
    events, opened = read_stream(answer)
    assert events == ["a\u2028b", "[DONE]"]
    assert opened.problem is None and opened.valid_utf8


def test_invalid_utf8_is_told():
    _, opened = read_stream(SSE + b"data: \xff\n\n")
    assert not opened.valid_utf8
    answer = respond(200, b'{"a":"\xff"}')
    with ScriptedServer(answer) as server, open_at(server.url) as transport:
        reply = transport.get("/x")
    assert reply.json == {"a": "\ufffd"}
    assert not reply.valid_utf8


def test_one_json_document_instead_of_a_stream_is_one_event():
    events, opened = read_stream(respond(200, {"choices": []}))
    assert events == ['{"choices": []}']
    assert not opened.streamed


def test_ndjson_is_read_line_by_line():
    body = b'{"a":1}\n\n{"a":2}\n{"done":'
    events, opened = read_stream(
        respond(200, body, "application/x-ndjson"), framing="ndjson"
    )
    assert events == ['{"a":1}', '{"a":2}', '{"done":']
    assert opened.streamed


def test_time_runs_from_the_request_to_the_last_byte_by_the_given_clock():
    with ScriptedServer(stream({"a": 1})) as server:
        transport = Transport(read_endpoint(server.url), clock=SteppedClock())
        with transport, transport.stream("/x", {}, 5.0) as opened:
            for event in opened:
                opened.mark_token(event)
            timing = opened.timing
    assert timing.wall_ns is not None and timing.ttft_ns is not None
    assert 0 < timing.ttft_ns <= timing.wall_ns
    assert timing.realtime_ns == 2 * timing.wall_ns


@pytest.mark.parametrize("pauses", [2, 5])
def test_the_first_and_the_last_token_are_timed_apart(pauses):
    events = [b'data: {"t": 1}\n\n'] * pauses + [b'data: {"done": true}\n\n']
    script = drip([SSE, *events], threading.Event(), 0.05)
    with (
        ScriptedServer(script) as server,
        open_at(server.url) as transport,
        transport.stream("/x", {}, 5.0) as opened,
    ):
        for event in opened:
            if "t" in event.json():
                opened.mark_token(event)
        timing = opened.timing
    assert timing.ttft_ns is not None and timing.last_token_ns is not None
    assert timing.wall_ns is not None and timing.last_token_ns < timing.wall_ns
    assert timing.last_token_ns - timing.ttft_ns >= (pauses - 1) * 40_000_000


def test_a_whole_answer_has_no_time_to_first_token():
    with ScriptedServer(respond(200, {})) as server, open_at(server.url) as transport:
        reply = transport.get("/x")
    assert (reply.timing.ttft_ns, reply.timing.last_token_ns) == (None, None)
    assert reply.timing.wall_ns is not None


def test_a_new_connection_for_each_call():
    with ScriptedServer(respond(200, {})) as server, open_at(server.url) as transport:
        assert [transport.get("/x").ok for _ in range(3)] == [True] * 3
        assert len(server.requests) == 3


def test_the_key_is_sent_and_never_said(monkeypatch):
    monkeypatch.setenv("SOME_KEY", KEY)
    echo = respond(401, {"error": f"{'x' * 280} invalid key {KEY} given"})
    with ScriptedServer(echo) as server:
        endpoint = read_endpoint(server.url, api_key_env="SOME_KEY")
        with Transport(endpoint) as transport:
            found = transport.post("/x", {}).problem
            _, opened = read_from(transport)
        assert f"authorization: bearer {KEY}".encode() in server.requests[0].lower()
    for problem in (found, opened.problem):
        assert problem is not None
        assert KEY[:6] not in problem.message


def test_a_proxy_of_the_environment_is_not_asked_for_loopback(monkeypatch):
    with ScriptedServer(respond(500, {})) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("all_proxy", proxy.url)
        answer = respond(200, {})
        with ScriptedServer(answer) as server, open_at(server.url) as transport:
            assert transport.get("/x").ok
        assert proxy.requests == []


def test_a_proxy_is_asked_for_other_hosts(monkeypatch):
    with ScriptedServer(respond(200, {"through": "proxy"})) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        with open_at("http://far.example.org:81/base") as transport:
            assert transport.get("/x").json == {"through": "proxy"}
        assert proxy.requests[0].startswith(b"GET http://far.example.org:81/base/x")
