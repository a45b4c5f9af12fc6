"""docs/ as a site: built strictly, every link leads somewhere, nothing is fetched."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pytest

from tests.browser import WIDTHS, Seen, started_browser
from tests.places import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NO_PAGE = {"reference-report.html"}
"""Lies in docs/ as it is; its own tests look at it."""


def build(project: Path) -> subprocess.CompletedProcess[str]:
    """The site of a checkout, strictly: any warning ends it with an error."""
    return subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict"],
        cwd=project,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "NO_COLOR": "1", "PYTHONUTF8": "1"},
        timeout=120,
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    shutil.copy(ROOT / "zensical.toml", folder)
    shutil.copytree(ROOT / "docs", folder / "docs")
    return folder


@pytest.fixture(scope="module")
def site(project: Path) -> Path:
    built = build(project)
    assert built.returncode == 0, built.stdout + built.stderr
    return project / "build" / "site"


class Page(HTMLParser):
    """The anchors of a page, what it links to, and what it loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: set[str] = set()
        self.loads: set[str] = set()
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.anchors |= {value for key in ("id", "name") if (value := found.get(key))}
        if tag == "a" and (target := found.get("href")):
            self.links.add(target)
        elif target := found.get("src") or found.get("href"):
            self.loads.add(target)


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {
        path.resolve(): Page(path)
        for path in site.rglob("*.html")
        # The page of an unknown address is served from any depth: from the top.
        if path.name not in {*NO_PAGE, "404.html"}
    }


def test_every_page_of_docs_is_a_page_of_the_site(site, pages):
    sources = {path.stem for path in (ROOT / "docs").glob("*.md")}
    assert {path.stem for path in pages} == (sources - {"README"}) | {"index"}


def test_every_link_and_anchor_leads_somewhere(pages):
    broken = []
    for path, page in pages.items():
        for target in page.links | page.loads:
            parts = urlsplit(target)
            if parts.scheme:
                continue
            file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            known = pages[file].anchors if file in pages else {anchor}
            if not file.exists() or (anchor and anchor not in known):
                broken.append(f"{path.name}: {target}")
    assert broken == []


def test_no_page_loads_anything_from_another_host(pages):
    loaded = {target for page in pages.values() for target in page.loads}
    assert {t for t in loaded if urlsplit(t).netloc} == set()


def test_a_broken_anchor_ends_the_build(project, site, tmp_path):
    folder = tmp_path / "broken"
    shutil.copytree(project, folder, ignore=shutil.ignore_patterns("build", ".cache"))
    page = folder / "docs" / "compare.md"
    page.write_text(page.read_text("utf-8") + "\n[lost](cli.md#lost)\n", "utf-8")
    built = build(folder)
    assert built.returncode != 0
    assert "anchor does not exist" in built.stdout + built.stderr


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with started_browser() as browser:
        yield browser


@pytest.mark.parametrize("name", ["index", "views"])
def test_it_is_shown_at_every_width_in_light_and_dark(name, site, browser):
    papers = set()
    for width, scheme in zip(WIDTHS, ("light", "dark", "light"), strict=True):
        with Seen(browser, site / f"{name}.html", width, scheme) as seen:
            elsewhere = [it for it in seen.said if not it.startswith("file://")]
            assert elsewhere == [], f"{width} {scheme}"
            beyond, paper = seen.page.evaluate(
                "[document.documentElement.scrollWidth - innerWidth,"
                " getComputedStyle(document.body).backgroundColor]"
            )
        assert beyond <= 0, f"{width} {scheme}: wider than the screen"
        papers.add((scheme, paper))
    assert len(papers) == 2, "the dark page is not dark"


def test_the_search_needs_no_server(site, browser):
    with Seen(browser, site / "index.html", 1280, "light") as seen:
        seen.page.keyboard.press("Control+k")
        seen.page.get_by_placeholder("Search").first.fill("ADHERENCE_VARIANCE_NON_ZERO")
        found = seen.page.get_by_text("The canary fails (exit code 3)")
        found.first.wait_for(timeout=20_000)
        assert [it for it in seen.said if not it.startswith("file://")] == []
