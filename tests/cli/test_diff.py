"""`orket diff` as a person and a program read it, and its exit codes."""

from __future__ import annotations

import csv
import io
import json

import msgspec
import pytest

from orket.cli.main import run_command
from orket.records import Policy
from tests.built_sweep import MS
from tests.views.test_diff import OTHER, measure


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("diff")
    measure("base").store(place)
    measure("lost", lost=7).store(place)
    measure("machine", manifest=OTHER).store(place)
    measure("renamed", model_id="m2").store(place)
    return str(place)


def ask(capsys: pytest.CaptureFixture[str], code: int, *args: str) -> tuple[str, str]:
    assert run_command(["diff", *args]) == code
    captured = capsys.readouterr()
    return captured.out, captured.err


def test_what_is_worse_is_said_with_its_tasks_and_ends_with_4(folder, capsys):
    told, error = ask(capsys, 4, "base", "lost", "-w", folder, "--tasks", "2")
    assert told.splitlines()[1] == "Worse: Q4_K_M. No difference shown: F16."
    lines = told.splitlines()
    assert (
        "Answers of Q4_K_M: 7 lost and 0 gained of 16 tasks, in 7 families: more than "
        "chance does." in lines
    )
    assert "  Q4_K_M lost: bank/t00, bank/t01, and 5 more" in lines
    # What holds of all is said once, however much else differs between them.
    assert (
        "Times of all: no difference shown over 3 blocks: not beyond chance, nor the "
        "noise of the blocks, nor the floors of comparisons, nor the 3 % that the "
        "canaries bound." in lines
    )
    assert told.count("canaries bound") == 1
    assert "worse than before: m Q4_K_M" in error
    told, _ = ask(capsys, 0, "base", "lost", "-w", folder, "--quant", "f16")
    assert "Q4_K_M" not in told


def test_across_machines_answers_alone_are_compared(folder, capsys):
    told, _ = ask(capsys, 0, "base", "machine", "-w", folder)
    assert (
        "Differs: machine, hw1-test -> hw1-other: times are not compared"
        in told.splitlines()
    )
    # Said once of all quants that it holds for.
    assert told.count("they were measured on two machines") == 1


def test_as_json_it_is_whole(folder, capsys):
    told, _ = ask(capsys, 4, "base", "lost", "-w", folder, "--format", "json")
    (found,) = json.loads(told)
    quant = found["quants"][1]
    assert (quant["quant_tag"], quant["verdict"]) == ("Q4_K_M", "WORSE")
    assert quant["answers"]["lost_tasks"] == [f"bank/t0{n}" for n in range(7)]
    assert quant["times"]["before_seconds"] == quant["times"]["after_seconds"] == 0.6
    assert [fact["fact"] for fact in found["facts"]][:2] == ["model", "tasks"]


def test_as_csv_it_is_a_flat_row_for_each_quant(folder, capsys):
    told, _ = ask(capsys, 4, "base", "lost", "-w", folder, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(told)))
    assert [(row["quant_tag"], row["verdict"]) for row in rows] == [
        ("F16", "NO_DIFFERENCE"),
        ("Q4_K_M", "WORSE"),
    ]
    assert rows[1]["answers_lost"] == "7"
    assert rows[1]["times_before_seconds"] == "0.600000"
    told, _ = ask(capsys, 4, "base", "lost", "-w", folder, "--format", "json")
    (found,) = json.loads(told)
    # No key of the document is left out of the row.
    flat = {
        f"{name}_{key}" if isinstance(value, dict) else name
        for name, value in found["quants"][0].items()
        for key in (value if isinstance(value, dict) else [""])
    }
    assert flat <= set(rows[0])
    # An earlier name of the table is taken too.
    text, _ = ask(capsys, 4, "base", "lost", "-w", folder, "--format", "text")
    assert text == ask(capsys, 4, "base", "lost", "-w", folder)[0]


def test_what_cannot_be_compared_is_one_line_with_what_to_do(folder, capsys):
    for args, said in (
        (["base", "base"], "base is both sweeps"),
        (["base", "renamed"], "name one of each: --model m=m2"),
        (["base", "renamed", "--model", "m=m3"], "no model 'm3' in sweep renamed"),
        (["base", "lost", "--quant", "Q4KM"], "did you mean Q4_K_M?"),
        (["base", "lost", "--model", "=x"], "names no model"),
        (["base", "nope"], "is not in the warehouse"),
    ):
        assert said in ask(capsys, 2, *args, "-w", folder)[1]
    told, _ = ask(capsys, 0, "base", "renamed", "--model", "m=m2", "-w", folder)
    assert told.startswith("m and m2: renamed against base")


def test_the_second_sweep_may_lie_in_another_warehouse(folder, tmp_path, capsys):
    measure("elsewhere", lost=7).store(tmp_path)
    args = ["base", "elsewhere", "-w", folder, "--after-warehouse", str(tmp_path)]
    assert "worse than before" in ask(capsys, 4, *args)[1]


def test_disturbed_runs_that_count_are_told(folder, tmp_path, capsys):
    """Other programs took a half of the machine in all runs of the second sweep."""
    policy = {"policy": Policy(include_polluted="fill")}
    place = str(tmp_path)
    measure("quiet", model=policy).store(place)
    busy = measure("busy", model=policy)
    for number, run in enumerate(busy.runs):
        assert run.after is not None and run.after.host_busy_ns is not None
        taken = run.after.host_busy_ns + 500 * MS
        after = msgspec.structs.replace(run.after, host_busy_ns=taken)
        busy.runs[number] = msgspec.structs.replace(run, after=after)
    busy.store(place)
    told, _ = ask(capsys, 0, "quiet", "busy", "-w", place)
    assert (
        "Disturbed runs that count by the policy: 0 of 96 in quiet, 96 of 96 in busy; "
        "a difference of times may be theirs" in told
    )
    told, _ = ask(capsys, 0, "quiet", "busy", "-w", place, "--format", "json")
    (found,) = json.loads(told)
    assert found["runs"] == {
        "before": {"runs": 96, "disturbed": 0},
        "after": {"runs": 96, "disturbed": 96},
    }
