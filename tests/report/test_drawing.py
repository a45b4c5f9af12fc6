"""A chart becomes a drawing in which nothing acts, and that takes little room."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import altair as alt
import pytest

from orket.report.drawing import draw

HOSTILE = '</text><script>alert(1)</script>" onload="x'


def chart(rows: list[dict[str, Any]], **mark: Any) -> Any:
    data = alt.Data(values=rows)
    return (
        alt.Chart(data)
        .mark_point(filled=True, opacity=1, **mark)
        .encode(x="x:Q", y="y:Q")
        .properties(width=200, height=100, title=HOSTILE)
    )


ROWS = [{"x": n, "y": n % 7, "link": "https://evil.example"} for n in range(200)]


@pytest.fixture(scope="module")
def drawn():
    return draw(chart(ROWS, shape="circle"), "n1", HOSTILE, "about")


def test_only_shapes_are_left_and_no_link(drawn):
    tags = {
        element.tag.rpartition("}")[2]
        for element in ElementTree.fromstring(drawn).iter()
    }
    assert tags <= {"svg", "g", "path", "line", "rect", "text", "title", "desc"}
    assert "&lt;script&gt;" in drawn and "<script" not in drawn
    linked = chart(ROWS, shape="circle").encode(href="link:N")
    found = ElementTree.fromstring(draw(linked, "n3", HOSTILE, "about"))
    for element in found.iter():
        assert element.tag.rpartition("}")[2] not in {"a", "script", "image"}
        for key, value in element.attrib.items():
            assert not key.startswith("on") and "href" not in key
            assert "evil" not in value


def test_it_has_a_title_a_description_and_ids_of_its_own(drawn):
    root = ElementTree.fromstring(drawn)
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == "n1-title n1-about"
    assert [child.text for child in root[:2]] == [HOSTILE, "about"]
    assert all(
        value.startswith("n1-") for value in re.findall(r'\bid="([^"]+)"', drawn)
    )


def test_equal_dots_are_one_line_and_none_is_lost(drawn):
    (line,) = re.findall(
        r'<path d="((?:M[\d.,-]+h\.01)+)" fill="none" stroke="(#\w+)"', drawn
    )
    places = re.findall(r"M([\d.]+),([\d.]+)h", line[0])
    assert len(places) == 200
    # x runs from 0 to 200 over 200 pixels: a pixel for each.
    assert [float(x) for x, _ in places] == pytest.approx(range(200), abs=0.01)
    assert len(drawn) < 8000


def test_other_shapes_stay_each_for_itself():
    crosses = draw(chart(ROWS[:60], shape="cross"), "n2", "t", "a")
    assert crosses.count("<path transform=") == 60


def test_the_same_chart_is_the_same_drawing(drawn):
    assert draw(chart(ROWS, shape="circle"), "n1", HOSTILE, "about") == drawn
