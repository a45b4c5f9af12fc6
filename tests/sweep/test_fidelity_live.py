"""Fidelity on the real engine with the demo ladder, against a client of its own."""

from __future__ import annotations

import json
import math
import urllib.request
from typing import Any

import pytest

from orket.cli.main import run_command
from orket.providers.contract import Generation, ScoresPath
from orket.providers.options import ServerOptions
from orket.providers.registry import create_adapter
from orket.warehouse import Warehouse
from tests.live import CONTROLS, SERVED_QUANT, demo_ref, llama_url  # noqa: F401

pytestmark = pytest.mark.live

PROMPT = "json: name=ada age=36"


def ask(url: str, path: str, body: dict[str, Any]) -> Any:
    """Another client, of the standard library alone."""
    request = urllib.request.Request(
        url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        return json.load(reply)


def test_the_lists_are_those_that_another_client_gets(llama_url):  # noqa: F811
    adapter = create_adapter("llama-server", ServerOptions(url=llama_url))
    assert isinstance(adapter, ScoresPath)
    request = Generation(demo_ref(SERVED_QUANT), PROMPT, 64, CONTROLS)
    answer = adapter.score_answer(request, 20)
    along = adapter.score_along(request, 20, answer)
    adapter.close()
    assert (along.method, along.outcome) == ("GRAMMAR", "OK")
    assert (along.top_ids, along.top_nnats) == (answer.top_ids, answer.top_nnats)

    messages = [{"role": "user", "content": PROMPT}]
    prompt = ask(llama_url, "/apply-template", {"messages": messages})["prompt"]
    reply = ask(
        llama_url,
        "/completion",
        {
            "prompt": prompt,
            "n_predict": 64,
            "n_probs": 264,
            "temperature": 0,
            "cache_prompt": False,
        },
    )
    places = reply["completion_probabilities"]
    assert answer.path_ids == [place["id"] for place in places]
    assert answer.top_nnats and answer.top_ids
    for place, ids, nnats in zip(places, answer.top_ids, answer.top_nnats, strict=True):
        top = place["top_logprobs"]
        # The whole vocabulary: these are probabilities, and ours are the first of them.
        assert abs(sum(math.exp(entry["logprob"]) for entry in top) - 1) < 1e-3
        assert ids == [entry["id"] for entry in top[:20]]
        told = [round(entry["logprob"] * 1e9) for entry in top[:20]]
        assert nnats == told


def test_the_demo_ladder_is_told_apart(tmp_path):
    folder = demo_ref("F16").path
    assert folder is not None
    preset = tmp_path / "small.toml"
    preset.write_text(
        'schema_version = 1\nextends = "quickstart"\npolluted_retries = 0\n'
        "repetitions = 1\n[tasks]\nlimit = 60\n[canary]\nenabled = false\n"
        "[fidelity]\nenabled = true\nprompts = 60\n"
        '[[models]]\nid = "orket-demo"\nquants = ["F16", "Q4_K_M", "Q2_K"]\n'
        f'[models.names.embedded]\nfile = "{folder.parent}/orket-demo-{{quant}}.gguf"\n'
    )
    store = tmp_path / "warehouse"
    arguments = [str(preset), "-w", str(store), "-o", str(tmp_path / "s.json")]
    assert run_command(["run", *arguments]) == 0
    with Warehouse(store).session() as session:
        rows = session.rows("SELECT * FROM v1.fidelity")
        same = session.rows(
            "SELECT bool_and(is_identical) AS identical FROM v1.fidelity_pair "
            "WHERE quant_tag = reference_quant_tag"
        )
    assert same == [{"identical": True}]
    found = {row["quant_tag"]: row for row in rows}
    assert found["F16"]["status"] == "REFERENCE"
    assert found["F16"]["floor_nnats"] == 0
    for row in rows:
        assert (row["level"], row["method"]) == ("PATH", "GRAMMAR")
        assert (row["prompts"], row["broken_prompts"]) == (60, 0)
    good, bad = found["Q4_K_M"], found["Q2_K"]
    # Over all 216 tasks: 1.0000 and .9699 of the places, KLD .0003 and .131.
    assert good["same_top_ppm"] >= 999_000
    assert good["kld_nnats"] < 5_000_000
    assert 950_000 <= bad["same_top_ppm"] <= 990_000
    assert 30_000_000 < bad["kld_nnats"] < 300_000_000
    assert 15 <= bad["kept_prompts"] <= 45
