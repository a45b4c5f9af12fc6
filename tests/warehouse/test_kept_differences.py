"""What `orket diff` says is kept, and is the same whether it was kept or not."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from orket.cli.main import run_command
from orket.warehouse import Warehouse, kept_differences
from orket.warehouse.kept_differences import MODELS, QUERIES, read_difference_rows
from orket.warehouse.view_files import datasets_under, view_files, views_under
from tests.golden_cases import baseline_event
from tests.nightly import nightly
from tests.views.test_diff import OTHER, measure

WHAT_IFS: tuple[tuple[str, ...], ...] = (
    (),
    ("--adherence-threshold", "0.5"),
    ("--quality-only",),
)


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> Path:
    """Two warehouses; in the second, another sweep has the name of one of the first."""
    folder: Path = tmp_path_factory.mktemp("differences")
    measure("base").store(folder / "one")
    measure("lost", lost=7).store(folder / "one")
    measure("machine", manifest=OTHER).store(folder / "one")
    measure("renamed", model_id="m2").store(folder / "one")
    measure("lost", wall_ms=(750, 760, 770)).store(folder / "two")
    return folder


@pytest.fixture
def places(stored, tmp_path) -> Path:
    shutil.copytree(stored, tmp_path / "places")
    return Path(tmp_path / "places")


@pytest.fixture
def opened(monkeypatch) -> list[tuple[str, str]]:
    """The pairs for which the views were opened."""
    asked: list[tuple[str, str]] = []
    open_pair = Warehouse.pair_session

    def count(store, before, after, *more, **named):
        asked.append((before, after))
        return open_pair(store, before, after, *more, **named)

    monkeypatch.setattr(Warehouse, "pair_session", count)
    return asked


@pytest.fixture
def ask(places, capsys) -> Callable[..., tuple[int, str, str]]:
    def run(*args: str) -> tuple[int, str, str]:
        code = run_command(["diff", *args, "-w", str(places / "one")])
        return code, *capsys.readouterr()

    return run


def kept_files(places: Path, name: str = "one") -> list[Path]:
    return sorted((places / name / ".derived").glob("diff-*"))


def all_questions(places: Path) -> list[tuple[str, ...]]:
    elsewhere = ("--after-warehouse", str(places / "two"))
    pairs: list[tuple[str, ...]] = [("base", "lost"), ("base", "lost", *elsewhere)]
    others: list[tuple[str, ...]] = [
        ("lost", "base"),
        ("base", "renamed"),
        ("base", "renamed", "--model", "m=m2"),
    ]
    return [(*pair, *what_if) for pair in pairs for what_if in WHAT_IFS] + others


def test_each_question_is_derived_once_and_answered_with_the_same_bytes(
    places, ask, opened
):
    questions = all_questions(places)
    formats = (("--format", "json"), ("--format", "table"), ("--format", "csv"))
    first = [ask(*question, *formats[0]) for question in questions]
    assert len(opened) == len(questions), "no pair and no what-if answers for another"
    assert len(set(first)) > len(questions) // 2, "they are told apart by what they say"
    kept = [[ask(*question, *form) for form in formats] for question in questions]
    assert len(opened) == len(questions), "the second time all was kept"
    assert [one[0] for one in kept] == first
    assert not kept_files(places, "two")
    shutil.rmtree(places / "one" / ".derived")
    (places / "one" / ".derived").write_text("in the way")
    assert [ask(*question, *formats[0]) for question in questions] == first


def test_one_quant_is_read_from_what_is_kept_of_all(ask, opened):
    whole = ask("base", "lost", "--format", "csv")[1].splitlines()
    part = ask("base", "lost", "--quant", "q4_k_m", "--format", "csv")[1].splitlines()
    assert len(opened) == 1
    assert part == [whole[0], *(line for line in whole if ",Q4_K_M," in line)]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1],
        lambda content: content[:100] + b"\0" + content[101:],
    ],
    ids=["torn", "flipped"],
)
def test_a_damaged_file_is_made_again(places, ask, opened, damage):
    said = ask("base", "lost")
    (file,) = kept_files(places)
    content = file.read_bytes()
    file.write_bytes(damage(content))
    assert ask("base", "lost") == said
    assert len(opened) == 2
    assert file.read_bytes() == content


def test_the_file_of_another_pair_is_not_believed(places, ask, opened):
    ask("base", "lost")
    (of_lost,) = kept_files(places)
    said = ask("base", "machine")
    (of_machine,) = set(kept_files(places)) - {of_lost}
    shutil.copy(of_lost, of_machine)
    assert ask("base", "machine") == said
    assert len(opened) == 3


@pytest.mark.parametrize("changed", ["base", *nightly("lost", "code")])
def test_other_parts_of_either_sweep_and_other_code_derive_anew(
    places, ask, opened, monkeypatch, changed
):
    ask("base", "lost")
    ask("base", "machine")
    if changed == "code":
        monkeypatch.setattr(kept_differences, "code_digest", lambda: "other")
    else:
        (part,) = Warehouse.open(places / "one").parts("runs", changed)
        shutil.copy(part, part.with_name(f"part-0{part.name.removeprefix('part-')}"))
    for _ in range(2):
        ask("base", "lost")
    assert len(opened) == 3, "derived anew once, and kept again"
    ask("base", "machine")
    assert len(opened) == (3 if changed == "lost" else 4)


def test_a_sweep_of_the_other_warehouse_that_changed_derives_anew(places, ask, opened):
    elsewhere = ("base", "lost", "--after-warehouse", str(places / "two"))
    said = ask(*elsewhere)
    shutil.rmtree(places / "two")
    measure("lost").store(places / "two")
    assert ask(*elsewhere) != said
    assert len(opened) == 2


def test_the_end_of_a_sweep_counts_for_it_and_a_baseline_for_none(places, ask, opened):
    ask("base", "lost")
    store = Warehouse.open(places / "one")
    store.append("events", [baseline_event("t01", "stored", sweep_id="base")])
    ask("base", "lost")
    assert len(opened) == 1
    end = measure("lost").events[-1]
    store.append("events", [msgspec.structs.replace(end, event_id="ended-again")])
    ask("base", "lost")
    assert len(opened) == 2


def test_what_is_read_hangs_on_no_event_of_governance():
    files = view_files()
    read = " ".join([*QUERIES.values(), MODELS])
    under = set(re.findall(r"v1\.(\w+)", read))
    assert under == {
        "diff_fact",
        "diff_quant",
        "diff_task",
        "quant_aggregate",
        "session",
    }
    for name in reversed(files):
        if name in under:
            under |= views_under(files[name])
    reading = {name for name in under if "events" in datasets_under(files[name])}
    assert not {name for name in reading if name.startswith("baseline")}


def test_another_moment_is_not_kept(places, opened):
    store = Warehouse.open(places / "one")
    moment = {"as_of": datetime(2030, 1, 1, tzinfo=UTC)}
    for _ in range(2):
        assert read_difference_rows(
            (store, "base"), (store, "lost"), overrides=moment
        ).facts
    assert len(opened) == 2
    assert not kept_files(places)
