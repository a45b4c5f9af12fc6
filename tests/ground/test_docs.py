"""Generated pages are as the code says; commands in the docs exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from orket.warehouse.view_files import split_comments, view_files, views_under
from tools.docs.build import BLOCKS, COMMAND, FILES, ROOT, build_documents

GENERATED = sorted({*FILES, *(page for page, _ in BLOCKS)})
PAGES = sorted({ROOT / "README.md", *(ROOT / "docs").glob("**/*.md")})
LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)#\s]+)[^)]*\)")


@pytest.fixture(scope="module")
def documents():
    return build_documents()


@pytest.mark.parametrize("path", GENERATED)
def test_generated_pages_are_fresh(path, documents):
    current = (ROOT / path).read_text(encoding="utf-8")
    assert current == documents[path], f"{path} is stale: run {COMMAND}"


@pytest.mark.parametrize("view", view_files())
def test_the_head_of_a_view_names_what_it_is_made_from(view):
    path = view_files()[view]
    head = path.read_text(encoding="utf-8").partition("CREATE VIEW")[0]
    inputs = head[head.index("Inputs:") : head.index("-- Rules:")]
    code = re.sub(r"'(?:[^']|'')*'", "''", split_comments(path)[0])
    read = {f"v1.{name}" for name in views_under(path)}
    read |= set(re.findall(r"\b(?:FROM|JOIN)\s+(raw\.\w+)", code))
    assert set(re.findall(r"\b(?:v1|raw)\.\w+", inputs)) == read


def test_no_view_names_a_window_at_its_top():
    """DuckDB 1.5 takes all views as one text only so."""
    named = [
        view
        for view, path in view_files().items()
        if re.search(r"^WINDOW\b", split_comments(path)[0], re.MULTILINE)
    ]
    assert named == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page):
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_page_has_its_place_in_the_site():
    """Under Tutorial, How-to, Reference or Explanation, once."""
    site = tomllib.loads((ROOT / "zensical.toml").read_text("utf-8"))["project"]
    parts = {title: it for part in site["nav"] for title, it in part.items()}
    assert parts.pop("Start") == "README.md"
    listed = ["README.md", *(page for pages in parts.values() for page in pages)]
    there = [path.name for path in (ROOT / "docs").glob("*.md")]
    assert sorted(listed) == sorted(there), "put the page into the nav: zensical.toml"
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    left_out = [page for page in listed[1:] if f"]({page}" not in index]
    assert left_out == [], "docs/README.md lists every page"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_verbs_in_the_docs_exist(page):
    from orket.cli.main import installed_verbs

    named = re.findall(r"^(?:\$ )?orket ([a-z-]+)", _code(page), re.MULTILINE)
    unknown = sorted({verb for verb in named if not verb.startswith("-")})
    assert set(unknown) <= set(installed_verbs())


def _code(page: Path) -> str:
    """What stands in the fenced blocks of a page."""
    return "\n".join(re.findall(r"```\w*\n(.*?)```", page.read_text("utf-8"), re.S))


def test_the_readme_shows_the_output_of_the_reference_sweep(capsys, monkeypatch):
    from orket.cli.bucket_table import name_buckets
    from orket.cli.sweep_table import print_sweep
    from orket.exports.load import load_summary
    from orket.warehouse import Warehouse

    (shown,) = re.findall(
        r"```\n(orket-demo: .*?)```", (ROOT / "README.md").read_text("utf-8"), re.S
    )
    warehouse = Warehouse.open(ROOT / "warehouse")
    summary = load_summary(warehouse, warehouse.sweep_ids()[0])
    # As a run ends in the default warehouse.
    monkeypatch.setenv("ORKET_WAREHOUSE", str(warehouse.path))
    print_sweep(summary)
    name_buckets(summary, warehouse)
    now = capsys.readouterr().out
    assert now == shown, "the README shows other words: paste what orket show prints"
