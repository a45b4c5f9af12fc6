"""A server that hangs costs the time that a call may take, and not minutes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from typing import Any

import pytest

from orket.mockserver import MockModel, MockServer, Profile
from orket.planning.plan import build_plan
from orket.planning.preset import load_preset
from orket.providers.contract import ModelRef, ServerOptions
from orket.providers.probe import probe
from orket.providers.registry import create_adapter
from orket.records import Controls, RunRecord
from orket.sweep.execute import run_sweep
from orket.sweep.reporter import Silence
from orket.warehouse import Warehouse
from tests.hanging import HALF, HEADERS, SILENT, TRICKLE, HangingProxy
from tests.nightly import nightly

NAMES = {
    "ollama": '[models.names.ollama]\ntag = "demo:{quant_ollama}"',
    "llama-server": '[models.names.llama-server]\nname = "demo-{quant}.gguf"',
    "openai": '[models.names.openai]\nname = "demo-{quant}.gguf"',
}
OTHERS = [dialect for dialect in NAMES if dialect != "ollama"]
PRESET = """schema_version = 1
repetitions = 2
control_profile = "shared"
polluted_retries = 0
[provider]
name = "{dialect}"
url = "{url}"
timeout_seconds = 1
[[models]]
id = "demo"
quants = ["Q8_0"]
{names}
[tasks]
bank = "quickstart"
limit = 3
[policy]
canary_max_latency_cv = 100
allow_unobserved = true
"""
MOST_QUESTIONS = 8
"""Put to a server that hangs: each takes a second at most."""
IN_GATE = 8
IN_MATRIX = {"ollama": 24, "llama-server": 16, "openai": 24}
"""Calls: where a nonce defeats the cache, a warm-up stands between two of the gate."""


def profile_of(dialect: str) -> Profile:
    names = ("demo:q8_0",) if dialect == "ollama" else ("demo-Q8_0.gguf",)
    models = tuple(MockModel(name, "Q8_0") for name in names)
    return Profile(models=models, prefill_rate=1e6, decode_rate=1e5, load_seconds=0.0)


@pytest.fixture
def warehouse(tmp_path):
    return Warehouse(tmp_path / "warehouse")


def sweep_through(url: str, dialect: str, tmp_path, warehouse, reporter=None) -> Any:
    path = tmp_path / "p.toml"
    text = PRESET.format(dialect=dialect, url=url, names=NAMES[dialect])
    path.write_text(text)
    return run_sweep(build_plan(load_preset(str(path)), "s"), warehouse, reporter)


def failures(warehouse: Warehouse) -> Counter[tuple[str, str | None]]:
    """Rows that are not OK, by outcome and message."""
    with warehouse.session("s") as session:
        rows = session.rows("SELECT * FROM v1.attempts WHERE outcome != 'OK'")
    return Counter((row["outcome"], row["error_message"]) for row in rows)


@pytest.mark.parametrize(
    ("dialect", "how", "everything", "is_matrix"),
    [
        ("ollama", TRICKLE, False, True),
        ("openai", SILENT, False, False),
        *nightly(
            ("ollama", SILENT, True, True),
            ("llama-server", HEADERS, False, True),
            ("ollama", SILENT, False, False),
            ("llama-server", SILENT, True, False),
            ("openai", SILENT, True, True),
            ("openai", SILENT, False, True),
            ("openai", HEADERS, False, False),
        ),
    ],
)
def test_a_sweep_gives_a_server_up_that_hangs(
    dialect, how, everything, is_matrix, tmp_path, warehouse
):
    at = IN_MATRIX[dialect] if is_matrix else IN_GATE
    with (
        MockServer(dialect, profile_of(dialect)) as server,
        HangingProxy(server.url, how, at, everything) as proxy,
    ):
        outcome = sweep_through(proxy.url, dialect, tmp_path, warehouse)
    assert outcome.status == "FAILED"
    assert outcome.unmeasured > 0
    hanging = "no answer within 1 s" in str(outcome.cause)
    assert hanging is not everything
    assert hanging or "did not finish in time" in str(outcome.cause)
    failed = failures(warehouse)
    hung = {key: n for key, n in failed.items() if key[0] == "TIMEOUT"}
    assert set(hung) == {("TIMEOUT", "the server did not finish in time")}
    assert 1 <= sum(hung.values()) <= 2, "no third call is made to hang"
    assert all(message for _, message in failed)
    assert proxy.questions <= MOST_QUESTIONS


def test_a_call_that_said_something_is_slow_and_its_server_does_not_hang(
    tmp_path, warehouse
):
    """What began to answer is no sign that the next call would get no answer."""
    with (
        MockServer("ollama", profile_of("ollama")) as server,
        HangingProxy(server.url, HALF, IN_MATRIX["ollama"]) as proxy,
    ):
        outcome = sweep_through(proxy.url, "ollama", tmp_path, warehouse)
    assert outcome.status == "FAILED"
    assert "calls in a row" not in str(outcome.cause)
    assert sum(n for key, n in failures(warehouse).items() if key[0] == "TIMEOUT") > 2


class Stops(Silence):
    """Stops a process once so many calls are recorded."""

    def __init__(self, pid: int, calls: int) -> None:
        self._pid, self._left = pid, calls

    def recorded(self, row: RunRecord) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(self._pid, signal.SIGSTOP)


@contextmanager
def own_process(dialect: str) -> Iterator[tuple[str, int]]:
    """A mock server in a process of its own: URL and process."""
    (model,) = profile_of(dialect).models
    command = [sys.executable, "-m", "orket", "mock-server", dialect, "--port", "0"]
    command += ["--model", f"{model.name}=Q8_0", "--load-time", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), process.pid
        finally:
            process.kill()


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no process can be stopped")
@pytest.mark.parametrize("dialect", ["ollama", *nightly(*OTHERS)])
def test_a_server_that_is_frozen_is_given_up(dialect, tmp_path, warehouse):
    with own_process(dialect) as (url, pid):
        stops = Stops(pid, 5)
        outcome = sweep_through(url, dialect, tmp_path, warehouse, stops)
    assert outcome.status == "FAILED"
    assert "in time" in str(outcome.cause)
    assert failures(warehouse)["TIMEOUT", "the server did not finish in time"] == 1


@pytest.mark.parametrize(
    ("how", "dialect"),
    [
        *((how, "ollama") for how in (SILENT, HEADERS, HALF, TRICKLE)),
        *((SILENT, dialect) for dialect in OTHERS),
        *nightly(*product((HEADERS, HALF, TRICKLE), OTHERS)),
    ],
)
def test_the_probe_waits_for_one_call_that_hangs(how, dialect):
    name = profile_of(dialect).models[0].name
    with (
        MockServer(dialect, profile_of(dialect)) as server,
        HangingProxy(server.url, how, 5) as proxy,
    ):
        adapter = create_adapter(
            dialect, ServerOptions(url=proxy.url, call_seconds=0.5)
        )
        report = probe(adapter, ModelRef("demo", "Q8_0", name), None, 0.5)
        adapter.close()
    hung = [f for f in report.findings if "did not finish in time" in f.evidence]
    assert {finding.answer for finding in hung} <= {"unknown", "no"}
    assert len(hung) >= 5, "what was not asked is not known"
    assert proxy.calls == 5, "no other call is made"


def test_a_server_that_freezes_while_it_loads_a_model_is_not_waited_for(
    tmp_path, monkeypatch
):
    """A load may take minutes; that its server is there is seen every few seconds."""
    monkeypatch.setattr("orket.providers.http.transport.WATCH_SECONDS", 0.2)
    profile = profile_of("ollama")
    with (
        MockServer("ollama", profile) as server,
        HangingProxy(server.url, SILENT, 0, everything=True) as frozen,
    ):
        adapter = create_adapter("ollama", ServerOptions(url=frozen.url))
        http = adapter._http  # type: ignore[attr-defined]
        reply = http.post_task("/api/generate", {}, 600.0, "/api/version")
        adapter.close()
    assert reply.problem is not None
    assert reply.problem.error_class == "TIMEOUT"
    assert frozen.questions == 2, "the load, and once whether it is there"
    slow = Profile(models=profile.models, load_seconds=0.7)
    with MockServer("ollama", slow) as server:
        adapter = create_adapter("ollama", ServerOptions(url=server.url))
        loaded = adapter.load(ModelRef("demo", "Q8_0", "demo:q8_0"), Controls(seed=7))
        asked = [request.path for request in server.requests]
        adapter.close()
    assert loaded.load_ns is not None
    assert asked.count("/api/version") > 1, "while it loads it is looked after"
