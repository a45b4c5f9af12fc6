"""The report in a real browser: drawn, quiet, and as wide as the screen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.browser import WIDTHS, Seen, started_browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with started_browser() as browser:
        yield browser


@pytest.mark.parametrize("name", ["reference", "hostile"])
def test_it_is_drawn_at_every_width_in_light_and_dark(name, browser, request):
    path = request.getfixturevalue(name)
    papers = set()
    for width in WIDTHS:
        for scheme in ("light", "dark"):
            with Seen(browser, path, width, scheme) as seen:
                assert seen.said == [f"file://{path}"], f"{width} {scheme}"
                measures = seen.page.evaluate(MEASURE)
            assert measures["beyond"] <= 0, f"{width} {scheme}: wider than the screen"
            assert measures["drawn"] >= 4, measures
            assert measures["empty"] == 0, measures
            assert measures["faint"] == [], f"{width} {scheme}"
            papers.add((scheme, measures["paper"]))
    assert len(papers) == 2, "the dark page is not dark"


MEASURE = """() => {
  const shown = [...document.querySelectorAll('figure svg')]
    .filter(svg => svg.getClientRects().length);
  const boxes = shown.map(svg => svg.getBoundingClientRect());
  const light = colour => {
    const parts = colour.match(/[\\d.]+/g).slice(0, 3).map(value => {
      const share = value / 255;
      return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  const paper = getComputedStyle(document.body).backgroundColor;
  const contrast = colour => {
    const [a, b] = [light(colour), light(paper)].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  };
  const faint = new Set();
  for (const svg of shown)
    for (const text of svg.querySelectorAll('text')) {
      const colour = getComputedStyle(text).fill;
      if (contrast(colour) < 4.5) faint.add(colour);
    }
  return {
    beyond: document.documentElement.scrollWidth - innerWidth,
    drawn: shown.filter(svg => svg.querySelectorAll('path, line').length > 5).length,
    empty: boxes.filter(box => box.width < 100 || box.height < 30).length,
    faint: [...faint],
    paper,
  };
}"""


def test_answers_open_by_the_keyboard(reference, browser):
    with Seen(browser, reference, 1280, "light") as seen:
        task = seen.page.locator("details.task").first
        answer = task.locator("pre").first
        assert not answer.is_visible()
        task.locator("summary").focus()
        seen.page.keyboard.press("Enter")
        assert answer.is_visible()


def test_it_prints_on_paper_however_dark_the_screen(reference, browser):
    with Seen(browser, reference, 1280, "dark") as seen:
        seen.page.emulate_media(media="print")
        paper = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert paper == "rgb(255, 255, 255)"
        assert seen.page.pdf(format="A4").startswith(b"%PDF")
