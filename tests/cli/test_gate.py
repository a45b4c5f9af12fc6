"""`orket gate` as a CI system and a person read it, and what it lets pass."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from xml.etree import ElementTree

import pytest

from orket.baselines import append_from_sweep
from orket.cli.main import run_command
from orket.records import Policy
from orket.text import printable
from tests.built_sweep import MS, START, Sweep, quiet_counters
from tests.report.hostile import QUANT, hostile_sweep

TASKS = ("t1", "t2", "t3")


def measure(sweep_id, days=0, wall_ms=None, wrong=(), **facts):
    """F16 and Q4_K_M, five times; `wall_ms` and `wrong` are Q4_K_M's by task."""
    sweep = Sweep(
        sweep_id=sweep_id,
        quants=("F16", "Q4_K_M"),
        tasks=TASKS,
        repetitions=facts.pop("repetitions", 5),
        started_at=START + timedelta(days=days),
        **facts,
    )
    for planned in sweep.plan():
        task = planned.test_id.removeprefix("bank/")
        own = planned.quant_tag == "Q4_K_M"
        sweep.add(
            planned.quant_tag,
            task,
            planned.repetition,
            passed=0 if own and task in wrong else 1,
            wall_ms=(wall_ms or {}).get(task, 600) if own else 600,
        )
    return sweep.finish()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A warehouse with baselines, stored after a first sweep, and later sweeps."""
    place = tmp_path_factory.mktemp("gate")
    store = measure("first").store(place)
    append_from_sweep(store, "first")
    later = 400
    young = Policy(baseline_max_age_us=10**6 * 86_400 * 3650)
    measure("same", later, policy=young).store(place)
    slow = {"t2": 900}
    measure("slow", later, wall_ms=slow, policy=young).store(place)
    measure("wrong", later, wrong=("t1",), policy=young).store(place)
    measure("few", later, repetitions=2, policy=young).store(place)
    other = {"hardware_fingerprint": "hw1-other"}
    measure("machine", later, manifest=other, policy=young).store(place)
    answers = Policy(baseline_max_age_us=10**6 * 86_400 * 3650, quality_only=True)
    measure("answers", later, wall_ms=slow, policy=answers).store(place)
    return str(place)


def ask(capsys, code, *args):
    assert run_command(["gate", *args]) == code
    captured = capsys.readouterr()
    return captured.out, captured.err


STATES = {
    "same": (0, {"ELIGIBLE": "PASSED", "ANSWERS": "PASSED", "TIME": "PASSED"}),
    # 300 ms are 50 % of 600, above 50 ms, and nothing varies.
    "slow": (4, {"ELIGIBLE": "PASSED", "ANSWERS": "PASSED", "TIME": "FAILED"}),
    # Two of three tasks are 67 % of F16's.
    "wrong": (4, {"ELIGIBLE": "FAILED", "ANSWERS": "FAILED", "TIME": "PASSED"}),
    "few": (4, {"ELIGIBLE": "PASSED", "ANSWERS": "NOT_JUDGED", "TIME": "NOT_JUDGED"}),
    "machine": (
        4,
        {"ELIGIBLE": "PASSED", "ANSWERS": "NOT_JUDGED", "TIME": "NOT_JUDGED"},
    ),
    "answers": (0, {"ELIGIBLE": "PASSED", "ANSWERS": "PASSED"}),
}


@pytest.mark.parametrize("sweep", STATES)
def test_what_is_not_shown_does_not_pass(folder, sweep, capsys):
    code, states = STATES[sweep]
    args = (sweep, "--quant", "q4_k_m", "-w", folder)
    (found,) = json.loads(ask(capsys, code, *args, "--format", "json")[0])
    assert {check["check"]: check["state"] for check in found["checks"]} == states
    assert found["passed"] == (code == 0)


def test_the_tests_and_the_remedy_are_named(folder, capsys):
    told, error = ask(capsys, 4, "slow", "--quant", "Q4_K_M", "-w", folder)
    assert told.splitlines() == [
        "m Q4_K_M: does not pass the gate",
        "  eligible  passed      it passes every gate",
        "  answers   passed      none of 3 tests is answered worse than the stored "
        "baseline",
        "  time      FAILED      1 of 3 tests take longer than the stored baseline",
        "    bank/t2",
        "    see orket baseline resolve",
    ]
    assert "the gate is not passed by m Q4_K_M" in error
    told, _ = ask(capsys, 4, "machine", "--quant", "Q4_K_M", "-w", folder)
    assert "0 of 3 tests can be held against a stored baseline; 3 tests: all" in told
    assert "all are of another machine" in told
    told, _ = ask(capsys, 4, "few", "--quant", "Q4_K_M", "-w", folder)
    assert "fewer than 5 runs on a side" in told and "measure with --runs 5" in told


def test_eligibility_alone_needs_no_baseline(folder, capsys):
    args = ("machine", "--quant", "F16", "--quant", "Q4_K_M", "-w", folder)
    told, _ = ask(capsys, 0, *args, "--no-baseline")
    assert told.count("passes the gate") == 2 and "time" not in told
    told, _ = ask(capsys, 4, "wrong", *args[1:], "--no-baseline")
    assert "see orket why Q4_K_M" in told


def test_junit_has_a_case_for_each_check(folder, tmp_path, capsys):
    file = tmp_path / "gate.xml"
    args = ("--quant", "Q4_K_M", "-w", folder, "--junit", str(file))
    ask(capsys, 4, "slow", *args)
    (suite,) = ElementTree.fromstring(file.read_bytes())
    assert suite.attrib == {
        "name": "m Q4_K_M",
        "tests": "3",
        "failures": "1",
        "errors": "0",
        "skipped": "0",
    }
    time = suite[2]
    assert (time.get("name"), time[0].tag) == ("time", "failure")
    assert "bank/t2" in (time[0].text or "")
    ask(capsys, 4, "few", *args)
    (suite,) = ElementTree.fromstring(file.read_bytes())
    assert (suite.get("failures"), suite.get("errors")) == ("0", "2")


def test_github_gets_annotations(folder, capsys):
    args = ("--quant", "Q4_K_M", "-w", folder, "--format", "github")
    assert ask(capsys, 0, "same", *args)[0] == (
        "::notice title=orket gate%3A m Q4_K_M::passes 3 of 3 checks\n"
    )
    assert ask(capsys, 4, "slow", *args)[0] == (
        "::error title=orket gate%3A m Q4_K_M%2C time::1 of 3 tests take longer than "
        "the stored baseline%0Abank/t2%0Asee orket baseline resolve\n"
    )
    told, _ = ask(capsys, 4, "wrong", *args)
    assert "it keeps 66.6 %25 of F16's adherence; 95 %25 are asked" in told


def test_hostile_names_stay_text(tmp_path, capsys):
    hostile_sweep(tmp_path)
    file = tmp_path / "gate.xml"
    args = ("--quant", QUANT, "-w", str(tmp_path), "--junit", str(file))
    told, _ = ask(capsys, 4, *args, "--format", "github")
    for line in told.splitlines():
        assert line.startswith("::error title=orket gate%3A ")
        assert line.count("::") == 2
    (suite,) = ElementTree.fromstring(file.read_bytes())
    assert printable(QUANT) in (suite.get("name") or "")


def test_a_name_with_a_line_break_makes_no_command_of_its_own():
    from orket.exports.gate import Gate, github_lines, render_junit

    check = {
        "check_name": "TIME",
        "state": "FAILED",
        "words": "50 %",
        "remedy": None,
        "worse_tests": ["a\n::set-env name=X::y", "\x00\ud800"],
    }
    gate = Gate("s", "m\r\n::error::x", "Q\x1b[2J", [check])
    (line,) = github_lines([gate])
    assert "\n" not in line and "\r" not in line and "\x1b" not in line
    assert line.startswith("::error title=orket gate%3A m\\r\\n%3A%3Aerror%3A%3Ax Q")
    ElementTree.fromstring(render_junit([gate]))


def test_a_quant_has_to_be_named_and_there(folder, capsys):
    assert "Missing option" in ask(capsys, 2, "same", "-w", folder)[1]
    said = ask(capsys, 2, "same", "--quant", "Q4KM", "-w", folder)[1]
    assert "did you mean Q4_K_M?" in said


def test_figures_of_disturbed_runs_pass_with_a_note(tmp_path, capsys):
    sweep = Sweep(
        sweep_id="busy",
        quants=("F16", "Q8_0", "Q4_K_M"),
        policy=Policy(include_polluted="fill"),
    )
    for planned in sweep.plan():
        task = planned.test_id.removeprefix("bank/")
        stop_ns = sweep.clock_ns + 600 * MS
        busy_ns = stop_ns * 192 // 100 + 500 * MS
        busy = quiet_counters(stop_ns, host_busy_ns=busy_ns)
        is_busy = planned.quant_tag == "Q4_K_M"
        after = busy if is_busy else quiet_counters(stop_ns)
        sweep.add(planned.quant_tag, task, after=after)
    sweep.finish().store(tmp_path)
    args = ("busy", "--no-baseline", "-w", str(tmp_path), "--quant")
    told, _ = ask(capsys, 0, *args, "Q4_K_M")
    said = "Its figures rest on disturbed runs: 2 runs of it and of the reference"
    assert said in " ".join(told.split())
    assert "disturbed" not in ask(capsys, 0, *args, "Q8_0")[0]
    file = tmp_path / "gate.xml"
    more = ("--format", "github", "--junit", str(file))
    notice, warning = ask(capsys, 0, *args, "Q4_K_M", *more)[0].splitlines()
    assert notice.startswith("::notice ") and warning.startswith("::warning ")
    assert said in warning
    (suite,) = ElementTree.fromstring(file.read_bytes())
    assert said in (suite[0][0].get("value") or "")
    (found,) = json.loads(ask(capsys, 0, *args, "Q4_K_M", "--format", "json")[0])
    assert (found["passed"], found["disturbed_runs"]) == (True, 2)


def test_as_csv_it_is_a_row_for_each_check(folder, capsys):
    args = ("wrong", "--quant", "Q4_K_M", "--quant", "F16", "-w", folder)
    told, _ = ask(capsys, 4, *args, "--format", "csv")
    states = {
        (row["quant_tag"], row["check"]): row["state"]
        for row in csv.DictReader(io.StringIO(told))
    }
    assert {
        check: state for (tag, check), state in states.items() if tag == "Q4_K_M"
    } == (STATES["wrong"][1])
    assert set(states.values()) == {"PASSED", "FAILED"} and len(states) == 6
