"""One real llama.cpp server by URL: the llama-server adapter and the generic one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from orket.cli.main import cli
from orket.errors import EngineError, UsageError
from orket.gguf import hash_file
from orket.providers.contract import Adapter, Generation, ModelRef, ServerOptions
from orket.providers.discover import discover
from orket.providers.http.problems import IdentityMismatch
from orket.providers.registry import create_adapter
from orket.records import Controls, checked
from tests.live import CONTROLS, SERVED_QUANT, demo_gguf, llama_url  # noqa: F401
from tests.scripted import ScriptedServer, respond

pytestmark = pytest.mark.live

MODEL = ModelRef("orket-demo", SERVED_QUANT, "orket-demo")
PROMPT = "json: name=ada age=36"


@pytest.fixture(params=["llama-server", "openai"])
def adapter(request, llama_url) -> Iterator[Adapter]:  # noqa: F811
    opened = create_adapter(request.param, ServerOptions(url=llama_url))
    yield opened
    opened.close()


@pytest.fixture
def llama(llama_url) -> Iterator[Adapter]:  # noqa: F811
    opened = create_adapter("llama-server", ServerOptions(url=llama_url))
    yield opened
    opened.close()


def ask(adapter: Adapter, prompt: str = PROMPT, stream: bool = True, tokens: int = 32):
    facts = adapter.generate(Generation(MODEL, prompt, tokens, CONTROLS, stream))
    checked(facts)
    return facts


def test_streamed_and_whole_answers_agree(adapter):
    adapter.load(MODEL, CONTROLS)
    streamed, whole = ask(adapter), ask(adapter, stream=False)
    assert streamed.outcome == whole.outcome == "OK"
    assert streamed.answer_text == whole.answer_text
    assert streamed.completion_tokens == whole.completion_tokens
    assert streamed.prompt_tokens == whole.prompt_tokens
    for facts in (streamed, whole):
        assert facts.formula_id == "llamacpp.timings.v1"
        assert facts.engine == "llama.cpp"
        assert facts.prefill_ns and facts.decode_ns and facts.raw_figures
        assert facts.decode_clock == "first_token"
    assert streamed.ttft_ns and whole.ttft_ns is None


def test_the_prompt_cache_is_off_where_it_can_be_switched_off(llama):
    counts = [ask(llama).cached_prompt_tokens for _ in range(3)]
    assert counts == [0, 0, 0]


def test_a_cache_that_cannot_be_switched_off_is_told(llama_url):  # noqa: F811
    opened = create_adapter("openai", ServerOptions(url=f"{llama_url}/v1/"))
    first, second = ask(opened), ask(opened)
    opened.close()
    assert first.prompt_tokens == second.prompt_tokens == 24
    assert second.cached_prompt_tokens == 23
    assert second.prompt_cache == "uncontrolled"


def test_one_token_and_a_cut_answer(llama):
    one, cut = ask(llama, tokens=1), ask(llama, tokens=4)
    assert (one.completion_tokens, one.stop_reason) == (1, "length")
    assert (cut.completion_tokens, cut.stop_reason) == (4, "length")


def test_a_prompt_that_does_not_fit_is_refused(adapter):
    for stream in (True, False):
        facts = ask(adapter, "x" * 600, stream)
        assert (facts.outcome, facts.error_class) == ("FAILED", "CONTEXT_EXCEEDED")
        assert facts.http_status == 400


def test_what_the_server_holds_is_verified(llama):
    loaded = llama.load(MODEL, Controls(seed=7, temperature_milli=300, threads="3"))
    path = demo_gguf(SERVED_QUANT)
    assert loaded.digest == hash_file(path)
    assert loaded.parameters
    assert loaded.effective.seed == 7
    assert loaded.effective.temperature_milli == 300
    assert loaded.effective.context_tokens == 512
    assert loaded.unsupported == ("threads",)
    assert loaded.load_ns is None
    with pytest.raises(IdentityMismatch, match=SERVED_QUANT):
        llama.load(ModelRef("orket-demo", "Q4_K_M", "orket-demo"), CONTROLS)
    with pytest.raises(IdentityMismatch, match="llama3"):
        llama.load(ModelRef("llama3", SERVED_QUANT, "llama3"), CONTROLS)


def test_the_servers_traffic_is_counted(llama):
    before = llama.server_load()
    facts = ask(llama)
    after = llama.server_load()
    assert before is not None and after is not None
    assert after.requests_processing == 0
    assert after.tokens_generated - before.tokens_generated == facts.completion_tokens


def test_capabilities_are_found_out(llama):
    info = llama.describe()
    told = info.capabilities
    assert told.streaming and told.token_counts and told.cached_counts
    assert told.internal_timings and told.cache_control and told.quant_identity
    assert told.context_control is False and told.thread_control is False
    assert (info.locality, info.notes) == ("loopback", ())


def test_the_ladder_of_a_server_is_what_it_holds(llama):
    assert discover(llama).refs == (MODEL,)


def invoke(*args: str) -> list[dict[str, Any]]:
    done = CliRunner().invoke(cli, ["providers", *args, "--format", "json"])
    assert done.exit_code == 0, done.output
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def test_the_honesty_probe_over_the_command_line(llama_url):  # noqa: F811
    found = {row["question"]: row["answer"] for row in invoke("probe", llama_url)}
    assert found["reports its own times (streamed)"] == "yes"
    assert found["leaves the prompt cache off, or says what it took from it"] == "yes"
    assert found["agrees between streamed and whole answers"] == "yes"
    assert found["repeats itself at temperature 0"] == "yes"
    assert found["tells the likeliest tokens at each place of an answer"] == "yes"
    assert found["honours the seed"] == "yes"
    assert found["refuses a prompt that is too long"] == "yes"
    assert found["rejects unknown options"] == "no"


@pytest.mark.parametrize("args", [[], ["--provider", "embedded"]])
def test_the_probe_says_what_it_needs(args):
    done = CliRunner().invoke(cli, ["providers", "probe", *args])
    assert isinstance(done.exception, UsageError)
    assert done.exception.hint


def test_a_file_is_probed_in_the_embedded_engine(tmp_path):
    done = CliRunner().invoke(
        cli, ["providers", "probe", "--model", str(tmp_path / "x.gguf")]
    )
    assert isinstance(done.exception, EngineError)
    assert "no such file" in str(done.exception)


def test_what_answers_but_is_no_model_server_is_said():
    with ScriptedServer(respond(404, b"<html>", "text/html")) as server:
        done = CliRunner().invoke(cli, ["providers", "probe", server.url])
    assert done.exit_code != 0
    assert "no server that Orket knows" in str(done.exception)


def test_the_list_names_the_embedded_engine():
    rows = invoke()
    assert rows[0]["provider"] == "embedded"
    assert rows[0]["internal_timings"] is True
