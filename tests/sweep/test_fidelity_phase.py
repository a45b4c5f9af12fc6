"""The phase before the matrix, against pretended servers of every dialect."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orket.cli.fidelity_words import row_words
from orket.machine.fingerprint import read_fingerprint
from orket.mockserver import MockModel, MockServer, Profile
from orket.mockserver.profile import CannedAnswer
from orket.planning.plan import Plan, build_plan
from orket.planning.preset import Change, load_preset, override
from orket.planning.prompts_in_time import prompts_that_fit
from orket.providers.llamacpp.server import LlamaServerAdapter
from orket.records import ScoreFacts
from orket.sweep.execute import run_sweep
from orket.sweep.interrupts import Interrupted
from orket.sweep.reporter import Silence
from orket.sweep.resume import read_progress
from orket.warehouse import Warehouse
from tests.looking import ask
from tests.nightly import nightly
from tests.sweep.small import Impatient

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
    rows = ask(warehouse, "SELECT * FROM v1.fidelity")
    return {row["quant_tag"]: row for row in rows}


def raw(warehouse: Warehouse, columns: str = "*") -> list[dict[str, Any]]:
    return ask(warehouse, f"SELECT {columns} FROM raw.fidelity ORDER BY recorded_at")


@pytest.fixture(scope="module")
def led(tmp_path_factory) -> tuple[Plan, Warehouse]:
    """A finished sweep whose quants were led along the answers of F16."""
    folder = tmp_path_factory.mktemp("led")
    warehouse = Warehouse(folder / "warehouse")
    with Bench(folder, "llama-server") as bench:
        plan = bench.plan()
        assert bench.run(warehouse, plan).status == "COMPLETED"
    return plan, warehouse


def test_every_quant_is_led_along_the_answers_of_the_most_precise(led):
    _, warehouse = led
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


def test_no_row_of_the_phase_is_a_run(led):
    plan, warehouse = led
    (row,) = ask(warehouse, "SELECT count(*) AS runs FROM v1.attempts")
    (manifest,) = ask(warehouse, "SELECT fidelity FROM v1.manifest")
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
    found = fidelity(warehouse)
    row = found["Q2_K"]
    assert (row["status"], row["reason"]) == ("UNSUPPORTED", "NO_LOGPROBS")
    # The second quant is not asked: it has the same server.
    assert {r["quant_tag"] for r in raw(warehouse)} == {"F16"}
    assert (row["level"], row["prompts"], row["kept_prompts"]) == (
        "DIVERGENCE",
        TASKS,
        0,
    )
    assert found["Q8_0"]["kept_prompts"] == TASKS


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
        ("distorted-logprobs", "UNSUPPORTED", "BAD_LOGPROBS"),
        *nightly(
            ("few-logprobs", "UNSUPPORTED", "TOO_FEW_LOGPROBS"),
            ("nan-logprobs", "UNSUPPORTED", "BAD_LOGPROBS"),
            ("no-token-grammar", "OK", None),
        ),
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


KILLED = """
import os, signal, sys
from pathlib import Path
from orket.planning.plan import build_plan
from orket.planning.preset import load_preset
from orket.sweep.execute import run_sweep
from orket.sweep.reporter import Silence
from orket.warehouse import Warehouse, disk
from tests.sweep.small import Impatient

preset, folder, what, number = sys.argv[1:]
left = int(number)

def count(*_):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

def watch(step):
    if step.what == "remove" and step.path.parent.parent.name == "fidelity":
        count()

class Told(Silence):
    followed = count if what == "prompt" else Silence.followed

if what == "fold":
    disk.watcher = watch
plan = build_plan(load_preset(preset), "s")
run_sweep(plan, Warehouse(Path(folder)), Told(), clock=Impatient())
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no kill")
@pytest.mark.parametrize(
    ("what", "number", "answered"),
    [
        ("prompt", 5, 5),
        *nightly(
            ("prompt", 2 * TASKS + 4, 2 * TASKS + 4),
            ("prompt", 3 * TASKS + 7, 3 * TASKS + 7),
        ),
        # When the part of F16's answers, or of Q8_0, is written and its journal is not
        # removed yet.
        *nightly(("fold", 1, TASKS)),
        ("fold", 3, 3 * TASKS),
    ],
)
def test_a_kill_in_the_phase_loses_no_prompt_and_none_is_asked_again(
    tmp_path, warehouse, what, number, answered
):
    asked: list[str] = []

    class Counted(Silence):
        def followed(self, model_id: str, quant_tag: str) -> None:
            asked.append(quant_tag)

    with Bench(tmp_path, "llama-server") as bench:
        plan = bench.plan()
        script = [sys.executable, "-c", KILLED, str(tmp_path / "p.toml")]
        killed = subprocess.run(
            [*script, str(warehouse.path), what, str(number)],
            cwd=Path(__file__).resolve().parents[2],
            check=False,
        )
        assert killed.returncode == -signal.SIGKILL
        assert (
            bench.run(warehouse, plan, reporter=Counted(), resume=True).status
            == "COMPLETED"
        )
    assert len(asked) == 4 * TASKS - answered
    rows = raw(warehouse, "DISTINCT fidelity_id, quant_tag, role, test_id, recorded_at")
    cells = {(row["quant_tag"], row["role"], row["test_id"]) for row in rows}
    assert len(rows) == len(cells) == 4 * TASKS
    found = fidelity(warehouse)
    assert {row["prompts"] for row in found.values()} == {TASKS}
    assert found["Q2_K"]["status"] == "OK"


def test_a_resumed_budget_counts_the_time_of_a_phase_that_was_killed(
    tmp_path, warehouse
):
    with Bench(tmp_path, "llama-server") as bench:
        plan = bench.plan()
        bench.run(warehouse, plan, reporter=StopAtLoad(3))
        spent = read_progress(warehouse, plan, read_fingerprint().id).spent_seconds
    # Nothing but the phase was recorded so far.
    times = [row["recorded_at"] for row in raw(warehouse, "recorded_at")]
    assert spent >= (max(times) - min(times)).total_seconds() > 0


def test_an_answer_that_no_row_can_hold_ends_nothing(tmp_path, warehouse, monkeypatch):
    """Half a surrogate pair in the texts of a server without ids."""

    def torn(self: Any, request: Any, k: int) -> ScoreFacts:
        return ScoreFacts(
            level="PREFIX",
            outcome="OK",
            k=k,
            max_tokens=4,
            path_texts=["\ud800"],
            top_texts=[["\ud800"]],
            top_nnats=[[-1]],
        )

    monkeypatch.setattr(LlamaServerAdapter, "score_answer", torn)
    with Bench(tmp_path, "llama-server") as bench:
        assert bench.run(warehouse).status == "COMPLETED"
    rows = raw(warehouse, "outcome, error_class, error_message")
    assert {row["outcome"] for row in rows} == {"FAILED"}
    assert {row["error_class"] for row in rows} == {"BAD_LOGPROBS"}
    assert all("path_texts" in row["error_message"] for row in rows)


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
    with Bench(tmp_path, "llama-server", decode_rate=32) as bench:
        bench.run(warehouse, bench.plan(Change("budget", "12s")))
    rows = raw(warehouse, "role, quant_tag, test_id")
    answered = {row["test_id"] for row in rows if row["role"] == "REFERENCE"}
    assert 0 < len(answered) < TASKS
    assert {row["test_id"] for row in rows} == answered
    assert len(rows) > len(answered)
    for row in fidelity(warehouse).values():
        assert row["broken_prompts"] in (0, None)
        assert row["reason"] in ("TOO_FEW_PROMPTS", "NO_TIME")


class Slowed(Impatient):
    """A clock on which more time passes than does."""

    seconds = 0.0

    def monotonic_ns(self) -> int:
        return super().monotonic_ns() + int(self.seconds * 10**9)


class Slowing(Noted):
    """From when quants follow the reference, each prompt takes so long."""

    def __init__(self, clock: Slowed, after: int, seconds: float) -> None:
        super().__init__()
        self._clock, self._left, self._seconds = clock, after, seconds

    def followed(self, model_id: str, quant_tag: str) -> None:
        self._left -= 1
        if self._left < 0:
            self._clock.seconds += self._seconds

    def faithful(self, quants: Sequence[Mapping[str, Any]]) -> None:
        raise Interrupted


def follow_slowly(
    bench: Bench, warehouse: Warehouse, seconds: float, loads: int | None = None
) -> list[str]:
    """24 prompts, as many as take a minute; then each takes so long."""
    clock = Slowed()
    said = Slowing(clock, 24, seconds)
    if loads is not None:
        said.loading = StopAtLoad(loads).loading  # type: ignore[method-assign]
    plan = bench.plan(
        Change("budget", "1h"), Change("limit", 24, (("tasks", "limit"),))
    )
    run_sweep(plan, warehouse, said, clock=clock, resume=bool(raw(warehouse)))
    return said.lines


class UntilFound(Noted):
    """Stops where the phase is over."""

    def faithful(self, quants: Sequence[Mapping[str, Any]]) -> None:
        raise Interrupted


def test_one_answer_that_was_held_up_does_not_end_those_of_the_reference(
    tmp_path, warehouse, monkeypatch
):
    """By it alone a single prompt would be left, which tells nothing of any quant."""
    clock = Slowed()
    answer = LlamaServerAdapter.score_answer

    def held_up(self: LlamaServerAdapter, *args: Any) -> ScoreFacts:
        clock.seconds = 60.0
        return answer(self, *args)

    monkeypatch.setattr(LlamaServerAdapter, "score_answer", held_up)
    with Bench(tmp_path, "llama-server") as bench:
        plan = bench.plan(
            Change("budget", "1h"), Change("limit", 24, (("tasks", "limit"),))
        )
        run_sweep(plan, warehouse, UntilFound(), clock=clock)
    assert min(count_prompts(warehouse).values()) >= 8


def events(warehouse: Warehouse, name: str) -> list[dict[str, Any]]:
    with warehouse.session("s") as session:
        return session.rows(
            "SELECT quant_tag, test_ids, reason, recorded_at FROM raw.events "
            "WHERE event = ? ORDER BY event_id",
            [name],
        )


def count_prompts(warehouse: Warehouse) -> dict[str, int]:
    rows = raw(warehouse, "quant_tag, role")
    tags = [row["quant_tag"] for row in rows if row["role"] == "QUANT"]
    return {tag: tags.count(tag) for tag in tags}


def test_when_prompts_take_longer_all_are_compared_on_fewer_of_them(
    tmp_path, warehouse
):
    """Two minutes are gone after F16: 5 s * 24. Eight each are asked all the same."""
    with Bench(tmp_path, "llama-server") as bench:
        lines = follow_slowly(bench, warehouse, 5)
    assert count_prompts(warehouse) == {"F16": 24, "Q8_0": 8, "Q2_K": 8}
    (narrowed,) = events(warehouse, "FIDELITY_NARROWED")
    assert (narrowed["quant_tag"], len(narrowed["test_ids"])) == ("Q8_0", 8)
    assert events(warehouse, "FIDELITY_LEFT_OUT") == []
    asked = {r["test_id"] for r in raw(warehouse) if r["quant_tag"] == "Q2_K"}
    assert set(narrowed["test_ids"]) == asked
    for row in fidelity(warehouse).values():
        assert (row["prompts"], row["broken_prompts"]) == (8, 0)
        assert row["narrowed_from"] == 24
        assert row["status"] in ("OK", "REFERENCE")
    assert sum("are compared on at most 8" in line for line in lines) == 1
    first = next(line for line in lines if line.startswith("fidelity: "))
    assert first.startswith("fidelity: at most 24 prompts, 3 quants of ")


@pytest.fixture(scope="module")
def slow(tmp_path_factory) -> tuple[Warehouse, list[str]]:
    """A phase in which each prompt takes 12 s, and what was noted meanwhile."""
    folder = tmp_path_factory.mktemp("slow")
    warehouse = Warehouse(folder / "warehouse")
    with Bench(folder, "llama-server") as bench:
        return warehouse, follow_slowly(bench, warehouse, 12)


def test_who_there_is_no_time_for_is_left_out_and_not_called_broken(slow):
    """F16 does 16 in 192 s, Q8_0 8 until 288 s; at 300 s it is over: Q2_K has one."""
    warehouse, lines = slow
    assert count_prompts(warehouse) == {"F16": 16, "Q8_0": 8, "Q2_K": 1}
    sizes = [len(e["test_ids"]) for e in events(warehouse, "FIDELITY_NARROWED")]
    assert sizes == [16, 8]
    (late,) = events(warehouse, "FIDELITY_LEFT_OUT")
    assert late["quant_tag"] == "Q2_K"
    found = fidelity(warehouse)
    assert (found["Q8_0"]["status"], found["Q8_0"]["prompts"]) == ("OK", 8)
    row = found["Q2_K"]
    assert (row["status"], row["reason"]) == ("UNSUPPORTED", "NO_TIME")
    assert row["same_top_ppm"] is row["positions"] is row["method"] is None
    assert any("may take no more" in line for line in lines)
    # Who has none is named once, by the rows, in the words of the closing screen.
    assert not any("Q2_K" in line and "no more" in line for line in lines)
    assert "No fidelity of Q2_K (no time)." in list(
        row_words(list(found.values()), False)
    )


def test_each_decision_on_prompts_can_be_made_again_from_the_rows(slow):
    warehouse, _ = slow
    rows = raw(warehouse, "wall_ns, test_id, role, quant_tag, recorded_at")
    order = [row["test_id"] for row in rows if row["role"] == "REFERENCE"]
    decisions = events(warehouse, "FIDELITY_NARROWED")
    assert decisions
    for decision in decisions:
        said = json.loads(decision["reason"])
        before = [r for r in rows if r["recorded_at"] < decision["recorded_at"]]
        recent = [row["wall_ns"] for row in before[-8:]]
        assert said["prompt_ns"] == sum(recent) // len(recent)
        own = [r["quant_tag"] == decision["quant_tag"] for r in before]
        own_rows = [r for r, is_own in zip(before, own, strict=True) if is_own]
        assert said["done"] == sum(row["role"] == "QUANT" for row in own_rows)
        count = prompts_that_fit(**said)
        assert decision["test_ids"] == order[:count]
        assert count < said["now"]


def test_a_resumed_phase_keeps_to_the_prompts_that_were_left(tmp_path, warehouse):
    """It stops at Q2_K, behind the eight of Q8_0; another executor has time for it."""
    with Bench(tmp_path, "llama-server") as bench:
        follow_slowly(bench, warehouse, 5, loads=4)
        assert count_prompts(warehouse) == {"F16": 24, "Q8_0": 8}
        assert fidelity(warehouse)["Q2_K"]["reason"] == "NOT_REACHED"
        follow_slowly(bench, warehouse, 0)
    assert count_prompts(warehouse) == {"F16": 24, "Q8_0": 8, "Q2_K": 8}
    assert {row["prompts"] for row in fidelity(warehouse).values()} == {8}


def test_who_was_left_out_is_asked_by_the_next_executor(tmp_path, warehouse):
    with Bench(tmp_path, "llama-server") as bench:
        follow_slowly(bench, warehouse, 12, loads=5)
        assert fidelity(warehouse)["Q2_K"]["reason"] == "NO_TIME"
        follow_slowly(bench, warehouse, 0)
    row = fidelity(warehouse)["Q2_K"]
    assert (row["status"], row["prompts"], row["broken_prompts"]) == ("OK", 8, 0)


def test_whoever_names_the_prompts_gets_them(tmp_path, warehouse):
    with Bench(tmp_path, "llama-server") as bench:
        clock = Slowed()
        plan = bench.plan()
        run_sweep(plan, warehouse, Slowing(clock, 9, 900), clock=clock)
    assert set(count_prompts(warehouse).values()) == {TASKS}


def test_where_there_was_no_time_for_it_nothing_is_told_of_fidelity(
    tmp_path, warehouse
):
    """Answers of the gate alone compare nobody."""

    class Told(Noted):
        def faithful(self, quants: Sequence[Mapping[str, Any]]) -> None:
            self.lines.append("FAITHFUL")

    said = Told()
    with Bench(tmp_path, "llama-server") as bench:
        bench.run(warehouse, bench.plan(Change("budget", "0")), reporter=said)
    assert "there is no time for fidelity" in said.lines
    assert "FAITHFUL" not in said.lines


def test_rounds_begin_with_the_phase_and_end_it_within_a_budget(tmp_path, warehouse):
    with Bench(tmp_path, "openai") as bench:
        plan = bench.plan(Change("budget", "0"))
        outcome = bench.run(warehouse, plan)
    assert outcome.stop_reason == "BUDGET_ENDED"
    assert raw(warehouse) == []
