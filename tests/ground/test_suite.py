"""What the suite leaves to the night, and in which order it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.longest import LONGEST
from tests.places import ROOT

pytest_plugins = ["pytester"]

CONFTEST = """
from tests.nightly import leave_to_the_night

def pytest_collection_modifyitems(config, items):
    leave_to_the_night(config, items)

def pytest_configure(config):
    config.addinivalue_line("markers", "nightly: run where ORKET_FUZZ is set")
"""
CASES = """
import pytest
from tests.nightly import nightly

@pytest.mark.parametrize("one", [1, *nightly(2, 3)])
def test_one(one):
    pass

@pytest.mark.parametrize(("one", "other"), nightly((1, 2), (3, 4)))
def test_all_are_nightly(one, other):
    assert other == one + 1
"""
NAMED = ("test_cases.py::test_one[3]",)


@pytest.mark.parametrize(
    ("fuzz", "asked", "ran"),
    [
        (None, (), {"test_one[1]", "test_all_are_nightly[1-2]"}),
        (None, NAMED, {"test_one[3]"}),
        (
            "1",
            (),
            {f"test_one[{n}]" for n in (1, 2, 3)}
            | {"test_all_are_nightly[1-2]", "test_all_are_nightly[3-4]"},
        ),
    ],
)
def test_by_day_a_case_of_each_kind_is_run(pytester, monkeypatch, fuzz, asked, ran):
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_cases=CASES)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    if fuzz is None:
        monkeypatch.delenv("ORKET_FUZZ", raising=False)
    else:
        monkeypatch.setenv("ORKET_FUZZ", fuzz)
    found = pytester.runpytest_subprocess("-v", "-p", "no:cacheprovider", *asked)
    passed = {
        line.split("::")[1].split(" ")[0]
        for line in found.outlines
        if " PASSED" in line
    }
    assert passed == ran
    assert not any("FAILED" in line for line in found.outlines)


def test_what_is_begun_first_is_there():
    assert len(set(LONGEST)) == len(LONGEST)
    assert [name for name in LONGEST if not Path(ROOT, "tests", name).is_file()] == []
