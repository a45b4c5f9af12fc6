"""The embedded engine: a real llama.cpp server on the demo ladder."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import psutil
import pytest

from orket.errors import EngineError, MissingExtra, UsageError
from orket.providers.contract import Generation, ModelRef, ServerOptions
from orket.providers.http.problems import EngineFailure, IdentityMismatch
from orket.providers.llamacpp.embedded import EmbeddedAdapter
from orket.providers.llamacpp.engine import find_engine, read_version
from orket.records import CallFacts, checked
from tests.live import CONTROLS, demo_gguf, demo_ref

PROMPT = "json: name=ada age=36"


@pytest.fixture
def adapter():
    opened = EmbeddedAdapter(ServerOptions())
    yield opened
    opened.close()


def ask(adapter: EmbeddedAdapter, model: ModelRef, stream: bool = True) -> CallFacts:
    return adapter.generate(Generation(model, PROMPT, 32, CONTROLS, stream))


@pytest.mark.live
def test_a_model_is_loaded_asked_and_gone(adapter):
    ref = demo_ref("Q4_K_M")
    controls = msgspec.structs.replace(
        CONTROLS, affinity="0" if _may_use(0) else "none", context_tokens=2048
    )
    loaded = adapter.load(ref, controls)
    assert loaded.reported_quant == "Q4_K - Medium"
    assert loaded.model_bytes == demo_gguf("Q4_K_M").stat().st_size
    assert loaded.parameters and loaded.digest and loaded.load_ns
    assert loaded.effective.seed == 7 and loaded.effective.temperature_milli == 0
    assert loaded.effective.threads == "1" and loaded.compute_threads == 1
    assert loaded.effective.affinity == controls.affinity
    # The model was trained with less: the engine cuts what was asked for.
    assert loaded.effective.context_tokens == 512
    assert loaded.cpu_only is True

    streamed, whole = ask(adapter, ref), ask(adapter, ref, stream=False)
    for facts in (streamed, whole):
        checked(facts)
        assert facts.outcome == "OK"
        assert facts.cached_prompt_tokens == 0
        assert facts.prompt_tokens == whole.prompt_tokens
        assert facts.prefill_ns and facts.decode_ns and facts.wall_ns
        assert facts.prefill_ns + facts.decode_ns <= facts.wall_ns + 5_000_000
        assert facts.formula_id == "llamacpp.timings.v1"
    assert streamed.answer_text == whole.answer_text
    assert streamed.completion_tokens == whole.completion_tokens
    assert streamed.ttft_ns and whole.ttft_ns is None

    said = adapter.server_load()
    assert said is not None and said.requests_processing == 0
    # One more token: the call that reads the controls back.
    assert said.tokens_generated == 2 * (whole.completion_tokens or 0) + 1
    assert adapter.other_models() == []

    (pid,) = loaded.pids
    assert os.getsid(pid) == pid
    adapter.unload()
    assert not psutil.pid_exists(pid)


@pytest.mark.live
def test_a_dead_engine_is_a_failed_call_and_the_next_load_works(adapter):
    ref = demo_ref("Q2_K")
    loaded = adapter.load(ref, CONTROLS)
    os.kill(loaded.pids[0], signal.SIGKILL)
    facts = ask(adapter, ref)
    assert (facts.outcome, facts.error_class) == ("FAILED", "SERVER_DIED")
    assert facts.error_message == "the engine died: killed by SIGKILL"
    assert adapter.load(ref, CONTROLS).pids != loaded.pids
    assert ask(adapter, ref).outcome == "OK"


@pytest.mark.live
def test_the_engine_does_not_outlive_orket():
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from orket.providers.contract import ModelRef\n"
        "from orket.providers.llamacpp.embedded import EmbeddedAdapter\n"
        "from orket.providers.contract import ServerOptions\n"
        "from orket.records import Controls\n"
        "path = Path(sys.argv[1])\n"
        "adapter = EmbeddedAdapter(ServerOptions())\n"
        "model = ModelRef('m', 'Q2_K', 'm', path)\n"
        "loaded = adapter.load(model, Controls(threads='1'))\n"
        "print(loaded.pids[0], flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(demo_gguf("Q2_K"))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    _wait_until_gone(int(done.stdout))


@pytest.mark.live
def test_a_file_of_another_quant_is_refused(adapter):
    with pytest.raises(IdentityMismatch, match="holds Q2_K, not Q8_0"):
        adapter.load(ModelRef("m", "Q8_0", "m", demo_gguf("Q2_K")), CONTROLS)
    assert adapter.server_load() is None


@pytest.mark.live
def test_a_truncated_file_is_one_clear_line(adapter, tmp_path):
    path = tmp_path / "cut.gguf"
    path.write_bytes(demo_gguf("Q2_K").read_bytes()[:200_000])
    with pytest.raises(EngineError, match="corrupted or incomplete") as caught:
        adapter.load(ModelRef("m", "Q2_K", "m", path), CONTROLS)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert adapter.load(demo_ref("Q2_K"), CONTROLS).load_ns


@pytest.mark.live
def test_a_port_in_use_is_one_clear_line():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        adapter = EmbeddedAdapter(ServerOptions(url=f"http://127.0.0.1:{port}"))
        with pytest.raises(EngineError, match=f"port: {port}"):
            adapter.load(demo_ref("Q2_K"), CONTROLS)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "no such file"), (b"hello", "not a GGUF file"), (b"GGUF", "ends inside")],
)
def test_what_is_no_model_is_one_clear_line(adapter, tmp_path, content, reason):
    path = tmp_path / "m.gguf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EngineFailure, match=reason) as caught:
        adapter.load(ModelRef("m", "Q2_K", "m", path), CONTROLS)
    assert caught.value.error_class == "ENGINE_NOT_STARTED"
    assert "\n" not in str(caught.value)


def test_a_model_without_a_file_is_refused(adapter):
    with pytest.raises(EngineFailure, match="no GGUF file"):
        adapter.load(ModelRef("m", "Q2_K", "m"), CONTROLS)


def test_the_embedded_engine_is_on_this_machine():
    with pytest.raises(UsageError, match="this machine"):
        EmbeddedAdapter(ServerOptions(url="http://10.0.0.1:8080"))


def test_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingExtra, match=r"orket\[embedded\]"):
        find_engine(None)
    with pytest.raises(UsageError, match="no-such-server"):
        find_engine("no-such-server")


def test_describe_names_the_engine(adapter):
    info = adapter.describe()
    assert (info.locality, info.endpoint) == ("child", None)
    assert info.version and info.version.startswith("xllamacpp 20")


@pytest.fixture
def binary(tmp_path: Path) -> Path:
    """A program with the command line of llama-server, around the real engine."""
    path = tmp_path / "llama-server"
    path.write_text(f"#!{sys.executable}\n{BINARY}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


BINARY = """
import argparse, sys, time
parser = argparse.ArgumentParser(allow_abbrev=False)
for flag in ("--model", "--alias", "--host", "--ctx-size", "--parallel"):
    parser.add_argument(flag)
parser.add_argument("--port", type=int)
parser.add_argument("--threads", type=int)
parser.add_argument("--metrics", action="store_true")
parser.add_argument("--version", action="store_true")
asked = parser.parse_args()
if asked.version:
    sys.exit("version: 9999 (abcdef)")
import xllamacpp
params = xllamacpp.CommonParams()
params.model.path = asked.model
params.model_alias = {asked.alias}
params.port = asked.port
params.n_ctx = int(asked.ctx_size)
params.n_parallel = int(asked.parallel)
params.endpoint_metrics = asked.metrics
params.cpuparams.n_threads = asked.threads
params.cpuparams_batch.n_threads = asked.threads
server = xllamacpp.Server(params)
time.sleep(3600)
"""


@pytest.mark.live
def test_a_llama_server_binary_serves_the_same_way(binary):
    adapter = EmbeddedAdapter(ServerOptions(engine=str(binary)))
    assert adapter.describe().version == "llama-server 9999 (abcdef)"
    ref = demo_ref("Q2_K")
    loaded = adapter.load(ref, CONTROLS)
    assert loaded.effective.threads == "1"
    assert loaded.effective.affinity == "none"
    below = psutil.Process(loaded.pids[0]).children()
    assert ask(adapter, ref).outcome == "OK"
    adapter.close()
    for process in below:
        _wait_until_gone(process.pid)


@pytest.mark.live
def test_a_llama_server_binary_that_fails_is_one_clear_line(binary):
    binary.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('no such GPU')\n")
    adapter = EmbeddedAdapter(ServerOptions(engine=str(binary)))
    with pytest.raises(EngineError, match="no such GPU"):
        adapter.load(demo_ref("Q2_K"), CONTROLS)
    assert read_version(str(binary)) is None


def _may_use(cpu: int) -> bool:
    return hasattr(os, "sched_getaffinity") and cpu in os.sched_getaffinity(0)


def _wait_until_gone(pid: int) -> None:
    for _ in range(100):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie":
            return
        time.sleep(0.05)
    pytest.fail(f"process {pid} is still there")
