"""The picture of the closing screen in the README shows what `orket show` says now."""

from __future__ import annotations

import os
import re

import pytest

from tools.docs.terminal_picture import PICTURE, closing_screen, draw, words_of

MAKE = "python tools/docs/terminal_picture.py"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminal")
def test_the_picture_says_what_the_screen_says(tmp_path):
    drawn = tmp_path / "now.svg"
    drawn.write_text(draw(closing_screen()), encoding="utf-8")
    assert words_of(drawn)[:2] == ["orket-demo:", "use"]
    assert words_of(PICTURE) == words_of(drawn), f"the picture is stale: {MAKE}"


def test_the_picture_loads_nothing():
    text = PICTURE.read_text("utf-8")
    assert set(re.findall(r"https?://[^\"\' ]+", text)) == {
        "http://www.w3.org/2000/svg"
    }
    assert "@import" not in text and "url(" not in text.replace("url(#", "")
