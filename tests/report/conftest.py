"""Reports that several tests read."""

from __future__ import annotations

from pathlib import Path

import pytest

from orket.cli.main import run_command
from tests.places import ROOT
from tests.report.hostile import hostile_sweep

REFERENCE = ROOT / "warehouse"


def write_report(warehouse: Path, sweep: str, output: Path, *options: str) -> str:
    """Run the verb and read what it wrote."""
    args = ["report", sweep, "-w", str(warehouse), "-o", str(output), *options]
    assert run_command(args) == 0
    return output.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a sweep whose texts attack it."""
    folder = tmp_path_factory.mktemp("hostile")
    hostile_sweep(folder / "warehouse")
    page = folder / "page.html"
    write_report(folder / "warehouse", "hostile", page)
    return page


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the sweep that ships."""
    page = tmp_path_factory.mktemp("reference") / "page.html"
    write_report(REFERENCE, "20261129-145825", page)
    return page
