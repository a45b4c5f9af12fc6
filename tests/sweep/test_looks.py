"""What a sweep tells while it runs: standings, what lies ahead, a busy machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import psutil
import pytest

from orket.cli.main import run_command
from orket.errors import WarehouseError
from orket.machine.consumers import NS, Usage, Users, find_busiest, say_busiest
from orket.mockserver.server import MockServer
from orket.planning.plan import Plan, build_plan
from orket.planning.preset import Change, load_preset, override
from orket.records import Policy, RunRecord
from orket.sweep import pollution
from orket.sweep.execute import run_sweep
from orket.sweep.gate import say_busy
from orket.sweep.judge import Gate, Judge, read_gate
from orket.sweep.reporter import Ahead, Silence, Standing
from orket.warehouse import Warehouse
from tests.built_sweep import MS, Sweep, quiet_counters
from tests.sweep import small
from tests.sweep.small import FAST

PRESET = small.PRESET.replace("[policy]", "[fidelity]\nprompts = 2\n\n[policy]")


class Watcher(Silence):
    """Keeps all that it is told."""

    watches = True

    def __init__(self) -> None:
        self.total = 0
        self.done = 0
        self.standings: list[Standing] = []
        self.ahead: list[Ahead] = []
        self.fidelity: list[Mapping[str, Any]] = []
        self.asked: list[Ahead] = []
        self.notes: list[str] = []

    def started(self, plan: Plan, total: int) -> None:
        self.total = total

    def extended(self, calls: int) -> None:
        self.total += calls

    def recorded(self, row: RunRecord) -> None:
        self.done += 1

    def followed(self, model_id: str, quant_tag: str) -> None:
        self.done += 1

    def stands(self, standing: Standing) -> None:
        self.standings.append(standing)

    def faithful(self, quants: Sequence[Mapping[str, Any]]) -> None:
        self.fidelity = list(quants)

    def agrees(self, ahead: Ahead, basis: str) -> bool:
        self.asked.append(ahead)
        return True

    def goes_on(self, ahead: Ahead) -> None:
        self.ahead.append(ahead)

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def sweep(tmp_path):
    def run(reporter: Any, *changes: Change, **how: Any) -> Warehouse:
        warehouse = Warehouse(tmp_path / "warehouse")
        path = tmp_path / "p.toml"
        with MockServer("ollama", FAST) as server:
            path.write_text(PRESET.format(url=server.url))
            preset = override(load_preset(str(path)), changes)
            run_sweep(build_plan(preset, "s", **how), warehouse, reporter)
        return warehouse

    return run


def test_every_call_and_prompt_that_was_promised_is_told(sweep):
    watcher = Watcher()
    sweep(watcher, Change("fidelity.enabled", True))
    assert watcher.done == watcher.total
    assert [row["quant_tag"] for row in watcher.fidelity] == ["Q8_0", "Q2_K"]


def test_the_phase_fidelity_is_part_of_what_lies_ahead(sweep):
    watcher = Watcher()
    sweep(watcher, Change("fidelity.enabled", True))
    # Asked once, before the phase; its blocks lie ahead of the matrix.
    (asked,) = watcher.asked
    assert asked.next == (("demo", "Q8_0"), ("demo", "Q2_K"))
    matrix = [ahead for ahead in watcher.ahead if len(ahead.next) > 2]
    assert matrix and asked.most is not None and matrix[0].most is not None
    assert asked.most > matrix[0].most > 0
    used = [ahead.used for ahead in watcher.ahead]
    assert used == sorted(used)


def test_how_the_quants_stand_is_told_between_blocks(sweep, monkeypatch):
    monkeypatch.setattr(pollution, "LOOK_SHARE_INVERSE", 0)
    watcher = Watcher()
    sweep(watcher, skip_canary=True)
    assert len(watcher.standings) == 4
    first, last = watcher.standings[0], watcher.standings[-1]
    assert [row["quant_tag"] for row in last.quants] == ["Q8_0", "Q2_K"]
    assert [row["attempts"] for row in first.quants] == [3, 0]
    assert [row["attempts"] for row in last.quants] == [6, 6]


def test_a_look_is_not_taken_again_before_its_cost_is_made_up_for(sweep, monkeypatch):
    monkeypatch.setattr(pollution, "FIRST_COST_SECONDS", 0)
    watcher = Watcher()
    sweep(watcher, skip_canary=True)
    assert len(watcher.standings) == 1


def test_nobody_who_looks_costs_no_look(sweep, monkeypatch):
    def never(_: Judge) -> Standing:
        raise AssertionError("looked")

    monkeypatch.setattr(Judge, "read_standing", never)
    sweep(Silence(), skip_canary=True)


def test_a_look_that_fails_does_not_end_the_sweep(sweep, monkeypatch):
    def broken(_: Judge) -> Standing:
        raise WarehouseError("a view broke")

    monkeypatch.setattr(Judge, "read_standing", broken)
    monkeypatch.setattr(pollution, "LOOK_SHARE_INVERSE", 0)
    watcher = Watcher()
    warehouse = sweep(watcher, skip_canary=True)
    assert [note for note in watcher.notes if "a view broke" in note] == watcher.notes
    with warehouse.session("s") as session:
        (end,) = session.rows("SELECT event FROM raw.events")
    assert end["event"] == "SWEEP_FINISHED"


def test_a_time_that_was_not_known_is_asked_about_when_it_is(sweep):
    watcher = Watcher()
    sweep(watcher, skip_canary=True)
    # No size, no call so far: not known; then known by the first block.
    assert [ahead.most is None for ahead in watcher.asked] == [True, False]


def test_processes_of_one_program_are_told_together():
    def users(at: int, *used: float) -> Users:
        found = {
            (9_000_000 + place, 1.0): Usage("cc1", 1, round(seconds * NS))
            for place, seconds in enumerate(used)
        }
        found[(8_000_000, 1.0)] = Usage("top", 1, round(at * 0.4 * NS))
        return Users(at * NS, found)

    cpus = psutil.cpu_count() or 1
    told = find_busiest(users(0, 0.0, 0.0), users(1, 0.3, 0.3), ())
    assert told is not None
    assert told[0] == "cc1 (2 processes)"
    assert told[1] == pytest.approx(600_000 / cpus, abs=2)
    # Those that are measured are no foreign program.
    without = find_busiest(
        users(0, 0.0, 0.0), users(1, 0.3, 0.3), (9_000_000, 9_000_001)
    )
    assert without is not None and without[0] == "top (pid 8000000)"


def test_who_uses_next_to_nothing_is_not_named():
    def users(at: int, used: float) -> Users:
        found = {(9_000_000, 1.0): Usage("kworker", 1, round(used * NS))}
        return Users(at * NS, found)

    cpus = psutil.cpu_count() or 1
    assert find_busiest(users(0, 0.0), users(1, 0.009 * cpus), ()) is None
    assert find_busiest(users(0, 0.0), users(1, 0.011 * cpus), ()) is not None
    assert say_busiest(users(0, 0.0), users(1, 0.009 * cpus), ()) is None
    told = say_busiest(users(0, 0.0), users(1, 0.4 * cpus), ())
    assert told == "kworker (pid 9000000) uses 40 % of the CPUs"


def test_a_busy_machine_is_told_with_its_program_and_the_way_out():
    said = say_busy(Gate([], 10, 7, True), "cc1 (pid 7) uses 45 % of the CPUs")
    assert "cc1 (pid 7) uses 45 % of the CPUs" in said
    assert "7 of the gate's 10 runs" in said
    assert "--quality-only" in said
    assert "other programs use the CPU" in say_busy(Gate([], 10, 7, True), None)


@pytest.mark.parametrize(
    ("burnt_ms", "facts", "is_busy"),
    [
        ([400, 400, 0], {}, True),
        ([400, 0, 0], {}, False),
        ([400, 400, 400], {"quality_only": True}, False),
    ],
)
def test_a_gate_is_busy_when_others_disturbed_every_second_run(
    burnt_ms, facts, is_busy, tmp_path
):
    sweep = Sweep(quants=("F16",), tasks=("t1",), policy=Policy(**facts))
    for number, burnt in enumerate(burnt_ms):
        end_ns = sweep.clock_ns + 600 * MS
        busy_ns = end_ns * 192 // 100 + burnt * MS
        before = quiet_counters(sweep.clock_ns)
        sweep.add(
            "F16",
            "t1",
            phase="canary",
            run_id=f"c{number}",
            before=before,
            after=quiet_counters(end_ns, host_busy_ns=busy_ns),
        )
        # A window of its own: the next run begins seconds later.
        sweep.clock_ns += 10_000 * MS
    gate = read_gate(sweep.store(tmp_path), sweep.sweep_id)
    assert gate.is_busy is is_busy
    if not facts:
        assert (gate.runs, gate.disturbed) == (3, sum(map(bool, burnt_ms)))


def test_a_sweep_whose_budget_ended_shows_how_to_go_on(sweep, tmp_path, capsys):
    warehouse = sweep(
        Silence(), Change("budget", "0"), Change("repetitions", 1), skip_canary=True
    )
    assert run_command(["show", "s", "-w", str(warehouse.path)]) == 0
    said = capsys.readouterr().err
    assert "rounds judged so far: " in said
    assert "its budget of 0 ended before it was decided" in said
    assert f"orket run --resume s -w {warehouse.path} --budget 1m" in said
