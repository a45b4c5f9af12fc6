"""Rows as table, JSON and CSV; untrusted text cannot drive the terminal."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from orket.cli.output import print_line, print_rows, show_value

EVIL = '[red]\x1b[2J[/red]\nsecond, "line"'
ROWS = [
    {"name": "a", "count": 1, "ratio": Decimal("0.50"), "when": None},
    {"name": EVIL, "count": 20, "when": datetime(2026, 1, 31, 12, tzinfo=UTC)},
]
COLUMNS = ("name", ("count", "how many"), "ratio", "when")


@pytest.fixture
def printed(capsys):
    def run(output_format, rows=ROWS, columns=COLUMNS):
        print_rows(rows, columns, output_format)
        return capsys.readouterr().out

    return run


def test_csv_reads_back(printed):
    text = printed("csv")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["count"] for row in rows] == ["1", "20"]
    assert rows[1]["name"] == '[red]\\x1b[2J[/red]\nsecond, "line"'
    assert rows[1]["ratio"] == ""
    assert "\x1b" not in text


def test_csv_holds_names_and_numbers_as_they_are(printed):
    """A sign before what a spreadsheet takes for a formula would make another name."""
    names = ["=cmd|' /C calc'!A0", "@SUM(A1)", "+1+1", "-1+1", "\t=1", "'=1"]
    rows = [{"name": name, "delta": -number} for number, name in enumerate(names)]
    found = list(csv.DictReader(io.StringIO(printed("csv", rows, ("name", "delta")))))
    assert [row["delta"] for row in found] == ["0", "-1", "-2", "-3", "-4", "-5"]
    assert [row["name"].replace("\\t", "\t") for row in found] == names


def test_json_carries_the_values(printed):
    rows = json.loads(printed("json"))
    assert rows[0] == {"name": "a", "count": 1, "ratio": 0.5, "when": None}
    assert rows[1]["name"] == EVIL
    assert rows[1]["when"] == "2026-01-31T12:00:00.000000Z"


@pytest.mark.parametrize("output_format", ["table", "csv", "json"])
def test_nothing_a_terminal_acts_upon_gets_out(output_format, printed):
    """C0, DEL, C1, bidi, zero-width and tag characters, in values and in names."""
    said = "a\x1b[2J\x7f\x9b\u202e\u2066\u200b\u2028\ufeff\U000e0041\ud800 b"
    text = printed(
        output_format, rows=[{said: said, "list": [said]}], columns=[said, "list"]
    )
    assert not [c for c in text if unicodedata.category(c) in ("Cf", "Cs", "Zl", "Zp")]
    assert not [c for c in text if unicodedata.category(c) == "Cc" and c != "\n"]
    if output_format == "json":
        assert json.loads(text) == [{said: said, "list": [said]}]


def test_json_of_no_rows_is_an_empty_list(printed):
    assert printed("json", rows=[]) == "[]\n"


def test_a_pipe_gets_csv_by_default(printed):
    assert printed(None) == printed("csv")


def test_table_is_uncut_plain_and_escaped(printed):
    text = printed("table", rows=[*ROWS, {"name": "x" * 500}])
    assert "x" * 500 in text
    assert '[red]\\x1b[2J[/red]\\nsecond, "line"' in text
    assert "how many" in text
    assert "\x1b" not in text
    assert all(line == line.rstrip() for line in text.splitlines())


def test_a_line_of_result_is_escaped(capsys):
    print_line(EVIL)
    assert capsys.readouterr().out == '[red]\\x1b[2J[/red]\\nsecond, "line"\n'


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        (True, "true"),
        (Decimal("1E+3"), "1000"),
        ([1, None, "a\x07"], '[1, null, "a\\u0007"]'),
        ({"k": Decimal("0.10")}, '{"k": 0.1}'),
        (b"\x00\xff", "00ff"),
        (datetime(2026, 1, 31, 12, 0, 0, 999), "2026-01-31 12:00:00Z"),
    ],
)
def test_values_as_text(value, shown):
    assert show_value(value, "-") == shown


CELLS = [
    {"machine": f"A machine with a long name, {m}", "bank": bank, "use": "Q4_K_M"}
    for m in ("first", "second")
    for bank in ("core", "quickstart")
]


def shown_at(width, capsys, monkeypatch, rows, columns, **more):
    monkeypatch.setattr("orket.cli.output.is_terminal", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(width))
    print_rows(rows, columns, "table", **more)
    return capsys.readouterr().out


@pytest.mark.parametrize("width", [20, 40, 60, 120])
def test_a_narrow_table_keeps_what_tells_rows_apart(width, capsys, monkeypatch):
    columns = ("machine", "bank", "use")
    names = ("machine", "bank")
    shown = shown_at(
        width, capsys, monkeypatch, CELLS, columns, droppable=("bank",), names=names
    )
    assert shown.count("core") == 2 and shown.count("quickstart") == 2


def test_a_column_that_tells_nothing_apart_may_go(capsys, monkeypatch):
    rows = [{**row, "bank": "core"} for row in CELLS[::2]]
    columns = ("machine", "bank", "use")
    shown = shown_at(
        45, capsys, monkeypatch, rows, columns, droppable=("bank",), names=columns[:2]
    )
    assert "core" not in shown and "first" in shown and "second" in shown
    assert print_rows(
        rows, columns, "table", droppable=("bank",), names=columns[:2]
    ) == [
        "machine",
        "use",
    ]
    assert print_rows(rows, columns, "csv", droppable=("bank",)) == list(columns)


def test_rows_that_are_told_in_lines_are_called_by_all_their_names(capsys, monkeypatch):
    rows = [{**row, "bank": row["bank"] * 3} for row in CELLS[:2]]
    rows = [*rows, {"machine": "third"}]
    shown = shown_at(
        30, capsys, monkeypatch, rows, ("machine", "bank", "use"), names=("bank", "use")
    )
    assert "corecorecore: Q4_K_M\n" in shown
    assert shown.endswith("-\n  machine third\n")
