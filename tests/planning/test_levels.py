"""Quants at levels in presets and on the command line: two files, two levels each."""

from __future__ import annotations

import json

import pytest

from orket.cli.chosen_preset import bend_preset
from orket.cli.main import run_command
from orket.cli.sweep_options import SweepOptions
from orket.errors import UsageError
from orket.planning.fidelity import by_precision
from orket.planning.fit import find_needs, kv_cache_bytes
from orket.planning.kept import keep_preset, restore_preset
from orket.planning.plan import build_plan, controls_facts
from orket.planning.preset import load_preset
from orket.planning.readiness import list_missing, warn_of_copies
from orket.records import Controls
from orket.sweep.manifest import quant_entry
from tests.live import demo_gguf
from tests.planning.test_fit import LLAMA

PRESET = """schema_version = 1
[provider]
name = "{provider}"
[[models]]
id = "m"
quants = {quants}
[models.names.embedded]
file = "{folder}/orket-demo-{{quant}}.gguf"
[models.names.ollama]
tag = "m:{{quant_ollama}}"
[models.names.llama-server]
name = ""
url = "http://127.0.0.1:8080"
[tasks]
bank = "quickstart"
limit = 2
[controls]
context = 256
"""
TWO_BY_TWO = ["Q8_0", "Q8_0@kv=q8_0", "Q4_K_M@ctx=384", "Q4_K_M@ctx=512,kv=Q8_0/F16"]


@pytest.fixture
def planned(tmp_path):
    def plan(ladder=TWO_BY_TWO, provider="embedded", **options):
        path = tmp_path / "levels.toml"
        folder = demo_gguf("Q8_0").parent
        path.write_text(
            PRESET.format(provider=provider, quants=list(ladder), folder=folder)
        )
        bent = bend_preset(load_preset(str(path)), SweepOptions(**options))
        return build_plan(bent, "s")

    return plan


def tags(plan):
    return [target.ref.quant_tag for target in plan.models[0].targets]


def test_levels_of_two_files_are_four_entries(planned):
    plan = planned()
    assert tags(plan) == [
        "Q8_0",
        "Q8_0@kv=q8_0",
        "Q4_K_M@ctx=384",
        "Q4_K_M@kv=q8_0/f16,ctx=512",
    ]
    targets = plan.models[0].targets
    assert [target.ref.path.stem[11:] for target in targets] == [
        "Q8_0",
        "Q8_0",
        "Q4_K_M",
        "Q4_K_M",
    ]
    asked = [plan.controls_of(target) for target in targets]
    assert [(c.kv_cache, c.context_tokens) for c in asked] == [
        ("f16", 256),
        ("q8_0", 256),
        ("f16", 384),
        ("q8_0/f16", 512),
    ]
    assert list_missing(plan) == []
    assert warn_of_copies(plan) == []
    ids = {run.run_id for run in plan.runs if run.phase == "matrix"}
    assert len(ids) == 4 * plan.repetitions * len(plan.tasks)


def test_a_level_is_part_of_the_plan(planned):
    low, other = planned(["Q8_0@kv=q8_0"]), planned(["Q8_0@kv=q4_0"])
    assert low.plan_hash != other.plan_hash
    assert low.plan_hash == planned(["Q8_0@kv=Q8_0"]).plan_hash
    assert planned(["Q8_0@ctx=512"]).plan_hash == planned(["Q8_0@ctx=512"]).plan_hash


def test_a_ladder_without_levels_asks_for_no_cache(planned):
    plan = planned(["Q8_0", "Q4_K_M@ctx=512"])
    assert {plan.controls_of(target).kv_cache for target in plan.models[0].targets} == {
        None
    }


def test_levels_on_the_command_line(planned, tmp_path, capsys):
    planned(["Q8_0", "Q4_K_M"])
    preset = str(tmp_path / "levels.toml")
    asked = "q8_0,q8_0@ctx=512,kv=q4_0, Q4_K_M@kv=q8_0"
    line = ["plan", preset, "--quants", asked, "--format", "json"]
    assert run_command([*line, "-w", str(tmp_path / "w")]) == 0
    (model,) = json.loads(capsys.readouterr().out)["models"]
    assert [quant["quant"] for quant in model["quants"]] == [
        "Q8_0",
        "Q8_0@kv=q4_0,ctx=512",
        "Q4_K_M@kv=q8_0",
    ]


def test_one_level_twice_is_refused(planned):
    with pytest.raises(UsageError) as refused:
        planned(["Q8_0@ctx=512", "q8_0@ctx=512"])
    assert "lists a quant twice: Q8_0@ctx=512 and q8_0@ctx=512" in str(refused.value)


@pytest.mark.parametrize(
    ("quant", "said"),
    [
        ("Q8_0@kv=q9_0", "llama.cpp keeps no KV cache as q9_0"),
        ("Q8_0@ctx=1k", "the model was made for 512 tokens of context"),
    ],
)
def test_what_the_engine_cannot_is_told_before_the_first_call(planned, quant, said):
    (missing,) = list_missing(planned(["Q8_0", quant]))
    assert said in missing
    assert quant in missing


def test_ollama_takes_a_context_and_no_cache(planned):
    assert list_missing(planned(["Q8_0", "Q8_0@ctx=8k"], "ollama")) == []
    (missing,) = list_missing(planned(["Q8_0", "Q8_0@kv=q8_0"], "ollama"))
    assert "OLLAMA_KV_CACHE_TYPE" in missing
    assert "m Q8_0@kv=q8_0" in missing


def test_a_running_server_is_told_neither(planned):
    plan = planned(["Q8_0@kv=q8_0,ctx=8k"], "llama-server")
    assert [line.split(": ")[0] for line in list_missing(plan)] == [
        "m Q8_0@kv=q8_0,ctx=8k"
    ] * 2


def test_a_wrong_level_is_told_with_its_line(tmp_path):
    path = tmp_path / "wrong.toml"
    path.write_text(
        PRESET.format(provider="embedded", quants=["Q8_0@kw=q8_0"], folder="x")
        + 'kv_cache = "a/b/c"\n'
    )
    with pytest.raises(UsageError) as refused:
        load_preset(str(path))
    assert f"{path}, line 6: models.0.quants: Q8_0@kw=q8_0: no level" in str(
        refused.value
    )
    assert "controls.kv_cache: 'a/b/c' is no type of a KV cache" in str(refused.value)


def test_a_kept_preset_has_its_levels(tmp_path, planned):
    first = planned()
    again = restore_preset(first.preset_content, "levels", "s").preset
    assert build_plan(again, "s").plan_hash == first.plan_hash
    assert keep_preset(again) == first.preset_content


def test_the_memory_of_a_level(planned):
    # 32 layers x 8 heads x 128 values, keys and values: 64 Ki values a token.
    assert kv_cache_bytes(LLAMA, 1, "f16") == 131_072
    assert kv_cache_bytes(LLAMA, 1, "q8_0") == 65_536 * 34 // 32
    assert kv_cache_bytes(LLAMA, 1, "q8_0/f16") == 32_768 * 34 // 32 + 65_536
    assert kv_cache_bytes(LLAMA, 1, "auto") is None
    plan = planned()
    needs = find_needs(plan)
    # 3 layers x 2 heads x 64: 384 values a token each for keys and values.
    kv = [needs[target.ref].kv_bytes for target in plan.models[0].targets]
    assert kv == [
        384 * 2 * 256 * 2,
        384 * 2 * 256 * 34 // 32,
        384 * 2 * 384 * 2,
        384 * 512 * 34 // 32 + 384 * 512 * 2,
    ]
    target = plan.models[0].targets[1]
    entry = quant_entry(target, None, plan.controls_of(target), needs[target.ref])
    assert (entry.kv_cache, entry.context_tokens) == ("q8_0", 256)
    assert (entry.kv_bits_milli, entry.kv_cache_bytes) == (8500, kv[1])
    assert entry.quant_key == "Q8_0"


def test_the_most_precise_cache_of_the_most_precise_file_is_the_reference(planned):
    ladder = ["Q4_K_M", "Q8_0@kv=q4_0", "Q8_0", "Q8_0@kv=q8_0", "Q8_0@ctx=512"]
    plan = planned(ladder)
    (model,) = plan.models
    for controls in (None, model.controls):
        ranked = by_precision(model.targets, controls)
        tags = [target.ref.quant_tag for target in ranked]
        assert tags[0].startswith("Q8_0") and "kv" not in tags[0]
        assert tags[2:] == ["Q8_0@kv=q8_0", "Q8_0@kv=q4_0", "Q4_K_M"]
    assert tags[0] == "Q8_0@ctx=512"


def test_a_plan_without_a_cache_type_keeps_its_hash():
    facts = controls_facts(Controls(seed=1))
    assert facts["seed"] == 1
    assert "kv_cache" not in facts
    assert controls_facts(Controls(kv_cache="q8_0"))["kv_cache"] == "q8_0"
