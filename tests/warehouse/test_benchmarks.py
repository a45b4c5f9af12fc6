"""The table of what looking costs: the command that makes it, at toy size."""

from __future__ import annotations

import pytest

from benchmarks.__main__ import (
    BEGIN,
    BESIDE_BEGIN,
    BESIDE_END,
    BESIDE_HEAD,
    END,
    HEAD,
    PAGE,
    main,
    verbs,
    verbs_of_history,
    write_table,
)


def test_the_command_measures_every_verb_and_writes_its_tables(tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text(
        f"before\n{BEGIN}\nold\n{END}\nbetween\n{BESIDE_BEGIN}\n{BESIDE_END}\nafter\n",
        encoding="utf-8",
    )
    asked = ["--runs", "200", "--runs-a-sweep", "100", "--history", "3", "1"]
    asked += ["--rows", "60", "--calls", "20", "--rounds", "1"]
    main([*asked, "--page", str(page)])
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{BEGIN}\n\n{HEAD[0]}\n")
    assert text.endswith(f"\n\n{BESIDE_END}\nafter\n")
    assert "old" not in text
    first, second = text.split("\nbetween\n")
    rows = [line for line in first.splitlines() if line.startswith(("| 200 ", "| 300"))]
    assert [row.split(" | ")[2] for row in rows] == [
        "scan",
        *(name for name, _ in verbs("a", "b")),
        "1 with baselines: scan",
        *(f"1 with baselines: {name}" for name, _ in verbs_of_history("b")),
    ]
    assert all(float(row.split(" | ")[3]) > 0 for row in rows)
    others = [line for line in second.splitlines() if line.startswith("| `orket")]
    assert [line.split(" | ")[1] for line in others] == [
        "DuckDB's `COPY` alone",
        "DuckDB's `COPY` alone",
        *["a bare loop of httpx"] * 4,
    ]
    assert "\n".join(rows) in capsys.readouterr().out


def test_a_page_without_a_place_for_it_is_left_as_it_is(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("text", encoding="utf-8")
    with pytest.raises(ValueError, match="no place for the table"):
        write_table(page, [])
    assert page.read_text(encoding="utf-8") == "text"


def test_the_page_has_a_place_for_the_table():
    text = PAGE.read_text(encoding="utf-8")
    assert text.count(BEGIN) == text.count(END) == 1
    assert text.count(BESIDE_BEGIN) == text.count(BESIDE_END) == 1
    assert HEAD[0] in text
    assert BESIDE_HEAD[0] in text
