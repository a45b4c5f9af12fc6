"""What stands in a report, and that nothing in it acts."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from orket.exports.markdown import markdown_text
from orket.text import printable
from orket.warehouse import Warehouse
from tests.built_sweep import Sweep
from tests.golden_cases import CASES
from tests.nightly import nightly
from tests.places import ROOT
from tests.report.conftest import REFERENCE, write_report
from tests.report.hostile import MODEL, QUANT, hostile_sweep

SHAPES = {"svg", "g", "path", "line", "rect", "text", "tspan", "title", "desc"}
SHAPES |= {"defs", "clippath", "circle"}


class Elements(HTMLParser):
    """Every element with its attributes, and all text outside of style."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.in_style = False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self.in_style = tag == "style"

    def handle_endtag(self, tag):
        self.in_style = False

    def handle_data(self, data):
        if not self.in_style:
            self.text += data


@pytest.fixture(scope="module")
def page(reference):
    return Elements(reference.read_text("utf-8"))


@pytest.fixture(scope="module")
def attacked(hostile):
    return Elements(hostile.read_text("utf-8"))


def test_the_page_is_small_and_loads_nothing(reference, page):
    assert reference.stat().st_size < 3_000_000
    for tag, attributes in page.found:
        assert tag not in {"script", "iframe", "object", "embed", "base", "img"}
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in {"href", "src", "action", "xlink:href"}:
                assert (value or "").startswith(("#", "data:,"))
    policies = [a["content"] for _, a in page.found if a.get("http-equiv")]
    assert policies and policies[0].startswith("default-src 'none'; style-src")
    style = reference.read_text("utf-8").partition("</style>")[0]
    assert "url(" not in style and "@import" not in style


def test_hostile_texts_stay_texts(attacked):
    for tag, attributes in attacked.found:
        assert tag not in {"script", "img", "b", "i", "u", "iframe", "object"}
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("href", "src", "xlink:href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:,"))
    assert "<script>fetch('https://evil.example/x')</script>" in attacked.text
    assert printable(QUANT) in attacked.text and MODEL in attacked.text
    # What would clear a terminal or turn the direction of reading is spelled out.
    assert "\\x1b[2J\\u202egnp.exe {{ 7*7 }}" in attacked.text
    assert "\x1b" not in attacked.text and "\u202e" not in attacked.text


def test_ids_are_unique_and_every_reference_leads_to_one(page):
    ids = [value for _, found in page.found if (value := found.get("id"))]
    assert len(ids) == len(set(ids))
    used = set()
    for _, attributes in page.found:
        for name, value in attributes.items():
            if name in {"aria-labelledby", "aria-describedby"}:
                used |= set((value or "").split())
            used |= set(re.findall(r"url\(#([^)]+)\)", value or ""))
            if name == "href" and (value or "").startswith("#"):
                used.add((value or "")[1:])
    assert used <= set(ids)


def test_a_screen_reader_finds_its_way(page):
    levels = [int(tag[1]) for tag, _ in page.found if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b - a <= 1 for a, b in zip(levels, levels[1:], strict=False))
    heads = [found for tag, found in page.found if tag == "th"]
    assert heads and all(found.get("scope") in {"col", "row"} for found in heads)
    tables = [tag for tag, _ in page.found if tag == "table"]
    captions = [tag for tag, _ in page.found if tag == "caption"]
    assert len(tables) == len(captions) > 3
    drawings = [a for tag, a in page.found if tag == "svg" and not a.get("aria-hidden")]
    assert len(drawings) == 10
    assert all(a["role"] == "img" and a["aria-labelledby"] for a in drawings)


def recommended() -> list[str]:
    """The sentences of the view."""
    warehouse = Warehouse.open(REFERENCE)
    with warehouse.session(warehouse.resolve("20261129-145825")) as session:
        (row,) = session.rows("SELECT recommendation_lines FROM v1.recommendation")
    lines: list[str] = row["recommendation_lines"]
    return lines


def test_the_answer_comes_first(page):
    text = re.sub(r"\s+", " ", page.text)
    answer = text.index(recommended()[0])
    assert text.index(recommended()[-1]) > answer
    assert text.index("Quality against size and speed") > answer
    for said in (
        "28 polluted in all",
        "server stalled",
        "sha256:0e9fef71e835334056bd5be8b1cd60da85bc76af83b3dc30717392df8e450932",
        "hw1-d1f87a043833755a",
        "orket run quickstart",
        "16; 16+2=18",
    ):
        assert said in text, said


def test_what_follows_the_first_difference_is_marked(reference):
    text = reference.read_text("utf-8")
    assert (
        "<pre>8+7=1<mark>6; 16+2=18; 18+6=24; 24+1=25; 25+5=30; 30+4=34</mark>" in text
    )


def test_the_same_rows_give_the_same_bytes(hostile, tmp_path):
    hostile_sweep(tmp_path / "warehouse")
    again = write_report(tmp_path / "warehouse", "hostile", tmp_path / "page.html")
    assert again == hostile.read_text("utf-8")


@pytest.mark.parametrize(
    "name",
    [
        "canary_failed",
        "faithful",
        *nightly("baselines", "interrupted", "none_eligible"),
    ],
)
def test_a_page_of_any_sweep_is_written(name, tmp_path):
    CASES[name](tmp_path / "warehouse")
    page = write_report(tmp_path / "warehouse", name, tmp_path / "page.html")
    assert "<h2" in page and "</html>" in page


@pytest.mark.parametrize(
    "name",
    ["interrupted", "rounds_open", *nightly("not_deterministic", "sidecar_rows")],
)
def test_markdown_of_any_sweep_is_written(name, tmp_path):
    CASES[name](tmp_path / "warehouse")
    text = write_report(tmp_path / "warehouse", name, tmp_path / "page.md")
    assert text.startswith("## Which quant of m?")


def test_a_stored_baseline_is_compared(tmp_path):
    CASES["baselines"](tmp_path / "warehouse")
    page = write_report(tmp_path / "warehouse", "baselines", tmp_path / "page.html")
    assert "regressed" in page and "5 of 14" in page


def test_a_sweep_judged_by_answers_alone_says_nothing_of_speed(tmp_path):
    CASES["supported"](tmp_path / "warehouse")
    page = write_report(
        tmp_path / "warehouse", "supported", tmp_path / "page.html", "--quality-only"
    )
    assert "Nothing is said of speed: answers alone were judged (as by --" in page
    why = (
        "No latency and no tokens/s: answers alone were judged (as by --quality-only)."
    )
    assert why in page
    assert "m0-speed" not in page


def test_answers_that_were_cut_are_counted_in_a_report_too(tmp_path):
    sweep = Sweep("cut", quants=("F16", "Q4_K_M"))
    sweep.add("Q4_K_M", "t2", passed=0, stop_reason="length")
    sweep.fill().finish().store(tmp_path / "warehouse")
    for name in ("page.html", "page.md"):
        told = write_report(tmp_path / "warehouse", "cut", tmp_path / name)
        said = "Answers cut at their budget: Q4_K_M 1 of 2"
        assert said in told.replace("\\_", "_")


def test_a_limit_stands_in_a_report_to_its_last_digit(tmp_path):
    CASES["supported"](tmp_path / "warehouse")
    limits = ("--adherence-threshold", "0.9999", "--latency-ceiling", "0.00004")
    told = write_report(
        tmp_path / "warehouse", "supported", tmp_path / "page.md", *limits
    )
    assert "keep at least 99.99 % of its adherence, at most 0.04 ms a run" in told
    page = write_report(
        tmp_path / "warehouse", "supported", tmp_path / "page.html", *limits
    )
    assert "keep at least 99.99 % of" in page
    assert "at most 0.04 ms a run" in page


def test_markdown_of_the_reference_sweep_is_a_table_and_its_source(tmp_path):
    text = write_report(REFERENCE, "20261129-145825", tmp_path / "page.md")
    row = next(line for line in text.splitlines() if line.startswith("| Q3\\_K\\_M"))
    assert row == (
        "| Q3\\_K\\_M | smallest that passes | 98.1 (95 to 99) | 2, 0 | 0.9 MiB "
        "| 4.02 | 10.8 ms | 3851.6 | 432/432 clean |"
    )
    assert text.splitlines()[2] == f"**{markdown_text(recommended()[0])}**  "
    assert "```sh\norket run quickstart\n```" in text


def test_hostile_names_are_no_markup_in_markdown(tmp_path):
    hostile_sweep(tmp_path / "warehouse")
    text = write_report(tmp_path / "warehouse", "hostile", tmp_path / "page.md")
    outside = re.sub(r"```.*?```", "", text, flags=re.S)
    known = {"<details>", "<summary>", "</summary>", "</details>"}
    assert set(re.findall(r"<[^>]*>", outside)) == known
    assert "https://" not in outside


@pytest.mark.parametrize(
    "said, shown",
    [
        ("a|b`c`_d_*", "a\\|b\\`c\\`\\_d\\_\\*"),
        ("<b>&amp;", "&lt;b&gt;&amp;amp;"),
        ("one\ntwo", "one\\\\ntwo"),
        ("@all https://x", "&#64;all https&#58;//x"),
    ],
)
def test_markdown_is_escaped(said, shown):
    assert markdown_text(said) == shown


@pytest.mark.parametrize("module", ["altair", "vl_convert", "jinja2"])
def test_a_missing_library_is_named_with_its_extra(module):
    code = (
        f"import sys; sys.modules[{module!r}] = None\n"
        "from orket.cli.main import run_command\n"
        f"sys.exit(run_command(['report', '-w', {str(REFERENCE)!r}, '-o', '-']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 2
    assert done.stdout == ""
    package = module.replace("vl_convert", "vl-convert-python")
    assert done.stderr == (
        f"orket: error: a report needs the package {package}: install it with: "
        'pip install "orket[report]"\n'
    )


def test_two_models_have_a_part_each(tmp_path):
    """Another model with other quants, another server and a control of its own."""
    one = Sweep(sweep_id="both", model_id="alpha", quants=("F16", "Q4_K_M"))
    two = Sweep(
        sweep_id="both",
        model_id="beta",
        quants=("Q8_0", "Q2_K"),
        model={
            "provider": "ollama",
            "provider_version": "0.12",
            "control_profile": "night",
        },
        runs=one.runs,
    )
    one.fill(wall_ms=500)
    for planned in two.plan():
        task = planned.test_id.removeprefix("bank/")
        two.add(planned.quant_tag, task, passed=int(planned.quant_tag == "Q8_0"))
    one.manifest = {
        "models": [one.model_entry(), two.model_entry()],
        "quants": [
            *(one.quant_entry(quant) for quant in one.quants),
            *(two.quant_entry(quant) for quant in two.quants),
        ],
        "plan": [*one.plan(), *two.plan()],
    }
    one.finish().store(tmp_path / "warehouse")
    page = write_report(tmp_path / "warehouse", "both", tmp_path / "page.html")
    found = Elements(page)
    ids = [value for _, each in found.found if (value := each.get("id"))]
    assert len(ids) == len(set(ids))
    assert {"answer-1", "answer-2", "runs-1", "runs-2"} <= set(ids)
    assert "Which quant of alpha, beta?" in found.text
    assert "beta on ollama 0.12" in found.text
    assert "beta: " in found.text or "Q8_0" in found.text
    for model, profile in (("alpha", "quiet"), ("beta", "night")):
        told = f"Canary of {model}not run; control profile {profile}"
        assert told in found.text
    text = write_report(tmp_path / "warehouse", "both", tmp_path / "page.md")
    assert text.count("## Which quant of") == 2
