"""The phase before the matrix, against pretended servers of every dialect."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from orket.mockserver import MockModel, MockServer, Profile
from orket.mockserver.profile import CannedAnswer
from orket.planning.plan import Plan, build_plan
from orket.planning.preset import Change, load_preset, override
from orket.sweep.execute import run_sweep
from orket.sweep.interrupts import Interrupted
from orket.sweep.reporter import Silence
from orket.warehouse import Warehouse
from tests.sweep.test_sweep import Impatient

F16, Q8_0, Q2_K = (
    MockModel("demo", "F16"),
    MockModel("demo", "Q8_0"),
    MockModel("demo", "Q2_K"),
)
TASKS = 9
ANSWERS = (
    CannedAnswer("", "Six red apples lie here.", ("F16", "Q8_0")),
    CannedAnswer("", "Six red pears lie here.", ("Q2_K",)),
)
"""`apples` is the tokens ` appl`, `es`; `pears` is ` pear`, `s`: two places differ."""

PRESET = """schema_version = 1
repetitions = 1
control_profile = "shared"
polluted_retries = 0

[provider]
name = "{provider}"
timeout_seconds = 5

[[models]]
id = "demo"
quants = ["Q2_K", "F16", "Q8_0"]
[models.names.{provider}]
name = "demo"
[models.names.{provider}.urls]
{urls}

[controls]
temperature = 0

[tasks]
bank = "quickstart"
limit = 9

[canary]
enabled = false

[fidelity]
enabled = true
k = 5

[policy]
allow_unobserved = true
"""


class Bench:
    """One mock server a quant, and the preset that names them."""

    def __init__(
        self, folder, provider: str, models=(Q2_K, F16, Q8_0), decode_rate: float = 1e5
    ) -> None:
        self.folder, self.provider, self.models = folder, provider, models
        self.decode_rate = decode_rate
        self.mocks: dict[str, MockServer] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Bench:
        base = Profile(
            prefill_rate=1e6,
            decode_rate=self.decode_rate,
            load_seconds=0.0,
            answers=ANSWERS,
        )
        for model in self.models:
            others = tuple(other for other in self.models if other is not model)
            # A server of one model serves the first; the others are what it weighs.
            profile = replace(base, models=(model, *others))
            mock = MockServer(self.provider, profile)
            self.mocks[model.quant] = self._stack.enter_context(mock)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def plan(self, *changes: Change, sweep_id: str = "s") -> Plan:
        urls = "\n".join(f'{q} = "{mock.url}"' for q, mock in self.mocks.items())
        path = self.folder / "p.toml"
        path.write_text(PRESET.format(provider=self.provider, urls=urls))
        return build_plan(override(load_preset(str(path)), changes), sweep_id)

    def run(self, warehouse: Warehouse, plan: Plan | None = None, **how: Any) -> Any:
        how.setdefault("reporter", None)
        reporter = how.pop("reporter")
        plan = plan or self.plan()
        return run_sweep(plan, warehouse, reporter, clock=Impatient(), **how)


@pytest.fixture
def warehouse(tmp_path):
    return Warehouse(tmp_path / "warehouse")


def fidelity(warehouse: Warehouse) -> dict[str, dict[str, Any]]:
    with warehouse.session("s") as session:
        rows = session.rows("SELECT * FROM v1.fidelity")
    return {row["quant_tag"]: row for row in rows}


def raw(warehouse: Warehouse, columns: str = "*") -> list[dict[str, Any]]:
    with warehouse.session("s") as session:
        return session.rows(f"SELECT {columns} FROM raw.fidelity ORDER BY recorded_at")


def test_every_quant_is_led_along_the_answers_of_the_most_precise(tmp_path, warehouse):
    with Bench(tmp_path, "llama-server") as bench:
        assert bench.run(warehouse).status == "COMPLETED"
    rows = raw(warehouse, "quant_tag, role, test_id")
    order = list(dict.fromkeys((row["quant_tag"], row["role"]) for row in rows))
    assert order == [
        ("F16", "REFERENCE"),
        ("F16", "QUANT"),
        ("Q8_0", "QUANT"),
        ("Q2_K", "QUANT"),
    ]
    assert len(rows) == 4 * TASKS
    found = fidelity(warehouse)
    # Six, red, appl, es, lie, here, ., end
    places = len(["Six", " red", " appl", "es", " lie", " here", ".", "end"])
    for quant, row in found.items():
        assert (row["level"], row["method"], row["k"]) == ("PATH", "GRAMMAR", 5)
        assert row["reference_quant_tag"] == "F16"
        assert (row["prompts"], row["positions"]) == (TASKS, TASKS * places)
        assert row["floor_nnats"] == 0, quant
    assert found["F16"]["status"] == "REFERENCE"
    assert found["Q8_0"]["kept_prompts"] == TASKS
    assert found["Q8_0"]["same_top_positions"] == TASKS * places
    assert found["Q8_0"]["kld_nnats"] > 0
    assert found["Q2_K"]["same_top_positions"] == TASKS * (places - 2)
    assert found["Q2_K"]["kept_prompts"] == 0


def test_no_row_of_the_phase_is_a_run(tmp_path, warehouse):
    with Bench(tmp_path, "llama-server") as bench:
        plan = bench.plan()
        bench.run(warehouse, plan)
    with warehouse.session("s") as session:
        (row,) = session.rows("SELECT count(*) AS runs FROM v1.attempts")
        (manifest,) = session.rows("SELECT fidelity FROM v1.manifest")
    assert row["runs"] == len(plan.runs)
    assert manifest["fidelity"]["k"] == 5
    assert len(manifest["fidelity"]["test_ids"]) == TASKS


def test_a_server_that_cannot_be_led_is_read_up_to_the_difference(tmp_path, warehouse):
    with Bench(tmp_path, "openai") as bench:
        bench.run(warehouse)
    found = fidelity(warehouse)
    row = found["Q2_K"]
    assert (row["status"], row["level"], row["method"]) == ("OK", "PREFIX", "GENERATED")
    # Six, red, and the place where the two differ.
    assert (row["positions"], row["same_top_positions"]) == (TASKS * 3, TASKS * 2)
    assert found["Q8_0"]["kept_prompts"] == TASKS


def test_vllm_is_scored_as_a_prompt_and_tgi_tells_the_surprise_alone(tmp_path):
    for provider, same in (("vllm", TASKS * 6), ("tgi", None)):
        warehouse = Warehouse(tmp_path / provider)
        with Bench(tmp_path, provider) as bench:
            bench.run(warehouse)
        row = fidelity(warehouse)["Q2_K"]
        assert (row["status"], row["method"]) == ("OK", "PROMPT_LOGPROBS")
        assert row["same_top_positions"] == same
        assert row["dnll_nnats"] is not None


def test_a_server_without_lists_is_told_by_its_recorded_answers(tmp_path, warehouse):
    with Bench(tmp_path, "openai") as bench:
        for mock in bench.mocks.values():
            mock.set_faults("missing-logprobs")
        assert bench.run(warehouse).status == "COMPLETED"
    row = fidelity(warehouse)["Q2_K"]
    assert (row["status"], row["reason"]) == ("UNSUPPORTED", "NO_LOGPROBS")
    # The second quant is not asked: it has the same server.
    assert {r["quant_tag"] for r in raw(warehouse)} == {"F16"}
    assert (row["level"], row["prompts"], row["kept_prompts"]) == (
        "DIVERGENCE",
        TASKS,
        0,
    )
    assert fidelity(warehouse)["Q8_0"]["kept_prompts"] == TASKS


def test_a_protocol_without_lists_is_told_the_same(tmp_path, warehouse):
    with Bench(tmp_path, "lmstudio", (replace(F16, name="demo"),)) as bench:
        plan = bench.plan(Change("quants", ["F16"], (("models", 0, "quants"),)))
        bench.run(warehouse, plan)
    row = fidelity(warehouse)["F16"]
    assert (row["status"], row["reason"]) == ("UNSUPPORTED", "NO_LOGPROBS")


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        ("other-tokenizer", "UNSUPPORTED", "TOKENIZER_DIFFERS"),
        ("few-logprobs", "UNSUPPORTED", "TOO_FEW_LOGPROBS"),
        ("nan-logprobs", "UNSUPPORTED", "BAD_LOGPROBS"),
        ("distorted-logprobs", "UNSUPPORTED", "BAD_LOGPROBS"),
        ("no-token-grammar", "OK", None),
    ],
)
def test_one_faulty_quant_is_told_and_the_others_count(
    tmp_path, warehouse, fault, status, reason
):
    with Bench(tmp_path, "llama-server") as bench:
        bench.mocks["Q2_K"].set_faults(fault)
        bench.run(warehouse)
    found = fidelity(warehouse)
    assert (found["Q2_K"]["status"], found["Q2_K"]["reason"]) == (status, reason)
    assert found["Q8_0"]["status"] == "OK"
    if status == "OK":
        assert found["Q2_K"]["method"] == "PREFIX_REQUESTS"
    else:
        assert found["Q2_K"]["kld_nnats"] is None


def test_a_reference_that_does_not_answer_is_replaced_by_the_next(tmp_path, warehouse):
    said = Noted()
    with Bench(tmp_path, "llama-server") as bench:
        bench.mocks["F16"].set_faults("http-500")
        bench.run(warehouse, reporter=said)
    found = fidelity(warehouse)
    assert found["Q2_K"]["reference_quant_tag"] == "Q8_0"
    assert found["Q8_0"]["status"] == "REFERENCE"
    assert any("Q8_0 is the reference" in line for line in said.lines)


class Noted(Silence):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


class StopAtLoad(Silence):
    """Breaks off when so many models were loaded."""

    def __init__(self, loads: int) -> None:
        self._left = loads

    def loading(self, model_id: str, quant_tag: str) -> None:
        self._left -= 1
        if self._left == 0:
            raise Interrupted


def test_a_phase_that_was_broken_off_goes_on_where_it_stopped(tmp_path, warehouse):
    with Bench(tmp_path, "llama-server") as bench:
        plan = bench.plan()
        # F16 is loaded to answer and once more to follow; at Q8_0 it stops.
        assert (
            bench.run(warehouse, plan, reporter=StopAtLoad(3)).status == "INTERRUPTED"
        )
        kept = raw(warehouse, "fidelity_id")
        assert len(kept) == 2 * TASKS
        partly = fidelity(warehouse)["Q2_K"]
        assert (partly["status"], partly["reason"]) == ("UNSUPPORTED", "NOT_REACHED")
        assert bench.run(warehouse, plan, resume=True).status == "COMPLETED"
    rows = raw(warehouse, "fidelity_id")
    assert len(rows) == 4 * TASKS
    assert {row["fidelity_id"] for row in kept} < {row["fidelity_id"] for row in rows}
    assert fidelity(warehouse)["Q2_K"]["status"] == "OK"


def test_the_phase_is_off_unless_it_is_asked_for(tmp_path, warehouse):
    with Bench(tmp_path, "llama-server") as bench:
        plan, asked = bench.plan(Change("fidelity.enabled", False)), bench.plan()
        bench.run(warehouse, plan)
    assert plan.fidelity is None
    assert plan.plan_hash != asked.plan_hash
    assert raw(warehouse) == []
    assert fidelity(warehouse)["Q2_K"]["status"] == "NOT_RUN"


def test_prompts_are_spread_over_the_tasks(tmp_path):
    with Bench(tmp_path, "llama-server") as bench:
        whole = bench.plan()
        few = bench.plan(Change("fidelity.prompts", 3))
    assert few.fidelity is not None
    names = [entry.test_id for entry in whole.task_entries]
    assert few.fidelity.test_ids == [names[0], names[3], names[6]]


def test_before_rounds_a_slow_reference_answers_fewer_prompts(tmp_path, warehouse):
    """Where time sets their number; the others follow those, and nothing is missing."""
    with Bench(tmp_path, "llama-server", decode_rate=8) as bench:
        bench.run(warehouse, bench.plan(Change("budget", "14s")))
    rows = raw(warehouse, "role, quant_tag, test_id")
    answered = {row["test_id"] for row in rows if row["role"] == "REFERENCE"}
    assert 0 < len(answered) < TASKS
    assert len(rows) == 4 * len(answered)
    found = fidelity(warehouse)
    assert {row["broken_prompts"] for row in found.values()} == {0}
    assert {row["reason"] for row in found.values()} == {"TOO_FEW_PROMPTS"}


def test_rounds_begin_with_the_phase_and_end_it_within_a_budget(tmp_path, warehouse):
    with Bench(tmp_path, "openai") as bench:
        plan = bench.plan(Change("budget", "0"))
        outcome = bench.run(warehouse, plan)
    assert outcome.stop_reason == "BUDGET_ENDED"
    assert raw(warehouse) == []
