"""The page that shows the house is true, as far as a test can tell."""

from __future__ import annotations

import re

from tests.ground.test_layering import FLOORS
from tests.places import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
TABLE = PAGE[PAGE.index("## To change X") : PAGE.index("## The way of the data")]
HOUSE = PAGE[PAGE.index("## The house") : PAGE.index("A line of code knows")]
ROWS = [line.split("|")[1:3] for line in TABLE.splitlines() if line.startswith("| ")]


def test_twenty_everyday_changes_are_there():
    assert len(ROWS) - 1 >= 20


def test_every_place_to_touch_is_there():
    named = [
        place
        for _, places in ROWS
        for place in re.findall(r"`([\w./]+/[\w./]*)`", places)
    ]
    assert len(named) >= 20
    assert [place for place in named if not (ROOT / place).exists()] == []


def test_every_change_names_a_place():
    assert [what for what, places in ROWS[1:] if "`" not in places] == []


def test_the_picture_shows_every_room_and_no_other():
    shown = set(re.findall(r"\b(?:orket/)?(\w+)(?:\.py|/)", HOUSE)) - {"orket"}
    missing = {room for room in FLOORS if room not in shown}
    assert missing <= {"errors", "resources", "row_types"}, missing
    places = re.findall(r"orket/(\w+)/", HOUSE)
    assert [place for place in places if not (ROOT / "orket" / place).is_dir()] == []
