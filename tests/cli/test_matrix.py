"""`orket matrix`: two machines, two models, two runtimes, two versions."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from orket.cli.main import run_command
from orket.records import EventRow, Hardware
from orket.warehouse import Warehouse, kept_pairs
from orket.warehouse.fleet import read_fleet, with_drift
from tests.browser import WIDTHS, Seen, started_browser
from tests.built_sweep import START
from tests.nightly import nightly
from tests.views.test_diff import measure

SCRIPT = "<script>fetch('https://evil.example/x')</script>|`*_"
OTHER_MACHINE = {
    "hardware_fingerprint": "hw1-other",
    "hardware": Hardware(
        cpu=f"Big {SCRIPT}\x1b[2J", ram_bytes=64 << 30, gpus=["GPU X"]
    ),
}
ON_OLLAMA = {"provider": "ollama", "provider_version": "0.9"}


def stored(folder: Any) -> str:
    for day, (name, facts) in enumerate(
        {
            "base": {},
            "slower": {
                "wall_ms": (750, 760, 770),
                "model": {"provider_version": "2"},
            },
            "ollama": {"model": ON_OLLAMA, "lost": 16},
            "other_model": {"model_id": "m2"},
            "other_weights": {
                "model_id": "m2",
                "model": {"provider_version": "2"},
                "quant_facts": {"Q4_K_M": {"model_digest": "sha256:other"}},
            },
            "other_machine": {"manifest": OTHER_MACHINE},
            "hostile": {"model_id": f"e{SCRIPT}\u202e", "manifest": OTHER_MACHINE},
        }.items()
    ):
        measure(name, started_at=START + timedelta(days=day), **facts).store(folder)  # type: ignore[arg-type]
    return str(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return stored(tmp_path_factory.mktemp("fleet"))


def ask(capsys, folder, *args, code=0):
    assert run_command(["matrix", *args, "-w", folder]) == code
    captured = capsys.readouterr()
    return captured.out if code == 0 else captured.err


def test_kept_rows_say_what_all_sweeps_say_at_once(folder, monkeypatch):
    warehouse = Warehouse.open(folder)
    fleet = read_fleet(warehouse)
    drift = with_drift(warehouse, fleet.changes)
    with warehouse.session() as session:
        assert session.rows("SELECT * FROM v1.matrix ORDER BY sweep_id") == sorted(
            fleet.matrix, key=lambda row: row["sweep_id"]
        )
        assert session.rows("SELECT * FROM v1.version_change ORDER BY since DESC") == (
            fleet.changes
        )
        assert session.rows("SELECT * FROM v1.drift") == []
    monkeypatch.setattr(kept_pairs, "_derive", pytest.fail)
    assert with_drift(warehouse, read_fleet(warehouse).changes) == drift


def test_a_pair_is_derived_anew_when_a_sweep_got_more_rows_or_events(
    tmp_path, monkeypatch
):
    for name, version in (("a", "1"), ("b", "2")):
        facts: dict[str, Any] = {"model": {"provider_version": version}}
        sweep = measure(name, started_at=START + timedelta(days=int(version)), **facts)
        sweep.store(tmp_path)
    warehouse = Warehouse.open(tmp_path)
    changes = read_fleet(warehouse).changes
    first = with_drift(warehouse, changes)
    derived: list[Any] = []
    derive = kept_pairs._derive

    def count(store: Any, pairs: Any, keys: Any) -> Any:
        derived.append(pairs)
        return derive(store, pairs, keys)

    monkeypatch.setattr(kept_pairs, "_derive", count)
    yields = EventRow(
        event_id="y",
        recorded_at=START,
        event="POLICY_YIELDED",
        sweep_id="a",
        model_id="m",
        reason="UNSTEADY",
    )
    for append in (
        lambda: None,
        lambda: warehouse.append("events", [yields]),
        lambda: warehouse.append("runs", sweep.runs[:1], "b"),
    ):
        append()
        # The same rows twice count once.
        assert with_drift(warehouse, changes) == first
    assert len(derived) == 2


def test_programs_get_every_figure_in_plain_units(folder, capsys):
    document = json.loads(ask(capsys, folder, "--format", "json", "--model", "m"))
    rows = {
        (row["hardware_fingerprint"], row["provider"]): row
        for row in document["matrix"]
    }
    assert set(rows) == {
        ("hw1-test", "embedded"),
        ("hw1-test", "ollama"),
        ("hw1-other", "embedded"),
    }
    row = rows["hw1-test", "embedded"]
    assert row["sweep_id"] == "slower" and row["provider_version"] == "2"
    assert (row["use_quant"], row["standing"]) == ("F16", "SAFE_CHOICE")
    assert row["total_latency_seconds"] == 0.76
    assert (row["agreeing_sweeps"], row["answering_sweeps"]) == (2, 2)
    (change,) = document["changes"]
    assert (change["before_sweep"], change["after_sweep"]) == ("base", "slower")
    for found in change["drift"]:
        assert found["times_verdict"] == "WORSE"
        assert found["answers_verdict"] == "NO_DIFFERENCE"
        # 750, 760 and 770 ms against 600.
        assert found["change"] == pytest.approx(0.266666, abs=2e-6)
        assert 0 < found["noise"] < 0.15


def test_all_shows_what_is_superseded(folder, capsys):
    few = list(csv.DictReader(io.StringIO(ask(capsys, folder, "--format", "csv"))))
    every = ask(capsys, folder, "--format", "csv", "--all")
    rows = list(csv.DictReader(io.StringIO(every)))
    assert "base" not in [row["sweep_id"] for row in few]
    superseded = [row["sweep_id"] for row in rows if row["is_current"] == "false"]
    assert sorted(superseded) == ["base", "other_model"]


def test_a_person_reads_what_changed_and_what_cannot_be_said(folder, capsys):
    told = ask(capsys, folder)
    lines = [line.strip() for line in told.splitlines()]
    assert "m on Test CPU, 8 GiB: embedded 2 since 2026-02-01, 1 before" in lines
    (slower,) = [line for line in lines if line.startswith("Slower: Q4_K_M")]
    assert slower.startswith("Slower: Q4_K_M, time of a call +26.7 % (noise ")
    assert slower.endswith("over 3 repetitions; decode 42.0 -> 33.1 tokens/s.")
    assert "Q4_K_M: not compared: they had other weights." in lines
    assert any(
        line.startswith("No difference of answers shown: F16, Q4_K_M (0 lost, 0 gained")
        for line in lines
    )
    assert "\x1b" not in told and "\u202e" not in told
    assert "safe choice, 16 tasks" in told
    assert "safe choice: the reference; nothing smaller is shown to do as well" in told


def test_one_machine_or_model_is_asked_for_by_its_name(folder, capsys):
    told = ask(capsys, folder, "--hardware", "hw1-o", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(told)))
    assert {row["hardware_fingerprint"] for row in rows} == {"hw1-other"}
    assert "several machines are hw1" in ask(
        capsys, folder, "--hardware", "hw1", code=2
    )
    assert "no model 'mm' in any sweep" in ask(capsys, folder, "--model", "mm", code=2)
    assert "the name tells no format" in ask(capsys, folder, "-o", "x.pdf", code=2)


def test_an_empty_warehouse_says_how_to_begin(tmp_path, capsys):
    assert run_command(["matrix", "-w", str(tmp_path)]) == 0
    assert "orket run quickstart" in capsys.readouterr().err


def test_a_price_is_shown_and_stands_beside_what_was_measured(folder, capsys):
    args = ("--price", "3.60 EUR", "--model", "m")
    (row, *_) = csv.DictReader(
        io.StringIO(
            ask(capsys, folder, *args, "--format", "csv", "--hardware", "hw1-t")
        )
    )
    assert (row["price_per_hour"], row["currency"]) == ("3.60", "EUR")
    # 0.76 s at a thousandth a second.
    assert row["cost_per_1000_passed_tasks"] == "0.760000000"
    assert "0.760 (0.760 to 0.942)" in ask(capsys, folder, *args, "--format", "md")


def test_the_page_is_one_quiet_file_in_which_nothing_acts(folder, capsys, tmp_path):
    pytest.importorskip("jinja2")
    target = tmp_path / "fleet.html"
    ask(capsys, folder, "--all", "-o", str(target))
    first = target.read_bytes()
    ask(capsys, folder, "--all", "-o", str(target))
    assert target.read_bytes() == first
    page = first.decode()
    assert "<script" not in page and "&lt;script&gt;" in page and "\x1b" not in page
    with started_browser() as browser:
        for width in WIDTHS:
            for scheme in ("light", "dark"):
                with Seen(browser, target, width, scheme) as seen:
                    assert seen.said == [f"file://{target}"]
                    beyond = "document.documentElement.scrollWidth - innerWidth"
                    assert seen.page.evaluate(beyond) <= 0, f"{width} {scheme}"
                    rows = seen.page.locator("tbody tr").count()
                    assert rows == 7


def test_markdown_holds_no_markup_of_a_name(folder, capsys):
    told = ask(capsys, folder, "--format", "md")
    assert "<script" not in told and "\x1b" not in told
    rows = [line for line in told.splitlines() if line.startswith("|")]
    assert len({row.replace("\\|", "").count("|") for row in rows}) == 1


@pytest.mark.parametrize("width", [60, 100, *nightly(80, 120)])
def test_cells_of_two_banks_are_told_apart_at_any_width(
    width, tmp_path, capsys, monkeypatch
):
    for name, more in (("a", "core"), ("b", "quickstart")):
        sweep = measure(name, model_id="a-model-with-a-name-of-some-length")
        row = sweep.sweep_row()
        tasks = [replace(task, bank=more) for task in row.tasks]
        sweep.manifest = {"tasks": tasks, "hardware": OTHER_MACHINE["hardware"]}
        sweep.store(tmp_path)
    monkeypatch.setattr("orket.cli.output.is_terminal", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(width))
    told = ask(capsys, str(tmp_path))
    assert told.count("core") == 1 and told.count("quickstart") == 1
