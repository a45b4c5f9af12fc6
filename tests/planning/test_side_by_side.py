"""Several servers side by side: one for each quant, asked, told apart or refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from orket.cli.main import run_command
from orket.machine.clock import SystemClock
from orket.mockserver import MockModel, MockServer, Profile
from orket.planning.plan import build_plan
from orket.planning.preset import load_preset
from orket.planning.readiness import list_missing, warn_of_unknown
from orket.providers.contract import LoadedModel, ModelRef, ServerOptions
from orket.providers.http.problems import IdentityMismatch
from orket.providers.registry import create_adapter
from orket.records import Controls
from orket.sweep.servers import Servers
from orket.warehouse import Warehouse


@pytest.fixture
def serve():
    running = []

    def start(dialect, name, quant="Q8_0", **profile):
        server = MockServer(
            dialect,
            Profile(
                models=(MockModel(name, quant),),
                decode_rate=100_000,
                prefill_rate=1_000_000,
                latency_seconds=0.0,
                **profile,
            ),
        )
        running.append(server)
        server.__enter__()
        return server.url

    yield start
    for server in running:
        server.__exit__(None, None, None)


@pytest.fixture
def plan(tmp_path, capsys):
    def ask(*line):
        code = run_command(["run", *line, "--dry-run", "-w", str(tmp_path / "w")])
        return code, " ".join("".join(capsys.readouterr()).split())

    return ask


def test_each_quant_is_measured_at_its_own_server(serve, tmp_path, capsys):
    line = ["run"]
    for quant in ("AWQ", "BF16", "FP8"):
        line += ["--url", f"{quant}={serve('vllm', f'org/demo-{quant}')}"]
    out = tmp_path / "s.json"
    line += ["-w", str(tmp_path / "w"), "-o", str(out), "--tasks", "2", "--runs", "1"]
    assert run_command([*line, "--no-canary", "--quality-only", "--grid", "-y"]) == 0
    (session,) = json.loads(out.read_bytes())["sessions"]
    assert session["model_id"] == "org/demo"
    # The most precise one is the reference, wherever it was named.
    assert session["baseline_quant"] == "BF16"
    told = {quant["quant_tag"]: quant for quant in session["per_quant"]}
    assert list(told) == ["BF16", "FP8", "AWQ"]
    with Warehouse.open(tmp_path / "w").session() as warehouse:
        rows = warehouse.rows(
            "SELECT DISTINCT quant_tag, call.reported_model FROM raw.runs ORDER BY 1"
        )
    assert [tuple(row.values()) for row in rows] == [
        (quant, f"org/demo-{quant}") for quant in ("AWQ", "BF16", "FP8")
    ]


def test_a_server_whose_weights_have_another_name_is_refused(serve, plan):
    fp8 = serve("vllm", "org/demo-FP8")
    code, said = plan("--url", f"AWQ={fp8}", "--url", f"BF16={fp8}/v1")
    assert code == 2
    assert f"vllm at {fp8} holds org/demo-FP8, which is FP8 and not AWQ" in said


@pytest.mark.parametrize("host", ["localhost", "127.1"])
def test_one_server_is_not_two_quants(serve, plan, host):
    url = serve("vllm", "org/demo")
    other = url.replace("127.0.0.1", host) + "/v1"
    code, said = plan("--url", f"AWQ={url}", "--url", f"FP8={other}")
    assert code == 0
    assert "Not runnable here: model org/demo: AWQ and FP8 are both org/demo" in said


def test_servers_of_several_kinds_are_both_named(serve, plan):
    one, two = serve("vllm", "m-AWQ"), serve("llama-server", "m-Q8_0.gguf", "Q8_0")
    code, said = plan("--url", f"AWQ={one}", "--url", f"Q8_0={two}")
    assert code == 2
    assert f"AWQ at {one} is vllm, Q8_0 at {two} is llama-server" in said
    code, said = plan(
        *("--url", f"AWQ={one}", "--url", f"Q8_0={two}"),
        *("--provider", "openai", "--model", "m"),
    )
    assert code == 0
    assert "provider openai" in said


def test_two_models_are_both_named(serve, plan):
    one, two = serve("vllm", "llama-AWQ"), serve("vllm", "qwen-FP8")
    pairs = ("--url", f"AWQ={one}", "--url", f"FP8={two}")
    code, said = plan(*pairs)
    assert code == 2
    assert "several models: llama (AWQ) and qwen (FP8)" in said
    code, said = plan(*pairs, "--model", "mine")
    assert code == 0
    assert "Model mine" in said


def test_a_quant_twice_needs_labels(serve, plan):
    one, two = serve("vllm", "org/demo-AWQ"), serve("vllm", "org/demo-AWQ")
    code, said = plan("--url", f"AWQ={one}", "--url", f"awq={two}")
    assert code == 2
    assert "AWQ, awq are one quant twice" in said
    code, said = plan("--url", f"AWQ@a100={one}", "--url", f"AWQ@l4={two}")
    assert code == 0
    assert "AWQ@a100" in said and "AWQ@l4" in said


def test_precision_that_nobody_knows_is_said(serve, plan):
    one, two = serve("vllm", "org/demo"), serve("vllm", "org/demo")
    code, said = plan("--url", f"tuned={one}", "--url", f"other={two}")
    assert code == 0
    assert (
        "no quant is called tuned, other: which is the most precise, and so the "
        "reference, is not known" in said
    )
    code, said = plan("--url", f"tuned={one}", "--url", f"BF16={two}")
    assert "no quant is called tuned: how precise they are is not known" in said


@pytest.mark.parametrize("provider", ["vllm", "openai", "tgi"])
@pytest.mark.parametrize(
    ("asked", "name", "fits"),
    [
        ("AWQ", "org/demo-AWQ", True),
        ("AWQ", "org/demo-quantized.w4a16", True),
        ("AWQ", "org/demo", True),
        ("FP8", "org/demo-FP8-dynamic", True),
        ("BF16", "org/demo-FP8", False),
        ("AWQ", "org/demo-GPTQ-Int4", False),
        ("BF16", "org/demo-quantized.w4a16", False),
    ],
)
def test_what_a_name_says_of_the_weights(serve, provider, asked, name, fits):
    adapter = create_adapter(provider, ServerOptions(url=serve(provider, name)))
    adapter.describe()
    ref = ModelRef("demo", asked, name)
    try:
        if fits:
            adapter.load(ref, Controls())
        else:
            with pytest.raises(IdentityMismatch, match=f"not {asked}"):
                adapter.load(ref, Controls())
    finally:
        adapter.close()


@pytest.mark.parametrize("name", ["vllm", "vllm-serve"])
def test_the_presets_resolve(name):
    plan = build_plan(load_preset(name), "s")
    targets = plan.models[0].targets
    assert warn_of_unknown(plan) == []
    if name == "vllm":
        assert list_missing(plan) == []
        assert len({target.url for target in targets}) == len(targets) == 3
    else:
        commands = [target.command or "" for target in targets]
        assert len(set(commands)) == 4
        assert "Qwen/Qwen2.5-7B-Instruct-AWQ --host {host} --port {port}" in commands[3]
        assert all("--max-model-len 8192" in command for command in commands)


def test_the_same_weights_at_two_servers_are_no_two_quants():
    plan = build_plan(load_preset("vllm"), "s")
    servers = Servers(plan, SystemClock())
    first, second, _ = plan.models[0].targets
    again = replace(first, url=second.url, ref=replace(first.ref, quant_tag="BF16@b"))
    for target in (first, again):
        servers.require_apart(target, LoadedModel(target.ref, digest="sha256:1"))
    with pytest.raises(IdentityMismatch) as refused:
        servers.require_apart(second, LoadedModel(second.ref, digest="sha256:1"))
    assert (
        "BF16 at http://127.0.0.1:8000 and FP8 at http://127.0.0.1:8001 are the "
        in (str(refused.value))
    )
    # A revision of a repository tells nothing of how its weights were loaded.
    for target in (first, second):
        servers.require_apart(target, LoadedModel(target.ref, digest="revision:1"))


def test_the_quant_of_a_llama_server_is_its_own_word(serve, plan):
    same = [serve("llama-server", "m.gguf", "Q8_0") for _ in range(2)]
    code, said = plan("--url", f"Q8_0={same[0]}", "--url", f"Q4_K_M={same[1]}")
    assert code == 2
    assert (
        f"llama-server at {same[1]} holds m.gguf, which is Q8_0 and not Q4_K_M" in said
    )
