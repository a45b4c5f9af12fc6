"""The mock server: every server's shapes, the same bytes twice, faults on demand."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from orket.cli.main import cli, run_command
from orket.errors import ServerError, UsageError
from orket.mockserver import (
    DIALECTS,
    FAULTS,
    Fault,
    MockModel,
    MockServer,
    Profile,
    load_profile,
    parse_fault,
)
from orket.mockserver.faults import LONG_LINE_BYTES
from orket.mockserver.tokens import split_tokens
from tests.places import ROOT

HTTP = httpx.Client(
    timeout=10, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
)
FAST = Profile(prefill_rate=1e6, decode_rate=1e5, load_seconds=0.0, prompt_cache=False)
MESSAGES = [{"role": "user", "content": "Say something."}]
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "ollama": ("/api/chat", {"model": "demo:q8_0", "messages": MESSAGES}),
    "llama-server": ("/v1/chat/completions", {"messages": MESSAGES, "stream": True}),
    "lmstudio": (
        "/api/v1/chat",
        {"model": "demo:q8_0", "input": "Say something.", "stream": True},
    ),
    "vllm": (
        "/v1/chat/completions",
        {"model": "demo:q8_0", "messages": MESSAGES, "stream": True},
    ),
    "openai": (
        "/v1/chat/completions",
        {"model": "demo:q8_0", "messages": MESSAGES, "stream": True},
    ),
    "tgi": ("/generate_stream", {"inputs": "Say something."}),
}


def post(
    server: MockServer, path: str, body: dict[str, Any], **headers: str
) -> httpx.Response:
    return HTTP.post(server.url + path, json=body, headers=headers)


def ask(server: MockServer, **headers: str) -> httpx.Response:
    path, body = CALLS[server.dialect.name]
    return post(server, path, body, **headers)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_two_servers_say_the_same_to_the_byte(dialect: str) -> None:
    said = []
    for _ in range(2):
        with MockServer(dialect, FAST) as server:
            said.append([ask(server).content for _ in range(2)])
    assert said[0] == said[1]
    assert b"quick" in said[0][0] or b"quic" in said[0][0]


def test_reported_times_are_those_of_the_rates() -> None:
    profile = Profile(
        models=(MockModel("demo:q8_0", "Q8_0"),),
        prefill_rate=1_000.0,
        decode_rate=500.0,
        load_seconds=0.0,
        template_tokens=6,
        text="one two",
    )
    with MockServer("llama-server", profile) as server:
        body = {"messages": [{"role": "user", "content": "abcd efgh"}]}
        timings = post(server, "/v1/chat/completions", body).json()["timings"]
    assert (timings["prompt_n"], timings["predicted_n"]) == (8, 3)
    assert timings["prompt_ms"] == 8.0
    assert timings["predicted_ms"] == 4.0  # two steps after the free first token


def test_the_prompt_cache_is_kept_and_told_by_version() -> None:
    body = {"model": "demo:q8_0", "messages": MESSAGES, "stream": False}
    cases: list[tuple[str, dict[str, int | None], dict[str, int | None]]] = [
        ("0.34.0", {"count": 12, "cached": 0}, {"count": 12, "cached": 11}),
        ("0.33.0", {"count": 12, "cached": None}, {"count": 12, "cached": None}),
        ("0.30.0", {"count": 12, "cached": None}, {"count": 1, "cached": None}),
        ("0.4.0", {"count": 12, "cached": None}, {"count": None, "cached": None}),
    ]
    for version, first, second in cases:
        with MockServer("ollama", Profile(version=version, decode_rate=1e5)) as server:
            for expected in (first, second):
                said = post(server, "/api/chat", body).json()
                assert {
                    "count": said.get("prompt_eval_count"),
                    "cached": said.get("prompt_eval_cached_count"),
                } == expected


def test_a_switch_or_a_salt_defeats_the_cache() -> None:
    with MockServer("llama-server") as server:
        body = {"messages": MESSAGES, "cache_prompt": False, "max_tokens": 1}
        for _ in range(2):
            said = post(server, "/v1/chat/completions", body).json()
            assert said["timings"]["cache_n"] == 0
    with MockServer("vllm", Profile(cached_details=True)) as server:
        cached = []
        for salt in ("a", "a", "b"):
            body = {**CALLS["vllm"][1], "stream": False, "cache_salt": salt}
            usage = post(server, "/v1/chat/completions", body).json()["usage"]
            cached.append(usage["prompt_tokens_details"]["cached_tokens"])
    assert cached[0] == cached[2] == 0
    assert cached[1] > 0


def test_answers_are_fixed_canned_or_echoed(tmp_path: Path) -> None:
    path = tmp_path / "profile.toml"
    path.write_text(
        """
        text = "I do not know."
        decode_rate = 100000
        prefill_rate = 100000
        load_seconds = 0
        [[models]]
        name = "demo:q8_0"
        quant = "Q8_0"
        [[models]]
        name = "demo:q2_K"
        quant = "Q2_K"
        [[answers]]
        pattern = "2 \\\\+ 2"
        text = "4"
        quants = ["Q8_0"]
        [[answers]]
        pattern = "2 \\\\+ 2"
        text = "5"
        """
    )
    with MockServer("openai", load_profile(path)) as server:
        for model, prompt, answer in (
            ("demo:q8_0", "What is 2 + 2?", "4"),
            ("demo:q2_K", "What is 2 + 2?", "5"),
            ("demo:q2_K", "Who are you?", "I do not know."),
        ):
            body = {"model": model, "messages": [{"role": "user", "content": prompt}]}
            said = post(server, "/v1/chat/completions", body).json()
            assert said["choices"][0]["message"]["content"] == answer
    with MockServer("ollama", Profile(mode="echo", decode_rate=1e5)) as server:
        whole = {**CALLS["ollama"][1], "stream": False}
        said = post(server, "/api/chat", whole).json()
        assert said["message"]["content"] == "Say something."


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("prefill = 3", "unknown key 'prefill'"),
        ("prefill_rate = 'fast'", "prefill_rate"),
        ("decode_rate = 0", "above zero"),
        ("mode = 'clever'", "answer mode"),
        ("models = []", "no model"),
        ("[[models]]\nname = 'x'", "quant"),
        ("[[models]]\nname = 'x'\nquant = 'Q8_0'\nkind = 1", "unknown key 'kind'"),
        ("[[answers]]\npattern = '('\ntext = 'x'", "regular expression"),
        ("= 3", "not TOML"),
    ],
)
def test_a_profile_that_cannot_be_replayed_is_refused(
    tmp_path: Path, text: str, complaint: str
) -> None:
    path = tmp_path / "profile.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=complaint):
        load_profile(path)


def test_a_profile_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="none.toml: cannot be read"):
        load_profile(tmp_path / "none.toml")


def test_a_fault_strikes_every_nth_call() -> None:
    with MockServer("ollama", FAST, [parse_fault("http-500:every=3")]) as server:
        assert [ask(server).status_code for _ in range(6)] == [200, 200, 500] * 2
        assert HTTP.get(server.url + "/api/tags").status_code == 200


def test_a_fault_strikes_other_routes_only_when_told_to() -> None:
    with MockServer("ollama", FAST, [parse_fault("http-401:on=all")]) as server:
        assert HTTP.get(server.url + "/api/tags").status_code == 401


def test_a_header_asks_for_a_fault_of_one_request() -> None:
    with MockServer("ollama", FAST) as server:
        assert ask(server, **{"X-Orket-Fault": "http-429"}).status_code == 429
        assert ask(server).status_code == 200
        refused = ask(server, **{"X-Orket-Fault": "no-such-fault"})
        assert refused.status_code == 400
        assert "no-such-fault" in refused.json()["error"]


@pytest.mark.parametrize(
    "text", ["nan:every=0", "nan:every=x", "nan:often", "nan:on=none", "no-such"]
)
def test_a_fault_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_fault(text)


def test_a_key_is_asked_for_when_the_profile_has_one() -> None:
    with MockServer("openai", Profile(api_key="sk-mock")) as server:
        url = server.url + "/v1/models"
        assert HTTP.get(url).status_code == 401
        headers = {"Authorization": "Bearer sk-mock"}
        assert HTTP.get(url, headers=headers).status_code == 200


@pytest.mark.parametrize("dialect", DIALECTS)
def test_errors_have_the_shape_of_the_server(dialect: str) -> None:
    with MockServer(dialect, FAST) as server:
        said = ask(server, **{"X-Orket-Fault": "http-503"})
        assert said.headers["Retry-After"] == "1"
        error = said.json()["error"]
        assert isinstance(error, str if dialect in ("ollama", "tgi") else dict)
        assert HTTP.get(server.url + "/no/such/route").status_code == 404
        assert post(server, *CALLS[dialect]).status_code == 200


@pytest.mark.parametrize("dialect", DIALECTS)
def test_bodies_that_are_no_objects_are_refused(dialect: str) -> None:
    with MockServer(dialect, FAST) as server:
        path = server.url + CALLS[dialect][0]
        for body in (b"{", b"[1]"):
            assert HTTP.post(path, content=body).status_code == 400


def test_the_long_line_is_50_megabytes_on_one_line() -> None:
    with MockServer("ollama", FAST) as server:
        said = ask(server, **{"X-Orket-Fault": "long-line"}).content
    assert max(map(len, said.split(b"\n"))) > LONG_LINE_BYTES


def test_tokens_join_to_the_text_they_came_from() -> None:
    for text in ("", " ", "a", "Hello, world!\n\nÄäÖö  x", "\u2028\u0085 raw"):
        assert "".join(split_tokens(text)) == text


def test_thinking_is_shown_unless_it_is_switched_off() -> None:
    profile = Profile(thinking="Let me see.", decode_rate=1e5, load_seconds=0.0)
    body = {"model": "demo:q8_0", "messages": MESSAGES, "stream": False}
    with MockServer("ollama", profile) as server:
        said = post(server, "/api/chat", body).json()
        assert said["message"]["thinking"] == "Let me see."
        said = post(server, "/api/chat", {**body, "think": False}).json()
        assert "thinking" not in said["message"]


def test_a_taken_port_is_one_line_that_says_what_to_do() -> None:
    with MockServer("ollama", FAST) as server:
        port = int(server.url.rpartition(":")[2])
        with pytest.raises(ServerError, match="--port"):
            MockServer("ollama", FAST, port=port)


def test_ollama_also_speaks_the_openai_route_and_cuts_a_long_prompt() -> None:
    with MockServer("ollama", Profile(context_tokens=64, decode_rate=1e5)) as server:
        body = {"model": "demo:q8_0", "messages": MESSAGES}
        said = post(server, "/v1/chat/completions", body).json()
        assert said["usage"]["prompt_tokens_details"] == {"cached_tokens": 0}
        body["messages"] = [{"role": "user", "content": "word " * 200}]
        said = post(server, "/v1/chat/completions", body).json()
        assert said["usage"]["prompt_tokens"] == 32
        assert said["choices"][0]["message"]["content"]


def test_every_dialect_can_be_named_on_the_command_line() -> None:
    result = CliRunner().invoke(cli, ["mock-server", "--help"])
    assert all(name in result.output for name in DIALECTS)


def test_the_faults_are_listed() -> None:
    result = CliRunner().invoke(
        cli, ["mock-server", "--list-faults", "--format", "json"]
    )
    assert {row["fault"] for row in json.loads(result.output)} == set(FAULTS)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["ollama", "--fault", "no-such"],
        ["ollama", "--model", "no-quant"],
        ["ollama", "--canned", "no-answer"],
    ],
)
def test_bad_arguments_are_usage_errors(arguments: list[str]) -> None:
    result = CliRunner().invoke(cli, ["mock-server", *arguments])
    assert isinstance(result.exception, UsageError)
    assert result.exception.hint


def documented(language: str) -> list[str]:
    """The fenced blocks of that language in the section on the mock server."""
    page = (ROOT / "docs" / "providers.md").read_text("utf-8")
    section = page[page.index("## The mock server") :]
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    return [block for said, block in blocks if said == language]


def write_documented_files() -> None:
    """The profile, the bank and the preset of the page, by the names it gives them."""
    names = ("mock.toml", "mock-tasks.toml", "mock-preset.toml")
    for name, content in zip(names, documented("toml"), strict=True):
        Path(name).write_text(content)


def test_the_documented_sweep_gives_the_documented_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_documented_files()
    with MockServer("ollama", load_profile(Path("mock.toml"))) as server:
        command = ["run", "mock-preset.toml", "--url", server.url, "-w", "warehouse"]
        assert run_command([*command, "--include-polluted", "fill", "--no-canary"]) == 0
    summary = json.loads(Path("sweep_summary.json").read_text())
    assert summary["sessions"][0]["efficiency_frontier"]["optimal_quant_tag"] == "Q8_0"


def test_the_documented_commands_and_profile_are_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_documented_files()
    blocks = "\n".join((*documented(""), *documented("sh")))
    lines = blocks.replace("\\\n", " ").splitlines()
    commands = [line for line in lines if line.startswith("orket mock-server")]
    assert len(commands) > 8
    served: list[str] = []
    monkeypatch.setattr(
        MockServer, "serve", lambda server: served.append(server.dialect.name)
    )
    for command in commands:
        arguments = shlex.split(command)[2:]
        if "--port" not in arguments:
            arguments += ["--port", "0"]
        result = CliRunner().invoke(cli, ["mock-server", *arguments])
        assert result.exit_code == 0, command
    assert set(served) == {"ollama", "llama-server", "vllm", "openai", "lmstudio"}


def test_the_verb_serves_until_it_is_interrupted() -> None:
    command = [sys.executable, "-m", "orket", "mock-server", "ollama", "--port", "0"]
    command += ["--model", "tiny:q8_0=Q8_0", "--canned", "colou?r=blue"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        body = {
            "model": "tiny:q8_0",
            "messages": [{"role": "user", "content": "Which color?"}],
            "stream": False,
        }
        said = HTTP.post(f"{url}/api/chat", json=body).json()
        assert said["message"]["content"] == "blue"
    finally:
        process.terminate()
        process.wait(timeout=10)
        process.stdout.close()


def test_the_mock_server_needs_no_adapter() -> None:
    """It is for writing adapters: it must not lean on one."""
    script = (
        "import sys, orket.mockserver; "
        "print([m for m in sys.modules if m.startswith('orket.providers')])"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


def test_state_faults_change_what_the_server_says_it_holds() -> None:
    with MockServer("llama-server", FAST, [Fault("context-shrunk")]) as server:
        props = HTTP.get(server.url + "/props").json()
        assert props["default_generation_settings"]["n_ctx"] == 2048
    with MockServer("ollama", FAST, [Fault("other-model")]) as server:
        names = [m["name"] for m in HTTP.get(server.url + "/api/ps").json()["models"]]
        assert names == ["somebody-else:latest"]
