"""Servers by a command: its words, its secrets, and that nothing of it is left."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from orket.errors import UsageError
from orket.providers.contract import Generation, ModelRef, ScoresPath, ServerOptions
from orket.providers.http.problems import EngineFailure, IdentityMismatch
from orket.providers.registry import create_adapter
from orket.providers.serving.command import (
    find_untold,
    provider_of,
    read_command,
    shown_command,
    told_of,
)
from orket.records import Controls, checked

CONTROLS = Controls(seed=7, temperature_milli=0)
QUANTS = ("Q8_0", "Q4_K_M")
KEY = "sk-very-secret"

LATE = """
import socket, sys, time
while socket.socket().connect_ex(("127.0.0.1", int(sys.argv[1]))):
    time.sleep(0.02)
time.sleep(0.4)
print("kv_cache: size = 1.0 MiB (512 cells), K (q8_0): 0.5 MiB, V (q8_0): 0.5 MiB")
print("system_info: n_threads = 3 (n_threads_batch = 3) / 4", flush=True)
"""
"""Logs what it computes with after it is there to be asked."""

SERVER = (
    f"""
LATE = {LATE!r}"""
    + """
import os, subprocess, sys, time
what, port, *rest = sys.argv[1:]
print("starting", what, *rest, flush=True)
if what == "dies":
    sys.exit("CUDA out of memory\\x1b[31m")
if what == "sleeps":
    time.sleep(600)
# A worker of its own, as large servers have them; one does not end when asked.
ignore = "signal.signal(signal.SIGTERM, signal.SIG_IGN);" * ("stubborn" in rest)
worker = subprocess.Popen([sys.executable, "-c", "import signal, time;" + ignore +
    "print('worker', flush=True); time.sleep(600)"], stdout=subprocess.PIPE)
worker.stdout.readline()
print("worker", worker.pid, flush=True)
if "late" in rest:
    subprocess.Popen([sys.executable, "-c", LATE, port])
sys.exit(subprocess.call([sys.executable, "-m", "orket", "mock-server",
    "llama-server", "--port", port, "--model", f"m={what}", "--answer", "yes"]))
"""
)


@pytest.fixture
def script(tmp_path) -> str:
    """A server that has to be told its quant and its port."""
    path = tmp_path / "a server.py"
    path.write_text(SERVER)
    return f"{shlex.quote(sys.executable)} {shlex.quote(str(path))}"


@pytest.fixture
def serving(script, tmp_path):
    opened = []

    def make(line="{script} {{quant}} {{port}}", provider="llama-server", **options):
        options.setdefault("serve_timeout_seconds", 60)
        adapter = create_adapter(
            provider,
            ServerOptions(
                serve_cmd=line.format(script=script),
                log_folder=tmp_path / "logs",
                **options,
            ),
        )
        opened.append(adapter)
        return adapter

    yield make
    for adapter in opened:
        adapter.close()


def ref(quant: str) -> ModelRef:
    return ModelRef("m", quant, "")


def ask(adapter, quant: str):
    return adapter.generate(Generation(ref(quant), "Say yes.", 8, CONTROLS))


def wait_until_gone(*pids: int) -> None:
    for _ in range(300):
        left = [pid for pid in pids if _is_there(pid)]
        if not left:
            return
        time.sleep(0.05)
    pytest.fail(f"processes {left} are still there")


def _is_there(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def scores_path(adapter: object) -> bool:
    return isinstance(adapter, ScoresPath)


def worker_of(log: Path) -> int:
    (line,) = [
        line for line in log.read_text().splitlines() if line.startswith("worker ")
    ]
    return int(line.split()[1])


# The command line.


def test_a_command_is_divided_as_a_shell_would_and_no_shell_runs():
    line = "serve 'a b/{quant}' --port {port} $HOME *.gguf # no comment"
    command = read_command(line)
    assert command.fill({"quant": "Q8_0; rm x", "port": "1"}) == [
        "serve",
        "a b/Q8_0; rm x",
        "--port",
        "1",
        "$HOME",
        "*.gguf",
        "#",
        "no",
        "comment",
    ]


def test_on_windows_a_backslash_is_part_of_a_path():
    line = r'C:\llama\server.exe -m "C:\my models\{quant}.gguf"'
    assert read_command(line, windows=True).words == (
        r"C:\llama\server.exe",
        "-m",
        r"C:\my models\{quant}.gguf",
    )
    assert read_command(r"a\ b c", windows=False).words == ("a b", "c")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "empty"),
        ("serve 'a", "cannot be read"),
        ("{quant} --port {port}", "program"),
        ("serve --port {prot}", "unknown placeholder {prot}: did you mean port?"),
    ],
)
def test_a_wrong_command_is_told(line, said):
    with pytest.raises(UsageError) as refused:
        read_command(line)
    assert said in str(refused.value)


def test_braces_of_json_are_no_placeholders():
    line = """vllm serve m --override '{"a": 1}' --port {port}"""
    assert read_command(line).fill({"port": "8"})[-3:] == ['{"a": 1}', "--port", "8"]


@pytest.mark.parametrize(
    ("line", "hidden"),
    [
        (f"vllm serve m --api-key {KEY} --port 1", [KEY]),
        (f"vllm serve m --api-key={KEY} --max-tokens 8", [KEY]),
        (f"env HF_TOKEN={KEY} vllm serve m --tokenizer t", [KEY]),
        (f"docker run -e HF_TOKEN={KEY} vllm", [KEY]),
        (f"serve --header 'Authorization: Bearer {KEY}'", [f"Bearer {KEY}"]),
        (f"docker run --env=hf_token={KEY} vllm", [KEY]),
        (f"""docker x sh -c 'A_KEY="{KEY}" b --api-keys {KEY}'""", [KEY]),
        (f"serve --header='X-Api-Key: {KEY}'", [KEY]),
        (f"serve -hft {KEY} --auth {KEY} --passphrase={KEY}", [KEY] * 3),
        (f"serve 'http://h/?x=1&api_key={KEY}'", [KEY]),
        ("serve --api-key-file f --cache-type-k q8_0 --keep 5", []),
        ("serve --override-kv tokenizer.ggml.add_bos_token=bool:false", []),
        (f"serve --hub https://me:{KEY}@hub/x", [KEY]),
        ("serve --max-tokens 8 --tokenizer t", []),
    ],
)
def test_what_opens_a_server_is_shown_nowhere(line, hidden):
    assert read_command(line).secrets() == hidden
    assert KEY not in shown_command(line)
    assert "serve" in shown_command(line) or "docker" in shown_command(line)
    assert KEY not in shown_command(f"{line} 'open")
    assert shown_command("serve  --port {port}") == "serve  --port {port}"


@pytest.mark.parametrize(
    ("line", "provider"),
    [
        ("vllm serve x", "vllm"),
        ("/opt/bin/llama-server -m x", "llama-server"),
        (r'"C:\x\llama-server.exe" -m x', "llama-server"),
        ("text-generation-launcher", "tgi"),
        ("python -m sglang.launch_server", "openai"),
    ],
)
def test_whom_a_command_serves_as(line, provider):
    assert provider_of(read_command(line, windows=True)) == provider


def test_what_a_command_wants_and_nobody_told():
    told = told_of(
        ModelRef("m", "Q8_0@kv=q8_0/f16", "n"), Controls(kv_cache="q8_0/f16")
    )
    assert told == {
        "quant": "Q8_0",
        "quant_lower": "q8_0",
        "model": "m",
        "name": "n",
        "kv_keys": "q8_0",
        "kv_values": "f16",
    }
    for line, said in (
        ("s {kv_keys} {kv_values} {port} {host}", None),
        ("s {kv}", "keys and values apart are {kv_keys}, {kv_values}"),
        ("s {path}", "the command wants {path}: give a folder"),
        ("s {ctx}", "write Q8_0@ctx=TOKENS"),
    ):
        found = find_untold(read_command(line), told, "Q8_0")
        assert found is None if said is None else said in str(found)


# The servers.


def test_each_quant_has_a_server_of_its_own(serving, tmp_path):
    adapter = serving()
    assert adapter.describe().version is None
    assert scores_path(adapter)
    seen = []
    for quant in QUANTS:
        loaded = adapter.load(ref(quant), CONTROLS)
        facts = ask(adapter, quant)
        checked(facts)
        assert (facts.outcome, facts.answer_text) == ("OK", "yes")
        assert loaded.reported_quant and loaded.load_ns
        assert adapter.info.version and adapter.info.locality == "child"
        assert adapter.info.endpoint is None
        log = tmp_path / "logs" / f"m-{quant}-1.log"
        seen.append((loaded.pids[0], worker_of(log)))
        assert f"starting {quant}" in log.read_text()
    # The first one ended with all that it had started, before the second began.
    wait_until_gone(*seen[0])
    assert all(map(_is_there, seen[1]))
    adapter.close()
    wait_until_gone(*seen[1])
    adapter.load(ref("Q8_0"), CONTROLS)
    assert (tmp_path / "logs" / "m-Q8_0-2.log").is_file()


def test_a_server_that_holds_another_quant_is_refused_and_ended(serving, tmp_path):
    adapter = serving("{script} Q8_0 {{port}}")
    adapter.load(ref("Q8_0"), CONTROLS)
    with pytest.raises(IdentityMismatch, match="holds Q8_0, not Q4_K_M"):
        adapter.load(ref("Q4_K_M"), CONTROLS)
    wait_until_gone(worker_of(tmp_path / "logs" / "m-Q4_K_M-1.log"))
    assert adapter.server_load() is None


def test_a_server_that_ends_early_says_what_it_wrote_last(serving, tmp_path):
    adapter = serving("{script} dies {{port}} {{quant}}")
    with pytest.raises(EngineFailure) as caught:
        adapter.load(ref("Q8_0"), CONTROLS)
    said = str(caught.value)
    assert caught.value.error_class == "ENGINE_NOT_STARTED"
    assert "the server of Q8_0 ended (exit code 1: CUDA out of memory" in said
    assert "starting dies Q8_0 | CUDA out of memory" in said
    assert str(tmp_path / "logs" / "m-Q8_0-1.log") in said
    assert said.isprintable()
    # The next one is another matter.
    assert serving().load(ref("Q8_0"), CONTROLS).pids


def test_a_server_that_does_not_answer_in_time_is_ended(serving):
    adapter = serving("{script} sleeps {{port}}", serve_timeout_seconds=1)
    with pytest.raises(EngineFailure, match="did not answer within 1 s"):
        adapter.load(ref("Q8_0"), CONTROLS)
    children = psutil.Process().children(recursive=True)
    alive = [p for p in children if p.status() != psutil.STATUS_ZOMBIE]
    assert not [p for p in alive if "sleeps" in " ".join(p.cmdline())]


def test_what_is_logged_after_the_first_answer_is_read(serving):
    command = "{script} {{quant}} {{port}} late {{threads}} {{kv_keys}}"
    asked = Controls(seed=7, temperature_milli=0, threads="3", kv_cache="q8_0")
    loaded = serving(command).load(ref("Q8_0"), asked)
    assert (loaded.effective.threads, loaded.effective.kv_cache) == ("3", "q8_0")


def test_a_program_that_is_not_there_is_told_before(serving):
    with pytest.raises(UsageError, match="no program 'no-such-server'"):
        serving("no-such-server --port {{port}}").describe()


def test_a_server_that_dies_is_a_failed_call(serving):
    adapter = serving()
    loaded = adapter.load(ref("Q8_0"), CONTROLS)
    # Held before the kill: afterwards there may be no such process any more.
    keeper = psutil.Process(loaded.pids[0])
    for process in keeper.children():
        process.kill()
    keeper.wait(20)
    facts = ask(adapter, "Q8_0")
    assert (facts.outcome, facts.error_class) == ("FAILED", "SERVER_DIED")
    assert "the server ended: exit code" in str(facts.error_message)
    assert adapter.load(ref("Q8_0"), CONTROLS).pids


def test_a_port_of_the_users_own(serving):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        taken = serving(url=f"http://127.0.0.1:{port}")
        with pytest.raises(EngineFailure, match=f"answers at port {port} already"):
            taken.load(ref("Q8_0"), CONTROLS)
    assert taken.load(ref("Q8_0"), CONTROLS).pids


@pytest.mark.parametrize(
    ("line", "url", "said"),
    [
        ("{script} Q8_0 8080", None, "does not say {port}"),
        ("{script} Q8_0 {{port}}", "http://10.0.0.1:80", "on this machine"),
        ("{script} Q8_0 8080", "http://127.0.0.1", "names no port"),
    ],
)
def test_where_a_command_listens_has_to_be_known(serving, line, url, said):
    with pytest.raises(UsageError) as refused:
        serving(line, url=url)
    assert said in str(refused.value)


def test_the_embedded_engine_is_no_server_of_a_command(serving):
    with pytest.raises(UsageError, match="embedded engine is no server"):
        serving(provider="embedded")


def test_a_key_in_a_command_stands_in_no_log_and_no_error(serving, tmp_path):
    adapter = serving(f"{{script}} {{{{quant}}}} {{{{port}}}} --api-key {KEY}")
    adapter.load(ref("Q8_0"), CONTROLS)
    adapter.close()
    log = (tmp_path / "logs" / "m-Q8_0-1.log").read_text()
    assert "--api-key [secret]" in log
    assert KEY not in log
    dies = serving(f"{{script}} dies {{{{port}}}} --api-key {KEY}")
    with pytest.raises(EngineFailure) as caught:
        dies.load(ref("Q4_K_M"), CONTROLS)
    assert KEY not in str(caught.value)
    assert "[secret]" in str(caught.value)


PROGRAM = """
import os, signal, sys, time
from orket.providers.contract import ModelRef, ServerOptions
from orket.providers.registry import create_adapter
from orket.records import Controls
adapter = create_adapter("llama-server", ServerOptions(
    serve_cmd=sys.argv[1], serve_timeout_seconds=60))
loaded = adapter.load(ModelRef("m", "Q8_0", ""), Controls())
import psutil
print(*[p.pid for p in psutil.Process(loaded.pids[0]).children(recursive=True)],
      loaded.pids[0], adapter._child.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("victim", ["orket", "keeper", "both"])
def test_no_server_outlives_a_killed_orket(script, victim):
    command = f"{script} {{quant}} {{port}} stubborn"
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, command], stdout=subprocess.PIPE, text=True
    ) as orket:
        assert orket.stdout is not None
        *servers, keeper = map(int, orket.stdout.readline().split())
        assert len(servers) >= 3
        if victim == "both":
            os.kill(keeper, signal.SIGSTOP)
        if victim != "keeper":
            orket.kill()
            orket.wait()
        if victim != "orket":
            os.kill(keeper, signal.SIGKILL)
        # A worker that does not end when asked is ended by the keeper alone.
        expected = servers if victim == "orket" else servers[-1:]
        try:
            wait_until_gone(*expected, keeper)
        finally:
            orket.kill()
            for pid in servers:
                if _is_there(pid):
                    os.kill(pid, signal.SIGKILL)
