"""The wheel is whole: an installed Orket finds its views, presets and demo model."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import orket
from tests.places import ROOT


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The content of the built wheel, outside the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d"]
    subprocess.run(
        [*build, str(folder)], cwd=ROOT, check=True, capture_output=True, timeout=120
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run_installed(installed: Path, *args: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, "-m", "orket", *args],
        cwd=installed.parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_wheel_has_what_the_checkout_has(installed):
    for name in ("sql", "presets"):
        there = {
            path.relative_to(installed / "orket" / name)
            for path in (installed / "orket" / name).rglob("*")
            if path.is_file()
        }
        here = {
            path.relative_to(ROOT / name)
            for path in (ROOT / name).rglob("*")
            if path.is_file()
        }
        assert there == here


def test_an_installed_orket_works_outside_the_checkout(installed):
    assert "quickstart" in run_installed(installed, "presets", "--format", "csv")
    assert "recommendation" in run_installed(installed, "views")
    plan = run_installed(installed, "plan", "quickstart")
    assert "Q4_K_M" in plan


def test_a_wheel_has_no_tests_and_no_tools(installed):
    tops = {path.name for path in installed.iterdir()}
    assert tops == {"orket", f"orket-{orket.__version__}.dist-info"}


def test_the_version_is_said_once():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'version = "{orket.__version__}"' in text


def test_the_public_names_are_there():
    assert sorted(orket.__all__) == ["SweepSummary", "__version__", "open"]
    assert set(orket.__all__) <= set(dir(orket))
    for name in orket.__all__:
        assert getattr(orket, name) is not None
    with pytest.raises(AttributeError):
        _ = orket.no_such_name


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no checkout")
def test_what_following_the_readme_writes_is_nothing_of_the_project():
    written = [
        "report.html",
        "sweep_summary.json",
        "warehouse/.derived/a",
        *(
            f"warehouse/{dataset}/sweep_id=a/part-a.parquet"
            for dataset in ("sweeps", "runs", "sidecars", "fidelity", "events")
        ),
    ]
    told = subprocess.run(
        ["git", "check-ignore", *written], cwd=ROOT, capture_output=True, text=True
    )
    assert told.stdout.split() == written
