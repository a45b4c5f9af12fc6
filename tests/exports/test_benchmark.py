"""`orket show --format`: what programs read; Go benchmark format, read strictly."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from orket.cli.main import run_command
from orket.exports.benchmark import escape_name
from tests.built_sweep import CONTROLS, Sweep, quiet_counters

HOSTILE = "ev\u2028il|m\n# x\r\nBenchmarkFake 1 0 sec/op\x1b[2J"
"""A model whose name breaks lines, cells and terminals, if it can."""


@dataclass
class Result:
    """One result line with the configuration that describes it."""

    name: str
    values: dict[str, Decimal]
    config: dict[str, str]


@dataclass
class Parsed:
    results: list[Result] = field(default_factory=list)
    units: dict[str, str] = field(default_factory=dict)


def parse(text: str) -> Parsed:
    """Read the format as it is specified; a line of no known kind is an error."""
    assert text.endswith("\n")
    parsed = Parsed()
    config: dict[str, str] = {}
    # Lines end with a line feed alone; nothing else may look like an end of one.
    for line in text[:-1].split("\n"):
        assert line.isprintable(), line
        if line.startswith("#"):
            continue
        if line.startswith("Benchmark"):
            fields = line.split()
            assert len(fields) >= 4 and len(fields) % 2 == 0, line
            name = fields[0].removeprefix("Benchmark")
            assert name[0].isupper() and int(fields[1]) == 1
            pairs = zip(fields[3::2], map(Decimal, fields[2::2]), strict=True)
            parsed.results.append(Result(name, dict(pairs), dict(config)))
        elif line.startswith("Unit "):
            _, unit, fact = line.split()
            parsed.units[unit] = fact
        else:
            found = re.fullmatch(r"([a-z][^\sA-Z:]*):(?:[ \t]+(.*))?", line)
            assert found, line
            key, value = found.groups()
            config.pop(key, None)
            if value:
                config[key] = value
    return parsed


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two sweeps: two models, one with a hostile name, and a polluted run."""
    place = tmp_path_factory.mktemp("formats")
    sweep = Sweep(sweep_id="first", tasks=("t1", "t-2"), repetitions=2)
    for planned in sweep.plan():
        task = planned.test_id.removeprefix("bank/")
        wall_ms = {"F16": 900, "Q4_K_M": 600, "Q2_K": 550}[planned.quant_tag]
        later: dict[str, Any] = {}
        if (planned.quant_tag, task, planned.repetition) == ("Q2_K", "t1", 2):
            stop_ns = sweep.clock_ns + 550_000_000
            busy_ns = stop_ns * 192 // 100 + 500_000_000
            later = {"after": quiet_counters(stop_ns, host_busy_ns=busy_ns)}
        sweep.add(planned.quant_tag, task, planned.repetition, wall_ms=wall_ms, **later)
    sweep.finish().store(place)
    hostile = Sweep(
        sweep_id="second",
        model_id=HOSTILE,
        quants=("F16", "Q8 0/x-3"),
        controls=CONTROLS,
        quant_facts={"Q8 0/x-3": {"nominal_bpw_milli": 8000}},
    )
    hostile.fill().finish().store(place)
    return str(place)


def ask(capsys, folder, *args, code=0):
    assert run_command(["show", *args, "-w", folder]) == code
    captured = capsys.readouterr()
    return captured.out if code == 0 else captured.err


def test_every_run_that_counts_is_a_line_with_its_exact_times(folder, capsys):
    parsed = parse(ask(capsys, folder, "first", "--format", "benchstat"))
    assert parsed.units == {"sec/op": "better=lower", "tok/s": "better=higher"}
    # 3 quants x 2 tasks x 2 repetitions, but for the polluted one.
    assert len(parsed.results) == 11
    names = [result.name for result in parsed.results]
    assert names[0] == "Run/model=m/task=bank%2Ft-2/quant=F16"
    assert names.count("Run/model=m/task=bank%2Ft1/quant=Q2_K") == 1
    first = parsed.results[0]
    # 20 tokens after the first in 4/5 of 895 ms.
    assert first.values == {"sec/op": Decimal("0.9"), "tok/s": Decimal("27.933")}
    assert first.config == {
        "machine": "hw1-test",
        "os": "Linux",
        "cpu": "Test CPU",
        "temperature": "0",
        "threads": "2",
        "affinity-policy": "none",
        "warmup-steps": "1",
    }


def test_what_pollutes_counts_where_it_is_asked_for(folder, capsys):
    args = ("first", "--format", "benchstat", "--include-polluted", "fill")
    assert len(parse(ask(capsys, folder, *args)).results) == 12


def test_no_name_breaks_a_line_or_a_field(folder, capsys):
    parsed = parse(ask(capsys, folder, "second", "--format", "benchstat"))
    assert len(parsed.results) == 4
    assert {result.name.split("/")[3] for result in parsed.results} == {
        "quant=F16",
        "quant=Q8%200%2Fx%2D3",
    }
    for result in parsed.results:
        assert result.name.count("/") == 3 and "Fake" in result.name


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Q4_K_M", "Q4_K_M"),
        ("llama3.1:8b", "llama3.1:8b"),
        ("a b", "a%20b"),
        ("a%20b", "a%2520b"),
        ("a-8", "a-8"),
        ("8-a", "8-a"),
        ("é=1", "%C3%A9%3D1"),
        ("\ud800", "%3F"),
    ],
)
def test_names_are_escaped_so_that_none_is_another(text, shown):
    assert escape_name(text) == shown


def test_without_times_there_is_nothing_to_compare(folder, capsys):
    args = ("first", "--format", "benchstat", "--quality-only")
    error = ask(capsys, folder, *args, code=2)
    assert error == (
        "orket: error: no run of sweep first counts for times: "
        "orket show first says why\n"
    )


def test_json_is_the_summary(folder, capsys):
    shown = ask(capsys, folder, "first", "--format", "json")
    assert run_command(["export", "first", "-w", folder]) == 0
    assert shown == capsys.readouterr().out
    assert json.loads(shown)["sweep_id"] == "first"


def test_csv_has_a_row_for_each_quant_and_no_guess(folder, capsys):
    shown = ask(capsys, folder, "first", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(shown)))
    assert [row["quant_tag"] for row in rows] == ["F16", "Q4_K_M", "Q2_K"]
    assert [row["total_latency"] for row in rows[:2]] == ["0.900000", "0.600000"]
    assert rows[2]["valid_runs"] == "3" and rows[2]["planned_runs"] == "4"
    assert rows[2]["run_quality_reasons"] == "HIGH_FOREIGN_CPU"
    assert rows[0]["latency_p95"] == ""
    shown = ask(capsys, folder, "second", "--format", "csv")
    (first, _) = csv.DictReader(io.StringIO(shown))
    assert "\x1b" not in shown and first["model_id"].startswith("ev\\u2028il|m\n# x")


def test_markdown_is_the_table_and_no_name_is_markup(folder, capsys):
    lines = ask(capsys, folder, "first", "--format", "md").splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) == 5 and rows[3].startswith("| Q4\\_K\\_M | 4.80 |")
    assert len({row.count("|") for row in rows}) == 1
    hostile = ask(capsys, folder, "second", "--format", "md")
    assert "\x1b" not in hostile
    assert not [line for line in hostile.splitlines() if line.startswith("#")]
