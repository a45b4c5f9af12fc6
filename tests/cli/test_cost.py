"""What a passed task costs, as the terminal, a file and a page tell it."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal

import pytest

from orket.cli.main import run_command
from orket.errors import UsageError
from orket.exports.cost import Price, cost_words, read_price
from tests.views.test_cost import measure


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("cost")
    facts = {"Q4_K_M": {"kv_cache_bytes": 4096 * 100_000}}
    measure("priced", quant_facts=facts).store(place)
    return str(place)


def ask(capsys, folder, *args, code=0):
    assert run_command([*args, "-w", folder]) == code
    captured = capsys.readouterr()
    return captured.out if code == 0 else captured.err


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("1.20", Price(Decimal("1.20"))),
        ("1.20 EUR", Price(Decimal("1.20"), "EUR")),
        ("0.79$", Price(Decimal("0.79"), "$")),
        ("0", Price(Decimal(0))),
        ("2 \x1b[J", Price(Decimal(2), "\\x1b[J")),
    ],
)
def test_a_price_is_a_number_and_the_users_word(text, price):
    assert read_price(text) == price


@pytest.mark.parametrize(
    "text", ["", "EUR", "-1", "1e9", "1.2 EUR each", "1,20", "NaN"]
)
def test_what_is_no_price_is_one_line(text):
    with pytest.raises(UsageError, match="is no price per hour"):
        read_price(text)


def test_what_is_shown_keeps_three_digits_and_no_exponent():
    price = Price(Decimal("3.60"), "EUR")
    # A thousandth of 3.60 a second.
    assert price.text(Decimal("0.8")) == "0.000800"
    assert price.text(Decimal("0.8"), 1000) == "0.800"
    assert price.text(Decimal(12_345), 1000) == "12345"
    assert price.text(None) == "-"
    assert Price(Decimal(0)).text(Decimal(1)) == "0"


def test_show_tells_seconds_joules_and_the_price(folder, capsys):
    told = ask(capsys, folder, "show", "--price", "3.60 EUR")
    (line,) = [
        line for line in told.splitlines() if "800.0 ms" in line and "Q4_K_M" in line
    ]
    assert "0.000800" in line
    assert "0.800 (0.629 to 2.00)" in line
    assert line.split()[-3:] == ["16.0", "160", "79,399"]
    assert "No context left of F16: what a token of context takes" in told
    assert "passed task" not in ask(capsys, folder, "show")


def test_files_have_the_price_beside_what_was_measured(folder, capsys):
    told = ask(capsys, folder, "show", "--format", "csv", "--price", "3.60 EUR")
    row = list(csv.DictReader(io.StringIO(told)))[1]
    assert row["seconds_per_passed_task"] == "0.800000"
    assert row["cpu_joules_per_passed_task"] == "16.000000"
    assert Decimal(row["cost_per_1000_passed_tasks"]) == Decimal("0.8")
    assert (row["price_per_hour"], row["currency"]) == ("3.60", "EUR")
    assert "| Q4\\_K\\_M | 800.0 ms" in ask(
        capsys, folder, "show", "--format", "md", "--price", "3.60"
    )
    args = ("show", "--format", "json", "--price", "1")
    assert "--price changes nothing" in ask(capsys, folder, *args, code=2)
    summary = json.loads(ask(capsys, folder, "show", "--format", "json"))
    assert "price" not in json.dumps(summary["sessions"][0]["per_quant"])


def test_why_tells_what_is_known_and_what_is_not(folder, capsys):
    told = ask(capsys, folder, "why", "Q4_K_M")
    assert "a passed task; 16.0 J of the CPU; 160 J of the GPU." in told
    assert (
        "Context left: the memory holds 79,399 tokens more; what context the model was "
        "trained for is not recorded." in told
    )
    assert "Context left: not known, since what a token of context takes" in ask(
        capsys, folder, "why", "F16"
    )


def test_the_report_has_the_price_only_where_it_is_given(folder, capsys, tmp_path):
    pytest.importorskip("altair")
    target = tmp_path / "r.html"
    ask(capsys, folder, "report", "--price", "3.60 <b>", "-o", str(target))
    page = target.read_text()
    assert "At 3.60 &lt;b&gt; an hour, which is given and not measured" in page
    assert "0.800 (0.629 to 2.00)" in page
    ask(capsys, folder, "report", "-o", str(target))
    page = target.read_text()
    assert "What does a passed task cost?" in page and "an hour" not in page


@pytest.mark.parametrize(
    ("limit", "left", "said"),
    [
        ("MEMORY", 79_399, "the memory holds 79,399 tokens more."),
        ("TRAINING", 4096, "4,096 tokens more, up to the 8,192 that the model was"),
        ("TRAINING", 0, "none, for the model was trained for 8,192 tokens."),
    ],
)
def test_what_bounds_the_context_that_is_left_is_said(limit, left, said):
    cost = {
        "seconds_per_passed_task": Decimal(1),
        "seconds_low": Decimal(1),
        "seconds_high": Decimal(2),
        "cpu_joules_per_passed_task": None,
        "gpu_joules_per_passed_task": None,
        "cpu_energy_status": "NO_DEVICE",
        "gpu_energy_status": "NO_DEVICE",
        "context_status": "OK",
        "context_left_tokens": left,
        "context_left_limit": limit,
        "trained_context_tokens": 8192,
    }
    *_, told = cost_words(cost)
    assert told.startswith(f"Context left: {said}")
