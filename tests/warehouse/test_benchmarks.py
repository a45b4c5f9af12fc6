"""The table of what looking costs: the command that makes it, at toy size."""

from __future__ import annotations

import pytest

from benchmarks.__main__ import BEGIN, END, HEAD, PAGE, main, verbs, write_table


def test_the_command_measures_every_verb_and_writes_its_table(tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    main(["--runs", "200", "--runs-a-sweep", "100", "--page", str(page)])
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{BEGIN}\n\n{HEAD[0]}\n")
    assert text.endswith(f"\n\n{END}\nafter\n")
    assert "old" not in text
    rows = [line for line in text.splitlines() if line.startswith("| 200 ")]
    assert [row.split(" | ")[2] for row in rows] == [
        "scan",
        *(name for name, _ in verbs("a", "b")),
    ]
    assert all(float(row.split(" | ")[3]) > 0 for row in rows)
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
    assert HEAD[0] in text
