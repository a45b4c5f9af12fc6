"""Prompts that a context cannot hold: asked until one refuses, and then of nobody."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import Any

import pytest

from orket.mockserver import MockModel, MockServer, Profile
from orket.planning.plan import Plan, build_plan
from orket.planning.preset import Change, load_preset, override
from orket.records import CallFacts
from orket.sweep.execute import run_sweep
from orket.sweep.refusals import Refusals
from orket.warehouse import Warehouse
from tests.sweep.small import Impatient
from tests.sweep.test_fidelity_phase import Noted, StopAtLoad

SHORT, LONG, LONGEST = 3, 60, 200
"""Words of the prompts; a word and its blank are one token, the template some more."""
BANK = """schema_version = 1
bank = "lengths"
title = "Prompts of three lengths"
"""
TASK = """
[[tasks]]
id = "{name}"
bucket = "logic"
prompt = "{prompt}"
max_tokens = 8
checks = [{{ kind = "contains", expected = "x" }}]
[tasks.samples]
pass = ["x"]
fail = ["y", "z"]
"""
PRESET = """schema_version = 1
repetitions = 2
control_profile = "shared"
polluted_retries = 2

[provider]
name = "llama-server"
timeout_seconds = 5

[[models]]
id = "demo"
quants = ["F16", "Q8_0", "Q2_K"]
[models.names.llama-server]
name = "demo"
[models.names.llama-server.urls]
{urls}

[tasks]
bank = "lengths.toml"

[canary]
enabled = false

[policy]
allow_unobserved = true
include_polluted = "fill"
"""
WORDS = {
    "a-longest": LONGEST,
    "b-long": LONG,
    "c-short": SHORT,
    "d-short": SHORT,
    "e-short": SHORT,
}


class Bench:
    """A llama-server for each quant, with a context of its own."""

    def __init__(self, folder: Any, **contexts: int) -> None:
        self._folder, self._contexts = folder, contexts
        self._stack = ExitStack()

    def __enter__(self) -> Bench:
        models = [MockModel("demo", quant) for quant in self._contexts]
        urls = []
        for model in models:
            others = tuple(other for other in models if other is not model)
            profile = Profile(
                models=(model, *others),
                prefill_rate=1e6,
                decode_rate=1e5,
                load_seconds=0.0,
                context_tokens=self._contexts[model.quant],
            )
            mock = self._stack.enter_context(MockServer("llama-server", profile))
            urls.append(f'{model.quant} = "{mock.url}"')
        tasks = "".join(
            TASK.format(name=name, prompt=" ".join([name[0]] * words))
            for name, words in WORDS.items()
        )
        (self._folder / "lengths.toml").write_text(BANK + tasks)
        (self._folder / "p.toml").write_text(PRESET.format(urls="\n".join(urls)))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def plan(self, *changes: Change) -> Plan:
        preset = load_preset(str(self._folder / "p.toml"))
        return build_plan(override(preset, changes), "s")


@pytest.fixture
def warehouse(tmp_path):
    return Warehouse(tmp_path / "warehouse")


def calls(warehouse: Warehouse) -> dict[tuple[str, str], list[str]]:
    """What became of each timed call: OK, REFUSED, or SPARED where it was not made."""
    with warehouse.session("s") as session:
        rows = session.rows(
            "SELECT quant_tag, test_id, outcome, wall_ns FROM v1.attempts "
            "WHERE phase = 'matrix' ORDER BY order_index"
        )
    found: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        what = row["outcome"]
        if what == "FAILED":
            what = "SPARED" if row["wall_ns"] is None else "REFUSED"
        key = row["quant_tag"], row["test_id"].removeprefix("lengths/")
        found.setdefault(key, []).append(what)
    return found


def run(bench: Bench, warehouse: Warehouse, *changes: Change, **how: Any) -> list[str]:
    said = how.pop("reporter", Noted())
    run_sweep(bench.plan(*changes), warehouse, said, clock=Impatient(), **how)
    return getattr(said, "lines", [])


def test_a_refused_prompt_is_asked_of_no_quant_after_and_said_once(tmp_path, warehouse):
    with Bench(tmp_path, F16=100, Q8_0=100, Q2_K=100) as bench:
        lines = run(bench, warehouse)
    found = calls(warehouse)
    # No retry either, though two passes are allowed: it would find the same.
    assert found["F16", "a-longest"] == ["REFUSED", "SPARED"]
    assert found["Q8_0", "a-longest"] == found["Q2_K", "a-longest"] == ["SPARED"] * 2
    others = {name for name in WORDS if name != "a-longest"}
    for quant in ("F16", "Q8_0", "Q2_K"):
        assert all(set(found[quant, name]) == {"OK"} for name in others)
    told = [line for line in lines if "does not fit" in line]
    assert told == [
        "the prompt of lengths/a-longest does not fit the context of F16, 100 tokens: "
        "quants that have no more are not asked"
    ]


def test_a_quant_with_more_context_is_asked_and_one_with_less_is_not(
    tmp_path, warehouse
):
    """F16 holds both, Q8_0 one of them, Q2_K none: it is spared what Q8_0 refused."""
    with Bench(tmp_path, F16=300, Q8_0=100, Q2_K=40) as bench:
        lines = run(bench, warehouse)
    found = calls(warehouse)
    assert set(found["F16", "a-longest"]) == set(found["F16", "b-long"]) == {"OK"}
    # The second repetition goes from the other end.
    assert found["Q8_0", "a-longest"] == ["REFUSED", "SPARED"]
    assert set(found["Q8_0", "b-long"]) == {"OK"}
    assert found["Q2_K", "a-longest"] == ["SPARED", "SPARED"]
    assert found["Q2_K", "b-long"] == ["REFUSED", "SPARED"]
    assert len([line for line in lines if "does not fit" in line]) == 2


def test_a_resumed_sweep_knows_what_was_refused(tmp_path, warehouse):
    """It stops before Q8_0 is loaded; the next executor asks neither of the others."""
    with Bench(tmp_path, F16=100, Q8_0=100, Q2_K=100) as bench:
        run(bench, warehouse, reporter=StopAtLoad(2))
        assert calls(warehouse)["F16", "a-longest"] == ["REFUSED"]
        lines = run(bench, warehouse, resume=True)
    assert not [line for line in lines if "does not fit" in line]
    found = calls(warehouse)
    assert found["Q8_0", "a-longest"] == found["Q2_K", "a-longest"] == ["SPARED"] * 2


def test_rounds_end_though_a_prompt_fits_nobody(tmp_path, warehouse):
    with Bench(tmp_path, F16=100, Q8_0=100, Q2_K=100) as bench:
        run(
            bench,
            warehouse,
            Change("budget", "1h"),
            Change("runs", 1, (("repetitions",),)),
            Change("fidelity", False, (("fidelity", "enabled"),)),
        )
    found = calls(warehouse)
    refused = [found[quant, "a-longest"] for quant in ("F16", "Q8_0", "Q2_K")]
    assert refused == [["REFUSED"], ["SPARED"], ["SPARED"]]
    with warehouse.session("s") as session:
        looks = session.rows(
            "SELECT reason FROM raw.events WHERE event = 'ROUND_JUDGED' "
            "ORDER BY event_id"
        )
    (last,) = json.loads(looks[-1]["reason"])["rounds"]
    assert last["answer"] != "ASK"


def failed(error_class: str) -> CallFacts:
    return CallFacts(outcome="FAILED", error_class=error_class)


def test_only_a_context_that_is_as_small_for_certain_is_spared():
    found = Refusals()
    found.saw(failed("CONTEXT_EXCEEDED"), ("m", "F16", "t", 512))
    found.saw(failed("CONTEXT_EXCEEDED"), ("m", "F16", "u", None))
    found.saw(failed("HTTP_500"), ("m", "F16", "v", 512))
    assert found.cause("m", "t", 512) and found.cause("m", "t", 256)
    assert found.cause("m", "t", 513) is None
    assert found.cause("m", "t", None) is None
    assert found.cause("another", "t", 512) is None
    assert found.cause("m", "u", None)
    assert found.cause("m", "u", 512) is None
    assert found.cause("m", "v", 512) is None
