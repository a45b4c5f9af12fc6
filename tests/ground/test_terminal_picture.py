"""The picture of the closing screen in the README shows what `orket show` says now."""

from __future__ import annotations

import os
import re

import pytest

from orket.cli import live_table
from tools.docs import live_picture
from tools.docs.terminal_picture import PICTURE, closing_screen, draw, words_of

MAKE = "python tools/docs/terminal_picture.py"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminal")
def test_the_picture_says_what_the_screen_says(tmp_path):
    drawn = tmp_path / "now.svg"
    drawn.write_text(draw(closing_screen()), encoding="utf-8")
    assert words_of(drawn)[:2] == ["orket-demo:", "use"]
    assert words_of(PICTURE) == words_of(drawn), f"the picture is stale: {MAKE}"


def test_the_picture_of_a_running_sweep_has_the_words_of_its_table():
    words = " ".join(words_of(live_picture.PICTURE))
    assert words.startswith("So far: orket-demo: ")
    for said in ("state", "adherence %", "memory", "polluted", "Now: ", "Next: "):
        assert said in words, "the picture is stale: python tools/docs/live_picture.py"
    assert live_table._STATES["PASSES"] in words


def test_a_table_is_drawn_when_it_tells_enough():
    def screen(passing: int) -> str:
        rows = [f"Q{n}  \x1b[1mpasses so far \x1b[0m 1/2" for n in range(passing)]
        return "\n".join(
            ["$ orket", "So far: x", "quant", *rows, "Now: y", "Next: z", ""]
        )

    assert live_picture.table_of(screen(live_picture.ENOUGH - 1)) is None
    table = live_picture.table_of(screen(live_picture.ENOUGH))
    assert table is not None and table.startswith("So far: x\n")
    assert live_picture.table_of(screen(9).replace("Next: z", "")) is None


@pytest.mark.parametrize("picture", [PICTURE, live_picture.PICTURE])
def test_the_picture_loads_nothing(picture):
    text = picture.read_text("utf-8")
    assert set(re.findall(r"https?://[^\"\' ]+", text)) == {
        "http://www.w3.org/2000/svg"
    }
    assert "@import" not in text and "url(" not in text.replace("url(#", "")
